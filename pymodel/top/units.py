"""The hardware units of a network: what each reads and writes, its C++, its processes.

A unit is one function of the network's top. Its configuration is a C++ structure of constants; its processes and their
streams are called UNIT_PROCESS and UNIT_STREAM, as openhls calls them; a unit that is one process is called UNIT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pymodel.common.arrays import Int64, Integers
from pymodel.common.errors import InternalError
from pymodel.common.templates import templates
from pymodel.engine import cpp as header
from pymodel.engine.cpp import Constant, flag, integers
from pymodel.engine.cycles import (
    FEEDER_STAGES,
    LEAST_DEPTH,
    LEAST_STAGE,
    OPEN_DEPTH,
    STAGES,
    STREAMED_SUMS_DEPTH,
    Sequence,
    feeder_depths,
    feeder_sequences,
    sequences,
    stream_depths,
    streamed_depths,
    streamed_interval,
    streamed_sequences,
    weight_reads,
)
from pymodel.engine.maxplus import Link, Process
from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import WindowShape, has_columns, kept_columns
from pymodel.engine.words import Words
from pymodel.network.formats import Rounding, mean_scale
from pymodel.network.topology import Padding
from pymodel.top.status import Status

_templates = templates(Path(__file__).with_name("templates"))


@dataclass(frozen=True)
class Stream:
    """A stream between two units, or at a port. layer: whose output it carries, INPUT for the network's.

    whole: it has that output as it is, not only its first channels, and not as one pixel.
    """

    name: str
    layer: str
    words: Words
    whole: bool = True

    @property
    def word_bits(self) -> int:
        return self.words.word_bits


@dataclass(frozen=True)
class Control:
    """A stream between two units that carries no tensor: reload requests, weights, statuses."""

    name: str
    word_bits: int


@dataclass(frozen=True)
class WeightPort:
    """An input port that brings a layer's weights, each once an image."""

    name: str
    layer: str
    word_bits: int


def tensor(stream: Stream | Control | WeightPort) -> Stream:
    """A stream that carries a tensor. Raises InternalError for another stream."""
    if not isinstance(stream, Stream):
        raise InternalError(f"stream {stream.name} carries no tensor")
    return stream


# Constants that follow from others.
_IMPLIED = frozenset(["MULTIPLIER", "MULTIPLIER_BITS", "DOUBLED", "INVERTS"])


@dataclass(frozen=True)
class Unit(ABC):
    """One unit: its name, the layer that it belongs to, the streams that it reads and writes, tensors first to last."""

    function: ClassVar[str]  # of namespace psconv
    header: ClassVar[str]  # of hls/engine
    dataflow: ClassVar[bool] = False  # whether it is several processes

    name: str
    layer: str
    reads: tuple[Stream | Control | WeightPort, ...]
    writes: tuple[Stream | Control, ...]

    @property
    def config(self) -> str:
        """Name of its configuration."""
        return f"{self.name}_config"

    @property
    def widest(self) -> int:
        """Bits of the widest word in it."""
        return max(-(-stream.word_bits // 8) * 8 for stream in (*self.reads, *self.writes))

    @property
    def in_words(self) -> Words:
        """The words of the first tensor that it reads."""
        return tensor(self.reads[0]).words

    @property
    def out_words(self) -> Words:
        """The words of the first tensor that it writes."""
        return tensor(self.writes[0]).words

    def struct(self, least_depth: int = 1) -> str:
        """C++ text of its configuration. least_depth: of the streams inside it, at least."""
        return _templates.get_template("unit_struct.hpp.j2").render(name=self.config, constants=self.constants())

    @abstractmethod
    def constants(self) -> list[Constant]:
        """The members of its configuration."""

    def computes(self) -> dict[str, Any]:
        """What its output depends on beside its input, by name; neither weights nor depths of streams.

        Identities are of these: a network with nothing new keeps the number that it had before.
        """
        found = {name: value for _, name, value, _ in self.constants() if not name.endswith("_DEPTH")}
        return {name: value for name, value in found.items() if name not in _IMPLIED}

    @abstractmethod
    def processes(self, reload: bool = False) -> list[Process]:
        """Its processes, from input to output, and what they do for an image; reload: one before which weights come."""

    @property
    def interval(self) -> int:
        """Cycles an image that it takes by itself."""
        return max(process.iterations for process in self.processes())

    @property
    def inner(self) -> dict[str, Link]:
        """The streams inside it, with the latest write stages that their depths are enough for."""
        return {}

    @property
    def undeclared(self) -> frozenset[str]:
        """The inner streams whose depth the compiler chooses."""
        return frozenset()

    @property
    def out_stage(self) -> int:
        """The latest write stage of what it writes for others, as far as depths go."""
        return STAGES

    def _chain(self, chain: list[Sequence], between: list[str]) -> list[Process]:
        """A chain of processes; between: the streams that connect them."""
        streams = [self.reads[0].name, *(f"{self.name}_{name}" for name in between), self.writes[0].name]
        return [
            sequence.on(source, sink, f"{self.name}_{sequence.process}")
            for sequence, source, sink in zip(chain, streams, streams[1:], strict=False)
        ]

    def _single(self, iterations: int, reads: Int64, writes: Int64) -> list[Process]:
        """One process with the same accesses to all the streams on a side."""
        return [
            Process(
                self.name,
                iterations,
                {stream.name: reads for stream in self.reads},
                {stream.name: writes for stream in self.writes},
            )
        ]


def _less_plain(facts: dict[str, Any], bits: int) -> dict[str, Any]:
    """What a unit computes without a largest output that is the greatest of its bits, and without halves that go up."""
    plain = {("LARGEST", str((1 << (bits - 1)) - 1)), ("HALVES_TO_EVEN", "false")}
    return {name: value for name, value in facts.items() if (name, value) not in plain}


def _mean_constants(count: int, bits: int, rounding: Rounding) -> list[Constant]:
    """The members of a configuration that makes means of `count` integers of `bits` bits (mean.hpp); none for 0."""
    scale, shift, doubled = mean_scale(count or 1, bits)
    return [
        *integers(
            [
                ("SHIFT", shift, "right shift from a sum, times the multiplier, to an output"),
                ("LARGEST", (1 << (bits - 1)) - 1, "output"),
                ("MULTIPLIER_BITS", scale.bit_length(), "of the multiplier"),
            ]
        ),
        ("long long", "MULTIPLIER", str(scale), "of a sum; 1: none"),
        flag("DOUBLED", doubled, "of twice a sum and one"),
        flag("RELU", False, "negative outputs stay"),
        _halves(rounding),
    ]


def _halves(rounding: Rounding) -> Constant:
    return flag("HALVES_TO_EVEN", rounding == "half_even", "between two outputs, else up")


def _feeder_links(name: str, depths: Mapping[str, int]) -> dict[str, Link]:
    """The streams of a unit's feeders. depths: of "windows" and "columns"."""
    return {f"{name}_{words.removesuffix('s')}_words": Link(FEEDER_STAGES, depth) for words, depth in depths.items()}


def _feeder_streams(shape: WindowShape) -> list[str]:
    return ["column_words", "window_words"] if has_columns(shape) else ["window_words"]


@dataclass(frozen=True)
class EngineUnit(Unit):
    """A convolution or fully connected layer. weights: int [cout, cin / groups, K, K]; bias, scales: int [cout].

    Where its weights are loaded it also reads reload requests and load words from its loader.
    """

    function = "engine"
    header = "engine.hpp"
    dataflow = True

    shape: EngineShape
    weights: Integers
    bias: Integers
    scales: Integers | None

    @property
    def loaded(self) -> bool:
        """Whether its weights are in RAM."""
        return len(self.reads) > 1

    @property
    def widest(self) -> int:
        return max(header.widest_word(self.shape), self.shape.load_bits)

    def struct(self, least_depth: int = 1) -> str:
        prefix = f"{self.name}_"
        if self.loaded:
            return header.loaded_engine_struct(self.config, self.shape, prefix, least_depth)
        return header.engine_struct(
            self.config, self.shape, self.weights, self.bias, self.scales, prefix, least_depth=least_depth
        )

    def constants(self) -> list[Constant]:
        return header.engine_constants(self.shape)

    def computes(self) -> dict[str, Any]:
        # The others say how the same is computed. A network with none of these keeps the number that it had before.
        how = {"packing", "feed", "multiplier_bits", "loaded", "ultra_weights"}
        how |= {key for key, value in (("groups", 1), ("rounding", "half_up")) if getattr(self.shape, key) == value}
        return self.shape.model_dump(mode="json", exclude=how, exclude_none=True)

    @property
    def feeder_depths(self) -> dict[str, int]:
        """Depths of its streams of columns and windows."""
        return stream_depths(self.shape)

    @property
    def inner(self) -> dict[str, Link]:
        # The compiler makes the stream of sums OPEN_DEPTH words deeper than the stage of its writes. Whatever stage w
        # that is, from LEAST_STAGE to STAGES, it is no slower than LEAST_STAGE and words that come out so many stages
        # later (`out_stage`): take the times of those, and the output process w - LEAST_STAGE later. It finds its sums
        # there; it gives their credits back that much later, which as many words more make up for, its sums coming
        # one a cycle at most; and its own words are in time.
        sums = Link(LEAST_STAGE, LEAST_STAGE + OPEN_DEPTH)
        return _feeder_links(self.name, self.feeder_depths) | dict.fromkeys(self.undeclared, sums)

    @property
    def undeclared(self) -> frozenset[str]:
        return frozenset([f"{self.name}_sum_words"])

    @property
    def out_stage(self) -> int:
        return STAGES + (STAGES - LEAST_STAGE)

    def processes(self, reload: bool = False) -> list[Process]:
        chain = self._chain(sequences(self.shape), [*_feeder_streams(self.shape), "sum_words"])
        return [self._with_loads(p, reload) if p.name == f"{self.name}_pe" and self.loaded else p for p in chain]

    def _with_loads(self, pe: Process, reload: bool) -> Process:
        """The processing element with its weights in RAM: new ones take as many iterations as a pixel."""
        more = self.shape.rom_words if reload else 0
        requests, words = (stream.name for stream in self.reads[1:])
        own = {requests: np.arange(1), words: np.arange(more)}
        later = [{stream: at + more for stream, at in side.items()} for side in (pe.reads, pe.writes)]
        return Process(pe.name, pe.iterations + more, later[0] | own, later[1])


@dataclass(frozen=True)
class StreamedEngineUnit(EngineUnit):
    """An engine whose weights are streamed from outside memory: it also reads their port."""

    function = "streamed_engine"
    header = "streamed.hpp"

    @property
    def loaded(self) -> bool:
        return False

    @property
    def port(self) -> WeightPort:
        """Where its weights come in."""
        (port,) = (stream for stream in self.reads if isinstance(stream, WeightPort))
        return port

    def struct(self, least_depth: int = 1) -> str:
        return header.engine_struct(
            self.config, self.shape, self.weights, self.bias, self.scales, f"{self.name}_", True, least_depth
        )

    def constants(self) -> list[Constant]:
        return header.engine_constants(self.shape, streamed=True)

    @property
    def interval(self) -> int:
        return streamed_interval(self.shape)

    @property
    def feeder_depths(self) -> dict[str, int]:
        return streamed_depths(self.shape)

    @property
    def inner(self) -> dict[str, Link]:
        sums = {f"{self.name}_sum_words": Link(STAGES, STREAMED_SUMS_DEPTH)}
        return _feeder_links(self.name, self.feeder_depths) | sums

    @property
    def undeclared(self) -> frozenset[str]:
        return frozenset()

    @property
    def out_stage(self) -> int:
        return STAGES

    def processes(self, reload: bool = False) -> list[Process]:
        *feeders, pe, output = self._chain(streamed_sequences(self.shape), [*_feeder_streams(self.shape), "sum_words"])
        return [*feeders, replace(pe, reads=pe.reads | {self.port.name: weight_reads(self.shape)}), output]


@dataclass(frozen=True)
class PoolUnit(Unit):
    """Maximum or mean of square windows. network_interval: the interval that it has to keep, of the whole network."""

    function = "pool"
    header = "pool.hpp"
    dataflow = True

    kernel: int
    stride: int
    pads: Padding
    maximum: bool
    rounding: Rounding = "half_up"
    network_interval: int = 0

    @property
    def height(self) -> int:
        return self.in_words.height

    @property
    def width(self) -> int:
        return self.in_words.width

    @property
    def Tx(self) -> int:
        return self.in_words.at_once

    @property
    def NB(self) -> int:
        """Words of an input pixel, or of Tx of them."""
        return self.in_words.per_pixel

    @property
    def pieces(self) -> int:
        return 1

    @property
    def hout(self) -> int:
        return self.out_words.height

    @property
    def wout(self) -> int:
        return self.out_words.width

    @property
    def widest(self) -> int:
        columns = kept_columns(self) + self.Tx
        return max(super().widest, columns * self.kernel * self.in_words.group * self.in_words.bits)

    @property
    def piece_bits(self) -> int:
        """Bits of one tap of a pixel's word."""
        return self.in_words.group * self.in_words.bits

    @property
    def sum_bits(self) -> int:
        """Bits of the sum of a window's channel."""
        return self.in_words.bits + (self.kernel**2 - 1).bit_length()

    @property
    def inverts_signs(self) -> bool:
        """Whether the sign bits of activations are inverted in its feeder: zeros outside the image never win then."""
        return self.maximum and any(self.pads)

    def constants(self) -> list[Constant]:
        words = self.in_words
        depth = self.feeder_depths.get("columns")
        columns = [("COLUMN_DEPTH", depth, "columns waiting for their windows")] if depth else []
        return [
            *integers(
                [
                    ("KERNEL", self.kernel, "rows and columns of a window"),
                    ("STRIDE", self.stride, "input pixels from one output pixel to the next"),
                    ("TOP", self.pads.top, "rows of zeros above the image"),
                    ("LEFT", self.pads.left, "columns of zeros to the left of it"),
                    ("HEIGHT", self.height, "rows of the input image"),
                    ("WIDTH", self.width, "columns of the input image"),
                    ("OUT_HEIGHT", self.hout, "rows of the output image"),
                    ("OUT_WIDTH", self.wout, "columns of the output image"),
                    ("TX", self.Tx, "neighbouring pixels at once"),
                    ("CHANNELS", words.group, "of each pixel of a word"),
                    ("BLOCK_SETS", self.NB, "words of a pixel"),
                    ("PIECES", self.pieces, "of a word"),
                    ("IN_BITS", words.bits, "of an input activation"),
                    ("SUM_BITS", self.sum_bits, "of a window's sum"),
                    ("OUT_BITS", self.out_words.bits, "of an output activation"),
                    ("WINDOW_DEPTH", self.feeder_depths["windows"], "windows waiting"),
                    *columns,
                ]
            ),
            *_mean_constants(0 if self.maximum else self.kernel**2, words.bits, self.rounding),
            flag("MAXIMUM", self.maximum, "the largest element, else the mean"),
            flag("INVERTS", self.inverts_signs, "sign bits in the feeder: zeros outside the image never win"),
        ]

    def computes(self) -> dict[str, Any]:
        found = _less_plain(super().computes(), self.out_words.bits)
        if found["TOP"] == found["LEFT"]:
            found["PADDING"] = found.pop("TOP")
            del found["LEFT"]
        return found

    @property
    def feeder_depths(self) -> dict[str, int]:
        """The least depths of its streams of columns and windows with which it keeps its interval."""
        found = feeder_depths(self._sequences, max(self.network_interval, self.interval))
        return {words: max(depth, LEAST_DEPTH) for words, depth in found.items()}

    @property
    def inner(self) -> dict[str, Link]:
        return _feeder_links(self.name, self.feeder_depths)

    @property
    def _sequences(self) -> list[Sequence]:
        every = np.arange(self.out_words.count)
        return [*feeder_sequences(self), Sequence("reduce", len(every), every, every)]

    def processes(self, reload: bool = False) -> list[Process]:
        return self._chain(self._sequences, _feeder_streams(self))


@dataclass(frozen=True)
class GlobalAverageUnit(Unit):
    """The mean of each channel over the image."""

    function = "global_average"
    header = "global_average.hpp"

    rounding: Rounding = "half_up"

    @property
    def sum_bits(self) -> int:
        """Bits of the sum of a channel."""
        words = self.in_words
        return words.bits + (words.pixels - 1).bit_length()

    @property
    def widest(self) -> int:
        return max(super().widest, self.in_words.group * self.sum_bits)

    def constants(self) -> list[Constant]:
        words = self.in_words
        return [
            *integers(
                [
                    ("SETS", words.sets, "of TX pixels"),
                    ("TX", words.at_once, "neighbouring pixels in a word"),
                    ("GROUPS", words.per_pixel, "words of a set"),
                    ("CHANNELS", words.group, "of each pixel of a word"),
                    ("IN_BITS", words.bits, "of an input activation"),
                    ("SUM_BITS", self.sum_bits, "of a channel's sum"),
                    ("OUT_BITS", self.out_words.bits, "of an output activation"),
                ]
            ),
            *_mean_constants(words.pixels, words.bits, self.rounding),
        ]

    def computes(self) -> dict[str, Any]:
        return _less_plain(super().computes(), self.out_words.bits)

    def processes(self, reload: bool = False) -> list[Process]:
        words = self.in_words
        every = np.arange(words.count)
        return self._single(words.count, every, every[-words.per_pixel :])


@dataclass(frozen=True)
class AddUnit(Unit):
    """Residual addition. fracs: of the two inputs and of the output; largest: output."""

    function = "add"
    header = "add.hpp"

    fracs: tuple[int, int, int]
    relu: bool
    largest: int
    rounding: Rounding = "half_up"

    @property
    def shifts(self) -> list[int]:
        """Left shifts of the two inputs to the finer of their scales, right shift from there to the output."""
        return [max(self.fracs[:2]) - frac for frac in self.fracs]

    @property
    def sum_bits(self) -> int:
        """Bits of a sum."""
        return 1 + max(
            tensor(stream).words.bits + shift for stream, shift in zip(self.reads, self.shifts, strict=False)
        )

    def constants(self) -> list[Constant]:
        left, right = (tensor(stream).words for stream in self.reads)
        shifts = self.shifts
        return [
            *integers(
                [
                    ("PIXELS", left.sets, "of the image, or sets of them in a word"),
                    ("GROUPS", left.per_pixel, "words of a pixel"),
                    ("CHANNELS", left.fields, "of a word"),
                    ("LEFT_BITS", left.bits, "of an activation of the first input"),
                    ("LEFT_SHIFT", shifts[0], "left shift of the first input to the finer scale"),
                    ("RIGHT_BITS", right.bits, "of an activation of the second input"),
                    ("RIGHT_SHIFT", shifts[1], "left shift of the second input to the finer scale"),
                    ("SUM_BITS", self.sum_bits, "of a sum"),
                    ("OUT_BITS", self.out_words.bits, "of an output activation"),
                    ("SHIFT", shifts[2], "right shift from a sum to an output"),
                    ("LARGEST", self.largest, "output"),
                ]
            ),
            flag("RELU", self.relu, "negative outputs become zero"),
            _halves(self.rounding),
        ]

    def computes(self) -> dict[str, Any]:
        return _less_plain(super().computes(), self.out_words.bits)

    def processes(self, reload: bool = False) -> list[Process]:
        every = np.arange(self.out_words.count)
        return self._single(len(every), every, every)


@dataclass(frozen=True)
class ReluUnit(Unit):
    """ReLU as a layer of its own. largest: output."""

    function = "relu"
    header = "relu.hpp"

    largest: int

    def constants(self) -> list[Constant]:
        words = self.in_words
        return integers(
            [
                ("WORDS", words.count, "of an image"),
                ("CHANNELS", words.fields, "of a word"),
                ("BITS", words.bits, "of an activation"),
                ("LARGEST", self.largest, "output"),
            ]
        )

    def processes(self, reload: bool = False) -> list[Process]:
        every = np.arange(self.out_words.count)
        return self._single(len(every), every, every)


@dataclass(frozen=True)
class ConcatenateUnit(Unit):
    """The channels of two tensors one after the other; those of the first fill its words."""

    function = "concatenate"
    header = "concatenate.hpp"

    def constants(self) -> list[Constant]:
        first, second = (tensor(stream).words for stream in self.reads)
        return integers(
            [
                ("SETS", first.sets, "of pixels in a word"),
                ("FIRST_GROUPS", first.per_pixel, "words of a set of the first input"),
                ("GROUPS", first.per_pixel + second.per_pixel, "words of a set of both"),
                ("WORD_BITS", first.word_bits, "of a word"),
            ]
        )

    def processes(self, reload: bool = False) -> list[Process]:
        first, second = (tensor(stream).words.per_pixel for stream in self.reads)
        sets = np.arange(self.in_words.sets)[:, None] * (first + second)
        left, right = (sets + np.arange(first)).ravel(), (sets + first + np.arange(second)).ravel()
        every = np.arange(self.out_words.count)
        reads = dict(zip((stream.name for stream in self.reads), (left, right), strict=True))
        return [Process(self.name, len(every), reads, {self.writes[0].name: every})]


@dataclass(frozen=True)
class ShuffleUnit(Unit):
    """Channel shuffle: words of whole pixels, wired otherwise. groups: of channels."""

    function = "shuffle"
    header = "shuffle.hpp"

    groups: int

    def constants(self) -> list[Constant]:
        words = self.in_words
        return integers(
            [
                ("SETS", words.sets, "of TX pixels"),
                ("TX", words.at_once, "neighbouring pixels in a word"),
                ("CHANNELS", words.channels, "of a pixel, all in a word"),
                ("BITS", words.bits, "of an activation"),
                ("GROUPS", self.groups, "of channels"),
            ]
        )

    def processes(self, reload: bool = False) -> list[Process]:
        every = np.arange(self.out_words.count)
        return self._single(len(every), every, every)


@dataclass(frozen=True)
class SplitUnit(Unit):
    """Words of a tensor in pieces: groups of channels that divide those of its input."""

    function = "split"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _regroup_constants(self, self.out_words.per_pixel)

    def processes(self, reload: bool = False) -> list[Process]:
        pieces, pixels = self.out_words.per_pixel, self.in_words.sets
        ratio = self.in_words.group // self.out_words.group
        reads = (np.arange(pixels)[:, None] * pieces + np.arange(0, pieces, ratio)).ravel()
        return self._single(pixels * pieces, reads, np.arange(pixels * pieces))


@dataclass(frozen=True)
class GatherUnit(Unit):
    """Words of a tensor put together: groups of channels that are multiples of those of its input."""

    function = "gather"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _regroup_constants(self, self.in_words.per_pixel)

    def processes(self, reload: bool = False) -> list[Process]:
        pieces, pixels = self.in_words.per_pixel, self.in_words.sets
        ratio = self.out_words.group // self.in_words.group
        ends = np.union1d(np.arange(ratio - 1, pieces, ratio), [pieces - 1])
        writes = (np.arange(pixels)[:, None] * pieces + ends).ravel()
        return self._single(pixels * pieces, np.arange(pixels * pieces), writes)


def _regroup_constants(unit: Unit, pieces: int) -> list[Constant]:
    source, sink = unit.in_words, unit.out_words
    return integers(
        [
            ("SETS", source.sets, "of TX pixels"),
            ("TX", source.at_once, "neighbouring pixels in a word"),
            ("PIECES", pieces, "words of a set on the narrow side"),
            ("BITS", source.bits, "of an activation"),
            ("IN_GROUP", source.group, "channels of each pixel of an input word"),
            ("OUT_GROUP", sink.group, "channels of each pixel of an output word"),
        ]
    )


@dataclass(frozen=True)
class SplitPixelsUnit(Unit):
    """Words of several pixels as words of fewer."""

    function = "split_pixels"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _pixel_constants(self.in_words, self.out_words)

    def processes(self, reload: bool = False) -> list[Process]:
        wide, count = self.in_words, self.out_words.count
        first = np.arange(wide.sets)[:, None] * (count // wide.sets) + np.arange(wide.per_pixel)
        return self._single(count, first.ravel(), np.arange(count))


@dataclass(frozen=True)
class GatherPixelsUnit(Unit):
    """Words of some pixels put together to words of more."""

    function = "gather_pixels"
    header = "regroup.hpp"

    def constants(self) -> list[Constant]:
        return _pixel_constants(self.out_words, self.in_words)

    def processes(self, reload: bool = False) -> list[Process]:
        wide, count = self.out_words, self.in_words.count
        last = (np.arange(wide.sets)[:, None] + 1) * (count // wide.sets) - wide.per_pixel + np.arange(wide.per_pixel)
        return self._single(count, np.arange(count), last.ravel())


Regroup = SplitUnit | GatherUnit | SplitPixelsUnit | GatherPixelsUnit


def _pixel_constants(wide: Words, narrow: Words) -> list[Constant]:
    return integers(
        [
            ("WIDE_SETS", wide.sets, "sets of pixels of a wide word"),
            ("RATIO", wide.at_once // narrow.at_once, "sets of pixels of a narrow word in it"),
            ("GROUPS", wide.per_pixel, "words of a set"),
            ("WORD_BITS", narrow.word_bits, "of a narrow word"),
        ]
    )


@dataclass(frozen=True)
class ForkUnit(Unit):
    """One tensor for two readers."""

    function = "fork"
    header = "fork.hpp"

    def constants(self) -> list[Constant]:
        words = self.in_words
        return integers([("WORDS", words.count, "of an image"), ("WORD_BITS", words.word_bits, "of a word")])

    def processes(self, reload: bool = False) -> list[Process]:
        every = np.arange(self.in_words.count)
        return self._single(len(every), every, every)


@dataclass(frozen=True)
class PacketParserUnit(Unit):
    """The packet parser before a network with loaded weights. identity: of the network that weights must be for.

    identity_beats: in which that comes; load_beats: the weights of all engines; check_beats: their check sum.
    """

    function = "packet_parser"
    header = "packet_parser.hpp"

    identity: int
    identity_beats: int
    load_beats: int
    check_beats: int

    def constants(self) -> list[Constant]:
        words = self.in_words
        longest = max(self.identity_beats, self.load_beats, self.check_beats, words.count)
        return [
            *integers(
                [
                    ("BEAT_BITS", 8 * words.word_bytes, "of a beat"),
                    ("WORD_BITS", words.word_bits, "of a word of the image"),
                    ("IDENTITY_BEATS", self.identity_beats, "of the identity"),
                    ("LOAD_BEATS", self.load_beats, "of the weights"),
                    ("CHECK_BEATS", self.check_beats, "of their check sum"),
                    ("IMAGE_WORDS", words.count, "of the image"),
                    ("COUNT_BITS", longest.bit_length(), "of a number of beats"),
                    ("STATUS_BITS", self.writes[-1].word_bits, "of a status, of which one bit each says:"),
                    *((f"STATUS_{flag.name}", flag.bit, flag.meaning) for flag in Status),
                ]
            ),
            ("unsigned", "IDENTITY", f"{self.identity:#010x}u", "of the network that the weights are for"),
        ]

    def processes(self, reload: bool = False) -> list[Process]:
        parts = (self.identity_beats, self.load_beats, self.check_beats) if reload else (0, 0, 0)
        identity, load, check = parts
        first, count = 1 + identity + load + check, self.in_words.count
        end = first + count
        loads, image, statuses = (stream.name for stream in self.writes)
        header_and_loads = np.concatenate([np.arange(1), 1 + identity + np.arange(load)])
        writes = {loads: header_and_loads, image: first + np.arange(count), statuses: np.array([end])}
        return [Process(self.name, end + 1, {self.reads[0].name: np.arange(end)}, writes)]


@dataclass(frozen=True)
class LoaderUnit(Unit):
    """A link of the chain that brings weights to the engines. rest_beats: what it passes on, for those behind it."""

    function = "loader"
    header = "loader.hpp"

    load_words: int
    rest_beats: int

    @property
    def word_beats(self) -> int:
        """Beats of a load word."""
        return -(-self.writes[1].word_bits // self.reads[0].word_bits)

    @property
    def own_beats(self) -> int:
        """Beats of its engine's weights."""
        return self.load_words * self.word_beats

    def constants(self) -> list[Constant]:
        return integers(
            [
                ("BEAT_BITS", self.reads[0].word_bits, "of a beat"),
                ("LOAD_BITS", self.writes[1].word_bits, "of a word for the engine"),
                ("WORD_BEATS", self.word_beats, "of such a word"),
                ("OWN_BEATS", self.own_beats, "for the engine"),
                ("REST_BEATS", self.rest_beats, "for the engines behind it"),
            ]
        )

    def processes(self, reload: bool = False) -> list[Process]:
        own, rest = (self.own_beats, self.rest_beats) if reload else (0, 0)
        requests, words, *behind = (stream.name for stream in self.writes)
        writes = {requests: np.arange(1), words: np.arange(1, own // self.word_beats + 1) * self.word_beats}
        for name in behind:
            writes[name] = np.concatenate([np.arange(1), own + np.arange(1, rest + 1)])
        iterations = 1 + own + rest
        return [Process(self.name, iterations, {self.reads[0].name: np.arange(iterations)}, writes)]


@dataclass(frozen=True)
class ResponseUnit(Unit):
    """The response to a packet, which a network with loaded weights ends with: scores, then the status."""

    function = "response"
    header = "response.hpp"

    def constants(self) -> list[Constant]:
        words = self.in_words
        return integers(
            [
                ("WORDS", words.count, "of scores"),
                ("BEATS", words.count + 1, "of a response: scores and status"),
                ("WORD_BITS", words.word_bits, "of a word"),
                ("STATUS_BITS", self.reads[-1].word_bits, "of a status"),
            ]
        )

    def processes(self, reload: bool = False) -> list[Process]:
        count = self.in_words.count
        scores, statuses = (stream.name for stream in self.reads)
        reads = {scores: np.arange(count), statuses: np.array([count])}
        return [Process(self.name, count + 1, reads, {self.writes[0].name: np.arange(count + 1)})]
