"""Issue conditions ahead of time and truth tables: the same words, iteration by iteration, from a simpler graph."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openhls.backend import schedule as scheduling
from openhls.backend.targets import load_target
from openhls.common.clock import Clock
from openhls.driver.build import build_graph
from openhls.driver.watch import Watch
from openhls.graph import interpret
from openhls.graph.nodes import Builder, Design, Node, Process, Stream
from openhls.middle import mlir
from openhls.middle.control import Control, analyse
from openhls.middle.lookahead import look_ahead
from openhls.middle.tables import TABLE_BITS, tabulate


def nest(inner: int, outer: int, first: int, last: int, bits: int = 5) -> Process:
    """for y < outer, for x < inner: read where first <= x < last, write x, y and the word where x > y."""
    b = Builder()
    x, y = (Node("reg", bits, name=name, init=0) for name in "xy")
    zero, one = b.const(0, bits), b.const(1, bits)
    ends = b.make("icmp", 1, b.make("add", bits, x, one), b.const(inner, bits), pred="uge")
    rows = b.make("icmp", 1, b.make("add", bits, y, one), b.const(outer, bits), pred="uge")
    x.args = [b.mux(ends, zero, b.make("add", bits, x, one))]
    y.args = [b.mux(ends, b.mux(rows, zero, b.make("add", bits, y, one)), y)]
    shifted = b.make("sub", bits, x, b.const(first, bits))
    wanted = b.make("icmp", 1, shifted, b.const(last - first, bits), pred="ult")
    word = Node("read", 8, [wanted], stream="i")
    shown = b.make("concat", 8 + 2 * bits, x, y, b.mux(wanted, word, b.const(0, 8)))
    write = Node("write", 0, [shown, b.make("icmp", 1, x, y, pred="ugt")], stream="o")
    return Process("nest", None, [word, write], [x, y], run_ends=b.and_(ends, rows))


def outputs(process: Process) -> list[int]:
    streams = {
        "i": Stream("i", 8, [("data", 8)], consumer="nest"),
        "o": Stream("o", 18, [("data", 18)], producer="nest"),
    }
    words = [k * 37 % 256 for k in range(2000)]
    return interpret.run(Design("top", [process], streams), {"i": words}, runs=2)["o"]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_the_words_stay_the_same(data):
    inner, outer = data.draw(st.integers(1, 17)), data.draw(st.integers(1, 9))
    first = data.draw(st.integers(0, inner - 1))
    process = nest(inner, outer, first, data.draw(st.integers(first + 1, inner)))
    before = outputs(copy.deepcopy(process))
    with mlir.Session() as session:
        process = mlir.canonicalise(process, session)
        if look_ahead(process):
            process = mlir.canonicalise(process, session)
        tabulate(process)
    assert outputs(process) == before
    read = next(e for e in process.effects if e.op == "read")
    assert read.args[0].op in ("reg", "const")


def test_small_conditions_are_tables_of_registers():
    with mlir.Session() as session:
        process = mlir.canonicalise(nest(10, 3, 1, 9, bits=4), session)
    tabulate(process)
    read = next(e for e in process.effects if e.op == "read")
    assert read.args[0].op == "table" and len(read.args[0].args) == 4
    assert all(a.op == "reg" or a.args[0].op == "reg" for a in read.args[0].args)
    assert [read.args[0].attrs["value"] >> k & 1 for k in range(10)] == [0] + 8 * [1] + [0]


def test_large_conditions_are_left_alone():
    with mlir.Session() as session:
        process = mlir.canonicalise(nest(10, 3, 1, 9, bits=TABLE_BITS + 1), session)
    tabulate(process)
    assert next(e for e in process.effects if e.op == "read").args[0].op == "icmp"


def test_a_register_without_an_initial_value_is_not_looked_ahead_from():
    process = nest(10, 3, 1, 9)
    process.regs[0].attrs["init"] = None
    assert not look_ahead(process)


@pytest.mark.parametrize("name, clock_ns", [("ecp5", 6.4), ("xcup", 2.5)])
def test_a_condition_from_a_register_issues_in_one_stage(name, clock_ns):
    """The plain graph needs a second issue stage at this clock, or time that the other one has left."""
    device = load_target(name)
    with mlir.Session() as session:
        plain = mlir.canonicalise(nest(17, 9, 1, 9), session)
        facts = analyse(plain)
        read = next(e for e in plain.effects if e.op == "read")
        plan = scheduling.schedule(plain, facts, device, clock_ns)
        late = plan.ready[read.args[0]]
    built = build_graph(nest(17, 9, 1, 9), {"i": None, "o": None}, "top", device, clock_ns, Clock(), Watch())
    assert built.entry.issue_stages == 1
    assert late > (0, 0.0)


def test_too_fast_a_clock_is_still_told_in_lines_of_the_plain_graph():
    with mlir.Session() as session:
        plain = mlir.canonicalise(nest(17, 9, 1, 9), session)
    with pytest.raises(scheduling.HlsError, match="the recurrence through"):
        scheduling.schedule(plain, Control(), load_target("ecp5"), 2.0)
    with pytest.raises(scheduling.HlsError, match="the recurrence through"):
        build_graph(nest(17, 9, 1, 9), {"i": None, "o": None}, "top", load_target("ecp5"), 2.0, Clock(), Watch())
