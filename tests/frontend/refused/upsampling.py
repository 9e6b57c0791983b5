"""The way up of a U-Net."""

from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "1 (Upsample): images are never made larger here: leave it to the program that reads the outputs",
    "3 (ConvTranspose2d): images are never made larger here: leave it to the program that reads the outputs",
]


def make_model():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(scale_factor=2), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2, stride=2)
    )
