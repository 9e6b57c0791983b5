"""Small designs as graphs, which no front end has made: loop counters, a processing element, memories, a chain."""

from __future__ import annotations

import random

from openhls.common.errors import Location
from openhls.graph.nodes import Builder, Design, Memory, Node, Process, Stream

ONE = Builder().const(1, 1)


def counter(b: Builder, name: str, n: int, step: Node = ONE, width: int = 32) -> tuple[Node, Node]:
    """A loop counter 0 .. n-1 that moves when `step`; (counter, it is at its last value)."""
    register = Node("reg", width, (), b.loc, name=name, init=0)
    last = b.make("icmp", 1, register, b.const(n - 1, width), pred="eq")
    following = b.mux(last, b.const(0, width), b.make("add", width, register, b.const(1, width)))
    register.args = [b.mux(step, following, register)]
    return register, last


def port(name: str, width: int, **ends) -> Stream:
    return Stream(name, width, [("data", width)], **ends)


def read(stream: str, width: int, predicate: Node = ONE, loc: Location | None = None) -> Node:
    return Node("read", width, [predicate], loc, stream=stream)


def write(stream: str, value: Node, predicate: Node = ONE, loc: Location | None = None) -> Node:
    return Node("write", 0, [value, predicate], loc, stream=stream)


def single(process: Process, *streams: Stream) -> Design:
    return Design("top", [process], {s.name: s for s in streams})


def processing_element(period: int, lanes: int, steps: int, blocks: int = 2, pixels: int = 3) -> Design:
    """Ring register, weight ROM, multipliers and accumulators, as in a periodic sparse convolution."""
    b, rng = Builder(), random.Random(1)
    b.loc = Location("pe.cpp", 8)
    width = period * 72
    o, last_o = counter(b, "o", steps)
    block, last_block = counter(b, "block", blocks, last_o)
    pixel, last_pixel = counter(b, "pixel", pixels, b.and_(last_o, last_block))
    first = b.make("icmp", 1, o, b.const(0, 32), pred="eq")
    first_block = b.make("icmp", 1, block, b.const(0, 32), pred="eq")
    windows = read("x", width, first, Location("pe.cpp", 12))
    ring = [
        [Node("reg", 8, (), Location("pe.cpp", 14), name=f"ring_{i}_{t}", init=None) for t in range(9)]
        for i in range(period)
    ]
    fresh = [
        [b.mux(first, b.extract(windows, ((i - 1) % period * 9 + t) * 8, 8), ring[i - 1][t]) for t in range(9)]
        for i in range(period)
    ]
    for i in range(period):
        for t in range(9):
            ring[i][t].args = [fresh[i][t]]
    process = Process("pe", Location("pe.cpp", 4))
    process.memories["rom"] = Memory(
        "rom", 8 * lanes, blocks * steps, [rng.getrandbits(8 * lanes) for _ in range(blocks * steps)]
    )
    process.memories["acc"] = Memory("acc", 32, steps)
    address = b.make("add", 32, b.make("mul", 32, block, b.const(steps, 32)), o)
    weights = Node("load", 8 * lanes, [address, ONE], Location("pe.cpp", 16), memory="rom")
    total = b.const(0, 32)
    for k in range(lanes):
        activation = b.sext(fresh[k % period][k // period * 4 % 9], 32)
        total = b.make("add", 32, total, b.make("mul", 32, b.sext(b.extract(weights, 8 * k, 8), 32), activation))
    old = Node("load", 32, [o, b.not_(first_block)], Location("pe.cpp", 18), memory="acc")
    total = b.make("add", 32, b.mux(first_block, b.const(0, 32), old), total)
    process.effects = [
        windows,
        weights,
        old,
        Node("store", 0, [o, total, ONE], Location("pe.cpp", 19), memory="acc"),
        write("y", total, last_block, Location("pe.cpp", 20)),
    ]
    process.regs = [o, block, pixel, *(r for row in ring for r in row)]
    process.run_ends = b.and_(b.and_(last_o, last_block), last_pixel)
    return single(process, port("x", width, consumer="pe"), port("y", 32, producer="pe"))


def histogram(spread: int = 8, bits: int = 12) -> Design:
    """h[x]++ with data-dependent addresses: distance 1; writes every fourth count, so the write depends on data too."""
    b, process = Builder(), Process("hist", Location("hist.cpp", 3))
    x = read("x", spread.bit_length() - 1)
    process.memories["h"] = Memory("h", bits, spread, [0] * spread)
    old = Node("load", bits, [x, ONE], Location("hist.cpp", 5), memory="h")
    new = b.make("add", bits, old, b.const(1, bits))
    fourth = b.make("icmp", 1, b.extract(new, 0, 2), b.const(0, 2), pred="eq")
    store = Node("store", 0, [x, new, ONE], Location("hist.cpp", 6), memory="h")
    process.effects = [x, old, store, write("y", new, fourth)]
    return single(process, port("x", x.width, consumer="hist"), port("y", bits, producer="hist"))


def picker() -> Design:
    """A read that depends on a table looked up with another read: two issue stages at least."""
    b, process = Builder(), Process("pick", None)
    x = read("x", 6)
    process.memories["table"] = Memory("table", 9, 64, [(37 * k * k + 11 * k) % 512 for k in range(64)])
    word = Node("load", 9, [x, ONE], memory="table")
    odd = b.extract(word, 0, 1)
    z = read("z", 9, odd)
    total = Node("reg", 16, (), name="total", init=5)
    value = b.make("add", 16, b.sext(b.mux(odd, z, word), 16), total)
    total.args = [value]
    process.regs = [total]
    process.effects = [x, word, z, write("y", value, b.extract(value, 1, 1))]
    return single(process, port("x", 6, consumer="pick"), port("z", 9, consumer="pick"), port("y", 16, producer="pick"))


def lookup(width: int, depth: int) -> Design:
    """A table of random words, looked up."""
    process, rng = Process("look", None), random.Random(width * depth)
    x = read("x", (depth - 1).bit_length())
    process.memories["table"] = Memory("table", width, depth, [rng.getrandbits(width) for _ in range(depth)])
    word = Node("load", width, [x, ONE], memory="table")
    process.effects = [x, word, write("y", word, ONE)]
    return single(process, port("x", x.width, consumer="look"), port("y", width, producer="look"))


def chain(depth: int | None, group: int = 3, delay: int = 2) -> Design:
    """Two processes: sums of `group` words through a multiplier, then each sum given out `group` times."""
    b = Builder()
    first, second = Process("first", None), Process("second", None)
    k, last = counter(b, "k", group)
    x = read("x", 8)
    sum_ = Node("reg", 24, (), name="sum", init=None)
    start = b.make("icmp", 1, k, b.const(0, 32), pred="eq")
    total = b.make("add", 24, b.mux(start, b.const(0, 24), sum_), b.make("mul", 24, b.sext(x, 24), b.sext(x, 24)))
    sum_.args = [total]
    first.effects, first.regs, first.run_ends = [x, write("m", total, last)], [k, sum_], last
    j, last = counter(b, "j", group)
    begin = b.make("icmp", 1, j, b.const(0, 32), pred="eq")
    m = read("m", 24, begin)
    kept = Node("reg", 24, (), name="kept", init=None)
    now = b.mux(begin, m, kept)
    kept.args = [now]
    out = now
    for _ in range(delay):
        out = b.make("mul", 24, out, b.make("xor", 24, out, b.trunc(j, 24)))
    second.effects, second.regs, second.run_ends = [m, write("y", out)], [j, kept], last
    streams = [
        port("x", 8, consumer="first"),
        port("y", 24, producer="second"),
        Stream("m", 24, [("data", 24)], depth, "first", "second"),
    ]
    return Design("top", [first, second], {s.name: s for s in streams})
