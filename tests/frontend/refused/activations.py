"""Smooth activations, of a network as it would be for a GPU: each is told, by its module."""

from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "1 (SiLU): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
    "3 (GELU): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
    "5 (LeakyReLU): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
    "7 (Hardswish): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
    "9 (Tanh): has no fixed-point form here: use nn.ReLU or nn.ReLU6",
]


def make_model():
    layers = []
    for activation in (nn.SiLU(), nn.GELU(), nn.LeakyReLU(0.1), nn.Hardswish(), nn.Tanh()):
        layers += [nn.Conv2d(3, 3, 3, padding=1), activation]
    return nn.Sequential(*layers)
