"""A `Builder` that sees through wiring: fields of words cost nothing, and the graph should say so.

Shifts by constants, masks and the `or` of disjoint fields become `concat` and `extract`; taking a field out of such a
word finds the field's source. Without it, a 1152-bit word packed from 144 bytes is a chain of 144 masks and ors.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from openhls.graph.nodes import Builder, Node


@dataclass(frozen=True)
class Piece:
    """`width` bits of `source` from bit `low`."""

    source: Node
    low: int
    width: int

    def slice(self, low: int, width: int) -> Piece:
        return Piece(self.source, self.low + low, width)

    def constant(self) -> int | None:
        if self.source.op != "const":
            return None
        return self.source.attrs["value"] >> self.low & ((1 << self.width) - 1)


class WireBuilder(Builder):
    """Builder whose words are lists of pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: dict[int, list[Piece]] = {}

    def pieces(self, node: Node) -> list[Piece]:
        """A word's pieces, low bits first."""
        known = self._pieces.get(id(node))
        if known is None:
            if node.op == "concat":
                known = [p for a in reversed(node.args) for p in self.pieces(a)]
            elif node.op == "extract":
                known = [Piece(node.args[0], node.attrs["low"], node.width)]
            else:
                known = [Piece(node, 0, node.width)]
            self._pieces[id(node)] = known
        return known

    def join(self, pieces: list[Piece]) -> Node:
        """Pieces, low bits first -> a word; neighbours that belong together are joined."""
        merged: list[Piece] = []
        for piece in pieces:
            if merged and (both := self._neighbours(merged[-1], piece)):
                merged[-1] = both
            else:
                merged.append(piece)
        parts = [self._part(p) for p in merged]
        if len(parts) == 1:
            return parts[0]
        node = self.make("concat", sum(p.width for p in parts), *reversed(parts))
        self._pieces.setdefault(id(node), merged)
        return node

    def _neighbours(self, a: Piece, b: Piece) -> Piece | None:
        x, y = a.constant(), b.constant()
        if x is not None and y is not None:
            return Piece(self.const(x | y << a.width, a.width + b.width), 0, a.width + b.width)
        if a.source is b.source and a.low + a.width == b.low:
            return Piece(a.source, a.low, a.width + b.width)
        return None

    def _part(self, piece: Piece) -> Node:
        source = piece.source
        if (value := piece.constant()) is not None:
            return self.const(value, piece.width)
        if source.op == "undef":
            return self.undef(piece.width)
        if source.op == "replicate":
            bit = source.args[0]
            if bit.width == 1:
                return bit if piece.width == 1 else self.make("replicate", piece.width, bit)
        return super().extract(source, piece.low, piece.width)

    def cut(self, node: Node, low: int, width: int) -> list[Piece]:
        """The pieces of bits low .. low+width-1."""
        found, position = [], 0
        for piece in self.pieces(node):
            first, last = max(low, position), min(low + width, position + piece.width)
            if first < last:
                found.append(piece.slice(first - position, last - first))
            position += piece.width
        return found

    # Builder's operations, seen through
    def extract(self, x: Node, low: int, width: int) -> Node:
        return x if width == x.width else self.join(self.cut(x, low, width))

    def zext(self, x: Node, width: int) -> Node:
        return x if width == x.width else self.join([*self.pieces(x), *self.pieces(self.const(0, width - x.width))])

    def mux(self, condition: Node, true: Node, false: Node) -> Node:
        if true.width == 1 and true.op == "const" and false.op == "const" and true is not false:
            return condition if true.attrs["value"] else self.not_(condition)
        return super().mux(condition, true, false)

    def not_(self, a: Node) -> Node:
        if a.op == "xor" and a.args[1].op == "const" and a.args[1].attrs["value"] == (1 << a.width) - 1:
            return a.args[0]
        return super().not_(a)

    def compare(self, predicate: str, x: Node, y: Node) -> Node:
        """x `predicate` y; the sign of a word is its top bit, however wide the word."""
        if y.op == "const":
            value, top = y.attrs["value"], x.width - 1
            if predicate == "slt" and value == 0:
                return self.extract(x, top, 1)
            if predicate == "sgt" and value == (1 << x.width) - 1:
                return self.not_(self.extract(x, top, 1))
        return self.make("icmp", 1, x, y, pred=predicate)

    def shift(self, op: str, x: Node, amount: Node) -> Node:
        """shl, shru or shrs; by a constant it is wiring."""
        if amount.op != "const":
            return self.make(op, x.width, x, amount)
        n, width = amount.attrs["value"], x.width
        if n == 0:
            return x
        if n >= width:
            return self.undef(width)
        if op == "shl":
            return self.join([*self.pieces(self.const(0, n)), *self.cut(x, 0, width - n)])
        kept = self.join(self.cut(x, n, width - n))
        return self.zext(kept, width) if op == "shru" else self.sext(kept, width)

    def logic(self, op: str, a: Node, b: Node) -> Node:
        """and, or, xor, or an addition of disjoint fields (`or`); plain wiring where constants decide every bit."""
        joined, pieces = self._aligned(a, b), []
        for x, y in joined:
            piece = self._decide(op, x, y)
            if piece is None:
                break
            pieces.append(piece)
        else:
            return self.join(pieces)
        if a.width == 1 and op in ("and", "or"):
            return self.and_(a, b) if op == "and" else self.or_(a, b)
        if op == "xor" and b.op == "const" and b.attrs["value"] == (1 << b.width) - 1:
            return self.not_(a)
        return self.make(op, a.width, a, b)

    def _aligned(self, a: Node, b: Node) -> list[tuple[Piece, Piece]]:
        """Both words cut at the union of their boundaries, and constants where they change between 0s and 1s."""
        bounds = {a.width}
        for node in (a, b):
            position = 0
            for piece in self.pieces(node):
                bounds.add(position)
                if (value := piece.constant()) is not None:
                    changes = (value ^ value << 1) & ((1 << piece.width) - 1) & ~1
                    while changes:
                        low = changes & -changes
                        bounds.add(position + low.bit_length() - 1)
                        changes ^= low
                position += piece.width
        edges = sorted(bounds)
        aligned = []
        streams = [self._cut_at(node, edges) for node in (a, b)]
        for x, y in zip(*streams, strict=True):
            aligned.append((x, y))
        return aligned

    def _cut_at(self, node: Node, edges: list[int]) -> list[Piece]:
        found, position, rest = [], 0, iter(self.pieces(node))
        piece = next(rest)
        for low, high in itertools.pairwise(edges):
            while low >= position + piece.width:
                position += piece.width
                piece = next(rest)
            found.append(piece.slice(low - position, high - low))
        return found

    def _decide(self, op: str, x: Piece, y: Piece) -> Piece | None:
        """The piece that `x op y` is, if one of them is all zeros or all ones (and the operation leaves the other)."""
        for known, other in ((x, y), (y, x)):
            value = known.constant()
            if value is None:
                continue
            if value == 0:
                return known if op == "and" else other
            if op == "and":
                return other
            if op == "or":
                return known
            if (constant := other.constant()) is not None:  # xor
                return Piece(self.const(~constant, other.width), 0, other.width)
        return None
