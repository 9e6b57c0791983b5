"""Duplicate registers become one, and only those."""

import pytest

from openhls.graph.nodes import Builder, Node, Process
from openhls.middle.merge import merge_registers
from openhls.middle.mlir import Session


def process(first_init: int | None, second_init: int | None, same: bool) -> Process:
    """Two registers that keep a stream's last word (the second its complement unless `same`), their sum written."""
    b = Builder()
    always = b.const(1, 1)
    word = Node("read", 8, [always], stream="x")
    first = Node("reg", 8, [word], name="first", init=first_init)
    second = Node("reg", 8, [word if same else b.not_(word)], name="second", init=second_init)
    write = Node("write", 0, [b.make("add", 8, first, second), always], stream="y")
    return Process("p", None, [word, write], [first, second])


@pytest.mark.parametrize(
    "first, second, same, left",
    [
        (None, None, True, [None]),
        (5, 5, True, [5]),
        (None, 5, True, [5]),  # one that may start with anything may start with the other's value
        (5, None, True, [5]),
        (4, 5, True, [4, 5]),  # they differ until the first iteration has ended
        (None, None, False, [None, None]),
    ],
)
def test_registers_merge_when_they_always_hold_the_same(first, second, same, left):
    with Session() as session:
        merged = merge_registers(process(first, second, same), session)
    assert sorted((r.attrs["init"] for r in merged.regs), key=str) == left


def test_merging_makes_more_registers_equal():
    """Registers behind duplicates are duplicates too."""
    b = Builder()
    always = b.const(1, 1)
    word = Node("read", 8, [always], stream="x")
    chains = []
    for k in range(2):
        near = Node("reg", 8, [word], name=f"near{k}", init=0)
        chains.append((near, Node("reg", 8, [near], name=f"far{k}", init=0)))
    total = b.make("xor", 8, b.make("shl", 8, chains[0][1], b.const(1, 8)), chains[1][1])
    write = Node("write", 0, [total, always], stream="y")
    with Session() as session:
        merged = merge_registers(Process("p", None, [word, write], [r for c in chains for r in c]), session)
    assert len(merged.regs) == 2
