"""Arrays and static variables of a process: what each becomes.

An array whose accesses all have constant offsets becomes registers, one per element; otherwise it becomes memories,
one per field: with g the greatest common divisor of the strides of its run-time indices, bytes f, f+g, f+2g, ... are
the words of field f. So an array of structures, or one whose inner index is a constant wherever it is used, is split.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd, prod

import llvmlite.binding as llvm

from openhls.common.errors import HlsError, Location, note
from openhls.frontend.debuginfo import DebugInfo, Variable
from openhls.frontend.ir import Address, Function, Instruction, Types, Value, split, typed
from openhls.frontend.partition import pieces_in
from openhls.frontend.pragmas import STORAGE
from openhls.frontend.promises import Promise
from openhls.graph.nodes import Static

_DEFINITION = re.compile(r"^define .*?^\}\n", re.MULTILINE | re.DOTALL)
_TRAILING_METADATA = re.compile(r"(?:, !dbg !\d+)+\s*$")


@dataclass
class Access:
    """One load or store of an object."""

    instruction: Instruction
    address: Address
    size: int  # bytes


@dataclass
class Field:
    """One memory or register made of an object."""

    name: str
    bits: int
    depth: int
    offset: int
    step: int
    initial: list[int] | None
    storage: str | None
    loc: Location | None
    constant: int | None = None  # what all words are, where nothing is stored: no memory is needed

    @property
    def is_register(self) -> bool:
        return self.depth == 1


@dataclass
class Object:
    """An alloca or a global with its accesses."""

    name: str
    accesses: list[Access] = field(default_factory=list)
    fields: dict[int, Field] = field(default_factory=dict)
    step: int = 0


def global_images(module_text: str, sizes: dict[str, int]) -> dict[str, bytes]:
    """The initial bytes of globals, as LLVM's own code generator lays them out.

    Args:
        module_text: a printed module.
        sizes: global -> bytes wanted.
    """
    if not sizes:
        return {}
    lines = []
    for line in _DEFINITION.sub("", module_text).split("\n"):
        if line.startswith("@llvm."):
            continue
        if line.startswith("@"):
            lines.append(_TRAILING_METADATA.sub("", line).replace(" internal ", " ", 1).replace(" private ", " ", 1))
        elif line.startswith(("%", "$", "target triple")):  # the layout is the engine's own
            lines.append(line)
    module = llvm.parse_assembly("\n".join(lines))
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine()
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        return {name: ctypes.string_at(engine.get_global_value_address(name), size) for name, size in sizes.items()}


class Objects:
    """Every object of one process function."""

    def __init__(self, module_text: str, function: Function, debug: DebugInfo):
        self.text, self.function, self.debug = module_text, function, debug
        self.types = Types.of(module_text)
        self.definitions = {i.name: i for block in function.blocks.values() for i in block if i.name}
        self.objects: dict[str, Object] = {}
        self._globals = self._global_lines()
        self._tables: dict[str, tuple[str, bytes]] = {}  # constants made here: name -> (type, contents)

    def _global_lines(self) -> dict[str, str]:
        """Global -> its linkage, kind and type, as printed (not its initialiser's end)."""
        return {
            m[1].strip('"'): m[2] for m in re.finditer(r'^@("[^"]*"|[-\w.$]+) = ([^\n]*)$', self.text, re.MULTILINE)
        }

    # Declarations
    def variable(self, name: str) -> Variable | None:
        """The C++ variable behind an object."""
        base, _ = pieces_in(name[1:])
        if name.startswith("@"):
            return self.debug.global_(name[1:].strip('"')) or self.debug.global_(base)
        declare = self.function.declares.get(name)
        return self.debug.local(declare) if declare else None

    def _piece_type(self, variable: Variable | None, indices: list[int]) -> tuple[str | None, list[int]]:
        """(debug type of a piece, counts of its remaining dimensions)."""
        if variable is None:
            return None, []
        counts, element = self.debug.dimensions(variable.type)
        if len(indices) > len(counts):
            for index in indices[len(counts) :]:
                members = self.debug.members(element)
                if not members:
                    return None, []
                _, element = self.debug.dimensions(members[min(index, len(members) - 1)][2])
            return element, []
        return element, counts[len(indices) :]

    def add_table(self, of: str, image: bytes) -> Value:
        """A constant array of an object's elements; returns the pointer to it."""
        unit, variable = self.unit_type(of), self.variable(of)
        name = f"@openhls{len(self._tables)}.{variable.name if variable else 'array'}_initial"
        self._tables[name] = f"[{len(image) // self.types.size(unit)} x {unit}]", image
        return Value("ptr", name)

    def _llvm_type(self, name: str) -> str:
        if name in self._tables:
            return self._tables[name][0]
        if name.startswith("@"):
            rest = self._globals[name[1:].strip('"')]
            rest = re.sub(r"^.*?\b(?:global|constant) ", "", rest, count=1)
            return _first_type(rest).rstrip(",")
        return self.definitions[name].element

    def unit_type(self, name: str) -> str:
        """The type of an object's elements: what its arrays, whatever their dimensions, are made of."""
        type_ = self._llvm_type(name)
        while True:
            if array := self.types.element(type_):
                type_ = array[1]
            elif len(members := self.types.members(type_)) == 1:
                type_ = members[0][1]
            else:
                return type_

    def unit(self, name: str) -> int:
        """Bytes of an object's elements."""
        return self.types.size(self.unit_type(name))

    def pointers_in(self, name: str) -> dict[int, Value]:
        """Offset -> pointer in a constant array of pointers; {} for any other global."""
        kind, _, rest = self._globals.get(name[1:].strip('"'), "").partition("constant ")
        type_ = _first_type(rest)
        array = self.types.element(type_)
        if not rest or "global" in kind or not array or array[1] != "ptr":
            return {}
        found = split(_first_type(rest[len(type_) :].strip()).rstrip(",")[1:-1])
        return {8 * k: typed(pointer) for k, pointer in enumerate(found)}

    def collect(self, instruction: Instruction, address: Address, size: int) -> None:
        """Note a load or store."""
        found = self.objects.setdefault(address.object, Object(address.object))
        found.accesses.append(Access(instruction, address, size))

    def finish(self, promises: Sequence[Promise]) -> list[str]:
        """After `collect`: decide what each object becomes.

        Returns:
            Notes to the programmer about pragmas.
        """
        kept: set[Promise] = set()
        wanted: dict[str, int] = {}
        for obj in self.objects.values():
            size = self.types.size(self._llvm_type(obj.name))
            strides = [s for a in obj.accesses for _, s in a.address.terms]
            obj.step = gcd(*strides, size) if strides else 0
            variable = self.variable(obj.name)
            origin = self._origin(obj.name, variable)
            for access in obj.accesses:
                self._add_field(obj, access, size, variable)
            for promise in promises:
                if variable is None or (promise.variable, promise.declared) != (variable.name, variable.loc):
                    continue
                if promise.kind == "partition":
                    self._check_partition(obj, variable, origin, promise)
                elif any(self._store(obj, made, origin, promise) for made in obj.fields.values()):
                    kept.add(promise)
            if obj.name.startswith("@") and obj.name not in self._tables:
                wanted[obj.name[1:].strip('"')] = size
        images = global_images(self.text, wanted) | {name[1:]: image for name, (_, image) in self._tables.items()}
        for obj in self.objects.values():
            image = images.get(obj.name[1:].strip('"')) if obj.name.startswith("@") else None
            for made in obj.fields.values():
                if image is not None:
                    made.initial = _words(image, made)
        stored = [p for p in promises if p.kind != "partition"]
        text = "needs no memory here: every index is a constant, its elements are registers"
        return [note(p.loc, f"'{p.variable}' {text}") for p in stored if p not in kept] + self._notes(kept)

    def _store(self, obj: Object, made: Field, origin: int, promise: Promise) -> bool:
        """Let a BIND_STORAGE decide how a memory is built; returns whether it is about it."""
        if made.is_register or not promise.covers(origin + made.offset):
            return False
        stored = any(a.instruction.opcode == "store" for a in obj.accesses)
        if stored and promise.kind.startswith("rom"):
            raise HlsError(
                f"BIND_STORAGE type={promise.kind}: '{promise.variable}' is written", promise.loc, "write type=ram_s2p"
            )
        made.storage = STORAGE[promise.storage]
        return True

    def _notes(self, kept: set[Promise]) -> list[str]:
        return sorted(
            note(p.loc, f"'{p.variable}' has a port to read and one to write, whatever its type= says")
            for p in kept
            if p.kind == "ram_1p"
        )

    def _origin(self, name: str, variable: Variable | None) -> int:
        """The byte of the variable at which an object begins that is a piece of it."""
        if variable is None:
            return 0
        offset = self.function.fragments.get(name, 0)
        counts, element = self.debug.dimensions(variable.type)
        for index in pieces_in(name[1:])[1]:
            if counts:
                offset += index * prod(counts[1:]) * self.debug.size(element)
                counts = counts[1:]
            elif members := self.debug.members(element):
                _, start, type_ = members[min(index, len(members) - 1)]
                offset += start
                counts, element = self.debug.dimensions(type_)
        return offset

    def statics(self) -> list[Static]:
        """After `finish`: the globals among the objects."""
        written: dict[str, bool] = {}
        for obj in self.objects.values():
            if obj.name.startswith("@") and obj.name not in self._tables:
                symbol = pieces_in(obj.name[1:])[0]
                stored = any(a.instruction.opcode == "store" for a in obj.accesses)
                written[symbol] = written.get(symbol, False) or stored
        variables = {symbol: self.debug.global_(symbol) for symbol in written}
        return [Static(s, v.name if v else s, written[s], v.loc if v else None) for s, v in variables.items()]

    def _add_field(self, obj: Object, access: Access, size: int, variable: Variable | None) -> None:
        step = obj.step or size
        offset = access.address.offset % step
        depth = size // step if obj.step else 1
        loc = self.debug.location(access.instruction.debug)
        shown = variable.name if variable else pieces_in(obj.name[1:])[0].split(".")[-1]
        if depth == 1 and not 0 <= access.address.offset <= size - access.size:
            raise HlsError(f"access outside '{shown}'", loc)
        for other in obj.fields.values():
            overlaps = other.offset < offset + access.size and offset < other.offset + -(-other.bits // 8)
            if overlaps and (other.offset != offset or other.step < access.size):
                raise HlsError(
                    f"'{shown}' is accessed in elements of different sizes",
                    loc,
                    "access it in its own element type only",
                )
        if offset in obj.fields:
            return
        indices = pieces_in(obj.name[1:])[1]
        element, _counts = self._piece_type(variable, indices)
        leaf = (
            self.debug.leaf(element, offset % self.debug.size(element))
            if element and self.debug.size(element)
            else None
        )
        bits = leaf.bits if leaf and leaf.size == access.size else 8 * access.size
        suffix = "".join(f"_{i}" for i in indices)
        if len({a.address.offset % step for a in obj.accesses}) > 1:
            suffix += f"_{offset // access.size}"
        obj.fields[offset] = Field(
            shown + suffix,
            bits,
            depth,
            offset,
            step,
            None,
            None,
            variable.loc if variable else None,
        )

    def _check_partition(self, obj: Object, variable: Variable, origin: int, promise: Promise) -> None:
        """Raises HlsError: words that an ARRAY_PARTITION wants apart are in one memory."""
        whole = promise.offset == 0 and promise.size >= self.debug.size(variable.type)
        for access in obj.accesses:
            if not whole and not promise.covers(origin + access.address.offset):
                continue
            if any(promise.low <= stride < promise.high for _, stride in access.address.terms):
                raise HlsError(
                    f"'{variable.name}' is partitioned, but indexed at run time here",
                    self.debug.location(access.instruction.debug),
                    "unroll the loop around it, or drop the ARRAY_PARTITION",
                )
        for made in obj.fields.values():
            shared = made.step < promise.low < made.depth * made.step
            if shared and (whole or promise.covers(origin + made.offset)):
                raise HlsError(
                    f"ARRAY_PARTITION of '{variable.name}' cannot be carried out: its parts are accessed as one array",
                    promise.loc,
                    "index that dimension by constants, and declare the array by itself, not in a structure",
                )


def _first_type(text: str) -> str:
    """The type that opens `TYPE initialiser, ...`."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "[{<(") - (char in "]}>)")
        if char == " " and depth == 0:
            return text[:i]
    return text


def _words(image: bytes, made: Field) -> list[int]:
    size, mask = -(-made.bits // 8), (1 << made.bits) - 1
    starts = range(made.offset, made.offset + made.depth * made.step, made.step)
    return [int.from_bytes(image[s : s + size], "little") & mask for s in starts]
