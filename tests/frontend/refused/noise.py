"""Noise that is meant for training, and the places of the largest."""

import torch
from torch import nn

SHAPE = (1, 4, 4)
TOLD = [
    "pool (MaxPool2d): its first result alone is built: leave return_indices as it is, False",
    "forward (randn, noise.py:21): an image must give the same result each time: random numbers belong to training",
]


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, x):
        values, places = self.pool(self.conv(x))
        return values + torch.randn(1, 1, 1, 1), places


make_model = Noisy
