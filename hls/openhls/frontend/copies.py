"""memset and memcpy as the loads and stores that they stand for: of an array a loop, one element per iteration.

It is done after LLVM's last pass: an array that became registers has no copies left, and the loops stay loops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from openhls.common.errors import HlsError
from openhls.frontend.ir import Function, Instruction, Value, parse_constant_gep
from openhls.frontend.objects import Objects

_COPIES = ("llvm.memset.", "llvm.memcpy.", "llvm.memmove.")


@dataclass(frozen=True)
class _Base:
    """Where a pointer begins: its object, and constant bytes from there."""

    object: str
    offset: int


class _Expansion:
    """One function; `blocks` is rewritten in place."""

    def __init__(self, function: Function, objects: Objects):
        self.function, self.objects, self.types = function, objects, objects.types
        self.count = 0
        gettings = [i for b in function.blocks.values() for i in b if i.opcode == "getelementptr"]
        self.indexed = {self._base(i.operands[0]).object for i in gettings if self.types.displacement(i)[1]}

    def run(self) -> None:
        for label in list(self.function.blocks):
            while label:
                label = self._first(label)

    def _first(self, label: str) -> str:
        """Expand the first copy of a block that needs a loop and those before it; the block with the rest, or ""."""
        block = self.function.blocks[label]
        k = 0
        while k < len(block):
            self._recognise(block, k)
            i = block[k]
            if i.opcode == "call" and i.callee.startswith(_COPIES):
                number, elements = self._elements(i)
                if number > 1:
                    if i.callee.startswith(_COPIES[0]):
                        self._fold_stores(block, k)
                    return self._loop(label, k, number, elements)
                self.count += 1
                block[k : k + 1] = self._moves(i, elements, None, i.block)
            k += 1
        return ""

    def _recognise(self, block: list[Instruction], k: int) -> None:
        """What LLVM made of a copy of up to 8 bytes, one wide load and store, becomes a copy again."""
        store = block[k]
        if store.opcode != "store" or store.volatile or not re.fullmatch(r"i\d+", store.operands[0].type):
            return
        target, word = self._base(store.operands[1]).object, store.operands[0]
        size = self.types.size(word.type)
        if target not in self.indexed or size <= max(self.types.size(t) for _, t in self._scalars(target)):
            return
        call, number = f"{_COPIES[0]}wide", word.text
        if number.lstrip("-").isdigit():
            image = (int(number) % (1 << 8 * size)).to_bytes(size, "little")
            table = Value("i8", str(image[0]))
            if len(set(image)) > 1:
                call, table = f"{_COPIES[1]}wide", self.objects.add_table(target, image)
            operands = [store.operands[1], table, Value("i64", str(size))]
        else:
            load = self.objects.definitions.get(number)
            between = block[next((j for j, i in enumerate(block) if i is load), k) + 1 : k]
            if load is None or load.opcode != "load" or any(i.opcode in ("store", "call") for i in between):
                return
            call, operands = f"{_COPIES[1]}wide", [store.operands[1], load.operands[0], Value("i64", str(size))]
        block[k] = Instruction("", "call", "void", operands, store.text, store.debug, store.block, callee=call)
        uses = sum(v.text == number for b in self.function.blocks.values() for i in b for v in i.operands)
        if call.startswith(_COPIES[1]) and not number.lstrip("-").isdigit() and not uses:
            load.opcode, load.operands = "freeze", [Value(load.type, "undef")]  # nobody looks at it

    def _scalars(self, object_: str) -> list[tuple[int, str]]:
        return self.types.scalars(self.objects.unit_type(object_))

    def _elements(self, i: Instruction) -> tuple[int, list[tuple[int, str]]]:
        """(how often, [(byte offset from the pointers, type)]) of the scalars that a copy moves."""
        where, size = self.objects.debug.location(i.debug), i.operands[2].text
        what = "memset" if i.callee.startswith(_COPIES[0]) else "memcpy"
        if not size.isdigit():
            raise HlsError(f"{what} of a length that is not constant", where, "write a loop")
        target = self._base(i.operands[0])
        sources = [target] if what == "memset" else [target, self._base(i.operands[1])]
        if i.callee.startswith(_COPIES[2]) and len({s.object for s in sources}) == 1:
            raise HlsError("memmove within one array", where, "write a loop, in the order that it needs")
        if any(s.object not in self.objects.definitions and not s.object.startswith("@") for s in sources):
            raise HlsError(f"{what} of what is no array of this function", where, "write a loop over it")
        unit = self.objects.unit_type(target.object)
        whole, start, length = self.types.size(unit), target.offset, int(size)
        scalars = self.types.scalars(unit)
        if start % whole == 0 and length % whole == 0:
            return length // whole, scalars
        inside = [(at - start % whole, t) for at, t in scalars if start % whole <= at < start % whole + length]
        ends = {at + self.types.size(t) for at, t in inside}
        if start % whole + length > whole or length not in ends:
            raise HlsError(f"{what} of parts of elements", where, "copy whole elements")
        return 1, inside

    def _base(self, pointer: Value) -> _Base:
        offset, text = 0, pointer.text
        while True:
            definition = self.objects.definitions.get(text)
            if text.startswith("getelementptr"):
                definition = parse_constant_gep(text)
            if definition is None or definition.opcode not in ("getelementptr", "phi", "select"):
                return _Base(text, offset)
            if definition.opcode == "getelementptr":
                offset += self.types.displacement(definition)[0]
            text = next(v for v in definition.operands if v.type == "ptr").text

    def _fold_stores(self, block: list[Instruction], k: int) -> None:
        """`int a[9] = {1, 2}` is a memset and two stores: make it a copy of a table."""
        memset = block[k]
        base, length = self._base(memset.operands[0]), int(memset.operands[2].text)
        image = bytearray(bytes([self._byte(memset)]) * length)
        folded = []
        for i in block[k + 1 :]:
            if (i.opcode == "call" and not i.callee.startswith("llvm.")) or i.callee.startswith(_COPIES):
                break
            if i.opcode not in ("load", "store") or i.operands[-1].type != "ptr":
                continue
            target = self._base(i.operands[-1])
            if target.object != base.object:
                continue
            word, at = i.operands[0].text, target.offset - base.offset
            size = self.types.size(i.operands[0].type)
            known = i.opcode == "store" and word.lstrip("-").isdigit() and not self._moves_on(i)
            if not known or not 0 <= at <= length - size:
                break
            image[at : at + size] = (int(word) % (1 << 8 * size)).to_bytes(size, "little")
            folded.append(i)
        if folded:
            table = self.objects.add_table(base.object, bytes(image))
            memset.callee, memset.operands = f"{_COPIES[1]}p0", [memset.operands[0], table, memset.operands[2]]
            block[:] = [i for i in block if not any(i is f for f in folded)]

    def _moves_on(self, i: Instruction) -> bool:
        """Whether an access goes through an index or a choice."""
        text = i.operands[-1].text
        while (definition := self.objects.definitions.get(text)) is not None and definition.opcode != "alloca":
            if definition.opcode != "getelementptr" or self.types.displacement(definition)[1]:
                return True
            text = definition.operands[0].text
        return False

    def _byte(self, memset: Instruction) -> int:
        byte = memset.operands[1].text
        if not byte.lstrip("-").isdigit():
            raise HlsError("memset to a value that is not constant", self.objects.debug.location(memset.debug))
        return int(byte) % 256

    def _loop(self, label: str, k: int, number: int, elements: list[tuple[int, str]]) -> str:
        """Split a block at a copy; returns the label of its second part."""
        self.count += 1
        blocks, body, rest = self.function.blocks, f"openhls.copy{self.count}", f"openhls.copied{self.count}"
        call = blocks[label][k]
        for block in blocks.values():
            for i in block:
                if i.opcode == "phi":
                    i.labels = [rest if source == label else source for source in i.labels]
        blocks[rest] = blocks[label][k + 1 :]
        for i in blocks[rest]:
            i.block = rest
        blocks[label] = [*blocks[label][:k], self._new(call, label, "", "br", "", [], labels=[body])]
        at, following, more = (
            Value(t, f"%openhls.copy{self.count}.{n}") for t, n in (("i64", "at"), ("i64", "next"), ("i1", "more"))
        )
        blocks[body] = [
            self._new(call, body, at.text, "phi", "i64", [Value("i64", "0"), following], labels=[label, body]),
            *self._moves(call, elements, at, body),
            self._new(call, body, following.text, "add", "i64", [at, Value("i64", "1")]),
            self._new(call, body, more.text, "icmp", "i1", [following, Value("i64", str(number))], predicate="ult"),
            self._new(call, body, "", "br", "", [more], labels=[body, rest]),
        ]
        return rest

    def _new(
        self, call: Instruction, block: str, name: str, opcode: str, type_: str, operands: list[Value], **attributes
    ) -> Instruction:
        made = Instruction(name, opcode, type_, operands, call.text, call.debug, block, **attributes)
        if name:
            self.objects.definitions[name] = made
        return made

    def _moves(
        self, call: Instruction, elements: list[tuple[int, str]], at: Value | None, block: str
    ) -> list[Instruction]:
        """The loads and stores of one element."""
        made: list[Instruction] = []
        unit = self.objects.unit_type(self._base(call.operands[0]).object)

        def address(pointer: Value, offset: int, name: str) -> Value:
            for suffix, type_, index in (("e", unit, at), ("", "i8", Value("i64", str(offset)))):
                if index is not None:
                    operands, result = [pointer, index], Value("ptr", name + suffix)
                    made.append(self._new(call, block, result.text, "getelementptr", "ptr", operands, element=type_))
                    pointer = result
            return pointer

        for k, (offset, type_) in enumerate(elements):
            name = f"%openhls.copy{self.count}.{k}"
            bits = 8 * self.types.size(type_)
            if call.callee.startswith(_COPIES[0]):
                word = int.from_bytes(bytes([self._byte(call)]) * (bits // 8), "little")
                value = Value(type_, str(word % (1 << int(type_[1:]))))
            else:
                value = Value(type_, f"{name}.word")
                source = address(call.operands[1], offset, f"{name}.from")
                made.append(self._new(call, block, value.text, "load", type_, [source]))
            target = address(call.operands[0], offset, f"{name}.to")
            made.append(self._new(call, block, "", "store", "", [value, target]))
        return made


def expand_copies(function: Function, objects: Objects) -> None:
    """Replace every memset and memcpy of a function, in place.

    Raises:
        HlsError: one that moves no whole elements, or a number of them that is not constant.
    """
    _Expansion(function, objects).run()
