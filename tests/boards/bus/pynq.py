"""A `pynq` whose memory and DMA are models of the bus, in a simulation: the driver that imports it is the real one.

Everything on this side of the bus is as PYNQ's own: `Overlay` with IPs as attributes, `read` and `write` of an IP,
`allocate`, the channels of `pynq.lib.dma` (transfer, wait, idle, error, start, stop) and `Interrupt`. What they do goes
to the pins of the RTL through cocotbext-axi; `attach` says to which. A driver runs in a thread of its own (cocotb's
bridge).

Faults to be injected are attributes of `Bus`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.task import resume
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource


class Buffer(np.ndarray):  # type: ignore[type-arg]
    """Memory that the DMA reaches."""

    def flush(self) -> None: ...

    def invalidate(self) -> None: ...

    def freebuffer(self) -> None: ...


def allocate(shape: tuple[int, ...], dtype: Any = np.uint32) -> Buffer:
    return np.zeros(shape, dtype).view(Buffer)


class Bus:
    """The pins of an IP. pauses: makes a generator of pauses of both streams, by cycle.

    Faults of the next transfer to the IP: cut: bytes that it lacks; more: bytes that come after it; stall: the DMA
    stops after so many beats.

    interrupt: what of the IP's line the processor has: "heard"; "deaf": it is in the .hwh file, and nothing comes;
    "none".
    looks: how often a channel of the DMA was asked whether it is idle; heard: interrupts that came.
    """

    def __init__(self, dut: SimHandleBase, pauses: Any = None) -> None:
        ends = {"reset": dut.aresetn, "reset_active_level": False}
        self.dut = dut
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **ends)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **ends)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **ends)
        self.pauses = pauses
        self.cut = 0
        self.stall: int | None = None
        self.more = b""
        self.interrupt = "heard"
        self.looks = self.heard = 0

    @resume
    async def read(self, address: int) -> int:
        answer = await self.lite.read(address, 4)
        if answer.resp:
            raise OSError(f"bus error at {address:#x}: {answer.resp!r}")
        return int.from_bytes(answer.data, "little")

    @resume
    async def write(self, address: int, value: int) -> None:
        answer = await self.lite.write(address, value.to_bytes(4, "little"))
        if answer.resp:
            raise OSError(f"bus error at {address:#x}: {answer.resp!r}")

    @resume
    async def pin(self, name: str) -> int:
        return int(getattr(self.dut, name).value)

    @resume
    async def wait(self, cycles: int) -> None:
        await ClockCycles(self.dut.aclk, cycles)


_bus: list[Bus] = []


def attach(bus: Bus) -> None:
    _bus[:] = [bus]


class Interrupt:
    """The IP's interrupt behind an AXI interrupt controller: heard while one waits, in the loop of when it was made.

    The controller acknowledges before the driver clears: a line that is high then is latched anew, for the next wait
    (AMD PG099). A wait that is cancelled leaves the line enabled.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._loop, self._event = asyncio.get_event_loop(), asyncio.Event()
        self._waiting = self._enabled = self._latched = False

    async def wait(self) -> None:
        assert asyncio.get_running_loop() is self._loop, "nothing of an interrupt comes to another loop"
        if not self._waiting:
            self._event.clear()
            self._waiting = self._enabled = True
        while not self._event.is_set():
            self._bus.wait(20)
            high = self._bus.interrupt == "heard" and bool(self._bus.pin("interrupt"))
            self._latched |= high
            if self._enabled and self._latched:
                self._bus.heard += 1
                self._enabled, self._latched = False, high
                self._event.set()
            await asyncio.sleep(0)
        self._waiting = False


class DefaultIP:
    """Registers at an address of their own. interrupt: None where the overlay does not lead it to the processor."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.interrupt = None if bus.interrupt == "none" else Interrupt(bus)

    def read(self, offset: int = 0) -> int:
        return int(self._bus.read(offset))

    def write(self, offset: int, value: int) -> None:
        self._bus.write(offset, value)


class _Channel:
    """A channel of AXI DMA in direct register mode (AMD PG021), started as PYNQ starts it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.running = True
        self.error = False
        self._busy = False

    def transfer(self, array: Any, start: int = 0, nbytes: int = 0) -> None:
        if not self.running:
            raise RuntimeError("DMA channel not started")
        if self._busy:
            raise RuntimeError("DMA channel not idle")
        octets = array.view(np.uint8)[start : start + (nbytes or array.nbytes)]
        self._busy = True
        self._begin(octets)

    @property
    def idle(self) -> bool:
        self._bus.looks += 1
        self._bus.wait(20)
        return self._look()

    def wait(self) -> None:
        while not self.idle:
            if self.error:
                raise RuntimeError("DMA channel error")

    def start(self) -> None:
        self.running, self.error, self._busy = True, False, False

    def stop(self) -> None:
        assert not self._busy, "AXI DMA ends a transfer before it stops: PYNQ would wait for ever"
        self.running = False

    def reset(self) -> None:
        self.running, self._busy = False, False
        self._end()


class SendChannel(_Channel):
    """Memory to stream: all bytes, TLAST with the last."""

    @resume
    async def _begin(self, octets: Any) -> None:
        bus, data = self._bus, bytes(octets)
        data = (data[: len(data) - bus.cut] if bus.cut else data) + bus.more
        bus.cut, bus.more = 0, b""
        bus.source.set_pause_generator(bus.pauses() if bus.pauses else None)
        if bus.stall is not None:
            bus.source.set_pause_generator(_after(bus.stall))
            bus.stall = None
        await bus.source.send(data)

    @resume
    async def _look(self) -> bool:
        if self._busy and self._bus.source.idle():
            self._busy = False
        return not self._busy

    @resume
    async def _end(self) -> None:
        await _clear(self._bus, self._bus.source)


class ReceiveChannel(_Channel):
    """Stream to memory, up to TLAST; without a transfer nothing is taken. More than the buffer holds is an error."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        bus.sink.pause = True
        self._buffer: Any = None
        self.transferred = 0

    @resume
    async def _begin(self, octets: Any) -> None:
        self._buffer = octets
        if self._bus.pauses:
            self._bus.sink.set_pause_generator(self._bus.pauses())
        self._bus.sink.pause = False

    @resume
    async def _look(self) -> bool:
        if self._busy and not self._bus.sink.empty():
            frame = bytes(self._bus.sink.recv_nowait().tdata)
            self._bus.sink.clear_pause_generator()
            self._bus.sink.pause = True
            self.transferred = len(frame)
            if len(frame) > len(self._buffer):
                self.error = True
            else:
                self._buffer[: len(frame)] = np.frombuffer(frame, np.uint8)
                self._busy = False
        return not self._busy

    @resume
    async def _end(self) -> None:
        await _clear(self._bus, self._bus.sink)
        self._bus.sink.pause = True


class DMA:
    """The DMA of an overlay; of its registers there is the control of a channel, with the reset of both."""

    def __init__(self, bus: Bus) -> None:
        self.sendchannel, self.recvchannel = SendChannel(bus), ReceiveChannel(bus)

    def read(self, offset: int = 0) -> int:
        assert offset == 0
        return int(self.sendchannel.running)

    def write(self, offset: int, value: int) -> None:
        assert offset == 0 and value == 1 << 2, "of MM2S_DMACR only the reset is needed"
        self.sendchannel.reset()
        self.recvchannel.reset()


class Overlay:
    """A bitstream with its IPs as attributes."""

    def __init__(self, bitfile_name: str, download: bool = True) -> None:
        [bus] = _bus
        self.bitfile_name = bitfile_name
        self.psconv_0, self.axi_dma_0 = DefaultIP(bus), DMA(bus)


def _after(beats: int) -> Iterator[bool]:
    """Pauses for good after so many cycles."""
    yield from (False for _ in range(beats))
    while True:
        yield True


async def _clear(bus: Bus, end: Any) -> None:
    """Resets one end of a stream, whatever it is doing."""
    end.clear_pause_generator()
    end.pause = False
    end.assert_reset(True)
    await RisingEdge(bus.dut.aclk)
    end.assert_reset(False)
    end.clear()
