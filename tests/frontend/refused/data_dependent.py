"""A condition on what a tensor holds, in a module inside another."""

from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "0 (Gate, data_dependent.py:18: if x.mean() > 0:): the forward depends on what a tensor holds, which hardware "
    "cannot: use shapes, or the model's own settings, in conditions and sizes"
]


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        if x.mean() > 0:
            return self.conv(x)
        return x


def make_model():
    return nn.Sequential(Gate(), nn.ReLU())
