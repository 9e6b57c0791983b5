"""A module that remembers something from image to image."""

from torch import nn

SHAPE = (1, 4, 4)
TOLD = ["forward: changes the buffer seen: each image must be computed by itself"]


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.register_buffer("seen", self.conv.weight.detach().new_zeros(()))

    def forward(self, x):
        self.seen += 1
        return self.conv(x)


make_model = Counting
