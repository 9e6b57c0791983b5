"""What a network's hardware computes, apart from weights: to compare two, and as a number that goes with weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from pymodel.top.units import Control, Stream, Unit, WeightPort

IDENTITY_BITS = 32


def identity(units: Sequence[Unit]) -> int:
    """A number of IDENTITY_BITS bits that two networks share only if all of their units compute the same.

    The first bits of a SHA-256: two that differ share it once in 2**32.
    """
    text = json.dumps([_described(unit) for unit in units], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: IDENTITY_BITS // 8], "big")


def identity_beats(beat_bits: int) -> int:
    """Beats in which an identity comes, its lowest bits first."""
    return -(-IDENTITY_BITS // beat_bits)


def difference(left: Sequence[Unit], right: Sequence[Unit]) -> tuple[Unit, str, Any, Any] | None:
    """The first unit that differs, what of it, and both values; None where the two compute the same."""
    for mine, other in zip_longest(left, right):
        if mine is None or other is None:
            (unit,) = (one for one in (mine, other) if one is not None)
            return unit, "unit", mine and mine.name, other and other.name
        both = _described(mine), _described(other)
        for key in both[0] | both[1]:
            found, expected = (described.get(key) for described in both)
            if found != expected:
                return mine, key, found, expected
    return None


def _described(unit: Unit) -> dict[str, Any]:
    """Everything that a unit's output depends on beside its input, as JSON has it."""
    facts = {"unit": unit.name, "function": unit.function}
    facts |= {f"reads {at}": _words(stream) for at, stream in enumerate(unit.reads)}
    facts |= {f"writes {at}": _words(stream) for at, stream in enumerate(unit.writes)}
    return facts | unit.computes()


def _words(stream: Stream | Control | WeightPort) -> str:
    if not isinstance(stream, Stream):
        return f"{stream.name}, words of {stream.word_bits} bits"
    words = stream.words
    size = "x".join(map(str, (words.channels, words.height, words.width)))
    return f"{stream.name}, {size} of {words.bits} bits, {words.group} channels in a word"
