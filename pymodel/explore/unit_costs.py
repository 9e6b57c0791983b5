"""What the units between the engines take: multipliers and memories exactly, logic by a fitted model of each type.

The fitted part, on top of what memories take, is linear in the bits of a unit's words and sums (`features`);
scripts/calibrate_units.py measures and fits, calibration/TECHNOLOGY_units.yaml keeps both. The streams between and
inside the units are not in it (pymodel/explore/streams.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from openhls.middle.narrow import takes_multiplier
from pydantic import Field

from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import UNIT_CALIBRATION as KIND
from pymodel.common.kinds import read_kind
from pymodel.engine.windows import has_columns, span
from pymodel.explore.costs import Cost
from pymodel.explore.linear import Fit, fit_linear
from pymodel.explore.technology import Technology
from pymodel.network.formats import mean_scale
from pymodel.top.memory import memories_of
from pymodel.top.units import (
    AddUnit,
    ForkUnit,
    GatherPixelsUnit,
    GatherUnit,
    GlobalAverageUnit,
    LoaderUnit,
    PoolUnit,
    ReluUnit,
    ResponseUnit,
    ShuffleUnit,
    SplitPixelsUnit,
    SplitUnit,
    Unit,
)

_SMALL = 100  # look-up tables or flip-flops: fewer are not worth an error
_UNSIGNED_BITS = 17  # of the narrow side of a DSP48, without its sign


class UnitFit(Strict):
    """The models of one type of unit."""

    LUT: Fit
    FF: Fit

    def coefficients(self, kind: str) -> dict[str, float]:
        """The coefficients of the model of LUT or FF, by feature."""
        return (self.LUT if kind == "LUT" else self.FF).coefficients


class UnitCalibration(Strict):
    """calibration/TECHNOLOGY_units.yaml."""

    technology: str
    sample: int | None = Field(None, description="how many chains of all types were asked for; none: single units")
    units: dict[str, UnitFit] = Field(description="by the C++ function of the unit")
    measured: dict[str, dict[str, Any]] = Field(
        description="of each unit: its function, features, the LUTs and flip-flops of its memories, what yosys counts"
    )


@cache
def unit_calibration(technology: Technology) -> UnitCalibration:
    """The fitted models. Raises ConfigError."""
    path = technology.unit_calibration
    return validated(UnitCalibration, read_kind(path, KIND), str(path))


def unit_cost(unit: Unit, technology: Technology) -> Cost:
    """What a unit that is no engine takes, the streams around and inside it aside.

    Raises ConfigError for a type of unit that the calibration has not.
    """
    known, models = known_cost(unit, technology), unit_calibration(technology).units
    if unit.function not in models:
        raise ConfigError(
            f"{technology.unit_calibration}: units: must have {unit.function}, got {', '.join(models)}; python -m"
            " scripts.calibrate_units makes it"
        )
    model, bits = models[unit.function], features(unit)
    return known + Cost(LUT=model.LUT.predict(bits), FF=model.FF.predict(bits))


def known_cost(unit: Unit, technology: Technology) -> Cost:
    """What needs no fit: the multipliers of means, and memories."""
    memories = memories_of(unit)
    return Cost(
        DSP=_mean_blocks(unit),
        half_blocks=sum(memory.half_blocks for memory in memories),
        LUT=sum(memory.luts(technology.lut_ram) for memory in memories),
        FF=sum(memory.registers for memory in memories),
    )


def features(unit: Unit) -> dict[str, int]:
    """Bits of what the logic of a unit is made of, memory aside: the same names for all units of a type."""
    counters = sum(process.iterations.bit_length() for process in unit.processes(reload=True))
    return {"unit": 1, "counters": counters, **_own_features(unit)}


def _own_features(unit: Unit) -> dict[str, int]:
    """The features that only some types have."""
    if isinstance(unit, ForkUnit | ShuffleUnit | ResponseUnit):
        return {}
    if isinstance(unit, SplitUnit | GatherUnit):
        narrow, wide = sorted((unit.in_words, unit.out_words), key=lambda words: words.group)
        return {
            "kept": wide.word_bits - narrow.word_bits,
            "narrow": narrow.word_bits,
            "pixels": wide.word_bits * (wide.at_once > 1),
            "ragged": wide.word_bits * (wide.channels % wide.group > 0),
        }
    if isinstance(unit, SplitPixelsUnit | GatherPixelsUnit):
        in_memory = bool(memories_of(unit))
        less, more = sorted((unit.in_words.word_bits, unit.out_words.word_bits))
        return {
            "registers": (more - less) * (not in_memory),
            "passed": more * in_memory,  # from memory to a word, from a word to memory
        }
    if isinstance(unit, AddUnit):
        found = {
            "read": sum(stream.word_bits for stream in unit.reads),
            "sums": unit.out_words.fields * unit.sum_bits,
            "relu": unit.out_words.word_bits * unit.relu,
            "shifted": unit.out_words.word_bits * any(unit.shifts),
        }
    elif isinstance(unit, ReluUnit):
        greatest = (1 << (unit.out_words.bits - 1)) - 1
        found = {
            "written": unit.out_words.word_bits,
            "clipped": unit.out_words.word_bits * (unit.largest < greatest),
        }
    elif isinstance(unit, GlobalAverageUnit):
        sums = unit.out_words.fields * unit.sum_bits
        found = {
            "sums": sums,
            "pixels": (unit.in_words.at_once - 1) * sums,
            "scaled": sums * bool(_mean_blocks(unit)),
        }
    elif isinstance(unit, PoolUnit):
        others = unit.kernel**2 - 1
        found = {
            "columns": unit.Tx * unit.kernel * unit.piece_bits * has_columns(unit),
            "windows": unit.kernel * span(unit) * unit.piece_bits,
            "compared": others * unit.out_words.word_bits * unit.maximum,
            "adders": others * unit.out_words.fields * unit.sum_bits * (not unit.maximum),
        }
    elif isinstance(unit, LoaderUnit):
        found = {"joined": unit.writes[1].word_bits * (unit.word_beats > 1), "beats": unit.reads[0].word_bits}
    else:
        found = {
            "read": sum(stream.word_bits for stream in unit.reads),
            "written": sum(stream.word_bits for stream in unit.writes),
        }
    return found


def _mean_blocks(unit: Unit) -> int:
    """DSP blocks of the means that a unit makes: a multiplier for each channel of a word but where shifts do it."""
    if isinstance(unit, GlobalAverageUnit):
        count = unit.in_words.pixels
    elif isinstance(unit, PoolUnit) and not unit.maximum:
        count = unit.kernel**2
    else:
        return 0
    scale = mean_scale(count, unit.in_words.bits).scale
    return unit.out_words.fields * -(-scale.bit_length() // _UNSIGNED_BITS) if takes_multiplier(scale) else 0


def measurement(unit: Unit, counted: Mapping[str, float], technology: Technology) -> dict[str, Any]:
    """What the calibration keeps of a unit. counted: what yosys counts of it."""
    known = known_cost(unit, technology)
    return {
        "function": unit.function,
        "features": features(unit),
        "memories": {"LUT": known.LUT, "FF": known.FF},
        **{kind: counted[kind] for kind in ("LUT", "FF", "DSP", "BRAM")},
    }


def fit_units(
    measured: Mapping[str, Mapping[str, Any]], technology: Technology, sample: int | None = None
) -> dict[str, Any]:
    """The content of calibration/TECHNOLOGY_units.yaml from the `measurement` of each unit.

    sample: how many chains of units of all types were asked for; None: single units. What they leave open is as in the
    technology that it is `like`.
    """
    prior = unit_calibration(technology.like).units if technology.like else {}
    fits = {}
    for function in sorted({record["function"] for record in measured.values()}):
        records = [record for record in measured.values() if record["function"] == function]
        bits = [record["features"] for record in records]
        fits[function] = {
            kind: fit_linear(
                bits,
                [record[kind] for record in records],
                [record["memories"][kind] for record in records],
                _SMALL,
                prior[function].coefficients(kind) if prior else None,
            ).model_dump()
            for kind in ("LUT", "FF")
        }
    return {
        "technology": technology.name,
        **({} if sample is None else {"sample": sample}),
        "units": fits,
        "measured": {name: dict(record) for name, record in measured.items()},
    }
