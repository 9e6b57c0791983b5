"""Windows that differ between rows and columns, or that leave pixels out."""

from torch import nn

SHAPE = (3, 12, 12)
TOLD = [
    "0 (Conv2d): its stride must be the same for rows and columns, got 2 and 1",
    "1 (MaxPool2d): its dilation must be 1",
    "2 (AvgPool2d): its kernel must be the same for rows and columns, got 1 and 2",
    "3 (AvgPool2d): padding counts as zeros here: leave count_include_pad as it is, True, or pad nothing",
]


def make_model():
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, stride=(2, 1), padding=1),
        nn.MaxPool2d(2, 1, dilation=2),
        nn.AvgPool2d((1, 2), stride=1),
        nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
    )
