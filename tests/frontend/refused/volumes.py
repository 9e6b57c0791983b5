"""Convolutions over one axis, and over three."""

from torch import nn

SHAPE = (2, 4, 4)
TOLD = [
    "line (Conv1d): only 2-d convolutions are built: use nn.Conv2d on images one row high",
    "volume (Conv3d): only 2-d convolutions are built: use nn.Conv2d on each slice",
]


class Volumes(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(2, 2, 3, padding=1)
        self.volume = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, x):
        y = self.line(x.flatten(2)).view(-1, 2, 4, 4)
        return self.volume(y.unsqueeze(1)).squeeze(1)


make_model = Volumes
