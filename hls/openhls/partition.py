"""Splits arrays of arrays (or of structures) whose outer index is a constant wherever they are accessed.

`line[2][64]`, accessed as `line[0][x]` and `line[1][x]`, becomes two arrays. It is done on IR that still counts in the
C++ array types: later, LLVM merges constant offsets and the row can no longer be told from the column. Each piece is
named after its array with `..index` appended, once per dimension split off.
"""

from __future__ import annotations

import re

from .ir import NAME, Types, split, typed

_ALLOCA = re.compile(rf"^  ({NAME}) = alloca (.*?)(, align \d+)?((?:, ![a-z]\w* !\d+)*)$", re.MULTILINE)
_GLOBAL = re.compile(rf"^({NAME}) = (?!external)[^\n]*?\b(global|constant) (?=\[)(.*)$", re.MULTILINE)
_GEP = re.compile(rf"^  ({NAME}) = getelementptr ([^%@\[{{<]*)(.*)$")
_INDEX = re.compile(r"^i\d+ (\d+)$")
_LIFETIME = re.compile(r"@llvm\.lifetime\.")
_FLAGS = r"(?:inbounds |nuw |nusw |inrange\([^)]*\) )*"


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


def _split_use(line: str, name: str, type_: str, types: Types, count: int) -> list[str] | None:
    """One line that uses the array -> the lines that use its pieces; None where that cannot be."""
    line = _split_constants(line, name, type_, types, count)
    if not _uses([line], name):
        return [line]
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


def _split_constants(line: str, name: str, type_: str, types: Types, count: int) -> str:
    """Addresses in the array that are constant expressions become those in its pieces."""

    def replaced(match: re.Match) -> str:
        index, rest = int(match[2]), match[3]
        if index >= count:
            return match[0]
        part = piece(name, index)
        inner = _element(type_, types, index)
        return f"getelementptr {match[1]}({inner}, ptr {part}, i64 0{rest})" if rest else part

    first = rf"{re.escape(type_)}, ptr {re.escape(name)}, i\d+ 0"
    return re.sub(rf"getelementptr ({_FLAGS})\({first}, i\d+ (\d+)((?:, i\d+ \d+)*)\)", replaced, line)


def _typed(text: str) -> tuple[str, str]:
    """`TYPE INITIALISER, ...` of an array -> (type, the rest)."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "[{<(") - (char in "]}>)")
        if depth == 0:
            return text[: i + 1], text[i + 1 :].strip()
    return text, ""


def _pieces_of_alloca(match: re.Match, inner: str, count: int) -> list[str]:
    return [f"  {piece(match[1], k)} = alloca {inner}{match[3] or ''}{match[4]}" for k in range(count)]


def _pieces_of_global(match: re.Match, inner: str, count: int) -> list[str] | None:
    """The definitions of a global's pieces; None where its initialiser does not say what is in each."""
    initialiser, *rest = split(_typed(match[3])[1])
    tail = "".join(f", {part}" for part in rest if not part.startswith("comdat"))
    if initialiser in ("zeroinitializer", "undef", "poison"):
        contents = [initialiser] * count
    elif initialiser.startswith("["):
        contents = [typed(part).text for part in split(initialiser[1:-1])]
    else:
        return None
    return [f"{piece(match[1], k)} = internal {match[2]} {inner} {text}{tail}" for k, text in enumerate(contents)]


def _element(type_: str, types: Types, index: int) -> str:
    array = types.element(type_)
    return array[1] if array else types.fields(type_)[index][1]


def _is_aggregate(type_: str) -> bool:
    return type_[0] in "[{<%"


def split_arrays(text: str) -> str:
    """A printed module -> the same with every such array in pieces."""
    types = Types.of(text)
    while True:
        lines = text.split("\n")
        split_one = False
        for pattern, pieces in ((_ALLOCA, _pieces_of_alloca), (_GLOBAL, _pieces_of_global)):
            for match in pattern.finditer(text):
                name, type_ = match[1], match[2] if pattern is _ALLOCA else _typed(match[3])[0]
                array = types.element(type_)
                if not array or not _is_aggregate(array[1]):
                    continue
                count, inner = array
                definition = text.count("\n", 0, match.start())
                replaced: dict[int, list[str] | None] = {}
                for use in _uses(lines, name):
                    if use != definition:
                        replaced[use] = _split_use(lines[use], name, type_, types, count)
                        if replaced[use] is None:
                            break
                else:
                    replaced[definition] = pieces(match, inner, count)
                    if replaced[definition] is None:
                        continue
                    text = "\n".join(new for i, line in enumerate(lines) for new in replaced.get(i, [line]))
                    split_one = True
                    break
            if split_one:
                break
        if not split_one:
            return text
