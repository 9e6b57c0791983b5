"""The verifier: good graphs pass, and each way of breaking one is found, with the pass and the node."""

from __future__ import annotations

import copy
import dataclasses
import random
import re
from collections.abc import Callable

import pytest

from openhls import HlsError
from openhls.backend.targets import load_target
from openhls.common.clock import Clock
from openhls.common.errors import InternalError, Location
from openhls.driver.build import build_graph
from openhls.driver.watch import PASSES, Watch
from openhls.graph.nodes import Builder, Design, Memory, Node, Process
from openhls.graph.verify import verify, verify_design, verify_streams
from openhls.middle import mlir
from openhls.middle import narrow as narrowing
from openhls.tests.designs import ONE, chain, histogram, lookup, picker, processing_element, read

DESIGNS = [processing_element(2, 4, steps=5), histogram(), picker(), lookup(8, 40), chain(4)]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.processes[0].name)
def test_good_graphs_pass(design):
    verify_design(design, "import")


def every_operation() -> Process:
    """A process with each operation that there is."""
    b, process = Builder(), Process("every", Location("every.cpp", 1))
    b.loc = Location("every.cpp", 2)
    x = Node("read", 8, [ONE], b.loc, stream="x")
    state = Node("reg", 8, [], b.loc, name="state", init=3)
    sums = [b.make(op, 8, x, state) for op in ("add", "sub", "mul", "and", "or", "xor", "shl", "shru", "shrs")]
    sums += [b.make(op, 8, x, state) for op in ("divu", "divs", "modu", "mods")]
    less = b.make("icmp", 1, x, state, pred="slt")
    chosen = b.make("mux", 8, less, x, b.make("undef", 8))
    low, bit = b.make("extract", 4, chosen, low=2), b.make("extract", 1, x, low=7)
    words = [b.make("concat", 8, low, low), b.make("replicate", 8, low)]
    table = b.make("table", 1, bit, less, value=6)
    odd = b.make("parity", 1, x)
    process.memories = {"ram": Memory("ram", 8, 16, [5] * 16), "rom": Memory("rom", 8, 4, [1, 2, 3, 4])}
    old = Node("load", 8, [low, less], b.loc, memory="ram")
    looked = Node("load", 8, [low, ONE], b.loc, memory="rom")
    total = b.const(0, 8)
    for value in (*sums, *words, old, looked):
        total = b.make("add", 8, total, value)
    state.args = [total]
    store = Node("store", 0, [low, total, odd], b.loc, memory="ram")
    process.effects = [x, old, looked, store, Node("write", 0, [total, table], b.loc, stream="y")]
    process.regs, process.run_ends = [state], less
    return process


def find(process: Process, op: str) -> Node:
    return next(node for node in process.topological() if node.op == op)


def effect(process: Process, op: str) -> Node:
    return next(node for node in process.effects if node.op == op)


def take_a_write(process: Process) -> None:
    """An operation on the result of a write, which has none."""
    wide = Node("write", 0, [Builder().const(0, 9), ONE], stream="wide")
    process.effects.append(wide)
    find(process, "parity").args = [wide]


def attribute(op: str, **values) -> Callable[[Process], None]:
    return lambda process: find(process, op).attrs.update(values)


def width(op: str, bits: int) -> Callable[[Process], None]:
    return lambda process: setattr(find(process, op), "width", bits)


def operands(op: str, change: Callable[[list[Node]], list[Node]]) -> Callable[[Process], None]:
    def apply(process: Process) -> None:
        node = find(process, op)
        node.args = change(node.args)

    return apply


def first(bits: int) -> Callable[[list[Node]], list[Node]]:
    """The first operand is of so many bits."""
    return lambda args: [Builder().const(0, bits), *args[1:]]


BINARY = ("add", "sub", "mul", "and", "or", "xor", "shl", "shru", "shrs", "divu", "divs", "modu", "mods")
BREAKS: list[tuple[Callable[[Process], object], str]] = [
    *[(operands(op, first(9)), f"{op}:i8: operands of") for op in BINARY],
    *[(operands(op, lambda args: args[:1]), f"{op}:i8: has 1 operands") for op in BINARY],
    *[(operands(op, lambda args: [*args, args[0]]), f"{op}:i8: has 3 operands") for op in ("sub", "shl", "divs")],
    *[(width(op, 7), f"{op}:i7: operands of") for op in ("add", "sub", "shrs", "concat", "mux")],
    (lambda p: setattr(find(p, "add"), "op", "plus"), "plus:i8: is no operation that is known"),
    (attribute("add", value=3), r"add:i8: attributes \['value'\], not \[\]"),
    (lambda p: find(p, "icmp").attrs.clear(), r"icmp:i1: attributes \[\], not \['pred'\]"),
    (attribute("icmp", pred="lt"), "icmp:i1: no predicate 'lt'"),
    (operands("icmp", first(9)), r"icmp:i1: compares operands of \[9, 8\] bits"),
    (width("icmp", 2), "icmp:i2: compares operands"),
    (operands("mux", first(2)), "mux:i8: operands of"),
    (operands("mux", lambda args: args[:2]), "mux:i8: has 2 operands, not 3"),
    (width("parity", 2), "parity:i2: has more than one bit"),
    (attribute("extract", low=5), "extract:i4: bits from 5 on of 8"),
    (attribute("extract", low=-1), "extract:i4: bits from -1 on of 8"),
    (operands("concat", first(5)), r"concat:i8: operands of \[5, 4\] bits"),
    (operands("replicate", first(3)), "replicate:i8: an operand of 3 bits"),
    (attribute("table", value=16), "table:i1: contents for more than 2 operands"),
    (operands("table", first(2)), "table:i1: operands of"),
    (attribute("const", value=256), "const:i1: value 256 is wider"),
    (attribute("const", value=-1), "const:i1: value -1 is wider"),
    (attribute("reg", init=256), "reg:i8: initial value 256 is wider"),
    (operands("reg", first(9)), "reg:i8: its next value has 9 bits"),
    (operands("reg", lambda args: []), "reg:i8: has 0 operands, not 1"),
    (lambda p: p.regs.clear(), "reg:i8: 'state' is used, and none of the process's registers"),
    (lambda p: p.regs.append(p.regs[0]), "reg:i8: stands among the registers 2 times"),
    (lambda p: p.regs.append(find(p, "add")), "add:i8: is no operation to stand among the registers"),
    (lambda p: p.effects.append(find(p, "add")), "add:i8: is no operation to stand among the effects"),
    (lambda p: p.effects.append(p.effects[-1]), "write:i0: stands among the effects 2 times"),
    (lambda p: p.effects.remove(effect(p, "read")), "read:i8: is used, and none of the process's effects"),
    (lambda p: p.effects.remove(effect(p, "load")), "load:i8: is used, and none of the process's effects"),
    (lambda p: setattr(effect(p, "write"), "width", 8), "write:i8: has a result"),
    (lambda p: setattr(find(p, "undef"), "width", 0), "undef:i0: has no width"),
    (
        take_a_write,
        "parity:i1: takes the result of a write, which has none",
    ),
    (operands("write", lambda args: [args[0], args[0]]), "write:i0: has no predicate of one bit"),
    (operands("read", lambda args: []), "read:i8: has no predicate of one bit"),
    (operands("store", lambda args: args[1:]), "store:i0: has 2 operands, not 3"),
    (attribute("read", stream="z"), "read:i8: no stream 'z'"),
    (attribute("write", stream="wide"), "write:i0: a word of 8 bits, the stream 'wide' has 9"),
    (attribute("load", memory="none"), "load:i8: no memory 'none'"),
    (lambda p: setattr(p.memories["rom"], "width", 9), "load:i8: a word of 8 bits, the memory 'rom' has 9"),
    (operands("store", lambda args: [args[0], Builder().const(0, 7), args[2]]), "store:i0: a word of 7 bits"),
    (lambda p: p.effects.append(read("x", 8)), "process 'every': has 2 reads of stream 'x'"),
    (lambda p: p.effects.append(Node("write", 0, [p.effects[0], ONE], stream="y")), "has 2 writes of stream 'y'"),
    (lambda p: p.effects.append(Node("load", 8, [ONE, ONE], memory="ram")), "memory 'ram' has 2 loads, 1 stores"),
    (lambda p: p.effects.reverse(), "store:i0: the store of 'ram' comes before its load"),
    (lambda p: p.memories["rom"].contents.append(0), "memory 'rom' has 5 words of contents, not 4"),
    (lambda p: p.memories["rom"].contents.__setitem__(0, 256), "memory 'rom' begins with words that are wider than 8"),
    (lambda p: setattr(p.memories["rom"], "name", "other"), "memory 'other' is filed as 'rom'"),
    (lambda p: setattr(p.memories["ram"], "depth", 0), "memory 'ram' of 0 x 8 bits"),
    (lambda p: setattr(p, "run_ends", find(p, "add")), "add:i8: the run's end is no single bit"),
    (operands("sub", lambda args: [args[0], args[1]]), ""),
]
WIDTHS = {"x": 8, "y": 8, "wide": 9}


@pytest.mark.parametrize("number", range(len(BREAKS)))
def test_each_broken_graph_is_found(number):
    change, message = BREAKS[number]
    process = copy.deepcopy(every_operation())
    verify(process, "import", WIDTHS)
    change(process)
    if not message:  # nothing was broken
        verify(process, "some pass", WIDTHS)
        return
    with pytest.raises(InternalError, match=message) as error:
        verify(process, "some pass", WIDTHS)
    assert "internal: after some pass: " in str(error.value) and "every.cpp:" in str(error.value)


def test_a_circle_without_a_register_is_found():
    process = copy.deepcopy(every_operation())
    node = find(process, "mul")
    above = next(n for n in process.topological() if n.op == "add" and node in n.args)
    node.args = [above, node.args[1]]
    with pytest.raises(InternalError, match="depends on itself without a register"):
        verify(process, "merge")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: setattr(d.streams["m"], "producer", "second"), "stream 'm' says its producer is second; .* first"),
        (lambda d: setattr(d.streams["m"], "producer", None), "says its producer is the port; that is first"),
        (lambda d: setattr(d.streams["x"], "consumer", None), "says its consumer is the port; that is first"),
        (lambda d: setattr(d.streams["m"], "name", "n"), "stream 'n' is filed as 'm'"),
        (lambda d: setattr(d.streams["m"], "width", 25), "stream 'm' is not as wide as its fields"),
        (lambda d: d.streams.pop("m"), "uses an unknown stream 'm'"),
        (lambda d: effect(d.processes[1], "read").attrs.update(stream="x"), "that is first and second"),
    ],
)
def test_a_stream_has_two_ends(change, message):
    design: Design = copy.deepcopy(chain(4))
    change(design)
    with pytest.raises(InternalError, match=message):
        verify_streams(design.streams, [process.interface() for process in design.processes], "import")


def built(design: Design, watch: Watch):
    depths = {name: stream.depth for name, stream in design.streams.items()}
    return build_graph(design.processes[0], depths, "top", load_target("xcup"), 3.33, Clock(), watch)


def test_a_pass_that_breaks_the_graph_is_named(monkeypatch):
    """A pass that narrows a register too far is found behind that pass, before anything is scheduled."""
    whole = narrowing.narrow

    def too_far(process, facts):
        made = whole(process, facts)
        made.regs[0].width += 1
        return made

    monkeypatch.setattr(narrowing, "narrow", too_far)
    monkeypatch.setattr(mlir, "canonicalise", lambda process, session: process)
    with pytest.raises(InternalError, match="after narrow: "):
        built(histogram_with_state(), Watch())


def histogram_with_state() -> Design:
    design = copy.deepcopy(picker())
    assert design.processes[0].regs
    return design


def test_texts_are_the_same_each_time():
    """In another order of memory, and for each pass that was asked for; without loss of an operation."""
    first, second = (copy.deepcopy(processing_element(2, 4, steps=5)) for _ in range(2))
    texts = [built(design, Watch(PASSES)).dumps for design in (first, second)]
    assert texts[0] == texts[1]
    assert [text.split("\n")[0] for text in texts[0]][:3] == [f"; after {name}" for name in PASSES[:3]]
    assert texts[0][-1].startswith("; after schedule\n") and "[stage 2]" in texts[0][-1]
    assert built(first, Watch(("narrow",))).dumps == [texts[0][2]]
    assert built(first, Watch()).dumps == []


def test_the_text_says_all():
    """Two graphs that differ anywhere have different texts."""
    from openhls.graph.text import text

    whole = text(every_operation())
    for op in ("read", "load", "store", "write", "icmp", "table", "register", "undef", "replicate", "parity"):
        assert re.search(rf"\b{op}\b", whole), op
    rng, seen = random.Random(1), {whole}
    for change in (
        attribute("icmp", pred="ult"),
        attribute("extract", low=1),
        attribute("table", value=7),
        attribute("reg", init=4),
        attribute("read", stream="z"),
        operands("sub", lambda args: args[::-1]),
        lambda p: p.memories["rom"].contents.__setitem__(rng.randrange(4), 9),
        lambda p: setattr(p.memories["ram"], "storage", "bram"),
        lambda p: setattr(p, "run_ends", None),
        lambda p: p.effects.reverse(),
        lambda p: setattr(p, "loc", Location("every.cpp", 3)),
    ):
        process = copy.deepcopy(every_operation())
        change(process)
        made = text(process)
        assert made not in seen
        seen.add(made)


def test_an_error_brings_the_texts_before_it():
    """What --print-after was asked for is there where it is wanted most; errors travel between processes, too."""
    import pickle

    design = copy.deepcopy(picker())
    with pytest.raises(HlsError) as error:
        depths = dict.fromkeys(design.streams)
        target = dataclasses.replace(load_target("xcup"), lut=5.0)
        build_graph(design.processes[0], depths, "top", target, 3.33, Clock(), Watch(("import", "narrow")))
    assert [text.split("\n")[0] for text in error.value.dumps] == ["; after import", "; after narrow"]
    assert pickle.loads(pickle.dumps(error.value)).dumps == error.value.dumps
