"""The windows of Tx neighbouring output pixels, and what a feeder keeps to make them: as hls/engine/geometry.hpp.

A feeder takes sets of Tx pixels of a row. The windows of Tx output pixels overlap: `span` columns. Those of the first
pixels of an output row end with image column `last`, in set last // Tx; the next ones end `stride` sets later.
"""

from __future__ import annotations

from typing import Protocol

from pymodel.network.topology import Padding


class WindowShape(Protocol):
    """What the feeder of an engine or of a pooling depends on."""

    @property
    def kernel(self) -> int: ...

    @property
    def stride(self) -> int: ...

    @property
    def pads(self) -> Padding: ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def Tx(self) -> int:
        """Neighbouring pixels at once, of the input and of the output."""

    @property
    def NB(self) -> int:
        """Words of an input pixel, or of Tx of them."""

    @property
    def pieces(self) -> int:
        """Pieces of each word that the feeder moves one after the other."""

    @property
    def hout(self) -> int: ...

    @property
    def wout(self) -> int: ...


def has_columns(shape: WindowShape) -> bool:
    """Whether windows are made of columns, else pixels are windows as they come."""
    return shape.kernel > 1 or (shape.Tx > 1 and shape.stride > 1)


def span(shape: WindowShape) -> int:
    """Columns of the windows of Tx output pixels side by side."""
    return (shape.Tx - 1) * shape.stride + shape.kernel


def last(shape: WindowShape) -> int:
    """The image column that the windows of the first Tx output pixels of a row end with."""
    return span(shape) - 1 - shape.pads.left


def kept_columns(shape: WindowShape) -> int:
    """Columns that are kept of the sets before the one that windows end with."""
    return span(shape) - (last(shape) % shape.Tx + 1)


def leading_sets(shape: WindowShape) -> int:
    """Sets of zeros to the left of the image."""
    return -(-shape.pads.left // shape.Tx)
