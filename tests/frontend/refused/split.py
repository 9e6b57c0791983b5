"""ShuffleNetV2 and its like work on one half of the channels."""

import torch
from torch import nn

SHAPE = (4, 8, 8)
TOLD = [
    "forward (split, split.py:18): channels are never split here: use a convolution of its own for each part",
]


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        return torch.cat((left, self.conv(right)), dim=1)


make_model = Half
