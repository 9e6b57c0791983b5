"""Splits arrays of arrays (or of structures) whose outer index is a constant wherever they are accessed.

`line[2][64]`, accessed as `line[0][x]` and `line[1][x]`, becomes two arrays. It is done on IR that still counts in the
C++ array types: later, LLVM merges constant offsets and the row can no longer be told from the column. Each piece is
named after its array with `..index` appended, once per dimension split off.
"""

from __future__ import annotations

import re

from .ir import NAME, Types, parse_instruction, split

_ALLOCA = re.compile(rf"^  ({NAME}) = alloca (.*?)(, align \d+)?((?:, ![a-z]\w* !\d+)*)$", re.MULTILINE)
_GLOBAL = re.compile(
    rf"^({NAME}) = internal (?:unnamed_addr )?global (.*) zeroinitializer(.*)$", re.MULTILINE
)
_GEP = re.compile(rf"^  ({NAME}) = getelementptr ([^%@\[{{<]*)(.*)$")
_INDEX = re.compile(r"^i\d+ (\d+)$")
_WALK = re.compile(
    r"= (?:phi|select|icmp|ptrtoint|ptrtoaddr) (.*\bptr\b.*)|^  store (ptr [^,]*),"
)  # a pointer that is chosen, compared, counted or kept
_LIFETIME = re.compile(r"@llvm\.lifetime\.")


def piece(name: str, index: int) -> str:
    """The name of one piece: `%a` -> `%a..3`."""
    return f'{name[:-1]}..{index}"' if name.endswith('"') else f"{name}..{index}"


def pieces_in(name: str) -> tuple[str, list[int]]:
    """A piece's name -> (the array's name, the constant indices split off)."""
    base, *indices = name.strip('"').split("..")
    return base, [int(i) for i in indices]


def _uses(lines: list[str], name: str) -> list[int]:
    pattern = re.compile(re.escape(name) + r"(?![-\w.$\"])")
    return [i for i, line in enumerate(lines) if name in line and pattern.search(line)]


class _Walks:
    """Which pointers leave what they point to: one that is compared, chosen or counted on walks through its array."""

    def __init__(self, text: str, types: Types):
        self.types = types
        self.free: set[str] = set()
        self.further: dict[str, list[tuple[str, str]]] = {}  # pointer -> (getelementptr on it, type it is counted in)
        for line in text.split("\n"):
            if _GEP.match(line):
                gep = parse_instruction(line.strip())
                counted = "" if gep.operands[1].text == "0" else gep.element
                self.further.setdefault(gep.operands[0].text, []).append((gep.name, counted))
            elif walked := _WALK.search(line):
                self.free.update(re.findall(NAME, walked[1] or walked[2]))

    def leaves(self, pointer: str, type_: str) -> bool:
        """Whether a pointer to something of a type may be moved out of it."""
        if pointer in self.free:
            return True
        return any(
            counted and self.types.size(counted) >= self.types.size(type_) or self.leaves(further, type_)
            for further, counted in self.further.get(pointer, ())
        )


def _split_use(line: str, name: str, type_: str, types: Types, count: int, walks: _Walks) -> list[str] | None:
    """One line that uses the array -> the lines that use its pieces; None where that cannot be."""
    if _LIFETIME.search(line) or line.lstrip().startswith("#dbg_declare"):
        return [line.replace(name, piece(name, i), 1) for i in range(count)]
    if line.lstrip().startswith("#dbg_value"):
        return []  # a reference to all of the array
    gep = _GEP.match(line)
    if not gep:
        return None
    body, tail = re.split(r"(?=, !dbg )", gep[3] + ", !dbg ", maxsplit=1)
    tail = tail.removesuffix(", !dbg ")
    element, pointer, *indices = split(body)
    if pointer != f"ptr {name}" or len(indices) < 2 or indices[0].split()[-1] != "0":
        return None
    if walks.leaves(gep[1], _element(type_, types, 0)):
        return None
    if element == _element(type_, types, 0):  # LLVM has dropped an outer index of 0
        return [line.replace(name, piece(name, 0), 1)]
    if element != type_:
        return None
    constant = _INDEX.match(indices[1])
    if not constant or int(constant[1]) >= count:
        return None
    inner = _element(type_, types, int(constant[1]))
    rest = ", ".join([indices[0], *indices[2:]])
    return [f"  {gep[1]} = getelementptr {gep[2]}{inner}, ptr {piece(name, int(constant[1]))}, {rest}{tail}"]


def _element(type_: str, types: Types, index: int) -> str:
    array = types.element(type_)
    return array[1] if array else types.fields(type_)[index][1]


def _is_aggregate(type_: str) -> bool:
    return type_[0] in "[{<%"


def split_arrays(text: str) -> str:
    """A printed module -> the same with every such array in pieces."""
    types = Types.of(text)
    walks = _Walks(text, types)
    while True:
        lines = text.split("\n")
        split_one = False
        for pattern, is_global in ((_ALLOCA, False), (_GLOBAL, True)):
            for match in pattern.finditer(text):
                name, type_ = match[1], match[2]
                array = types.element(type_)
                if not array or not _is_aggregate(array[1]):
                    continue
                count = array[0]
                definition = text.count("\n", 0, match.start())
                replaced: dict[int, list[str]] = {}
                for use in _uses(lines, name):
                    if use == definition:
                        tail = (match[3] or "") + (match[4] if not is_global else "")
                        keyword = "internal global" if is_global else "alloca"
                        zero = " zeroinitializer" if is_global else ""
                        indent = "" if is_global else "  "
                        replaced[use] = [
                            f"{indent}{piece(name, i)} = {keyword} {array[1]}{zero}{tail}"
                            for i in range(count)
                        ]
                    elif (new := _split_use(lines[use], name, type_, types, count, walks)) is not None:
                        replaced[use] = new
                    else:
                        break
                else:
                    text = "\n".join(new for i, line in enumerate(lines) for new in replaced.get(i, [line]))
                    split_one = True
                    break
            if split_one:
                break
        if not split_one:
            return text
