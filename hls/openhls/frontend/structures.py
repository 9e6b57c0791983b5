"""Splits structures that hold arrays into their members, so that an array in a structure is an array like any other.

As `partition`, on IR that still counts in the C++ types, and with its names for the pieces: `%s..1` is its member 1.
"""

from __future__ import annotations

import re

from openhls.frontend.ir import NAME, Types, split
from openhls.frontend.partition import Walks, piece

_TYPE = r'(%(?:"[^"]*"|[-\w.$]+))'
_ALLOCA = re.compile(rf"^  ({NAME}) = alloca {_TYPE}(?:, align \d+)?((?:, ![a-z]\w* !\d+)*)$", re.MULTILINE)
_GLOBAL = re.compile(rf"^({NAME}) = (?!external)[^\n]*?\b(global|constant) {_TYPE} ([^\n]*)$", re.MULTILINE)
_MEMBER = re.compile(
    rf"^  ({NAME}) = getelementptr ((?:inbounds |nuw |nusw )*){_TYPE}, ptr ({NAME}), i\d+ 0, i\d+ (\d+)(.*)$"
)
_FIRST = re.compile(
    rf"^  ({NAME}) = getelementptr (?:inbounds |nuw |nusw )*(\[.*\]|[^,]+), ptr ({NAME}), i\d+ 0(?:, i\d+ [^,]+)*"
)
_ACCESS = re.compile(rf"^  (?:({NAME}) = load (\w+)|store (\w+) [^,]+), ptr ({NAME})(?![-\w.$\"])")
_CONSTANT = r"getelementptr (?:inbounds |nuw |nusw |inrange\([^)]*\) )*\("
_COPY = re.compile(
    rf"^  (?:tail )?call void @(llvm\.mem(?:set|cpy)\.[\w.]+)\(ptr (?:[^,]* )?({NAME}), "
    rf"(?:i8 (\S+)|ptr (?:[^,]* )?({NAME})), i64 (\d+), i1 false\)(?:.*?(, !dbg !\d+))?"
)


def split_structures(text: str) -> str:
    """A printed module -> the same with every structure that holds an array, and that is only accessed by its members,
    or copied or cleared as a whole, in pieces."""
    types, walks = Types.of(text), None
    refused: set[str] = set()
    while True:
        found = next(
            (
                m
                for p in (_ALLOCA, _GLOBAL)
                for m in p.finditer(text)
                if m[1] not in refused and _holds_array(_type(m), types)
            ),
            None,
        )
        if found is None:
            return text
        walks = walks or Walks(text, types)
        changed = _Split(text, found, types, walks).run()
        if changed is None:
            refused.add(found[1])
        else:
            text = changed


def _type(definition: re.Match[str]) -> str:
    return definition[2] if definition.re is _ALLOCA else definition[3]


def _holds_array(type_: str, types: Types) -> bool:
    members = [t for _, t in types.members(type_)]
    return any(types.element(t) or _holds_array(t, types) for t in members) and len(members) > 1


class _Split:
    """One structure."""

    def __init__(self, text: str, definition: re.Match[str], types: Types, walks: Walks):
        self.text, self.definition, self.types, self.walks = text, definition, types, walks
        self.name, self.type = definition[1], _type(definition)
        self.members = types.members(self.type)

    def run(self) -> str | None:
        """The module without it; None where it is used as something else than its members."""
        used = re.compile(re.escape(self.name) + r"(?![-\w.$\"])")
        lines: list[str] = []
        at = self.text.count("\n", 0, self.definition.start())
        for k, line in enumerate(self.text.split("\n")):
            if self.name not in line or not used.search(line):
                lines.append(line)
                continue
            new = self._defined() if k == at else self._use(line)
            if new is None:
                return None
            lines += new
        return "\n".join(lines)

    def _defined(self) -> list[str] | None:
        if self.definition.re is _ALLOCA:
            tail = self.definition[3]
            return [f"  {piece(self.name, k)} = alloca {t}{tail}" for k, (_, t) in enumerate(self.members)]
        initialiser, *rest = split(self.definition[4])
        tail = "".join(f", {part}" for part in rest if not part.startswith(("comdat", "align")))
        if initialiser in ("zeroinitializer", "undef", "poison"):
            contents = [f"{t} {initialiser}" for _, t in self.members]
        else:
            contents = split(initialiser[1:-1])
        if not initialiser.startswith(("{", "zero", "undef", "poison")) or len(contents) != len(self.members):
            return None
        kind = self.definition[2]
        return [f"{piece(self.name, k)} = internal {kind} {c}{tail}" for k, c in enumerate(contents)]

    def _use(self, line: str) -> list[str] | None:
        pieces = [piece(self.name, k) for k in range(len(self.members))]
        if "@llvm.lifetime." in line or line.lstrip().startswith("#dbg_declare"):
            return [line.replace(self.name, p, 1) for p in pieces]
        if line.lstrip().startswith("#dbg_value"):
            return []
        if member := _MEMBER.match(line):
            result, flags, type_, pointer, index, rest = member.groups()
            inner = self.members[int(index)][1] if type_ == self.type and int(index) < len(pieces) else None
            if pointer != self.name or inner is None or self.walks.leaves(result, inner):
                return None
            indices, tail = re.match(r"((?:, i\d+ [^,]+)*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
            return [f"  {result} = getelementptr {flags}{inner}, ptr {pieces[int(index)]}, i64 0{indices}{tail}"]
        if first := _FIRST.match(line):  # LLVM has dropped an index of 0
            inner = self.members[0][1]
            fits = first[3] == self.name and self.types.size(first[2]) <= self.types.size(inner)
            if not fits or self.walks.leaves(first[1], inner):
                return None
            return [self._first(line)]
        if access := _ACCESS.match(line):  # of the first member
            bits = re.fullmatch(r"i\d+", access[2] or access[3])
            if access[4] == self.name and bits and self.types.size(bits[0]) <= self.types.size(self.members[0][1]):
                return [self._first(line)]
            return None
        if copy := _COPY.match(line):
            return self._copied(copy, pieces)
        replaced = re.sub(_CONSTANT + r"[^()]*\)", self._constant, line)
        gone = not re.search(re.escape(self.name) + r"(?![-\w.$\"])", replaced)
        moved = self.walks.line_leaves(replaced, min((t for _, t in self.members), key=self.types.size))
        return [replaced] if gone and not moved else None

    def _first(self, line: str) -> str:
        return re.sub(re.escape(self.name) + r"(?![-\w.$\"])", lambda _: piece(self.name, 0), line, count=1)

    def _constant(self, match: re.Match[str]) -> str:
        """The address of a member, or of something in it, that is a constant expression."""
        inside = match[0][match[0].index("(") + 1 : -1]
        type_, pointer, *indices = split(inside)
        if pointer != f"ptr {self.name}":
            return match[0]
        numbers = [int(i.split()[-1]) for i in indices]
        if type_ == self.type and len(numbers) > 1 and numbers[0] == 0:
            inner, found = self.members[numbers[1]][1], piece(self.name, numbers[1])
            rest = "".join(f", {i}" for i in indices[2:])
            return f"getelementptr ({inner}, ptr {found}, i64 0{rest})" if rest else found
        if type_ == "i8" and len(numbers) == 1:
            index = max((k for k, (at, _) in enumerate(self.members) if at <= numbers[0]), default=0)
            byte, found = numbers[0] - self.members[index][0], piece(self.name, index)
            return f"getelementptr (i8, ptr {found}, i64 {byte})" if byte else found
        if numbers[0] == 0 and type_ != self.type and self.types.size(type_) <= self.types.size(self.members[0][1]):
            return self._first(match[0])  # LLVM has dropped an index of 0
        return match[0]

    def _copied(self, copy: re.Match[str], pieces: list[str]) -> list[str] | None:
        """A copy of the whole, member by member."""
        intrinsic, target, byte, source, size, debug = copy.groups()
        if int(size) != self.types.size(self.type) or target == source:
            return None
        result: list[str] = []
        for k, (_, type_) in enumerate(self.members):
            ends = []
            for pointer in (target, source):
                if pointer == self.name:
                    pointer = pieces[k]
                elif pointer is not None:
                    name = f"%openhls.{len(self.text)}.{len(result)}"  # the text grows with every split
                    result.append(f"  {name} = getelementptr {self.type}, ptr {pointer}, i64 0, i32 {k}{debug or ''}")
                    pointer = name
                ends.append(pointer)
            what = f"i8 {byte}" if byte is not None else f"ptr {ends[1]}"
            length = self.types.size(type_)
            result.append(f"  call void @{intrinsic}(ptr {ends[0]}, {what}, i64 {length}, i1 false){debug or ''}")
        return result
