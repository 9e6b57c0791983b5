"""What pragmas say about arrays, taken from the IR: where the markers of `pragmas` stand, and which bytes they mean.

It is read when all is inlined and pointers are values, before arrays are split or become registers: then the array of a
pragma is a part of one variable, whatever it was called in the function of the pragma. From then on it is known by that
variable, as the debug metadata carries it, and by bytes in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd

from openhls.common.errors import HlsError, Location
from openhls.frontend.debuginfo import DebugInfo
from openhls.frontend.ir import Function, Instruction, Types, Value, parse_constant_gep, parse_function
from openhls.frontend.pragmas import ABOUT_ARRAYS, ARRAY_MARKER, KEEP_MARKER, PARTITION, storage

_MARKER = re.compile(rf"^  call void @(?:\w*{ABOUT_ARRAYS}\w*|{KEEP_MARKER})\(.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Promise:
    """A pragma about an array: bytes offset .. offset + size of a variable, again after each `period` bytes (if any).

    low, high: of a partition, the strides of indices that choose among its parts: low <= stride < high.
    """

    kind: str  # "partition", or the type of a memory
    storage: str  # how BIND_STORAGE wants it
    loc: Location | None  # of the pragma
    variable: str
    declared: Location | None
    offset: int
    size: int
    period: int
    low: int
    high: int

    def covers(self, offset: int) -> bool:
        """Whether a byte of the variable belongs to the array."""
        beyond = offset - self.offset
        return 0 <= (beyond % self.period if self.period else beyond) < self.size


def has_markers(text: str) -> bool:
    """Whether a printed module calls any of the markers that this module reads."""
    return _MARKER.search(text) is not None


def without_markers(text: str) -> str:
    """A printed module without those calls."""
    return _MARKER.sub("", text)


def read_markers(text: str, name: str) -> list[Promise]:
    """What the markers in a process function say; `text`: a printed module in which its pointers are values.

    Raises HlsError: INLINE off in a function that is part of a process; an array that is not part of one variable.
    """
    debug, function = DebugInfo(text), parse_function(text, name)
    reader = _Reader(text, function, debug)
    found: dict[Promise, None] = {}
    for block in function.blocks.values():
        for i in block:
            if i.callee == KEEP_MARKER and debug.ref(i.debug, "inlinedAt"):
                raise HlsError(
                    "INLINE off in a function that is part of a process",
                    debug.location(i.debug),
                    "leave it out, or call the function in a DATAFLOW function",
                )
            if i.callee == ARRAY_MARKER and (promise := reader.promise(i)):
                found[promise] = None
    _check_contradictions(list(found))
    return list(found)


class _Reader:
    """The markers of one function."""

    def __init__(self, text: str, function: Function, debug: DebugInfo):
        self.function, self.debug, self.types = function, debug, Types.of(text)
        self.definitions = {i.name: i for block in function.blocks.values() for i in block if i.name}

    def promise(self, marker: Instruction) -> Promise | None:
        """What a marker says; None if it is about streams, each of which is a port of its own anyway."""
        pointer, code, *numbers = marker.operands
        size, low, high = (int(n.text) % 2**64 for n in numbers)
        loc = self.debug.location(marker.debug)
        base, offset, strides = self._address(pointer, loc)
        if base in self.function.arguments:
            return None
        if base.startswith("@"):
            variable = self.debug.global_(base[1:].strip('"'))
        else:
            declare = self.function.declares.get(base)
            variable = self.debug.local(declare) if declare else None
        if variable is None:
            raise HlsError("the array of this pragma is no part of a variable", loc, "name a variable")
        kind, where = ("partition", "") if int(code.text) == PARTITION else storage(int(code.text))
        return Promise(kind, where, loc, variable.name, variable.loc, offset, size, gcd(*strides), low, high)

    def _address(self, pointer: Value, loc: Location | None) -> tuple[str, int, list[int]]:
        """(alloca, argument or global; constant bytes; strides of run-time indices)."""
        strides: list[int] = []
        offset, text = 0, pointer.text
        while True:
            gep = parse_constant_gep(text) if text.startswith("getelementptr") else self.definitions.get(text)
            if gep is None or gep.opcode == "alloca":
                return text, offset, strides
            if gep.opcode != "getelementptr":
                raise HlsError("the array of this pragma is chosen at run time", loc, "name one array")
            type_ = gep.element
            for position, index in enumerate(gep.operands[1:]):
                array = self.types.element(type_)
                if position and not array:
                    start, type_ = self.types.fields(type_)[int(index.text)]
                    offset += start
                    continue
                type_ = array[1] if position and array else type_
                stride = self.types.size(type_)
                if re.fullmatch(r"-?\d+", index.text):
                    offset += int(index.text) * stride
                else:
                    strides.append(stride)
            text = gep.operands[0].text


def _check_contradictions(promises: list[Promise]) -> None:
    """One array has one BIND_STORAGE."""
    stored: dict[tuple[str, Location | None, int], Promise] = {}
    for promise in promises:
        if promise.kind != "partition":
            first = stored.setdefault((promise.variable, promise.declared, promise.offset), promise)
            if (first.kind, first.storage) != (promise.kind, promise.storage):
                raise HlsError(f"HLS BIND_STORAGE contradicts that of {first.loc}", promise.loc, "write one of them")
