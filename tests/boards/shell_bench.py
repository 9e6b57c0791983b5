"""cocotb: the shell of an IP between a DMA and a design that the bench plays, with packets of all lengths.

Environment: SHELL_JOB, JSON: the parameters of the shell, the `prefix` of its pins in the top, `seed`, `stall`.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from itertools import repeat

import cocotb
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

JOB = json.loads(os.environ["SHELL_JOB"])
RANDOM = random.Random(JOB["seed"])
PACKETS = 40


def stalls(chance: float) -> Iterator[bool]:
    return iter(lambda: RANDOM.random() < chance, None)


class Pins:
    """The pins of one of the shells in the top."""

    def __init__(self, dut: SimHandleBase) -> None:
        self.dut = dut

    def __getattr__(self, name: str) -> SimHandleBase:
        return getattr(self.dut, JOB["prefix"] + name)


class Bench:
    """The pins of the shell, and what a design says of what came to it."""

    def __init__(self, dut: Pins, stall: float) -> None:
        self.dut = dut
        dma = {"clock": dut.clk, "reset": dut.dma_rst_n, "reset_active_level": False}
        core = {"clock": dut.clk, "reset": dut.core_rst_n, "reset_active_level": False}
        self.dma_out = AxiStreamSource(AxiStreamBus.from_prefix(dut.dut, JOB["prefix"] + "s_axis"), **dma)
        self.dma_in = AxiStreamSink(AxiStreamBus.from_prefix(dut.dut, JOB["prefix"] + "m_axis"), **dma)
        self.x = AxiStreamSink(AxiStreamBus.from_prefix(dut.dut, JOB["prefix"] + "x"), **core)
        self.y = AxiStreamSource(AxiStreamBus.from_prefix(dut.dut, JOB["prefix"] + "y"), **core)
        self.dma_in.set_pause_generator(stalls(stall) if stall else repeat(False))
        for end in (self.dma_out, self.x, self.y):
            end.set_pause_generator(stalls(stall) if stall else repeat(False))
        self.events = dict.fromkeys(("early", "missing", "malformed", "bad_response"), 0)
        self.frames: list[bytes] = []
        self.answers: list[tuple[list[list[int]], int]] = []  # scores by word, and the status

    async def start(self) -> None:
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        for name in ("reset", "weights"):
            getattr(self.dut, name).value = 0
        self.dut.batch.value = 1
        self.dut.enable.value = 1
        self.dut.rst_n.value = 0
        self.dut.dma_rst_n.value = 0
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst_n.value = 1
        self.dut.dma_rst_n.value = 1
        cocotb.start_soon(self.count())
        cocotb.start_soon(self.design())

    async def count(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            for name in self.events:
                self.events[name] += int(getattr(self.dut, name).value)

    async def design(self) -> None:
        """Takes an image, or weights and an image, up to TLAST and answers with scores, and a status where it loads."""
        lowest, highest = -(1 << JOB["Y_BITS"] - 1), (1 << JOB["Y_BITS"] - 1) - 1
        while True:
            frame = await self.x.recv()
            self.frames.append(bytes(frame.tdata))
            scores = [[RANDOM.randint(lowest, highest) for _ in range(JOB["Y_FIELDS"])] for _ in range(JOB["Y_WORDS"])]
            status = RANDOM.choice([1, 5, 8, 2])
            self.answers.append((scores, status))
            mask = (1 << JOB["Y_BITS"]) - 1
            words = [sum((s & mask) << JOB["Y_BITS"] * k for k, s in enumerate(word)) for word in scores]
            words += [status] if JOB["LOADS"] else []
            await self.y.send(b"".join(word.to_bytes(JOB["Y_BYTES"], "little") for word in words))

    async def idle(self) -> None:
        while not (self.dut.idle.value and self.dma_out.idle()):
            await RisingEdge(self.dut.clk)


def packed(octets: bytes) -> bytes:
    """Bytes, one for each activation of a word, as the design has the word."""
    mask = (1 << JOB["X_BITS"]) - 1
    word = sum((octet & mask) << JOB["X_BITS"] * k for k, octet in enumerate(octets))
    return word.to_bytes(JOB["X_BYTES"], "little")


def words_of(octets: bytes, count: int) -> tuple[list[bytes], bool, bool]:
    """`count` words of the bytes of a packet, whether they were too few, whether they were too many."""
    size = JOB["X_FIELDS"]
    whole = octets[: count * size].ljust(count * size, b"\0")
    return (
        [whole[at : at + size] for at in range(0, len(whole), size)],
        len(octets) < count * size,
        len(octets) > count * size,
    )


@cocotb.test()
async def packets_of_all_lengths(top: SimHandleBase) -> None:
    """What the design gets, what the DMA gets, which errors are told."""
    dut = Pins(top)
    bench = Bench(dut, JOB["stall"])
    await bench.start()
    expected_frames: list[bytes] = []
    sizes: list[int] = []
    expected = dict.fromkeys(bench.events, 0)
    batch, count = 1, JOB["X_WORDS"]
    header = (lambda flag: flag.to_bytes(JOB["X_BYTES"], "little")) if JOB["LOADS"] else lambda flag: b""
    for _ in range(PACKETS):
        if RANDOM.random() < 0.2:
            batch = RANDOM.choice([1, 2, 3])
            await bench.idle()
            dut.batch.value = batch
        front = header(0)
        if JOB["LOADS"] and RANDOM.random() < 0.3:
            await bench.idle()
            dut.weights.value = 1
            await RisingEdge(dut.clk)
            dut.weights.value = 0
            await ClockCycles(dut.clk, 2)
            assert dut.weights_next.value == 1
            octets, early, missing = await send(bench, JOB["LOAD_WORDS"])
            words, _, _ = words_of(octets, JOB["LOAD_WORDS"])
            front = header(1) + b"".join(word[: JOB["X_BYTES"]] for word in words)
            expected["early"] += early
            expected["missing"] += missing
        octets, early, missing = await send(bench, batch * count)
        expected["early"] += early
        expected["missing"] += missing
        words, _, _ = words_of(octets, batch * count)
        for image in range(batch):
            own = words[image * count : (image + 1) * count]
            expected_frames.append(front + b"".join(map(packed, own)))
            front = header(0)
        sizes.append(batch)
    frames = [bytes((await with_timeout(bench.dma_in.recv(), 1, "ms")).tdata) for _ in sizes]
    await with_timeout(bench.idle(), 1, "ms")
    assert bench.frames == expected_frames
    answers = iter(bench.answers)
    size = JOB["SCORE_BYTES"]
    given = [next(answers) for _ in expected_frames]
    at = 0
    for frame, batch in zip(frames, sizes, strict=True):
        scores = [score for scores, _ in given[at : at + batch] for word in scores for score in word]
        at += batch
        assert frame == b"".join(score.to_bytes(size, "little", signed=True) for score in scores)
    expected["bad_response"] = sum(not status & 1 for _, status in given) if JOB["LOADS"] else 0
    assert {name: bool(times) for name, times in bench.events.items()} == {
        name: bool(times) for name, times in expected.items()
    }
    assert bench.events == expected
    assert int(dut.images.value) == len(expected_frames) and int(dut.packets.value) == len(sizes)
    if JOB["LOADS"]:
        assert int(dut.response.value) == given[-1][1] and int(dut.responses.value) == len(given)


def packet(words: int) -> bytes:
    """Bytes of a packet of so many words: most are whole, others lack some at the end or have some more."""
    whole = words * JOB["X_FIELDS"]
    length = max(1, whole + RANDOM.choice([0, 0, 0, 0, -1, 1, -RANDOM.randint(1, whole), RANDOM.randint(1, 40)]))
    # Whole units but for the last beat are the shell's business: a DMA's packets begin with whole beats.
    return RANDOM.randbytes(length - length % JOB["unit"] or JOB["unit"])


async def send(bench: Bench, words: int) -> tuple[bytes, bool, bool]:
    """Sends a packet; its bytes, whether the shell has to tell that it is too short, or too long."""
    octets = packet(words)
    await bench.dma_out.send(AxiStreamFrame(octets))
    _, early, missing = words_of(octets, words)
    return octets, early, missing


@cocotb.test()
async def no_cycle_is_lost(top: SimHandleBase) -> None:
    """At one word a beat on both sides beats follow each other without a pause, over the ends of packets too."""
    dut = Pins(top)
    bench = Bench(dut, 0)
    await bench.start()
    await bench.idle()
    images = 12
    taken: list[int] = []
    given: list[int] = []

    async def watch() -> None:
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            if dut.x_tvalid.value and dut.x_tready.value:
                taken.append(cycle)
            if dut.m_axis_tvalid.value and dut.m_axis_tready.value:
                given.append(cycle)

    cocotb.start_soon(watch())
    for _ in range(images):
        await bench.dma_out.send(RANDOM.randbytes(JOB["X_WORDS"] * JOB["X_FIELDS"]))
    for _ in range(images):
        await with_timeout(bench.dma_in.recv(), 1, "ms")
    beats = images * (JOB["X_WORDS"] + bool(JOB["LOADS"]))
    assert len(taken) == beats
    if JOB["IN_BYTES"] == JOB["X_FIELDS"]:
        assert taken[-1] - taken[0] == beats - 1


@cocotb.test()
async def holes_are_told(top: SimHandleBase) -> None:
    """TKEEP with a hole, and a last beat without a byte."""
    dut = Pins(top)
    bench = Bench(dut, 0)
    await bench.start()
    await bench.idle()
    width, size = JOB["IN_BYTES"], JOB["X_WORDS"] * JOB["X_FIELDS"]
    if width >= 4:
        keep = [1] * size
        keep[1] = 0
        await bench.dma_out.send(AxiStreamFrame(RANDOM.randbytes(size), tkeep=keep))
        await with_timeout(bench.dma_in.recv(), 1, "ms")
        await bench.idle()
        assert bench.events["malformed"] == 1
    else:
        await bench.dma_out.send(AxiStreamFrame(b"\0", tkeep=[0]))
        await with_timeout(bench.dma_in.recv(), 1, "ms")
        await bench.idle()
        assert bench.events["malformed"] == 1 and bench.events["early"] == 1


@cocotb.test()
async def soft_reset_ends_everything(top: SimHandleBase) -> None:
    """In the middle of a packet; the next image is answered."""
    dut = Pins(top)
    bench = Bench(dut, JOB["stall"])
    await bench.start()
    await bench.idle()
    size = JOB["X_WORDS"] * JOB["X_FIELDS"]
    for cut in range(4):
        await bench.dma_out.send(RANDOM.randbytes(size))
        await ClockCycles(dut.clk, RANDOM.randint(3, 12 + 4 * cut))
        dut.dma_rst_n.value = 0
        dut.reset.value = 1
        await RisingEdge(dut.clk)
        dut.reset.value = 0
        await ClockCycles(dut.clk, 3)
        assert not dut.core_rst_n.value and not dut.s_axis_tready.value and not dut.m_axis_tvalid.value
        for end in (bench.dma_out, bench.dma_in, bench.x, bench.y):
            end.clear()
        dut.dma_rst_n.value = 1
        await with_timeout(bench.idle(), 1, "ms")
        assert int(dut.images.value) == 0
        bench.frames.clear()
        image = RANDOM.randbytes(size)
        await bench.dma_out.send(image)
        await with_timeout(bench.dma_in.recv(), 1, "ms")
        await bench.idle()
        words, _, _ = words_of(image, JOB["X_WORDS"])
        front = b"\0" * JOB["X_BYTES"] if JOB["LOADS"] else b""
        assert bench.frames == [front + b"".join(map(packed, words))] and int(dut.images.value) == 1
