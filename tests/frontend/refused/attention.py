"""Squeeze and excitation: the sigmoid, and the product of two tensors."""

import torch
from torch import nn

SHAPE = (4, 8, 8)
TOLD = [
    "se (sigmoid, attention.py:20): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
    "se (mul, attention.py:20): tensors are never multiplied by one another here: leave the attention or gate out",
]


class SqueezeExcitation(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(self.pool(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.se = SqueezeExcitation()

    def forward(self, x):
        return self.se(self.conv(x))


make_model = Net
