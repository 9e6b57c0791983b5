"""The example of PyTorch for handwritten digits ends like this."""

from torch import nn
from torch.nn import functional

SHAPE = (1, 4, 4)
TOLD = [
    "forward (log_softmax, softmax.py:19): has no fixed-point form here: return the scores before it, whose largest is "
    "the same"
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return functional.log_softmax(self.fc(x.flatten(1)), dim=1)


make_model = Net
