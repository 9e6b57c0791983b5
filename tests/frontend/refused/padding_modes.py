"""Borders that are not zeros."""

from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "0 (Conv2d): mode 'circular' would need pixels twice: pad with zeros",
    "1 (ReflectionPad2d): mode 'reflect' would need pixels twice: pad with zeros",
    "3 (Conv2d): what lies around an image must be zeros, got 1: pad with zeros",
]


def make_model():
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
        nn.ReflectionPad2d(1),
        nn.ConstantPad2d(1, 1.0),
        nn.Conv2d(3, 3, 3),
    )
