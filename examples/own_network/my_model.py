"""A network as one would write it in PyTorch, for 8x8 images of handwritten digits: it knows nothing of hardware."""

import torch
from torch import nn

import psconv


class Net(nn.Module):
    """A stem, a residual block, the mean of each channel, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.pool(self.stem(x))
        y = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(x + self.bn2(self.conv2(y)))
        return self.fc(x.mean(dim=(2, 3)))


def make_model():
    """The network with a sixteenth of the kernels full, all others of one tap: the one line that is psconv's."""
    return psconv.convert(Net(), "PSD1_P16")
