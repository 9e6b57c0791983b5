"""A mean whose last window is cut off counts fewer pixels there."""

from torch import nn

SHAPE = (3, 7, 7)
TOLD = ["1 (AvgPool2d): its last window is cut off: leave ceil_mode as it is, False"]


def make_model():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2, ceil_mode=True))
