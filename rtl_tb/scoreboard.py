"""In-order comparison of recorded beats and words with expected ones, and a name for what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher

import numpy as np

from pymodel.common.arrays import Array, Bool, UInt8

MAX_LISTED = 20
_WINDOW = 64  # beats looked at on either side when a deviation is named


@dataclass(frozen=True)
class Field:
    """The numbers in a beat, from bit 0 up: `count` of `bits` bits; `name` says what they number.

    Numbering goes on over the last axis of the layout: a beat of group 2 starts with number 2 * count.
    """

    name: str
    bits: int
    count: int


@dataclass(frozen=True)
class Layout:
    """Where a beat lies: images of `beats` beats, each an array with named `axes` (row-major), if known."""

    beats: int
    axes: Sequence[tuple[str, int]] = ()
    field: Field | None = None

    def position(self, index: int) -> str:
        """Beat `index` of the stream in words: "image 1, beat 17 (row 2, column 1, group 0)"."""
        image, beat = divmod(index, self.beats)
        text = f"image {image}, beat {beat}"
        if self.axes:
            text += f" ({', '.join(f'{name} {at}' for name, at in self._place(beat))})"
        return text

    def first_difference(self, index: int, expected: UInt8, received: UInt8) -> str:
        """Beat `index` in words, with the first number in which the two payloads (uint8 [bytes]) differ."""
        text = self.position(index)
        differs = np.flatnonzero(np.unpackbits(expected ^ received, bitorder="little"))
        if self.field is None or not len(differs):
            return text
        within = int(differs[0]) // self.field.bits
        if within >= self.field.count:
            return f"{text}, in the padding above its {self.field.count} {self.field.name}s"
        group = self._place(index % self.beats)[-1][1] if self.axes else 0
        return f"{text}, {self.field.name} {group * self.field.count + within}"

    def _place(self, beat: int) -> list[tuple[str, int]]:
        at = np.unravel_index(beat, [size for _, size in self.axes])
        return [(name, int(place)) for (name, _), place in zip(self.axes, at, strict=True)]


@dataclass(frozen=True)
class Mismatch:
    """One received beat that is not the expected one; payloads in hexadecimal, byte 0 rightmost."""

    index: int
    image: int
    beat: int
    position: str
    expected: str
    received: str


@dataclass
class Verdict:
    """Outcome of a comparison. `mismatches` and `errors` list the first ones; the counts are complete."""

    mismatch_count: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def compare_beats(
    name: str,
    expected: UInt8,
    received: UInt8,
    received_last: Bool | None,
    layout: Layout,
    complete: bool = True,
) -> Verdict:
    """Compare the beats of stream `name`.

    expected, received: uint8 [n, bytes] and [m, bytes]. received_last: bool [m] or None without TLAST.
    complete: False for a run that was cut short, where only the beats that did arrive are judged.
    A beat counts as mismatch where the beat of the same index differs, is missing or is extra.
    """
    verdict = Verdict()
    common = min(len(expected), len(received))
    differs = np.flatnonzero((expected[:common] != received[:common]).any(axis=1))
    missing = len(expected) - len(received) if complete else 0
    verdict.mismatch_count = len(differs) + max(missing, 0) + max(len(received) - len(expected), 0)
    for index in differs[:MAX_LISTED].tolist():
        image, beat = divmod(index, layout.beats)
        where = layout.first_difference(index, expected[index], received[index])
        verdict.mismatches.append(Mismatch(index, image, beat, where, _hex(expected[index]), _hex(received[index])))
    if verdict.mismatch_count:
        verdict.errors += _name_deviations(name, expected, received, layout, complete)
    if received_last is not None:
        verdict.errors += _check_last(name, received_last, layout)
    return verdict


@dataclass
class ProbeVerdict:
    """What entered an inner stream. words, expected: how many. first: the first word that differs, if any.

    A word counts as mismatch where the word of the same index differs, is missing or is extra.
    """

    words: int
    expected: int
    mismatch_count: int = 0
    first: dict[str, object] | None = None
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def compare_words(name: str, expected: UInt8, received: Array, layout: Layout, complete: bool = True) -> ProbeVerdict:
    """Compare the words that entered the inner stream `name`.

    expected: uint8 [n, bytes]. received: structured [m], fields `cycle` and `data` (rtl_tb/records.py).
    complete: False for a run that was cut short, where only the words that did enter are judged.
    """
    data, common = received["data"], min(len(expected), len(received))
    differs = np.flatnonzero((expected[:common] != data[:common]).any(axis=1))
    missing, extra = max(len(expected) - len(data), 0) if complete else 0, max(len(data) - len(expected), 0)
    verdict = ProbeVerdict(len(data), len(expected), len(differs) + missing + extra)
    if len(differs):
        index = int(differs[0])
        where = layout.first_difference(index, expected[index], data[index])
        first = {
            "index": index,
            "image": index // layout.beats,
            "cycle": int(received["cycle"][index]),
            "position": where,
            "expected": _hex(expected[index]),
            "received": _hex(data[index]),
        }
        verdict.first = first
        verdict.errors.append(
            f"probe: {name}: {len(differs)} of {len(expected)} words differ, the first at {where}, cycle"
            f" {first['cycle']}: expected {first['expected']}, received {first['received']}"
        )
    if missing:
        verdict.errors.append(f"probe: {name}: {missing} words missing, from {layout.position(len(data))}")
    if extra:
        cycle = received["cycle"][len(expected)]
        verdict.errors.append(f"probe: {name}: {extra} words after the last expected one, from cycle {cycle}")
    return verdict


def _name_deviations(name: str, expected: UInt8, received: UInt8, layout: Layout, complete: bool) -> list[str]:
    """Walk both sequences, naming each deviation and then falling in step again."""
    want, got = [row.tobytes() for row in expected], [row.tobytes() for row in received]
    errors: list[str] = []
    i = j = 0
    while len(errors) < MAX_LISTED:
        while i < len(want) and j < len(got) and want[i] == got[j]:
            i, j = i + 1, j + 1
        if j == len(got):
            if complete and i < len(want):
                errors.append(f"scoreboard: {name}: {len(want) - i} beats lost at the end, from {layout.position(i)}")
            break
        if i == len(want):
            kind = "repeated" if j and got[j] == got[j - 1] else "extra"
            errors.append(f"scoreboard: {name}: {len(got) - j} {kind} beats after the last expected one")
            break
        i, j, text = _first_deviation(want, got, i, j, layout)
        errors.append(f"scoreboard: {name}: {text}")
    return errors


def _first_deviation(want: list[bytes], got: list[bytes], i: int, j: int, layout: Layout) -> tuple[int, int, str]:
    """Name the deviation at want[i] != got[j]; also where both sequences go on after it."""
    ahead_want, ahead_got = want[i : i + _WINDOW], got[j : j + _WINDOW]
    where = layout.position(i)
    # The shortest stretch that holds the same beats in another order.
    for length in range(2, min(len(ahead_want), len(ahead_got)) + 1):
        if sorted(ahead_want[:length]) == sorted(ahead_got[:length]):
            return i + length, j + length, f"{length} beats reordered at {where}"
    match = SequenceMatcher(None, ahead_want, ahead_got, autojunk=False)
    tag, i0, i1, j0, j1 = next(code for code in match.get_opcodes() if code[0] != "equal")
    if tag == "delete":
        text = f"{i1 - i0} beat(s) lost at {layout.position(i + i0)}"
    elif tag == "insert":
        repeated = all(beat == got[j + j0 - 1] for beat in ahead_got[j0:j1]) if j + j0 else False
        text = f"{j1 - j0} {'repeated' if repeated else 'extra'} beat(s) before {layout.position(i + i0)}"
    else:
        i1 = j1 = min(i1, j1)  # the rest, if any, is named by the next round
        pair = (np.frombuffer(beats[at], np.uint8) for beats, at in ((want, i + i0), (got, j + j0)))
        text = f"{i1 - i0} wrong beat(s) at {layout.first_difference(i + i0, *pair)}"
    return i + i1, j + j1, text


def _check_last(name: str, last: Bool, layout: Layout) -> list[str]:
    """TLAST must be high with the last beat of an image and with no other."""
    due = np.arange(1, len(last) + 1) % layout.beats == 0
    wrong = np.flatnonzero(due != last)
    errors = [
        f"scoreboard: {name}: TLAST {'missing' if due[index] else 'too early'} at {layout.position(index)}"
        for index in wrong[:MAX_LISTED].tolist()
    ]
    if len(wrong) > MAX_LISTED:
        errors.append(f"scoreboard: {name}: TLAST wrong at {len(wrong) - MAX_LISTED} more beats")
    return errors


def _hex(beat: UInt8) -> str:
    return beat[::-1].tobytes().hex()
