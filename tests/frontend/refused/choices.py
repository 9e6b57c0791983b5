"""Elements that are chosen by what they hold, and an answer instead of scores."""

import torch
from torch import nn

SHAPE = (1, 4, 4)
TOLD = [
    "forward (gt, choices.py:21): elements are never chosen by what they hold, but by nn.ReLU and nn.MaxPool2d",
    "forward (where, choices.py:21): elements are never chosen by what they hold, but by nn.ReLU and nn.MaxPool2d",
    "forward (argmax, choices.py:22): the program that reads the scores finds the largest: return the scores",
]


class Choosing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        x = torch.where(x > 1, x, 0)
        return x.argmax(dim=1)


make_model = Choosing
