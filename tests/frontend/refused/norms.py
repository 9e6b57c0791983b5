"""Normalisation over each image instead of over a batch."""

from torch import nn

SHAPE = (4, 8, 8)
TOLD = [
    "1 (GroupNorm): depends on each image, so it cannot be folded into weights: use nn.BatchNorm2d",
    "3 (InstanceNorm2d): depends on each image, so it cannot be folded into weights: use nn.BatchNorm2d",
    "5 (LayerNorm): depends on each image, so it cannot be folded into weights: use nn.BatchNorm2d",
]


def make_model():
    return nn.Sequential(
        nn.Conv2d(4, 4, 1),
        nn.GroupNorm(2, 4),
        nn.Conv2d(4, 4, 1),
        nn.InstanceNorm2d(4),
        nn.Conv2d(4, 4, 1),
        nn.LayerNorm((4, 8, 8)),
    )
