"""Debug metadata of a printed LLVM module: source lines, names, and the true widths of padded memory.

Memory holds an `ap_int<13>` in 16 bits; only its debug type still knows the 13.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from openhls.common.errors import Location
from openhls.common.places import shown
from openhls.frontend.clang import HEADERS
from openhls.frontend.ir import Function, Instruction

_NODE = re.compile(r"^!(\d+) = (?:distinct )?(.*)$", re.MULTILINE)
_GLOBAL = re.compile(r'^@("[^"]*"|[-\w.$]+) = (.*)$', re.MULTILINE)
_FUNCTION_SCOPES = ("DISubprogram", "DILexicalBlock", "DILexicalBlockFile")


@dataclass(frozen=True)
class Variable:
    """A declared variable: its C++ name, type node and place."""

    name: str
    type: str
    loc: Location | None
    argument: int | None = None
    in_function: bool = True  # declared there, static or not


Found = tuple[str, int, list[tuple[str, int]]]  # a stream: its name, byte offset, and fields (`stream_fields`)


@dataclass(frozen=True)
class Leaf:
    """A scalar inside a type: true width and bytes in memory."""

    bits: int
    size: int


class DebugInfo:
    """Reads the metadata of one printed module."""

    def __init__(self, module_text: str):
        self.nodes = dict(_NODE.findall(module_text))
        self.header_folder = str(HEADERS)
        self.globals: dict[str, str] = {}
        for name, rest in _GLOBAL.findall(module_text):
            if match := re.search(r"!dbg !(\d+)\s*$", rest[-40:]):
                self.globals[name.strip('"')] = match[1]
        self._locations: dict[str, Location | None] = {}
        self._streams: dict[str | None, list[Found] | None] = {}

    # Fields of a node
    def text(self, node: str | None, key: str) -> str | None:
        """A string or word field."""
        match = re.search(rf'\b{key}: (?:"((?:[^"\\]|\\.)*)"|([\w.]+))', self.nodes.get(node or "", ""))
        return match and (match[1] if match[1] is not None else match[2])

    def number(self, node: str | None, key: str) -> int:
        match = re.search(rf"\b{key}: (\d+)", self.nodes.get(node or "", ""))
        return int(match[1]) if match else 0

    def ref(self, node: str | None, key: str) -> str | None:
        match = re.search(rf"\b{key}: !(\d+)", self.nodes.get(node or "", ""))
        return match and match[1]

    def entries(self, node: str | None) -> list[str]:
        return re.findall(r"!(\d+)", self.nodes.get(node or "", ""))

    def kind(self, node: str | None) -> str:
        match = re.match(r"!(\w+)\(", self.nodes.get(node or "", ""))
        return match[1] if match else ""

    # Places
    def file(self, scope: str | None) -> str:
        while scope and not (file := self.ref(scope, "file")):
            scope = self.ref(scope, "scope")
        return shown(self.text(file, "filename") or "?", self.text(file, "directory") or "") if scope else "?"

    def place(self, node: str | None) -> Location | None:
        """Where a variable or subprogram is declared."""
        line = self.number(node, "line")
        return Location(self.file(node), line) if line else None

    def location(self, debug: str | None) -> Location | None:
        """The innermost frame of a `!dbg` that lies in the user's files; the outermost where none does."""
        if debug is None:
            return None
        if debug not in self._locations:
            chosen: Location | None = None
            node: str | None = debug
            while node:
                frame = Location(self.file(self.ref(node, "scope")), self.number(node, "line"))
                if frame.line and (chosen is None or self.is_header(chosen)):
                    chosen = frame
                node = self.ref(node, "inlinedAt")
            self._locations[debug] = chosen
        return self._locations[debug]

    def nearest(self, function: Function) -> Callable[[Instruction], Location | None]:
        """Where an instruction is to be blamed: its place, that of a neighbour in its block, the function's."""

        def place(instruction: Instruction) -> Location | None:
            block = function.blocks[instruction.block]
            at = next((k for k, i in enumerate(block) if i is instruction), 0)
            for other in (instruction, *block[at::-1], *block[at:]):
                if found := self.location(other.debug):
                    return found
            return self.place(function.debug)

        return place

    def is_header(self, loc: Location) -> bool:
        return os.path.abspath(loc.file).startswith(self.header_folder + os.sep)

    # Variables
    def local(self, node: str) -> Variable:
        return Variable(
            self.text(node, "name") or "?",
            self.ref(node, "type") or "",
            self.place(node),
            self.number(node, "arg") or None,
            self.kind(self.ref(node, "scope")) in _FUNCTION_SCOPES,
        )

    def global_(self, name: str) -> Variable | None:
        node = self.ref(self.globals.get(name), "var")
        return self.local(node) if node else None

    def arguments(self, subprogram: str | None) -> dict[int, Variable]:
        """The parameters of a function by position, from 1."""
        found = [
            self.local(n)
            for n in self.entries(self.ref(subprogram, "retainedNodes"))
            if self.kind(n) == "DILocalVariable"
        ]
        return {v.argument: v for v in found if v.argument}

    # Types
    def strip(self, type_: str | None) -> str | None:
        """Without const, volatile, reference, pointer and typedef."""
        while self.kind(type_) == "DIDerivedType":
            type_ = self.ref(type_, "baseType")
        return type_

    def size(self, type_: str | None) -> int:
        """Bytes."""
        while type_ and not self.number(type_, "size"):
            type_ = self.ref(type_, "baseType")
        return self.number(type_, "size") // 8

    def dimensions(self, type_: str | None) -> tuple[list[int], str | None]:
        """(counts, element type) of an array type; ([], type) of any other."""
        counts: list[int] = []
        type_ = self.strip(type_)
        while self.text(type_, "tag") == "DW_TAG_array_type":
            counts += [self.number(e, "count") for e in self.entries(self.ref(type_, "elements"))]
            type_ = self.strip(self.ref(type_, "baseType"))
        return counts, type_

    def members(self, type_: str | None) -> list[tuple[str, int, str]]:
        """(name, byte offset, type) of a structure's data, bases included (a base is named "")."""
        found = []
        for node in self.entries(self.ref(self.strip(type_), "elements")):
            tag = self.text(node, "tag")
            if tag == "DW_TAG_inheritance" or (tag == "DW_TAG_member" and "DIFlagStaticMember" not in self.nodes[node]):
                name = self.text(node, "name") if tag == "DW_TAG_member" else ""
                found.append((name or "", self.number(node, "offset") // 8, self.ref(node, "baseType") or ""))
        return found

    def leaf(self, type_: str | None, offset: int) -> Leaf | None:
        """The scalar at a byte offset; any element of an array stands for all."""
        counts, element = self.dimensions(type_)
        if counts:
            size = self.size(element)
            return self.leaf(element, offset % size) if size else None
        if self.kind(element) == "DIBasicType":
            size = self.number(element, "size")
            boolean = self.text(element, "encoding") == "DW_ATE_boolean"
            bits = 1 if boolean else self.number(element, "dataSize") or size
            return Leaf(bits, size // 8) if offset == 0 else None
        if self.text(element, "tag") == "DW_TAG_enumeration_type":
            return Leaf(self.number(element, "size"), self.number(element, "size") // 8) if offset == 0 else None
        for _, start, member in reversed(self.members(element)):
            if start <= offset:
                return self.leaf(member, offset - start)
        return None

    def streams(self, type_: str | None, name: str, length: int | None = None) -> list[Found] | None:
        """(name, byte offset, `stream_fields`) of every stream in a variable; None if it holds anything else.

        An array's streams are called name_0, name_1, ..., a structure's name_member. A reference or pointer stands for
        what it leads to, `length` of them in a row for an argument that was declared as an array.
        """
        type_ = self._unqualified(type_)
        if not self.leads_elsewhere(type_):
            return self._streams_in(type_, name, 0)
        target = self._unqualified(self.ref(type_, "baseType"))
        if length is None:
            return self._streams_in(target, name, 0)
        size = self.size(target)
        return self._all([self._streams_in(target, f"{name}_{k}", k * size) for k in range(length)])

    def _streams_in(self, type_: str | None, name: str, offset: int) -> list[Found] | None:
        inner = self._inner(type_)
        return inner and [(name + further, offset + at, fields) for further, at, fields in inner]

    def _inner(self, type_: str | None) -> list[Found] | None:
        """As `streams`, of a variable without a name at byte 0. Looked up once for each type: arrays have thousands of
        elements, and their types hundreds of members."""
        type_ = self._unqualified(type_)
        if type_ not in self._streams:
            self._streams[type_] = self._of_type(type_)
        return self._streams[type_]

    def _of_type(self, type_: str | None) -> list[Found] | None:
        if self.leads_elsewhere(type_):
            return None
        if self.text(type_, "tag") == "DW_TAG_array_type":
            counts = [self.number(e, "count") for e in self.entries(self.ref(type_, "elements"))]
            element = self._unqualified(self.ref(type_, "baseType"))
            places = list(product(*[range(n) for n in counts]))
            if not places or self._inner(element) is None:
                return None if places else []
            size = self.size(element)
            return self._all(
                [self._streams_in(element, "_".join(["", *map(str, at)]), k * size) for k, at in enumerate(places)]
            )
        if (fields := self.stream_fields(type_)) is not None:
            return [("", 0, fields)]
        members = [self._streams_in(t, f"_{member}" if member else "", at) for member, at, t in self.members(type_)]
        return self._all(members) if members else None

    def _all(self, parts: list[list[Found] | None]) -> list[Found] | None:
        return None if None in parts else [stream for part in parts for stream in part or ()]

    def _unqualified(self, type_: str | None) -> str | None:
        """Without const, volatile and typedef."""
        while self.kind(type_) == "DIDerivedType" and not self.leads_elsewhere(type_):
            type_ = self.ref(type_, "baseType")
        return type_

    def leads_elsewhere(self, type_: str | None) -> bool:
        return (self.text(type_, "tag") or "").endswith(("_reference_type", "_pointer_type"))

    def stream_fields(self, type_: str | None) -> list[tuple[str, int]] | None:
        """The fields of an hls::stream's word, low bits first; None where the type is no stream."""
        stream = self.strip(type_)
        if not (self.text(stream, "name") or "").startswith("stream<"):
            return None
        width = next(
            (leaf.bits for name, _, t in self.members(stream) if name == "cell" and (leaf := self.leaf(t, 0))),
            0,
        )
        payload = next((self.ref(p, "type") for p in self.entries(self.ref(stream, "templateParams"))), None)
        if re.match(r"ap_axi[us]<", self.text(self.strip(payload), "name") or ""):
            beat = next(t for name, _, t in self.members(payload) if name == "")
            return [(name, leaf.bits) for name, _, t in self.members(beat) if (leaf := self.leaf(t, 0))]
        return [("data", width)]
