"""Calibrates the cost model of what stands between the engines of a network: units through HLS and yosys, then fits.

    python -m scripts.calibrate_units --out out/calibration
    python -m scripts.calibrate_units series_7 --sample 4 --out out/calibration

The result is pymodel/explore/calibration/TECHNOLOGY_units.yaml: every measurement, of each type of unit the
coefficients fitted to its own, and how far off the fit is for units that it has not seen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openhls import fingerprint

from psconv.common.fresh import content_key, unless_fresh
from psconv.common.places import ENGINE, INCLUDE
from psconv.flow.hls import compile_top
from psconv.synthesis.resources import synthesise_modules
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import IN_PORT, OUT_PORT
from pymodel.common.records import read_json, write_json
from pymodel.engine.words import Words
from pymodel.explore.network import top_shapes
from pymodel.explore.technology import Technology
from pymodel.explore.unit_costs import fit_units, measurement
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import INPUT, Conv, InputSpec, Layer, Network, Padding
from pymodel.top.cpp import render
from pymodel.top.dataflow import Dataflow, build, top_name
from pymodel.top.units import (
    AddUnit,
    ConcatenateUnit,
    EngineUnit,
    ForkUnit,
    GatherPixelsUnit,
    GatherUnit,
    GlobalAverageUnit,
    PoolUnit,
    ReluUnit,
    ShuffleUnit,
    SplitPixelsUnit,
    SplitUnit,
    Stream,
    Unit,
)
from scripts.calibration import Calibrated, main

_MULTIPLIER_BITS = 18  # of the wide side; engines are not looked at


def _alone(kind: Callable[..., Unit], source: Words, sink: Words, *more: Any) -> Dataflow:
    """A top of one unit that reads one tensor."""
    reads, writes = Stream(IN_PORT, INPUT, source), Stream(OUT_PORT, "unit", sink)
    return Dataflow([kind("unit", "unit", (reads,), (writes,), *more)], reads, top_name("unit"))


def _two_readers(source: Words, joined: Words, kind: Callable[..., Unit] | None = None, *more: Any) -> Dataflow:
    """A fork, and a unit that joins its two copies; kind: None for two output ports."""
    reads = Stream(IN_PORT, INPUT, source)
    ports = (f"{OUT_PORT}_left", f"{OUT_PORT}_right") if kind is None else ("left", "right")
    left, right = (Stream(name, INPUT, source) for name in ports)
    units: list[Unit] = [ForkUnit("fork", INPUT, (reads,), (left, right))]
    if kind is not None:
        units.append(kind("unit", "unit", (left, right), (Stream(OUT_PORT, "unit", joined),), *more))
    return Dataflow(units, reads, top_name("unit"))


def _regroup(kind: type[Unit], channels: int, bits: int, before: int, after: int, at_once: int = 1) -> Dataflow:
    words = Words(channels, 6, 8, bits, before, at_once)
    return _alone(kind, words, replace(words, group=after))


def _pixels(kind: type[Unit], channels: int, bits: int, group: int, before: int, after: int) -> Dataflow:
    words = Words(channels, 6, 8, bits, group, before)
    return _alone(kind, words, replace(words, at_once=after))


def _add(channels: int, bits: int, group: int, fracs: tuple[int, int, int], relu: bool, at_once: int = 1) -> Dataflow:
    words = Words(channels, 6, 8, bits, group, at_once)
    return _two_readers(words, words, AddUnit, fracs, relu, (1 << (bits - 1)) - 1)


def _concatenate(channels: int, bits: int, group: int, at_once: int = 1) -> Dataflow:
    words = Words(channels, 6, 8, bits, group, at_once)
    return _two_readers(words, replace(words, channels=2 * channels), ConcatenateUnit)


def _mean(channels: int, bits: int, group: int, size: tuple[int, int], at_once: int = 1) -> Dataflow:
    words = Words(channels, *size, bits, group, at_once)
    return _alone(GlobalAverageUnit, words, Words(channels, 1, 1, bits, group))


def _pool(
    channels: int, bits: int, group: int, kernel: int, stride: int, maximum: bool, padding: int = 0, at_once: int = 1
) -> Dataflow:
    """A pooling of 8 x 16 pixels."""
    words = Words(channels, 8, 16, bits, group, at_once)
    size = [(edge + 2 * padding - kernel) // stride + 1 for edge in (8, 16)]
    pads = Padding(padding, padding, padding, padding)
    return _alone(PoolUnit, words, replace(words, height=size[0], width=size[1]), kernel, stride, pads, maximum)


def _loaded(bits: int, channels: Sequence[int], Tb: int = 1) -> Dataflow:
    """A network of 1x1 convolutions with loaded weights. Tb: input channels at once of the first."""
    layers, source = list[Layer](), INPUT
    for at, out in enumerate(channels[1:]):
        layers.append(Conv(name=f"c{at}", input=source, out_channels=out, kernel=1, padding=0))
        source = f"c{at}"
    size = InputSpec(channels=channels[0], height=2, width=2)
    bundle = random_bundle(Network(name="net", input=size, layers=layers, output=source), 1, bits, bits)
    shapes = top_shapes(bundle, _MULTIPLIER_BITS, loaded=True)
    return build(bundle, shapes | {"c0": shapes["c0"].model_copy(update={"Tb": Tb})}, loaded=True)


# Words of a few bits and of many, of one channel and of many, of one pixel and of several; counts of all sizes.
DESIGNS: dict[str, Dataflow] = {
    "fork_8": _two_readers(Words(8, 4, 4, 8, 1), Words(8, 4, 4, 8, 1)),
    "fork_64": _two_readers(Words(32, 32, 32, 8, 8), Words(32, 32, 32, 8, 8)),
    "fork_200": _two_readers(Words(40, 6, 8, 5, 40), Words(40, 6, 8, 5, 40)),
    "fork_1024": _two_readers(Words(64, 16, 16, 8, 64, 2), Words(64, 16, 16, 8, 64, 2)),
    "split_32_to_8": _regroup(SplitUnit, 32, 8, 32, 8),
    "split_64_to_1": _regroup(SplitUnit, 64, 8, 64, 1),
    "split_10_to_5": _regroup(SplitUnit, 40, 4, 10, 5),
    "split_ragged": _regroup(SplitUnit, 20, 6, 8, 2),
    "split_4_to_2": _regroup(SplitUnit, 512, 8, 4, 2),
    "split_two_pixels": _regroup(SplitUnit, 32, 8, 16, 4, 2),
    "split_four_pixels": _regroup(SplitUnit, 64, 5, 32, 16, 4),
    "gather_8_to_32": _regroup(GatherUnit, 32, 8, 8, 32),
    "gather_1_to_64": _regroup(GatherUnit, 64, 8, 1, 64),
    "gather_5_to_10": _regroup(GatherUnit, 40, 4, 5, 10),
    "gather_ragged": _regroup(GatherUnit, 20, 6, 2, 8),
    "gather_2_to_4": _regroup(GatherUnit, 512, 8, 2, 4),
    "gather_two_pixels": _regroup(GatherUnit, 32, 8, 4, 16, 2),
    "gather_four_pixels": _regroup(GatherUnit, 64, 5, 16, 32, 4),
    "split_pixels_2": _pixels(SplitPixelsUnit, 16, 8, 16, 2, 1),
    "split_pixels_4": _pixels(SplitPixelsUnit, 32, 8, 8, 4, 1),
    "split_pixels_8_to_2": _pixels(SplitPixelsUnit, 64, 4, 4, 8, 2),
    "split_pixels_many": _pixels(SplitPixelsUnit, 512, 8, 2, 4, 2),
    "split_pixels_wide": _pixels(SplitPixelsUnit, 64, 8, 64, 4, 1),
    "gather_pixels_2": _pixels(GatherPixelsUnit, 16, 8, 16, 1, 2),
    "gather_pixels_4": _pixels(GatherPixelsUnit, 32, 8, 8, 1, 4),
    "gather_pixels_2_to_8": _pixels(GatherPixelsUnit, 64, 4, 4, 2, 8),
    "gather_pixels_many": _pixels(GatherPixelsUnit, 512, 8, 2, 2, 4),
    "gather_pixels_wide": _pixels(GatherPixelsUnit, 64, 8, 64, 1, 4),
    "add_1": _add(16, 8, 1, (4, 4, 4), True),
    "add_16": _add(16, 8, 16, (4, 4, 4), True),
    "add_shifted": _add(32, 8, 8, (6, 4, 3), False),
    "add_shifted_relu": _add(32, 8, 8, (3, 5, 4), True),
    "add_4_bits": _add(64, 4, 32, (2, 3, 2), True),
    "add_two_pixels": _add(32, 8, 16, (5, 5, 4), True, 2),
    "add_plain": _add(512, 6, 4, (4, 4, 4), False),
    "relu_8": _alone(ReluUnit, Words(16, 6, 8, 8, 8), Words(16, 6, 8, 8, 8), 127),
    "relu_6": _alone(ReluUnit, Words(16, 6, 8, 8, 16), Words(16, 6, 8, 8, 16), 96),
    "relu_1": _alone(ReluUnit, Words(512, 6, 8, 4, 1), Words(512, 6, 8, 4, 1), 7),
    "relu_64": _alone(ReluUnit, Words(64, 6, 8, 8, 64, 2), Words(64, 6, 8, 8, 64, 2), 127),
    "relu_6_wide": _alone(ReluUnit, Words(64, 32, 32, 8, 64), Words(64, 32, 32, 8, 64), 48),
    "concatenate_1": _concatenate(24, 8, 1),
    "concatenate_8": _concatenate(24, 8, 8),
    "concatenate_4_bits": _concatenate(64, 4, 32),
    "concatenate_two_pixels": _concatenate(32, 8, 16, 2),
    "shuffle_24": _alone(ShuffleUnit, Words(24, 6, 8, 8, 24), Words(24, 6, 8, 8, 24), 2),
    "shuffle_64": _alone(ShuffleUnit, Words(64, 6, 8, 4, 64), Words(64, 6, 8, 4, 64), 4),
    "shuffle_240": _alone(ShuffleUnit, Words(240, 6, 8, 8, 240), Words(240, 6, 8, 8, 240), 2),
    "shuffle_two_pixels": _alone(ShuffleUnit, Words(32, 6, 8, 8, 32, 2), Words(32, 6, 8, 8, 32, 2), 2),
    "mean_of_64": _mean(64, 8, 1, (8, 8)),
    "mean_of_16_wide": _mean(64, 8, 32, (4, 4)),
    "mean_of_64_two_pixels": _mean(32, 8, 4, (8, 8), 2),
    "mean_of_49": _mean(64, 8, 2, (7, 7)),
    "mean_of_36_wide": _mean(32, 6, 16, (6, 6)),
    "mean_of_1024": _mean(512, 8, 2, (32, 32)),
    "mean_of_48_four_pixels": _mean(16, 4, 8, (6, 8), 4),
    "largest_of_4": _pool(16, 8, 4, 2, 2, True),
    "largest_of_4_wide": _pool(64, 8, 32, 2, 2, True),
    "largest_of_9": _pool(16, 8, 8, 3, 2, True, 1),
    "largest_of_9_each": _pool(32, 4, 4, 3, 1, True, 1),
    "largest_of_4_two_pixels": _pool(16, 8, 8, 2, 2, True, 0, 2),
    "largest_of_16": _pool(16, 6, 2, 4, 4, True),
    "largest_of_9_many": _pool(512, 8, 1, 3, 2, True),
    "mean_of_4": _pool(16, 8, 4, 2, 2, False),
    "mean_of_4_wide": _pool(64, 8, 32, 2, 2, False),
    "mean_of_9": _pool(16, 8, 8, 3, 2, False),
    "mean_of_16": _pool(16, 6, 2, 4, 4, False),
    "mean_of_4_two_pixels": _pool(16, 8, 8, 2, 2, False, 0, 2),
    "loaded_8": _loaded(8, (2, 3, 4, 2)),
    "loaded_4": _loaded(4, (4, 6, 2)),
    "loaded_wide": _loaded(8, (16, 24, 8)),
    "loaded_beats_of_32": _loaded(8, (8, 6, 4), 4),
    "loaded_beats_of_128": _loaded(8, (32, 6, 40), 16),
    "loaded_beats_of_256": _loaded(8, (64, 4, 8), 32),
    "gather_ragged_wide": _regroup(GatherUnit, 40, 8, 8, 32),
    "split_two_pixels_wide": _regroup(SplitUnit, 128, 8, 64, 16, 2),
    "add_relu_4": _add(64, 8, 4, (4, 4, 4), True),
    "add_wide": _add(64, 8, 64, (5, 4, 4), True),
    "add_wide_plain": _add(64, 8, 64, (4, 4, 4), False),
    "mean_of_16_two_pixels": _mean(16, 8, 16, (4, 4), 2),
    "largest_of_4_wide_two_pixels": _pool(32, 8, 32, 2, 2, True, 0, 2),
    "mean_of_9_padded": _pool(32, 8, 16, 3, 2, False, 1),
    "relu_plain_16": _alone(ReluUnit, Words(16, 6, 8, 8, 16), Words(16, 6, 8, 8, 16), 127),
    "relu_6_4": _alone(ReluUnit, Words(16, 6, 8, 8, 4), Words(16, 6, 8, 8, 4), 48),
}


def _every_type(channels: int, bits: int, group: int, narrow: int, at_once: int) -> Dataflow:
    """A top with units of every type but those that bring weights, one behind the other: many in one run of the tools.

    channels: of 8 x 16 pixels. group, narrow: channels of a word, and of one that is split. at_once: pixels of a word
    up to the first pooling.
    """
    words = Words(channels, 8, 16, bits, group)
    several, small = replace(words, at_once=at_once), replace(words, height=4, width=8)
    all_channels, twice = replace(small, group=channels), replace(small, channels=2 * channels)
    greatest = (1 << (bits - 1)) - 1
    steps: list[tuple[type[Unit], Words, tuple[Any, ...]]] = [
        (GatherPixelsUnit, several, ()),
        (AddUnit, several, ((6, 4, 3), True, greatest)),
        (ReluUnit, several, (greatest * 3 // 4,)),
        (PoolUnit, replace(small, at_once=at_once), (3, 2, Padding(1, 1, 1, 1), True)),
        (SplitPixelsUnit, small, ()),
        (SplitUnit, replace(small, group=narrow), ()),
        (GatherUnit, all_channels, ()),
        (ShuffleUnit, all_channels, (2,)),
        (SplitUnit, small, ()),
        (ConcatenateUnit, twice, ()),
        (PoolUnit, replace(twice, height=2, width=6), (3, 1, Padding(0, 0, 0, 0), False)),
        (GlobalAverageUnit, replace(twice, height=1, width=1), ()),
    ]
    source = stream = Stream(IN_PORT, INPUT, words)
    units: list[Unit] = []
    for at, (kind, sink, more) in enumerate(steps):
        name = f"{kind.function}_{at}"
        reads: tuple[Stream, ...] = (stream,)
        if kind in (AddUnit, ConcatenateUnit):
            reads = tuple(Stream(f"{side}_{at}", stream.layer, stream.words) for side in ("left", "right"))
            units.append(ForkUnit(f"fork_{at}", stream.layer, (stream,), reads))
        stream = Stream(OUT_PORT if at == len(steps) - 1 else f"written_{at}", name, sink)
        units.append(kind(name, name, reads, (stream,), *more))
    return Dataflow(units, source, top_name("unit"))


# Few designs with units of all types, for samples: words of few and of many bits, of one channel and of many.
CHAINS: dict[str, Dataflow] = {
    "chain_16": _every_type(16, 8, 4, 1, 2),
    "chain_40": _every_type(40, 5, 10, 5, 4),
    "chain_48": _every_type(48, 8, 16, 4, 2),
    "chain_96": _every_type(96, 6, 8, 2, 2),
}
_LOADED = ("loaded_8", "loaded_beats_of_32", "loaded_4", "loaded_wide")  # of a sample, beside each chain


def units_of(name: str) -> dict[str, Unit]:
    """The units of a design that are calibrated, by the names that they have there: all but engines."""
    dataflow = (DESIGNS | CHAINS)[name]
    return {f"{name}_{unit.name}": unit for unit in dataflow.units if not isinstance(unit, EngineUnit)}


def designs(technology: Technology, sample: int | None = None) -> list[str]:
    """The designs: all, or the first of CHAINS and as many with loaded weights. The same for every technology.

    Raises ConfigError for more than there are.
    """
    if sample is None:
        return list(DESIGNS)
    if sample > len(CHAINS):
        raise ConfigError(f"--sample: must be 1 to {len(CHAINS)}, got {sample}")
    return [name for pair in zip(CHAINS, _LOADED, strict=True) for name in pair][: 2 * sample]


def measure(name: str, technology: Technology, out: Path) -> dict[str, dict[str, Any]]:
    """{unit of a design: what the calibration keeps of it}; what yosys counts is kept in OUT/TECHNOLOGY/NAME.json."""
    dataflow, target = (DESIGNS | CHAINS)[name], load_target(technology.device)
    result = out / technology.name / "units" / f"{name}.json"
    sources = render(dataflow, name)

    def make() -> None:
        with tempfile.TemporaryDirectory(prefix="psconv_calibrate_") as temporary:
            folder = Path(temporary)
            made = compile_top(dataflow, folder, sources, target=target.openhls, clock_ns=target.clock_ns)
            write_json(result, synthesise_modules(made.rtl, dataflow.top, target, folder / "modules"))

    unless_fresh(result, content_key(ENGINE, INCLUDE, fingerprint(), sources, target.model_dump()), make)
    parts = read_json(result)["parts"]
    return {
        unit_name: measurement(unit, _cells(unit, dataflow.top, parts), technology)
        for unit_name, unit in units_of(name).items()
    }


def _cells(unit: Unit, top: str, parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    found = [parts[f"{top}_{process.name}"] for process in unit.processes()]
    return {kind: sum(part[kind] for part in found) for kind in ("LUT", "FF", "DSP", "BRAM")}


def _fit(
    found: Mapping[str, Mapping[str, dict[str, Any]]], technology: Technology, sample: int | None
) -> dict[str, Any]:
    measured = {name: record for one in found.values() for name, record in one.items()}
    return fit_units(measured, technology, sample)


CALIBRATED = Calibrated(
    module="calibrate_units",
    what="units: measurements and fits",
    sample=f"the first N, at most {len(CHAINS)}, of chains of all types and of networks with loaded weights",
    designs=designs,
    measure=measure,
    fit=_fit,
    file=lambda technology: technology.unit_calibration,
)

if __name__ == "__main__":
    main(__doc__, CALIBRATED)
