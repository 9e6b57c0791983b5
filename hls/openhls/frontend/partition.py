"""Splits arrays of arrays (or of structures) whose outer index is a constant wherever they are accessed.

`line[2][64]`, accessed as `line[0][x]` and `line[1][x]`, becomes two arrays. It is done on IR that still counts in the
C++ array types: later, LLVM merges constant offsets and the row can no longer be told from the column. Each piece is
named after its array with `..index` appended, once per dimension split off.
"""

from __future__ import annotations

import re

from openhls.frontend.ir import NAME, Types, parse_instruction, split

_ALLOCA = re.compile(rf"^  ({NAME}) = alloca (.*?)(, align \d+)?((?:, ![a-z]\w* !\d+)*)$", re.MULTILINE)
_GLOBAL = re.compile(rf"^({NAME}) = (?!external)[^\n]*?\b(global|constant) (?=\[|<\{{)(.*)$", re.MULTILINE)
_GEP = re.compile(rf"^  ({NAME}) = getelementptr ([^%@\[{{<]*)(.*)$")
_INDEX = re.compile(r"^i\d+ (\d+)$")
_CHOICE = re.compile(rf"^  ({NAME}) = (?:phi ptr|select i1 [^,]*, ptr) (.*)")
_KEPT = re.compile(rf"^  store ptr ({NAME}),")
_LIFETIME = re.compile(r"@llvm\.lifetime\.")
_ZERO = ("zeroinitializer", "undef", "poison")
_FLAGS = r"(?:inbounds |nuw |nusw |inrange\([^)]*\) )*"


def piece(name: str, index: int) -> str:
    """The name of one piece: `%a` -> `%a..3`."""
    return f'{name[:-1]}..{index}"' if name.endswith('"') else f"{name}..{index}"


def pieces_in(name: str) -> tuple[str, list[int]]:
    """A piece's name -> (the array's name, the constant indices split off).

    LLVM may split a piece further (SROA), and then puts a suffix of its own behind the index: `a..1.sroa.0`.
    """
    base, *indices = name.strip('"').split("..")
    return base, [int(index.partition(".")[0]) for index in indices]


class _Uses:
    """In which lines each name stands; a line is looked at once, however often the text around it changes."""

    def __init__(self) -> None:
        self.names: dict[str, frozenset[str]] = {}

    def of(self, lines: list[str]) -> dict[str, list[int]]:
        """Name -> the numbers of the lines that it stands in, in order."""
        found: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            if line not in self.names:
                self.names[line] = frozenset(re.findall(NAME, line))
            for name in self.names[line]:
                found.setdefault(name, []).append(number)
        return found


class Walks:
    """Which pointers leave what they point to: those counted on in whole steps of it, in a loop, or kept in memory."""

    def __init__(self, text: str, types: Types):
        self.types = types
        self.kept: set[str] = set()
        self.further: dict[str, list[tuple[str, str]]] = {}  # pointer -> (pointer made of it, type it is counted in)
        for line in text.split("\n"):
            if _GEP.match(line):
                gep = parse_instruction(line.strip())
                counted = "" if gep.operands[1].text == "0" else gep.element
                self.further.setdefault(gep.operands[0].text, []).append((gep.name, counted))
            elif chosen := _CHOICE.match(line):
                for pointer in re.findall(NAME, chosen[2]):
                    self.further.setdefault(pointer, []).append((chosen[1], ""))
            elif kept := _KEPT.match(line):
                self.kept.add(kept[1])

    def leaves(self, pointer: str, type_: str) -> bool:
        """Whether a pointer to something of a type may be moved out of it."""
        reached = self._reached(pointer)
        for here in reached:
            if here in self.kept:
                return True
            for further, counted in self.further.get(here, ()):
                whole = counted and self.types.size(counted) >= self.types.size(type_)
                if whole or (counted and here in self._reached(further)):
                    return True
        return False

    def _reached(self, pointer: str) -> set[str]:
        reached, work = set(), [pointer]
        while work:
            here = work.pop()
            if here not in reached:
                reached.add(here)
                work += [further for further, _ in self.further.get(here, ())]
        return reached

    def line_leaves(self, line: str, type_: str) -> bool:
        """Whether what a line makes of constant addresses in an array leaves its part."""
        made = re.match(rf"  ({NAME}) = ", line)
        return _KEPT.match(line) is not None or (made is not None and self.leaves(made[1], type_))


def _split_use(line: str, name: str, type_: str, types: Types, count: int, walks: Walks) -> list[str] | None:
    """One line that uses the array -> the lines that use its pieces; None where that cannot be."""
    split_line = _split_constants(line, name, type_, types, count)
    if name not in re.findall(NAME, split_line):
        inner = _element(type_, types, 0)
        return None if _leaves_row(split_line) or walks.line_leaves(split_line, inner) else [split_line]
    line = split_line
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
    if types.size(element) <= types.size(_element(type_, types, 0)):  # LLVM has dropped outer indices of 0
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

    inner = _element(type_, types, 0)

    def typed_index(match: re.Match[str]) -> str:
        return part(match, int(match[2]), inner, f"i64 0{match[3]}" if match[3] else "")

    def byte_index(match: re.Match[str]) -> str:
        index, byte = divmod(int(match[2]), types.size(inner))
        return part(match, index, "i8", f"i64 {byte}" if byte else "")

    def first_row(match: re.Match[str]) -> str:
        """LLVM has dropped outer indices of 0."""
        inside = match[2] != type_ and types.size(match[2]) <= types.size(inner)
        return match[0].replace(name, piece(name, 0), 1) if inside else match[0]

    def part(match: re.Match[str], index: int, element: str, inside: str) -> str:
        if index >= count:
            return match[0]
        found = piece(name, index)
        return f"getelementptr {match[1]}({element}, ptr {found}, {inside})" if inside else found

    begin, end = rf"getelementptr ({_FLAGS})\(", rf", ptr {re.escape(name)}, "
    line = re.sub(rf"{begin}{re.escape(type_)}{end}i\d+ 0, i\d+ (\d+)((?:, i\d+ \d+)*)\)", typed_index, line)
    line = re.sub(rf"{begin}i8{end}i\d+ (\d+)\)", byte_index, line)
    return re.sub(rf"{begin}(%[^(),]*|\[[^(),]*\]){end}i\d+ 0, [^()]*\)", first_row, line)


def _leaves_row(line: str) -> bool:
    """Whether an address is counted in whole rows from a constant one: it may lie in any of them."""
    gep = _GEP.match(line)
    if not gep:
        return False
    element, _, first, *_ = split(gep[3])
    return element.startswith("[") and first.split()[-1] != "0"


def _typed(text: str) -> tuple[str, str]:
    """`TYPE INITIALISER, ...` of an array -> (type, the rest)."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "[{<(") - (char in "]}>)")
        if depth == 0:
            return text[: i + 1], text[i + 1 :].strip()
    return text, ""


def _type_of_global(match: re.Match[str], lines: list[str], uses: list[int], types: Types) -> str:
    """The C++ array type of a global: where many zeros end its rows, clang defines it as a structure of such rows."""
    type_ = _typed(match[3])[0]
    if type_.startswith("["):
        return type_
    pattern = re.compile(rf"getelementptr {_FLAGS}\(?(\[[^,]*\]), ptr {re.escape(match[1])}, i\d+ 0, i\d+")
    found = (m[1] for use in uses for m in pattern.finditer(lines[use]))
    return next((t for t in found if types.size(t) == types.size(type_)), type_)


def _pieces_of_alloca(match: re.Match[str], inner: str, count: int, types: Types) -> list[str]:
    return [f"  {piece(match[1], k)} = alloca {inner}{match[3] or ''}{match[4]}" for k in range(count)]


def _pieces_of_global(match: re.Match[str], inner: str, count: int, types: Types) -> list[str] | None:
    """The definitions of a global's pieces; None where its initialiser does not say what is in each."""
    initialiser, *rest = split(_typed(match[3])[1])
    tail = "".join(f", {part}" for part in rest if not part.startswith("comdat"))
    contents: list[str] = []
    if initialiser in _ZERO:
        contents = [f"{inner} {initialiser}"] * count
    elif initialiser.startswith(("[", "<{")):
        for part in split(initialiser[1:-1] if initialiser[0] == "[" else initialiser[2:-2]):
            rows = types.size(_typed(part)[0]) // types.size(inner)
            if rows != 1 and _typed(part)[1] not in _ZERO:
                return None
            contents += [part] if rows == 1 else [f"{inner} zeroinitializer"] * rows
    if len(contents) != count:
        return None
    return [f"{piece(match[1], k)} = internal {match[2]} {text}{tail}" for k, text in enumerate(contents)]


def _element(type_: str, types: Types, index: int) -> str:
    array = types.element(type_)
    return array[1] if array else types.fields(type_)[index][1]


def _is_aggregate(type_: str) -> bool:
    return type_[0] in "[{<%"


def split_arrays(text: str) -> str:
    """A printed module -> the same with every such array in pieces."""
    types = Types.of(text)
    walks, all_uses = Walks(text, types), _Uses()
    while True:
        lines = text.split("\n")
        uses_of = all_uses.of(lines)
        split_one = False
        for pattern, pieces in ((_ALLOCA, _pieces_of_alloca), (_GLOBAL, _pieces_of_global)):
            for match in pattern.finditer(text):
                name, uses = match[1], uses_of[match[1]]
                type_ = match[2] if pattern is _ALLOCA else _type_of_global(match, lines, uses, types)
                array = types.element(type_)
                if not array or not _is_aggregate(array[1]):
                    continue
                count, inner = array
                definition = text.count("\n", 0, match.start())
                replaced: dict[int, list[str]] = {}
                for use in uses:
                    if use != definition:
                        split_use = _split_use(lines[use], name, type_, types, count, walks)
                        if split_use is None:
                            break
                        replaced[use] = split_use
                else:
                    defined = pieces(match, inner, count, types)
                    if defined is None:
                        continue
                    replaced[definition] = defined
                    text = "\n".join(new for i, line in enumerate(lines) for new in replaced.get(i, [line]))
                    split_one = True
                    break
            if split_one:
                break
        if not split_one:
            return text
