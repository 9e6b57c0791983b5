"""Pixels become channels, rows become columns: no layer moves elements like this."""

from torch import nn

SHAPE = (2, 4, 4)
TOLD = [
    "after (Conv2d): reads an order of elements that no channel shuffle gives by forward (transpose, "
    "rearranged.py:19): only flattening and channel shuffles move elements here",
]


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.Conv2d(2, 2, 1)
        self.after = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.after(self.before(x).transpose(2, 3))


make_model = Turned
