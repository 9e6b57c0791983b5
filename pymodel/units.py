"""The hardware units of a network: what each reads and writes, its C++, its processes.

A unit is one function of the network's top. Its configuration is a C++ structure of constants; its processes and their
streams are called UNIT_PROCESS and UNIT_STREAM, as openhls calls them; a unit that is one process is called UNIT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pymodel import header
from pymodel.cycles import Sequence, feeder_sequences, sequences
from pymodel.header import Constant, flag, integers
from pymodel.maxplus import Process
from pymodel.packing import EngineShape
from pymodel.words import Words

POOL_DEPTH = 2  # of the streams inside a pooling, which is never what a network waits for


@dataclass(frozen=True)
class Stream:
    """A stream between two units, or at a port. layer: whose output it carries, "input" for the network's."""

    name: str
    layer: str
    words: Words


@dataclass(frozen=True)
class Unit(ABC):
    """One unit: its name, the layer that it belongs to, the streams that it reads and writes."""

    function: ClassVar[str]  # of namespace psconv
    header: ClassVar[str]  # of hls/engine
    dataflow: ClassVar[bool] = False  # whether it is several processes

    name: str
    layer: str
    reads: tuple[Stream, ...]
    writes: tuple[Stream, ...]

    @property
    def config(self) -> str:
        """Name of its configuration."""
        return f"{self.name}_config"

    @property
    def widest(self) -> int:
        """Bits of the widest word in it."""
        return max(8 * stream.words.word_bytes for stream in (*self.reads, *self.writes))

    def struct(self) -> str:
        """C++ text of its configuration."""
        return header.render_template("unit_struct.hpp.j2", name=self.config, constants=self.constants())

    @abstractmethod
    def constants(self) -> list[Constant]:
        """The members of its configuration."""

    @abstractmethod
    def processes(self) -> list[Process]:
        """Its processes, from input to output."""

    def _chain(self, chain: list[Sequence], between: list[str]) -> list[Process]:
        """A chain of processes; between: the streams that connect them."""
        streams = [self.reads[0].name, *(f"{self.name}_{name}" for name in between), self.writes[0].name]
        return [
            sequence.on(source, sink, f"{self.name}_{sequence.process}")
            for sequence, source, sink in zip(chain, streams, streams[1:], strict=False)
        ]

    def _single(self, iterations: int, reads: np.ndarray, writes: np.ndarray) -> list[Process]:
        """One process with the same accesses to all the streams on a side."""
        return [
            Process(
                self.name,
                iterations,
                {stream.name: reads for stream in self.reads},
                {stream.name: writes for stream in self.writes},
            )
        ]


def _feeder_streams(kernel: int) -> list[str]:
    return ["window_words"] if kernel == 1 else ["column_words", "window_words"]


@dataclass(frozen=True)
class EngineUnit(Unit):
    """A convolution or fully connected layer. weights: int [cout, cin, K, K]; bias, scales: int [cout]."""

    function = "engine"
    header = "engine.hpp"
    dataflow = True

    shape: EngineShape
    weights: np.ndarray
    bias: np.ndarray
    scales: np.ndarray | None

    @property
    def widest(self) -> int:
        return header.widest_word(self.shape)

    def struct(self) -> str:
        prefix = f"{self.name}_"
        return header.engine_struct(self.config, self.shape, self.weights, self.bias, self.scales, prefix)

    def constants(self) -> list[Constant]:
        return header.engine_constants(self.shape)

    def processes(self) -> list[Process]:
        return self._chain(sequences(self.shape), [*_feeder_streams(self.shape.kernel), "sum_words"])


@dataclass(frozen=True)
class PoolUnit(Unit):
    """Maximum or mean of square windows."""

    function = "pool"
    header = "pool.hpp"
    dataflow = True

    kernel: int
    stride: int
    padding: int
    maximum: bool

    @property
    def height(self) -> int:
        return self.reads[0].words.height

    @property
    def width(self) -> int:
        return self.reads[0].words.width

    @property
    def NB(self) -> int:
        """Words of an input pixel."""
        return self.reads[0].words.per_pixel

    @property
    def hout(self) -> int:
        return self.writes[0].words.height

    @property
    def wout(self) -> int:
        return self.writes[0].words.width

    @property
    def widest(self) -> int:
        return max(super().widest, self.kernel**2 * self.reads[0].words.word_bits)

    def constants(self) -> list[Constant]:
        words, shift = self.reads[0].words, (self.kernel**2).bit_length() - 1
        return [
            *integers(
                [
                    ("KERNEL", self.kernel, "rows and columns of a window"),
                    ("STRIDE", self.stride, "input pixels from one output pixel to the next"),
                    ("PADDING", self.padding, "rows and columns of zeros on each side"),
                    ("HEIGHT", self.height, "rows of the input image"),
                    ("WIDTH", self.width, "columns of the input image"),
                    ("OUT_HEIGHT", self.hout, "rows of the output image"),
                    ("OUT_WIDTH", self.wout, "columns of the output image"),
                    ("CHANNELS", words.group, "of a word"),
                    ("BLOCK_SETS", self.NB, "words of a pixel"),
                    ("IN_BITS", words.bits, "of an input activation"),
                    ("SUM_BITS", words.bits + (self.kernel**2 - 1).bit_length(), "of a window's sum"),
                    ("OUT_BITS", self.writes[0].words.bits, "of an output activation"),
                    ("SHIFT", 0 if self.maximum else shift, "right shift from a sum to an output"),
                    ("WINDOW_DEPTH", POOL_DEPTH, "windows waiting"),
                    ("COLUMN_DEPTH", POOL_DEPTH, "columns waiting for their windows"),
                ]
            ),
            flag("RELU", False, "negative outputs stay"),
            flag("MAXIMUM", self.maximum, "the largest element, else the mean"),
        ]

    def processes(self) -> list[Process]:
        every = np.arange(self.writes[0].words.count)
        reduce = Sequence("reduce", len(every), every, every)
        return self._chain([*feeder_sequences(self), reduce], _feeder_streams(self.kernel))


@dataclass(frozen=True)
class GlobalAverageUnit(Unit):
    """The mean of each channel over the image."""

    function = "global_average"
    header = "global_average.hpp"

    @property
    def _sum_bits(self) -> int:
        words = self.reads[0].words
        return words.bits + (words.pixels - 1).bit_length()

    @property
    def widest(self) -> int:
        return max(super().widest, self.reads[0].words.group * self._sum_bits)

    def constants(self) -> list[Constant]:
        words = self.reads[0].words
        return [
            *integers(
                [
                    ("PIXELS", words.pixels, "of the image"),
                    ("GROUPS", words.per_pixel, "words of a pixel"),
                    ("CHANNELS", words.group, "of a word"),
                    ("IN_BITS", words.bits, "of an input activation"),
                    ("SUM_BITS", self._sum_bits, "of a channel's sum"),
                    ("OUT_BITS", self.writes[0].words.bits, "of an output activation"),
                    ("SHIFT", words.pixels.bit_length() - 1, "right shift from a sum to an output"),
                ]
            ),
            flag("RELU", False, "negative outputs stay"),
        ]

    def processes(self) -> list[Process]:
        words = self.reads[0].words
        every = np.arange(words.count)
        return self._single(words.count, every, every[-words.per_pixel :])


@dataclass(frozen=True)
class AddUnit(Unit):
    """Residual addition. fracs: of the two inputs and of the output."""

    function = "add"
    header = "add.hpp"

    fracs: tuple[int, int, int]
    relu: bool

    def constants(self) -> list[Constant]:
        left, right = (stream.words for stream in self.reads)
        finest = max(self.fracs[:2])
        shifts = [finest - frac for frac in self.fracs]
        widths = [words.bits + shift for words, shift in zip((left, right), shifts, strict=False)]
        return [
            *integers(
                [
                    ("PIXELS", left.pixels, "of the image"),
                    ("GROUPS", left.per_pixel, "words of a pixel"),
                    ("CHANNELS", left.group, "of a word"),
                    ("LEFT_BITS", left.bits, "of an activation of the first input"),
                    ("LEFT_SHIFT", shifts[0], "left shift of the first input to the finer scale"),
                    ("RIGHT_BITS", right.bits, "of an activation of the second input"),
                    ("RIGHT_SHIFT", shifts[1], "left shift of the second input to the finer scale"),
                    ("SUM_BITS", max(widths) + 1, "of a sum"),
                    ("OUT_BITS", self.writes[0].words.bits, "of an output activation"),
                    ("SHIFT", shifts[2], "right shift from a sum to an output"),
                ]
            ),
            flag("RELU", self.relu, "negative outputs become zero"),
        ]

    def processes(self) -> list[Process]:
        every = np.arange(self.writes[0].words.count)
        return self._single(len(every), every, every)


@dataclass(frozen=True)
class SplitUnit(Unit):
    """Words of a tensor in pieces: groups of channels that divide those of its input."""

    function = "split"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _regroup_constants(self, self.writes[0].words.per_pixel)

    def processes(self) -> list[Process]:
        pieces, pixels = self.writes[0].words.per_pixel, self.reads[0].words.pixels
        ratio = self.reads[0].words.group // self.writes[0].words.group
        reads = (np.arange(pixels)[:, None] * pieces + np.arange(0, pieces, ratio)).ravel()
        return self._single(pixels * pieces, reads, np.arange(pixels * pieces))


@dataclass(frozen=True)
class GatherUnit(Unit):
    """Words of a tensor put together: groups of channels that are multiples of those of its input."""

    function = "gather"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _regroup_constants(self, self.reads[0].words.per_pixel)

    def processes(self) -> list[Process]:
        pieces, pixels = self.reads[0].words.per_pixel, self.reads[0].words.pixels
        ratio = self.writes[0].words.group // self.reads[0].words.group
        ends = np.union1d(np.arange(ratio - 1, pieces, ratio), [pieces - 1])
        writes = (np.arange(pixels)[:, None] * pieces + ends).ravel()
        return self._single(pixels * pieces, np.arange(pixels * pieces), writes)


def _regroup_constants(unit: Unit, pieces: int) -> list[Constant]:
    source, sink = unit.reads[0].words, unit.writes[0].words
    return integers(
        [
            ("PIXELS", source.pixels, "of the image"),
            ("PIECES", pieces, "words of a pixel on the narrow side"),
            ("BITS", source.bits, "of an activation"),
            ("IN_GROUP", source.group, "channels of an input word"),
            ("OUT_GROUP", sink.group, "channels of an output word"),
        ]
    )


@dataclass(frozen=True)
class ForkUnit(Unit):
    """One tensor for two readers."""

    function = "fork"
    header = "fork.hpp"

    def constants(self) -> list[Constant]:
        words = self.reads[0].words
        return integers([("WORDS", words.count, "of an image"), ("WORD_BITS", words.word_bits, "of a word")])

    def processes(self) -> list[Process]:
        every = np.arange(self.reads[0].words.count)
        return self._single(len(every), every, every)
