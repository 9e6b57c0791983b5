"""cocotb: the driver as a user has it, on the RTL of an IP through models of the bus (`tests/boards/bus`).

Environment: DRIVER_JOB, JSON: `bitfile`, beside which the JSON file of the hardware lies; `vectors`, an .npz file of x,
y and labels; `seed`; for loaded weights `weights`, a file of pack-weights.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import cocotb
import numpy as np
import psconv_driver
import pynq
import pytest
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import bridge
from cocotb.triggers import ClockCycles

JOB = json.loads(os.environ["DRIVER_JOB"])
BIT = Path(JOB["bitfile"])
FACTS = json.loads(BIT.with_suffix(".json").read_text())
VECTORS = np.load(JOB["vectors"])
X, Y, LABELS = VECTORS["x"], VECTORS["y"], VECTORS["labels"]
RANDOM = random.Random(JOB["seed"])
FEW = 3  # images of a case that is not about many


def expected(images: slice) -> np.ndarray:
    return Y[images].reshape(-1, *FACTS["output"]["shape"])


def stalls() -> Iterator[bool]:
    return iter(lambda: RANDOM.random() < 0.3, None)


def in_thread(drive: Callable[[], None]) -> Callable[[], Coroutine[None, None, None]]:
    """A user's program, in a thread that has an event loop, as the main one has."""

    @bridge
    def run() -> None:
        with asyncio.Runner() as runner:
            asyncio.set_event_loop(runner.get_loop())
            drive()

    return run


async def bus(dut: SimHandleBase, pauses: Callable[[], Iterator[bool]] | None = None) -> pynq.Bus:
    """The pins after a reset; the driver finds them behind `pynq`."""
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    dut.aresetn.value = 0
    made = pynq.Bus(dut, pauses)
    pynq.attach(made)
    await ClockCycles(dut.aclk, 5)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    return made


def overlay(**options: object) -> psconv_driver.PsconvOverlay:
    """The driver, ready for images."""
    made = psconv_driver.PsconvOverlay(BIT, **{"timeout": 300.0, **options})
    if FACTS["loads"]:
        made.load_weights(JOB["weights"])
    return made


@cocotb.test()
async def images_are_classified(dut: SimHandleBase) -> None:
    """All images, in packets of several and of one: every score, the accuracy, the counters."""

    @in_thread
    def drive() -> None:
        made = overlay(batch=5)
        begun = made.counters()["images"]
        assert (made.infer(X) == expected(slice(None))).all()
        assert made.accuracy(X[:FEW], LABELS[:FEW]) == (Y[:FEW].reshape(FEW, -1).argmax(axis=1) == LABELS[:FEW]).mean()
        counters = made.counters()
        assert counters["images"] - begun == len(X) + FEW
        real = X[:FEW].astype(np.float64) * 2.0 ** -FACTS["input"]["frac"]
        assert (made.infer(real) == expected(slice(FEW))).all()
        assert made.infer(X[:0]).shape == (0, *FACTS["output"]["shape"])
        made.close()

    await bus(dut)
    await drive()


@cocotb.test()
async def stalls_change_nothing(dut: SimHandleBase) -> None:
    """The DMA pauses at random on both sides."""

    @in_thread
    def drive() -> None:
        assert (overlay(batch=2).infer(X[:FEW]) == expected(slice(FEW))).all()

    await bus(dut, stalls)
    await drive()


@cocotb.test()
async def cycles_are_those_of_the_design(dut: SimHandleBase) -> None:
    """An image that comes alone: cycles from its first beat in to its last one out, as watched at the design."""
    seen: list[int] = []

    async def watch() -> None:
        cycle, first = 0, None
        while True:
            await ClockCycles(dut.aclk, 1)
            cycle += 1
            if first is None and core_beat("x"):
                first = cycle
            if core_beat("y"):
                seen[:] = [cycle - (first or 0) + 1]

    def core_beat(stream: str) -> bool:
        return bool(getattr(dut, f"{stream}_tvalid").value and getattr(dut, f"{stream}_tready").value)

    @in_thread
    def drive() -> None:
        made = psconv_driver.PsconvOverlay(BIT, timeout=300.0)
        made.infer(X[:1])
        counters = made.counters()
        assert counters["image_cycles"] == counters["cycles"] == seen[0]
        assert counters["frames_per_second"] == FACTS["clock_mhz"] * 1e6 / seen[0]

    if FACTS["loads"]:
        return
    await bus(dut)
    cocotb.start_soon(watch())
    await drive()


@cocotb.test()
async def damaged_packets_are_told(dut: SimHandleBase) -> None:
    """A packet that lacks bytes, one that has too many: one error each, and the next packet is right."""

    @in_thread
    def drive() -> None:
        made = overlay()
        for fault, value, name in (("cut", 5, "early"), ("more", b"abc", "missing")):
            setattr(pins, fault, value)
            with pytest.raises(psconv_driver.HardwareError, match=f"not right: {name}: "):
                made.infer(X[:2])
            assert (made.infer(X[:FEW]) == expected(slice(FEW))).all()

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def a_dma_that_stops_is_told(dut: SimHandleBase) -> None:
    """In the middle of an image; the driver gives up, resets, and goes on."""

    @in_thread
    def drive() -> None:
        made = overlay(timeout=300.0)
        made.timeout = 0.2
        pins.stall = FACTS["image_bytes"] // FACTS["word_bytes"] // 2
        with pytest.raises(psconv_driver.HardwareError, match=r"did not go in within 0\.2 s: .* busy.* was reset"):
            made.infer(X[:2])
        made.timeout = 300.0
        if FACTS["loads"]:
            with pytest.raises(psconv_driver.HardwareError, match="no weights are loaded yet"):
                made.infer(X[:1])
            made.load_weights(JOB["weights"])
        assert (made.infer(X[:FEW]) == expected(slice(FEW))).all()

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def a_reset_in_the_middle_ends_everything(dut: SimHandleBase) -> None:
    """While images go in and scores come out; afterwards everything is right and the counters start anew."""

    @in_thread
    def drive() -> None:
        made = overlay()
        for cycles in (10, 100, 1000):
            images = pynq.allocate((2 * FACTS["image_bytes"],), np.uint8)
            scores = pynq.allocate((2 * FACTS["score_bytes"],), np.uint8)
            made.dma.recvchannel.transfer(scores)
            made.dma.sendchannel.transfer(images)
            pins.wait(cycles)
            made.reset()
            if FACTS["loads"]:
                made.load_weights(JOB["weights"])
            before = made.counters()["images"]
            assert before == FACTS["loads"]
            assert (made.infer(X[:2]) == expected(slice(2))).all()
            assert made.counters()["images"] == before + 2

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def other_hardware_is_refused(dut: SimHandleBase) -> None:
    """A JSON file of another design, training or version; registers that are not there; wrong calls."""

    @in_thread
    def drive() -> None:
        for key, value, text in (
            ("identity", FACTS["identity"] ^ 1, "the bitstream is of another network"),
            ("contents", FACTS["contents"] ^ 1, "the bitstream has the weights of another training"),
            ("version", 99, "its registers are of another version"),
            ("magic", 1, "this is no hardware of psconv"),
            ("psconv_hardware", 9, "psconv_hardware: must be 1, got 9"),
        ):
            other = BIT.with_name(f"other_{key}.json")
            other.write_text(json.dumps(FACTS | {key: value}))
            with pytest.raises(psconv_driver.HardwareError, match=text):
                psconv_driver.PsconvOverlay(BIT, other)
        other.write_text("{")
        with pytest.raises(psconv_driver.HardwareError, match="is no JSON"):
            psconv_driver.PsconvOverlay(BIT, other)
        with pytest.raises(psconv_driver.HardwareError, match="nothing.json: cannot be read"):
            psconv_driver.PsconvOverlay(BIT, "nothing.json")
        made = overlay()
        with pytest.raises(OSError, match="SLVERR"):
            made.ip.read(0xFC)
        with pytest.raises(OSError, match="SLVERR"):
            made.ip.write(0xFC, 1)
        with pytest.raises(ValueError, match=r"images: must be \[n, "):
            made.infer(X[:, :, 1:])
        with pytest.raises(ValueError, match="labels: must be one for each"):
            made.accuracy(X[:2], LABELS[:1])
        with pytest.raises(ValueError, match="NaN"):
            made.infer(np.full_like(X[:1], np.nan, np.float32))
        with pytest.raises(ValueError, match=r"images: must be -\d+ to \d+"):
            made.infer(np.full(X[:1].shape, 1000))
        if not FACTS["loads"]:
            with pytest.raises(psconv_driver.HardwareError, match="in ROM"):
                made.load_weights(b"")

    await bus(dut)
    await drive()


@cocotb.test()
async def registers_are_as_defined(dut: SimHandleBase) -> None:
    """What is written can be read, sticky bits clear, and an interrupt is raised and taken back."""

    @in_thread
    def drive() -> None:
        made = overlay()
        offsets, fields = FACTS["registers"], FACTS["fields"]
        for name, value in (("batch", 0x12345678), ("interrupt_enable", 3)):
            made.ip.write(offsets[name], value)
            assert made.ip.read(offsets[name]) == value
        for name in ("identity", "images", "status"):
            before = made.ip.read(offsets[name])
            made.ip.write(offsets[name], ~before & 0xFFFFFFFF)
            assert made.ip.read(offsets[name]) == before
        made.ip.write(offsets["interrupt_status"], 3)
        assert not pins.pin("interrupt")
        made.infer(X[:1])
        assert pins.pin("interrupt") and made.ip.read(offsets["interrupt_status"]) == fields["interrupt_status"]["done"]
        made.ip.write(offsets["interrupt_status"], 3)
        assert not pins.pin("interrupt") and not made.ip.read(offsets["interrupt_status"])
        made.ip.write(offsets["interrupt_enable"], 0)
        made.infer(X[:1])
        assert not pins.pin("interrupt") and made.ip.read(offsets["interrupt_status"])

    pins = await bus(dut)
    pins.interrupt = "none"  # those of the registers are this test's own
    await drive()


@cocotb.test()
async def the_interrupt_ends_the_wait(dut: SimHandleBase) -> None:
    """Packets of two and one: each by an interrupt, however long it takes; afterwards the line is low again."""

    @in_thread
    def drive() -> None:
        made = overlay(batch=2)
        pins.looks = pins.heard = 0
        assert (made.infer(X[:FEW]) == expected(slice(FEW))).all()
        # One more for each packet whose line was high when the controller acknowledged the last one.
        assert 2 <= pins.heard <= 4 and not pins.pin("interrupt")
        by_interrupt = pins.looks
        made.close()
        pins.interrupt = "none"
        polling = overlay(batch=2)
        pins.looks = pins.heard = 0
        assert (polling.infer(X[:FEW]) == expected(slice(FEW))).all()
        assert pins.heard == 0 and pins.looks > 5 * by_interrupt
        assert not polling.ip.read(FACTS["registers"]["interrupt_enable"])

    pins = await bus(dut, stalls)
    await drive()


@cocotb.test()
async def an_interrupt_that_does_not_come(dut: SimHandleBase) -> None:
    """The overlay has it, the processor hears nothing: told once, and every score is right."""

    @in_thread
    def drive() -> None:
        made = overlay()
        pins.interrupt = "deaf"
        with pytest.warns(UserWarning, match="the interrupt does not come"):
            assert (made.infer(X[:2]) == expected(slice(2))).all()
        assert not pins.pin("interrupt")
        assert (made.infer(X[:2]) == expected(slice(2))).all()  # warnings are errors here

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def in_an_event_loop(dut: SimHandleBase) -> None:
    """As in a notebook: others go on meanwhile, infer polls, one call at a time, and one that is cancelled is over."""

    @in_thread
    def drive() -> None:
        asyncio.get_event_loop().run_until_complete(cell())

    async def cell() -> None:
        made = overlay()
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(other())
        pins.heard = 0
        first = asyncio.ensure_future(made.infer_async(X[:FEW]))
        while not turns:
            await asyncio.sleep(0)
        with pytest.raises(psconv_driver.HardwareError, match="images are at work: wait for infer_async"):
            made.infer(X[:1])
        assert (await first == expected(slice(FEW))).all()
        assert pins.heard and turns > 10
        pins.heard = 0
        assert (made.infer(X[:2]) == expected(slice(2))).all()
        assert not pins.heard
        work = asyncio.ensure_future(made.infer_async(X[:2]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert made.counters()["images"] == 0  # it was reset
        if FACTS["loads"]:
            made.load_weights(JOB["weights"])
        assert (await made.infer_async(X[:2]) == expected(slice(2))).all()
        beside.cancel()

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def an_error_of_the_dma_ends_the_wait(dut: SimHandleBase) -> None:
    """Long before the time is over."""

    @in_thread
    def drive() -> None:
        made = overlay()
        pins.stall = 2
        made.dma.recvchannel.error = True
        begun = time.monotonic()
        with pytest.raises(psconv_driver.HardwareError, match="the DMA reports an error: .* was reset"):
            made.infer(X[:2])
        assert time.monotonic() - begun < 100

    pins = await bus(dut)
    await drive()


@cocotb.test()
async def weights_are_judged(dut: SimHandleBase) -> None:
    """None yet, of another network, damaged, good; each told, and nothing is left behind."""

    @in_thread
    def drive() -> None:
        made = psconv_driver.PsconvOverlay(BIT, timeout=300.0)
        with pytest.raises(psconv_driver.HardwareError, match="no weights are loaded yet"):
            made.infer(X[:1])
        good = Path(JOB["weights"]).read_bytes()
        with pytest.raises(psconv_driver.HardwareError, match="the weights of another network"):
            made.load_weights(bytes([good[0] ^ 1]) + good[1:])
        with pytest.raises(psconv_driver.HardwareError, match=rf"must have {len(good)} bytes, got {len(good) - 1}"):
            made.load_weights(good[:-1])
        at = len(good) // 2
        with pytest.raises(psconv_driver.HardwareError, match="response: .*no valid weights"):
            made.load_weights(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        pins.cut = 7
        with pytest.raises(psconv_driver.HardwareError, match="early: .*; response: "):
            made.load_weights(good)
        made.load_weights(JOB["weights"])
        assert (made.infer(X[:FEW]) == expected(slice(FEW))).all()

    if not FACTS["loads"]:
        return
    pins = await bus(dut)
    await drive()
