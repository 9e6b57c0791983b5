"""A number of a tensor as a plain number of Python."""

from torch import nn

SHAPE = (3, 8, 8)
TOLD = [
    "forward (Scaled, item.py:18: return self.conv(x) / max(x.max().item(), 1.0)): the forward depends on what a "
    "tensor holds, which hardware cannot: use shapes, or the model's own settings, in conditions and sizes"
]


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x) / max(x.max().item(), 1.0)


make_model = Scaled
