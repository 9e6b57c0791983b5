"""Random C++ kernels in the subset that openhls compiles, as trees that JSON holds: drawn, printed, made simpler.

A kernel is a mapping:

    inputs, outputs   [name, width, signed] of each stream, 64 bits at most
    state             [name, width, signed, first value] of static words
    words             the same of local words
    structs           [name, [field, width, signed]...] of local structures
    arrays            [name, width, signed, 2 ** n words, how: "", "static" or "complete"]
    tables            [name, width, signed, contents] of ROMs
    helpers           [name, width and sign of its result, [parameter, width, signed]..., expression, template argument]
    body              statements

Statements and expressions are lists, the first element names the kind (`_print` has them all). Indices are in bounds
and divisors not 0 by construction, so that every kernel has one meaning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

Node = list[Any]
T = TypeVar("T")
Kernel = dict[str, Any]

ARITHMETIC = ("+", "-", "*", "&", "|", "^")
COMPARE = ("<", "<=", ">", ">=", "==", "!=")

# Where the expressions ("e"), lists of expressions ("*") and bodies ("b") of a node are.
CHILDREN: dict[str, tuple[tuple[int, str], ...]] = {
    "lit": (),
    "num": (),
    "var": (),
    "range": (),
    "field": (),
    "reduce": (),
    "step": (),
    "read": (),
    "cat": (),
    "bit": ((2, "i"),),
    "slice": ((4, "e"),),
    "unary": ((2, "e"),),
    "bin": ((2, "e"), (3, "e")),
    "cmp": ((2, "e"), (3, "e")),
    "shift": ((2, "e"), (3, "e")),
    "div": ((2, "e"), (5, "e")),
    "divide": ((2, "e"),),
    "mux": ((1, "e"), (4, "e"), (5, "e")),
    "cast": ((3, "e"),),
    "load": ((2, "i"),),
    "rom": ((2, "i"),),
    "call": ((2, "*"),),
    "set": ((2, "e"),),
    "op": ((3, "e"),),
    "setbit": ((2, "i"), (3, "e")),
    "setrange": ((4, "e"),),
    "setcat": ((2, "e"),),
    "setfield": ((3, "e"),),
    "store": ((2, "i"), (3, "e")),
    "write": ((2, "e"),),
    "if": ((1, "e"), (2, "b"), (3, "b")),
    "loop": ((4, "b"),),
}


def type_of(width: int, signed: bool) -> str:
    return f"ap_{'' if signed else 'u'}int<{width}>"


# -- text --------------------------------------------------------------------------------------------------------------


def _index(index: Node | int) -> str:
    """A constant, or [bits, expression]."""
    return str(index) if isinstance(index, int) else f"(int)ap_uint<{index[0]}>({expression(index[1])})"


def expression(e: Node) -> str:
    """C++ of an expression."""
    match e:
        case ["lit", width, signed, value]:
            return f"{type_of(width, signed)}({value}{'ull' if value >= 1 << 31 else 'll'})"
        case ["num", text]:
            return text if text[0] != "-" else f"({text})"
        case ["var", name]:
            return str(name)
        case ["field", name, field]:
            return f"{name}.{field}"
        case ["bit", name, index]:
            return f"{name}[{_index(index)}]"
        case ["range", name, high, low]:
            return f"{name}({high}, {low})"
        case ["slice", name, size, bits, index]:
            place = f"{size} * (int)ap_uint<{bits}>({expression(index)})"
            return f"{name}.range({place} + {size - 1}, {place})"
        case ["unary", op, x]:
            return f"({op}{expression(x)})"
        case ["bin" | "cmp" | "shift", op, x, y]:
            return f"({expression(x)} {op} {expression(y)})"
        case ["div", op, x, width, signed, y]:
            return f"({expression(x)} {op} {type_of(width, signed)}({type_of(width, signed)}({expression(y)}) | 1))"
        case ["divide", op, x, number]:
            return f"({expression(x)} {op} {number})"
        case ["mux", condition, width, signed, x, y]:
            kind = type_of(width, signed)
            return f"({expression(condition)} ? {kind}({expression(x)}) : {kind}({expression(y)}))"
        case ["cast", width, signed, x]:
            return f"{type_of(width, signed)}({expression(x)})"
        case ["cat", parts]:
            return f"({', '.join(map(expression, parts))})"
        case ["reduce", name, method]:
            return f"{name}.{method}()"
        case ["load" | "rom", name, index]:
            return f"{name}[{_index(index)}]"
        case ["call", name, arguments]:
            return f"{name}({', '.join(map(expression, arguments))})"
    raise AssertionError(e)


def _statement(s: Node, indent: str) -> list[str]:
    deeper = indent + "  "
    match s:
        case ["set", name, x]:
            return [f"{indent}{name} = {expression(x)};"]
        case ["op", name, op, x]:
            return [f"{indent}{name} {op}= {expression(x)};"]
        case ["setbit", name, index, x]:
            return [f"{indent}{name}[{_index(index)}] = {expression(x)};"]
        case ["setrange", name, high, low, x]:
            return [f"{indent}{name}({high}, {low}) = {expression(x)};"]
        case ["setcat", names, x]:
            return [f"{indent}({', '.join(names)}) = {expression(x)};"]
        case ["setfield", name, field, x]:
            return [f"{indent}{name}.{field} = {expression(x)};"]
        case ["store", name, index, x]:
            return [f"{indent}{name}[{_index(index)}] = {expression(x)};"]
        case ["step", name, op]:
            return [f"{indent}{op}{name};"]
        case ["read", name, stream]:
            return [f"{indent}{name} = {stream}.read();"]
        case ["write", stream, x]:
            return [f"{indent}{stream}.write({expression(x)});"]
        case ["if", condition, then, other]:
            lines = [f"{indent}if ({expression(condition)}) {{", *_body(then, deeper), f"{indent}}}"]
            if other:
                lines[-1] += " else {"
                lines += [*_body(other, deeper), f"{indent}}}"]
            return lines
        case ["loop", variable, count, pragma, body]:
            return [
                f"{indent}for (int {variable} = 0; {variable} < {count}; ++{variable}) {{",
                *([f"#pragma HLS {pragma}"] if pragma else []),
                *_body(body, deeper),
                f"{indent}}}",
            ]
    raise AssertionError(s)


def _body(statements: list[Node], indent: str) -> list[str]:
    return [line for s in statements for line in _statement(s, indent)]


def text(kernel: Kernel) -> str:
    """The C++ of a kernel; its function is `top`."""
    lines = ['#include "ap_int.h"', '#include "hls_stream.h"']
    for name, *fields in kernel["structs"]:
        members = " ".join(f"{type_of(w, s)} {field};" for field, w, s in fields)
        lines.append(f"struct {name}_type {{ {members} }};")
    for name, width, signed, contents in kernel["tables"]:
        lines.append(
            f"static const {type_of(width, signed)} {name}[{len(contents)}] = {{{', '.join(map(str, contents))}}};"
        )
    for name, width, signed, parameters, body, argument in kernel["helpers"]:
        given = ", ".join(f"{type_of(w, s)} {p}" for p, w, s in parameters)
        template = "template <int K> " if argument is not None else "static "
        lines.append(f"{template}{type_of(width, signed)} {name}_of({given}) {{ return {expression(body)}; }}")
        call = f"{name}_of<{argument}>" if argument is not None else f"{name}_of"
        lines.append(f"#define {name} {call}")
    streams = ", ".join(f"hls::stream<{type_of(w, s)}>& {n}" for n, w, s in kernel["inputs"] + kernel["outputs"])
    lines.append(f"void top({streams}) {{")
    for name, width, signed, first in kernel["state"]:
        lines.append(f"  static {type_of(width, signed)} {name} = {first};")
    for name, width, signed, first in kernel["words"]:
        lines.append(f"  {type_of(width, signed)} {name} = {first};")
    for name, *_ in kernel["structs"]:
        lines.append(f"  {name}_type {name} = {name}_type();")
    for name, width, signed, size, how in kernel["arrays"]:
        lines.append(f"  {'static ' if how == 'static' else ''}{type_of(width, signed)} {name}[{size}];")
        if how == "complete":
            lines.append(f"#pragma HLS ARRAY_PARTITION variable={name} complete")
    return "\n".join([*lines, *_body(kernel["body"], "  "), "}", ""])


# -- the trees ---------------------------------------------------------------------------------------------------------


def nodes(tree: Any) -> Iterator[Node]:
    """Every expression and statement in a tree, the outer ones first."""
    if isinstance(tree, list):
        if tree and isinstance(tree[0], str) and tree[0] in CHILDREN:
            yield tree
        for part in tree:
            yield from nodes(part)


def is_number(e: Node) -> bool:
    """Whether C++ sees a built-in number, on which its own operators work."""
    match e:
        case ["num" | "cmp" | "reduce" | "bit", *_]:
            return True
        case ["unary", op, x]:  # a range becomes a number of 64 bits
            return op == "!" or x[0] in ("range", "slice") or is_number(x)
        case ["bin" | "shift", _, x, y]:
            return is_number(x) and is_number(y)
        case ["divide", _, x, _]:
            return is_number(x)
    return False


def has_meaning(kernel: Kernel) -> bool:
    """Whether nothing in it is undefined in C++: products of built-in numbers and their shifts are small here."""
    for node in nodes(kernel["body"] + [h[4] for h in kernel["helpers"]]):
        match node:
            case ["bin", "*", x, y] if is_number(x) and is_number(y):
                return False
            case ["shift", _, x, amount] if is_number(x) and amount[0] != "num":
                return False
            case ["cmp", _, x, y] if all(z[0] in ("bit", "range", "slice") for z in (x, y)):
                return False
    return True


def _smaller(tree: Any) -> Iterator[Any]:
    """A tree with one thing taken away or made simpler, the greatest steps first."""
    if not isinstance(tree, list):
        return
    kind = tree[0] if tree and isinstance(tree[0], str) else None
    if kind not in CHILDREN:  # a body or arguments
        for k, part in enumerate(tree):
            if isinstance(part, list):
                for simpler in _smaller(part):
                    yield [*tree[:k], simpler, *tree[k + 1 :]]
        return
    for place, sort in CHILDREN[kind]:
        child = tree[place]
        if sort == "e":
            if kind not in ("set", "op", "setbit", "setrange", "setcat", "setfield", "store", "write", "if"):
                yield child
            if child[0] not in ("num", "var"):
                yield [*tree[:place], ["num", "1"], *tree[place + 1 :]]
            changed = _smaller(child)
        elif sort == "b":
            changed = _smaller_body(child)
        elif sort == "i":
            if isinstance(child, int):
                continue
            yield [*tree[:place], 0, *tree[place + 1 :]]
            changed = ([child[0], x] for x in _smaller(child[1]))
        else:
            changed = _smaller(child)
        for simpler in changed:
            yield [*tree[:place], simpler, *tree[place + 1 :]]
    if kind == "loop":
        if tree[2] > 2:
            yield [*tree[:2], 2, *tree[3:]]
        if tree[3]:
            yield [*tree[:3], "", tree[4]]


def _smaller_body(body: list[Node]) -> Iterator[list[Node]]:
    for k, s in enumerate(body):
        yield body[:k] + body[k + 1 :]
        if s[0] == "if":
            yield body[:k] + s[2] + body[k + 1 :]
    for k, s in enumerate(body):
        for simpler in _smaller(s):
            yield [*body[:k], simpler, *body[k + 1 :]]


def smaller(kernel: Kernel) -> Iterator[Kernel]:
    """Simpler kernels of one meaning, the greatest steps first."""
    used = str(kernel["body"]) + str([h[4] for h in kernel["helpers"]])
    for part in ("helpers", "structs", "arrays", "tables", "state", "words"):
        for k, entry in enumerate(kernel[part]):
            if f"'{entry[0]}'" not in used:
                yield {**copy.deepcopy(kernel), part: kernel[part][:k] + kernel[part][k + 1 :]}
    for body in _smaller_body(kernel["body"][1:]):  # the first statement reads: a run begins when a word comes
        simpler = {**copy.deepcopy(kernel), "body": kernel["body"][:1] + body}
        for part in ("inputs", "outputs"):
            simpler[part] = [s for s in kernel[part] if f"'{s[0]}'" in str(simpler["body"])]
        if simpler["outputs"] and has_meaning(simpler):
            yield simpler


# -- drawing -----------------------------------------------------------------------------------------------------------


class Draw:
    """One random kernel; all that is random comes from `rng`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.kernel: Kernel = {
            "inputs": [[f"x{k}", self.width(64), self.coin()] for k in range(1 + self.coin(0.4))],
            "outputs": [[f"y{k}", self.width(64), self.coin()] for k in range(1 + self.coin(0.4))],
            "words": [],
            "state": [],
            "structs": [],
            "arrays": [],
            "tables": [],
            "helpers": [],
            "body": [],
        }
        for part, prefix, most in (("words", "v", 5), ("state", "s", 2)):
            for k in range(self.below(most) + (part == "words") * 2):
                width, signed = self.width(72), self.coin()
                self.kernel[part].append([f"{prefix}{k}", width, signed, self.value(min(width, 40), signed)])
        if self.coin(0.4):
            fields = [[f"f{k}", self.width(20), self.coin()] for k in range(2)]
            self.kernel["structs"].append(["p", *fields])
        for k in range(self.below(3)):
            how = self.pick(("", "static", "complete"))
            self.kernel["arrays"].append([f"a{k}", self.width(24), self.coin(), 2 ** self.between(1, 4), how])
        if self.coin(0.4):
            width, signed = self.width(18), self.coin()
            contents = [self.value(width, signed) for _ in range(2 ** self.between(1, 5))]
            self.kernel["tables"].append(["t", width, signed, contents])
        self.busy: set[str] = set()  # streams and arrays used in this iteration
        if self.coin(0.5):
            self.helper()
        self.kernel["body"] = self.body()
        self.kernel["inputs"] = [s for s in self.kernel["inputs"] if f"'{s[0]}'" in str(self.kernel["body"])]

    # -- numbers

    def below(self, n: int) -> int:
        return int(self.rng.integers(n))

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def coin(self, chance: float = 0.5) -> bool:
        return bool(self.rng.random() < chance)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def width(self, most: int) -> int:
        """Small widths and those beside the borders of C's types more often."""
        borders = [w for w in (1, 2, 31, 32, 33, 63, 64, 65) if w <= most]
        return self.pick(borders) if self.coin(0.2) else self.between(2, min(most, 24))

    def value(self, width: int, signed: bool) -> int:
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        return self.pick((low, high, 0, int(self.rng.integers(low, high, endpoint=True))))

    # -- expressions

    def word(self) -> Node:
        """A word that can be read and written: [name, width, signed, ...]."""
        words: list[Node] = self.kernel["words"] + self.kernel["state"]
        return self.pick(words)

    def index(self, size: int) -> Node | int:
        """An index below `size`."""
        bits = size.bit_length() - 1
        if bits == 0 or self.coin(0.4):
            return self.below(size)
        return [bits, self.expression(1)]

    def place(self) -> Node:
        """A part of a word: what concatenations are made of."""
        name, width, *_ = self.word()
        kind = self.below(4)
        if kind == 0:
            return ["bit", name, self.below(width)]
        if kind == 1:
            return ["var", name]
        return ["range", name, self.below(width), self.below(width)]

    def leaf(self) -> Node:
        kind = self.below(10)
        if kind < 5:
            return ["var", self.word()[0]]
        if kind == 5:
            return ["num", str(self.pick((1, 2, 3, 5, 7, 10, 100, -1, -3, 255, "3u", "9ll")))]
        if kind == 6 and self.kernel["structs"]:
            name, *fields = self.kernel["structs"][0]
            return ["field", name, self.pick(fields)[0]]
        if kind == 7:
            name, width, *_ = self.word()
            return ["bit", name, self.below(width)]
        if kind == 8:
            name, width, *_ = self.word()
            return ["range", name, self.below(width), self.below(width)]
        width, signed = self.width(33), self.coin()
        return ["lit", width, signed, self.value(width, signed)]

    def expression(self, depth: int) -> Node:
        if depth == 0:
            return self.leaf()
        kind = self.below(22)
        if kind < 8:
            op, x, y = self.pick(ARITHMETIC), self.expression(depth - 1), self.expression(depth - 1)
            if op == "*" and is_number(x) and is_number(y):
                x = ["var", self.word()[0]]
            if op == "*":  # products of products grow
                return ["cast", self.width(40), self.coin(), ["bin", op, self.short(x), self.short(y)]]
            return ["bin", op, x, y]
        if kind == 8:
            return ["unary", self.pick(("-", "~", "!", "+")), self.expression(depth - 1)]
        if kind == 9:
            x, y = self.expression(depth - 1), self.expression(depth - 1)
            if all(z[0] in ("bit", "range", "slice") for z in (x, y)):  # ambiguous to AMD's header
                x = ["cast", self.width(20), self.coin(), x]
            return ["cmp", self.pick(COMPARE), x, y]
        if kind in (10, 11):
            x = self.expression(depth - 1)
            amount: Node = ["num", str(self.below(6))]
            if not is_number(x) and self.coin(0.5):
                amount = ["cast", self.between(1, 5), self.coin(0.4), self.expression(depth - 1)]
            return ["shift", self.pick(("<<", ">>")), x, amount]
        if kind == 12:
            number = self.pick((2, 3, 5, 7, 10, -3, 16, 255))
            x = self.expression(depth - 1)
            return ["divide", self.pick(("/", "%")), ["cast", self.between(2, 12), self.coin(), x], number]
        if kind == 13:
            x, y = self.expression(depth - 1), self.expression(depth - 1)
            return [
                "div",
                self.pick(("/", "%")),
                ["cast", self.between(1, 8), self.coin(), x],
                self.between(2, 8),
                self.coin(),
                y,
            ]
        if kind in (14, 15):
            width, signed = self.width(40), self.coin()
            return [
                "mux",
                self.expression(depth - 1),
                width,
                signed,
                self.expression(depth - 1),
                self.expression(depth - 1),
            ]
        if kind == 16:
            return ["cast", self.width(66), self.coin(), ["cat", [self.place() for _ in range(self.between(2, 3))]]]
        if kind == 17 and self.kernel["tables"]:
            name, _, _, contents = self.kernel["tables"][0]
            return ["rom", name, self.index(len(contents))]
        if kind == 18 and self.kernel["helpers"]:
            name, _, _, parameters, *_ = self.kernel["helpers"][0]
            return ["call", name, [self.expression(depth - 1) for _ in parameters]]
        if kind == 19:
            name, width, *_ = self.word()
            if width >= 2:
                bits = self.between(1, width.bit_length() - 1)
                size = self.between(1, width >> bits)
                if self.coin():
                    return ["bit", name, [bits, self.expression(depth - 1)]]
                return ["slice", name, size, bits, self.expression(depth - 1)]
        if kind == 20:
            name, width, signed, *_ = self.word()
            methods = ["or_reduce", "and_reduce", "nor_reduce"] + ["xor_reduce"] * (not signed or width % 2 == 0)
            return ["reduce", name, self.pick(methods)]
        return ["cast", self.width(48), self.coin(), self.expression(depth - 1)]

    def short(self, x: Node) -> Node:
        return x if is_number(x) else ["cast", self.width(20), self.coin(), x]

    def helper(self) -> None:
        """A function of its parameters alone, a template at times."""
        parameters = [[f"q{k}", self.width(24), self.coin()] for k in range(self.between(1, 2))]
        argument = self.between(-9, 9) if self.coin(0.4) else None
        outer, self.kernel = (
            self.kernel,
            {
                **self.kernel,
                "words": [[*p, 0] for p in parameters],
                "state": [],
                "structs": [],
                "tables": [],
                "helpers": [],
            },
        )
        body = self.expression(2)
        self.kernel = outer
        if argument is not None:
            body = ["bin", "+", ["cast", 24, True, body], ["num", "K"]]
        self.kernel["helpers"].append(["g", self.width(40), self.coin(), parameters, body, argument])

    # -- statements

    def statement(self, depth: int, loop: str | None) -> list[Node]:
        """One or two statements of an iteration; streams and memories are used once in each."""
        kind = self.below(20)
        name, width, *_ = self.word()
        if kind < 5:
            return [["set", name, self.expression(3)]]
        if kind < 8:
            op = self.pick((*ARITHMETIC, "<<", ">>"))
            x = ["cast", self.between(1, 5), self.coin(0.3), self.expression(1)] if op in ("<<", ">>") else None
            return [["op", name, op, x or self.short(self.expression(2))]]
        if kind == 8:
            return [["setbit", name, self.index(1 << (width.bit_length() - 1)), self.expression(2)]]
        if kind == 9:
            return [["setrange", name, self.below(width), self.below(width), self.expression(2)]]
        if kind == 10:
            names = {self.word()[0] for _ in range(2)}
            return [["setcat", sorted(names), self.expression(2)]] if len(names) == 2 else []
        if kind == 11 and self.kernel["structs"]:
            struct, *fields = self.kernel["structs"][0]
            return [["setfield", struct, self.pick(fields)[0], self.expression(2)]]
        if kind == 12:
            return [["step", name, self.pick(("++", "--"))]]
        if kind in (13, 14):
            free = [s[0] for s in self.kernel["inputs"] if s[0] not in self.busy]
            if free:
                self.busy.add(stream := self.pick(free))
                return [["read", name, stream]]
        if kind in (15, 16):
            free = [s[0] for s in self.kernel["outputs"] if s[0] not in self.busy]
            if free:
                self.busy.add(stream := self.pick(free))
                return [["write", stream, self.expression(2)]]
        if kind == 17 and loop:
            return self.memory(name, loop)
        if kind >= 18 and depth:
            then = self.several(depth - 1, loop, 2)
            return [["if", self.expression(2), then, self.several(depth - 1, loop, 2) if self.coin(0.4) else []]]
        return [["set", name, self.expression(2)]]

    def memory(self, name: str, loop: str) -> list[Node]:
        """A load and, of an array of registers or at the loop's own index, a store."""
        free = [a for a in self.kernel["arrays"] if a[0] not in self.busy]
        if not free:
            return []
        array, _, _, size, how = self.pick(free)
        self.busy.add(array)
        bits = size.bit_length() - 1
        index: Node | int = [bits, ["var", loop]] if how != "complete" else self.below(size)
        load = ["set", name, ["load", array, self.index(size) if how != "complete" else self.below(size)]]
        store = ["store", array, index, self.expression(2)]
        return self.pick(([load, store], [store], [load]))

    def several(self, depth: int, loop: str | None, most: int) -> list[Node]:
        return [s for _ in range(self.between(1, most)) for s in self.statement(depth, loop)]

    def body(self) -> list[Node]:
        """A read, arrays filled, and some loops: each iteration uses each stream once."""
        body: list[Node] = [["read", self.word()[0], "x0"]]
        for array, width, signed, size, how in self.kernel["arrays"]:
            if how != "static":
                bits = size.bit_length() - 1
                fill = ["store", array, [bits, ["var", "i"]], ["lit", width, signed, self.value(width, signed)]]
                body.append(["loop", "i", size, "UNROLL" if how == "complete" else "PIPELINE II=1", [fill]])
        for k in range(self.between(1, 2)):
            self.busy = {"x0"} if k == 0 else set()  # the read in front is in the first iteration
            variable = f"i{k}"
            inside = self.several(1, variable, 5)
            if self.coin(0.3):
                self.busy = {s[0] for s in self.kernel["inputs"] + self.kernel["outputs"] + self.kernel["arrays"]}
                inside.append(["loop", "j", self.between(2, 3), "UNROLL", self.several(1, None, 2)])
                self.busy = set()
            written = {n[1] for n in nodes(inside) if n[0] == "write"}
            missing = [s[0] for s in self.kernel["outputs"] if s[0] not in written and (k == 0 or self.coin())]
            inside += [["write", stream, ["var", self.word()[0]]] for stream in missing]
            pragma = self.pick(("PIPELINE II=1", "PIPELINE II=1", ""))
            body.append(["loop", variable, self.between(2, 9), pragma, inside])
        return body
