"""Hardtanh as it comes cuts below zero."""

import torch
from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "first (Hardtanh): its lower bound must be 0, got -1: use nn.ReLU6, nn.Hardtanh(0, x) or clamp(0, x)",
    "forward (clamp, bounds.py:22): its lower bound must be 0, got nothing: use nn.ReLU6, nn.Hardtanh(0, x) or "
    "clamp(0, x)",
]


class Bounded(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.first = nn.Hardtanh()
        self.other = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return torch.clamp(self.other(self.first(self.conv(x))), max=4.0)


make_model = Bounded
