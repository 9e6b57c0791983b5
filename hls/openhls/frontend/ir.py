"""Textual LLVM IR -> Python objects: one function, its instructions and their operands.

llvmlite's object interface prints whole modules to show one instruction; reading the printed function once is quicker
and needs no more than the few patterns below. Only instructions of scalar integers, pointers and memory are read; what
else the optimiser leaves is kept as text for a diagnostic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = r'[%@](?:"[^"]*"|[-\w.$]+)'
BINARY = ("add", "sub", "mul", "udiv", "sdiv", "urem", "srem", "shl", "lshr", "ashr", "and", "or", "xor")
CASTS = ("trunc", "zext", "sext")
ADDRESSES = ("ptrtoint", "ptrtoaddr", "inttoptr")

_FUNCTION = re.compile(rf"^define [^\n@]*({NAME})(\([^\n]*)\{{\n(.*?)^\}}", re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r'^("[^"]*"|[-\w.$]+):')
_ASSIGN = re.compile(rf"^({NAME}) = (.*)$", re.DOTALL)
_METADATA = re.compile(r", !(?=[a-z])")
_DEBUG = re.compile(r"!dbg !(\d+)")
_WORD = re.compile(r"^(?:tail |notail |musttail )?([\w.]+)\s*(.*)$", re.DOTALL)
_FLAGS = re.compile(r"^(?:(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|nusw)\s+|inrange\([^)]*\)\s+)*")
_CALLEE = re.compile(rf"({NAME})\((.*)\)[^()]*$", re.DOTALL)
_DECLARE = re.compile(rf"#dbg_declare\(ptr ({NAME}), !(\d+), (?:!DIExpression\(DW_OP_LLVM_fragment, (\d+))?")
_PARAMETER_ATTRIBUTES = re.compile(
    r"\b(?:\w+\([^()]*\)|noundef|nonnull|nocapture|readonly|readnone|writeonly|noalias"
    r"|immarg|returned|signext|zeroext|align \d+)\s+"
)


@dataclass(frozen=True)
class Value:
    """A typed operand: `%name`, `@name`, an integer, `undef`, or a constant expression's text."""

    type: str
    text: str


@dataclass(frozen=True)
class Address:
    """Where an access goes: object + constant bytes + sum of index * stride."""

    object: str  # "%name" of an alloca or argument, "@name" of a global
    offset: int
    terms: tuple[tuple[Value, int], ...] = ()


@dataclass
class Instruction:
    """One instruction. `name` is "" where it has no result; `type` is the result's."""

    name: str
    opcode: str
    type: str
    operands: list[Value]
    text: str
    debug: str | None
    block: str = ""
    predicate: str = ""  # of an icmp
    labels: list[str] = field(default_factory=list)  # successors, or the incoming blocks of a phi
    cases: list[int] = field(default_factory=list)  # of a switch (labels[0] is the default); indices of an extractvalue
    element: str = ""  # type that a getelementptr or alloca counts in
    callee: str = ""
    volatile: bool = False
    address: Address | None = None  # of a load or store, once `pointers` has found it
    guard: Value | None = None  # i1: the load or store happens (None: whenever its block is executed)


@dataclass
class Function:
    """One definition: argument names, blocks in printed order (the entry first)."""

    name: str
    arguments: list[str]
    blocks: dict[str, list[Instruction]]
    declares: dict[str, str]  # alloca -> number of its DILocalVariable
    debug: str | None
    fragments: dict[str, int] = field(default_factory=dict)  # alloca -> the byte of its variable where it begins


def split(text: str) -> list[str]:
    """Split at the commas outside any bracket or string."""
    parts: list[str] = []
    current: list[str] = []
    depth, quoted = 0, False
    for char in text:
        if char == '"':
            quoted = not quoted
        elif not quoted:
            if char in "[{<(":
                depth += 1
            elif char in "]}>)":
                depth -= 1
            elif char == "," and depth == 0:
                parts.append("".join(current).strip())
                current = []
                continue
        current.append(char)
    if tail := "".join(current).strip():
        parts.append(tail)
    return parts


def enclosed(text: str) -> str:
    """What stands in the parentheses that open a text."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[1:i]
    return text[1:]


def typed(text: str) -> Value:
    """`i32 %x`, `ptr getelementptr (...)` -> Value."""
    text = _PARAMETER_ATTRIBUTES.sub("", text.strip())
    depth = 0
    for i, char in enumerate(text):
        if char in "[{<(":
            depth += 1
        elif char in "]}>)":
            depth -= 1
        elif char == " " and depth == 0:
            return Value(text[:i], text[i + 1 :].strip())
    return Value(text, "")


def _pair(text: str) -> list[Value]:
    """`i32 %a, %b` -> two values of one type."""
    first, second = split(text)
    left = typed(first)
    return [left, Value(left.type, second)]


def parse_instruction(text: str) -> Instruction:
    """One printed instruction (a switch over several lines joined to one)."""
    debug = _DEBUG.search(text)
    body = _METADATA.split(text, maxsplit=1)[0]
    assigned = _ASSIGN.match(body)
    name, body = (assigned[1], assigned[2]) if assigned else ("", body)
    opcode, rest = _WORD.match(body).groups()  # type: ignore[union-attr]  # LLVM prints one first
    result = Instruction(name, opcode, "", [], text.strip(), debug and debug[1])
    if opcode in BINARY:
        result.operands = _pair(_FLAGS.sub("", rest))
        result.type = result.operands[0].type
    elif opcode == "icmp":
        result.predicate, rest = _FLAGS.sub("", rest).split(" ", 1)
        result.operands, result.type = _pair(rest), "i1"
    elif opcode in (*CASTS, *ADDRESSES):
        source, result.type = _FLAGS.sub("", rest).rsplit(" to ", 1)
        result.operands = [typed(source)]
    elif opcode == "phi":
        result.type = re.match(r"[^\[]+", rest)[0].strip()  # type: ignore[index]  # a type is printed there
        for entry in split(rest[len(result.type) :]):
            value, label = split(entry.strip()[1:-1])
            result.operands.append(Value(result.type, value))
            result.labels.append(label[1:])
    elif opcode in ("select", "freeze"):
        result.operands = [typed(part) for part in split(rest)]
        result.type = result.operands[-1].type
    elif opcode == "extractvalue":
        pair, *indices = split(rest)
        result.operands, result.cases = [typed(pair)], [int(index) for index in indices]
        result.type = split(result.operands[0].type.strip("{} "))[result.cases[0]]
    elif opcode == "load":
        result.volatile = rest.startswith("volatile ")
        result.type, pointer = split(rest.removeprefix("volatile "))[:2]
        result.operands = [typed(pointer)]
    elif opcode == "store":
        result.volatile = rest.startswith("volatile ")
        result.operands = [typed(part) for part in split(rest.removeprefix("volatile "))[:2]]
    elif opcode == "getelementptr":
        result.element, *operands = split(_FLAGS.sub("", rest))
        result.operands, result.type = [typed(part) for part in operands], "ptr"
    elif opcode == "alloca":
        result.element, result.type = split(rest)[0], "ptr"
    elif opcode == "call":
        callee = _CALLEE.search(rest)
        if callee:
            result.callee = callee[1][1:].strip('"') if callee[1].startswith("@") else ""  # through a pointer
            result.operands = [typed(part) for part in split(callee[2])]
            type_ = _PARAMETER_ATTRIBUTES.sub("", rest[: callee.start()])
            result.type = type_[type_.index("{") :].strip() if "{" in type_ else type_.split()[-1]
    elif opcode == "br":
        values = [typed(part) for part in split(rest)]
        result.operands = [v for v in values if v.type != "label"]
        result.labels = [v.text[1:] for v in values if v.type == "label"]
    elif opcode == "switch":
        head, table = rest.split("[", 1)
        value, default = split(head)
        result.operands, result.labels = [typed(value)], [typed(default).text[1:]]
        for case, label in re.findall(rf"i\d+ (\S+), label ({NAME})", table):
            result.cases.append(int(case == "true") if case in ("true", "false") else int(case))
            result.labels.append(label[1:])
    return result


def parse_constant_gep(text: str) -> Instruction:
    """`getelementptr inbounds (T, ptr @x, i64 0, ...)`, an operand -> the instruction it stands for."""
    head, body = text.split("(", 1)
    return parse_instruction(f"{head.strip()} {body.rsplit(')', 1)[0]}")


def parse_function(module_text: str, name: str) -> Function:
    """The definition of `name` in a printed module."""
    for match in _FUNCTION.finditer(module_text):
        if match[1][1:].strip('"') == name:
            break
    else:
        raise KeyError(name)
    debug = _DEBUG.search(match[2])
    arguments = [part.split()[-1] for part in split(enclosed(match[2]))]
    blocks: dict[str, list[Instruction]] = {}
    declares: dict[str, str] = {}
    fragments: dict[str, int] = {}
    current: list[Instruction] = []
    lines = iter(match[3].split("\n"))
    for line in lines:
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        if label := _LABEL.match(line):
            current = blocks.setdefault(label[1], [])
            continue
        stripped = line.strip()
        if stripped.startswith("#dbg_"):
            if declare := _DECLARE.match(stripped):
                declares[declare[1]] = declare[2]
                fragments[declare[1]] = int(declare[3] or 0) // 8
            continue
        if stripped.startswith("switch "):
            while "]" not in stripped:
                stripped += " " + next(lines).strip()
        if not blocks:
            current = blocks.setdefault("0", [])
        current.append(parse_instruction(stripped))
    for block, instructions in blocks.items():
        for instruction in instructions:
            instruction.block = block
    return Function(name, arguments, blocks, declares, debug and debug[1], fragments)


@dataclass
class Types:
    """Sizes of LLVM types on a 64-bit little-endian host, in bytes."""

    structs: dict[str, str]
    cache: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, module_text: str) -> Types:
        return cls(dict(re.findall(rf"^({NAME}) = type (.*)$", module_text, re.MULTILINE)))

    def size(self, type_: str) -> int:
        """Bytes from one element to the next in an array of them."""
        return self.layout(type_)[0]

    def layout(self, type_: str) -> tuple[int, int]:
        """(size, alignment)."""
        if type_ not in self.cache:
            self.cache[type_] = self._layout(type_)
        return self.cache[type_]

    def fields(self, type_: str) -> list[tuple[int, str]]:
        """(offset, type) of a structure's members."""
        type_ = self.structs.get(type_, type_)
        packed = type_.startswith("<")
        offset, members = 0, []
        for member in split(type_.strip("<>").strip()[1:-1]):
            size, alignment = self.layout(member)
            if not packed:
                offset = -(-offset // alignment) * alignment
            members.append((offset, member))
            offset += size
        return members

    def displacement(self, gep: Instruction) -> tuple[int, list[tuple[Value, int]]]:
        """What a getelementptr adds to its pointer: (constant bytes, terms: index and stride)."""
        offset, terms, type_ = 0, [], gep.element
        for position, index in enumerate(gep.operands[1:]):
            if position == 0:
                stride = self.size(type_)
            elif array := self.element(type_):
                type_ = array[1]
                stride = self.size(type_)
            else:
                start, type_ = self.fields(type_)[int(index.text)]
                offset += start
                continue
            if re.fullmatch(r"-?\d+", index.text):
                offset += int(index.text) * stride
            else:
                terms.append((index, stride))
        return offset, terms

    def scalars(self, type_: str) -> list[tuple[int, str]]:
        """(offset, type) of all scalars that a type is made of."""
        if array := self.element(type_):
            size = self.size(array[1])
            return [(k * size + at, t) for k in range(array[0]) for at, t in self.scalars(array[1])]
        if members := self.members(type_):
            return [(start + at, t) for start, member in members for at, t in self.scalars(member)]
        return [(0, type_)]

    def members(self, type_: str) -> list[tuple[int, str]]:
        """`fields` of a structure, none of any other type."""
        return self.fields(type_) if type_ in self.structs or type_.startswith(("{", "<{")) else []

    def element(self, type_: str) -> tuple[int, str] | None:
        """(count, element type) of an array type; None for others."""
        match = re.fullmatch(r"\[(\d+) x (.*)\]", type_)
        return (int(match[1]), match[2]) if match else None

    def _layout(self, type_: str) -> tuple[int, int]:
        if match := re.fullmatch(r"i(\d+)", type_):
            size = -(-int(match[1]) // 8)
            alignment = min(16, 1 << (size - 1).bit_length())
            return -(-size // alignment) * alignment, alignment
        if type_ == "ptr":
            return 8, 8
        if array := self.element(type_):
            size, alignment = self.layout(array[1])
            return array[0] * size, alignment
        resolved = self.structs.get(type_, type_)
        members = self.fields(resolved)
        if not members:
            return 0, 1
        alignment = 1 if resolved.startswith("<") else max(self.layout(m)[1] for _, m in members)
        end = members[-1][0] + self.layout(members[-1][1])[0]
        return -(-end // alignment) * alignment, alignment
