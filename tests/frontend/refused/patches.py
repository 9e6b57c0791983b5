"""A vision transformer's beginning: patches in a row, a linear layer for each."""

from torch import nn

SHAPE = (3, 9, 9)
TOLD = [
    "fc (Linear): must read vectors, got 9x8: flatten before it, or use nn.Conv2d with a kernel of 1",
]


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 3, stride=3)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.embed(x).flatten(2).transpose(1, 2)).flatten(1)


make_model = Patches
