"""A design of psconv on an AMD Zynq board under PYNQ: numpy in, numpy out.

    from psconv_driver import PsconvOverlay
    overlay = PsconvOverlay("psconv.bit")       # psconv.hwh and psconv.json lie beside it
    scores = overlay.infer(images)              # int8 [n, C, H, W], or real numbers, to int [n, ...]
    print(overlay.accuracy(images, labels), overlay.counters())

While the hardware works the driver waits for its interrupt, where the overlay has one that PYNQ hears; else it polls.
In an event loop, that of a notebook among them, nothing may block: `infer` polls there, and
`await overlay.infer_async(images)` waits.

This file depends on pynq and numpy alone. What the hardware is, its registers included, it takes from the JSON file.
"""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pynq

FORMAT = 1  # of the JSON file
LOOK = 0.1  # s without an interrupt, after which the registers are looked at
RESET = 10.0  # s that a reset may take, which takes microseconds
DMACR, DMACR_RESET = 0x00, 1 << 2  # of AXI DMA: the control register of a channel, and a bit of it


class HardwareError(RuntimeError):
    """What is in the hardware, or what it said, is not what the driver expects."""


class PsconvOverlay(pynq.Overlay):  # type: ignore[misc] # pynq has no types
    """The hardware of one design.

    bitfile: the bitstream, .bit; the .hwh of the same name lies beside it. hardware: the JSON file; none: the one of
    the same name. batch: images of a packet, at most. timeout: seconds that a packet may take. Other arguments are
    those of pynq.Overlay.

    Raises ValueError for a batch below 1.
    Raises HardwareError: a bitstream of another design, or of other weights, than the JSON file; a file that is no such
    file.
    """

    def __init__(
        self,
        bitfile: str | Path,
        hardware: str | Path | None = None,
        batch: int = 256,
        timeout: float = 10.0,
        **overlay: Any,
    ) -> None:
        self.hardware_file = Path(hardware) if hardware else Path(bitfile).with_suffix(".json")
        self.facts = _read(self.hardware_file)
        most = self.facts["transfer_bytes"] // max(self.facts["image_bytes"], self.facts["score_bytes"])
        if not 1 <= batch:
            raise ValueError(f"batch: must be at least 1, got {batch}")
        self.batch, self.timeout = min(batch, most), timeout
        super().__init__(str(bitfile), **overlay)
        self.ip = getattr(self, self.facts["ip"])
        self.dma = getattr(self, self.facts["dma"])
        # None: the .hwh file has no such interrupt, or PYNQ found no way from it to the processor.
        self._interrupt: Any = getattr(self.ip, "interrupt", None)
        # PYNQ hears interrupts in the loop that was the current one when it made the IP's driver, just now.
        self._loop = None if self._interrupt is None else asyncio.get_event_loop()
        self._at_work = False
        self._buffers: dict[tuple[str, int], Any] = {}
        self._has_weights = not self.facts["loads"]
        self._check()
        self.reset()

    def infer(self, images: Any) -> Any:
        """The scores of images, int [n, *output shape]: the design's own integers.

        images: int [n, C, H, W] in the format of the design's input, or real numbers, which are quantised to it.
        Raises ValueError for images of another shape or range, HardwareError where the hardware found fault.
        """
        return self._to_the_end(lambda listens: self._infer(images, listens))

    async def infer_async(self, images: Any) -> Any:
        """As `infer`; while the hardware works, other tasks of the event loop go on. One call at a time."""
        return await self._infer(images, self._interrupt is not None)

    async def _infer(self, images: Any, listens: bool) -> Any:
        if not self._has_weights:
            raise HardwareError("no weights are loaded yet: call load_weights first")
        given = self.quantise(images)
        parts = [await self._packet(given[at : at + self.batch], listens) for at in range(0, len(given), self.batch)]
        shape = self.facts["output"]["shape"]
        return np.concatenate(parts) if parts else np.zeros((0, *shape), self._score_type)

    def classify(self, images: Any) -> Any:
        """The class with the highest score of each image, int [n]; of equal ones the first."""
        scores = self.infer(images)
        return scores.reshape(len(scores), -1).argmax(axis=1)

    def accuracy(self, images: Any, labels: Any) -> float:
        """The share of images whose class is the label, 0 to 1. Raises ValueError for no images, or other labels."""
        labels = np.asarray(labels)
        if labels.shape != (len(images),) or not len(labels):
            raise ValueError(f"labels: must be one for each of {len(images)} images, got shape {list(labels.shape)}")
        return float((self.classify(images) == labels).mean())

    def quantise(self, images: Any) -> Any:
        """int8 [n, C, H, W] of images: integers as they are, real numbers to the nearest, halves up, saturated.

        Raises ValueError for another shape, integers out of range, what is no number.
        """
        given, of = np.asarray(images), self.facts["input"]
        if given.ndim != 4 or given.shape[1:] != tuple(of["shape"]):
            raise ValueError(f"images: must be [n, {', '.join(map(str, of['shape']))}], got {list(given.shape)}")
        reach = 1 << of["bits"] - 1
        if given.dtype.kind == "f":
            if np.isnan(given).any():
                raise ValueError("images: must be numbers, got NaN")
            with np.errstate(over="ignore"):  # infinity saturates
                scaled = np.clip(np.ldexp(given.astype(np.float64), of["frac"]), -reach, reach - 1)
            whole = np.floor(scaled)
            # Not floor(x + 0.5): that sum rounds the number just below one half up to 1.
            return (whole + (scaled - whole >= 0.5)).astype(np.int8)
        if given.dtype.kind not in "iu":
            raise ValueError(f"images: must be integers or real numbers, got {given.dtype}")
        if given.size and (given.min() < -reach or given.max() >= reach):
            raise ValueError(f"images: must be {-reach} to {reach - 1}, got {given.min()} to {given.max()}")
        return given.astype(np.int8)

    def load_weights(self, weights: str | Path | bytes) -> None:
        """Loads weights, a file of `psconv pack-weights` or its bytes, and looks whether the hardware takes them.

        Raises HardwareError: a design that loads none, weights of another network, weights that came damaged.
        """
        if not self.facts["loads"]:
            raise HardwareError("the weights of this design are in ROM; build it with weights: loaded")
        source = "weights" if isinstance(weights, bytes) else str(weights)
        octets = weights if isinstance(weights, bytes) else Path(weights).read_bytes()
        beat, word = self.facts["beat_bytes"], self.facts["word_bytes"]
        expected = self.facts["weight_bytes"] // word * beat
        if len(octets) != expected:
            raise HardwareError(f"{source}: must have {expected} bytes, got {len(octets)}; write it with pack-weights")
        if (found := int.from_bytes(octets[:4], "little")) != self.facts["identity"]:
            raise HardwareError(
                f"{source}: identity: must be {self.facts['identity']:#010x}, as of the hardware, got {found:#010x}: "
                "these are the weights of another network"
            )
        padded = np.zeros((len(octets) // beat, word), np.uint8)
        padded[:, :beat] = np.frombuffer(octets, np.uint8).reshape(-1, beat)
        self._has_weights = False
        self._write("batch", 1)
        self._write("control", self._bits("control", "enable") | self._bits("control", "weights"))
        # An image takes them to the engines, and its response has the verdict.
        image = np.zeros(self.facts["image_bytes"], np.uint8)
        self._to_the_end(lambda listens: self._transfer((padded.ravel(), image), listens))
        self._has_weights = True

    def counters(self) -> dict[str, float]:
        """What the hardware counted since the last reset.

        images; cycles with an image inside; image_cycles: those of the last image; frames_per_second: at the clock that
        the design was built for, of the last image.
        """
        last = self._read64("image_cycles")
        return {
            "images": self._read("images"),
            "cycles": self._read64("cycles"),
            "image_cycles": last,
            "frames_per_second": self.facts["clock_mhz"] * 1e6 / last if last else 0.0,
        }

    def reset(self) -> None:
        """Everything as after loading the bitstream: DMA, design, counters. Loaded weights are gone."""
        self._write("control", 0)
        # The DMA's own reset, of both channels (AMD PG021): stop() would wait for a transfer that may never end.
        self.dma.write(DMACR, DMACR_RESET)
        self._until(lambda: not self.dma.read(DMACR) & DMACR_RESET, "the DMA does not end its reset")
        self._write("control", self._bits("control", "reset"))
        idle = self._bits("status", "idle")
        self._until(lambda: bool(self._read("status") & idle), "the hardware is not idle after a reset")
        for channel in (self.dma.sendchannel, self.dma.recvchannel):
            channel.start()
        self._has_weights = not self.facts["loads"]
        done = self._bits("interrupt_status", "done")
        self._write("interrupt_status", done)
        self._write("interrupt_enable", 0 if self._interrupt is None else done)
        self._write("control", self._bits("control", "enable"))

    def close(self) -> None:
        """Stops the hardware and gives the buffers back."""
        self._write("control", 0)
        self._write("interrupt_enable", 0)
        for buffer in self._buffers.values():
            buffer.freebuffer()
        self._buffers = {}

    def _check(self) -> None:
        """Raises HardwareError unless the hardware is what the JSON file says."""
        for name, what in (
            ("magic", "this is no hardware of psconv"),
            ("version", "its registers are of another version"),
            ("identity", "the bitstream is of another network"),
            ("contents", "the bitstream has the weights of another training"),
            ("image_bytes", "the bitstream takes other images"),
            ("score_bytes", "the bitstream gives other scores"),
            ("weight_bytes", "the bitstream takes other weights"),
        ):
            found = self._read(name)
            if found != self.facts[name]:
                raise HardwareError(
                    f"{self.hardware_file}: {name}: must be {found:#010x}, as in the hardware, "
                    f"got {self.facts[name]:#010x}: {what}"
                )

    def _to_the_end(self, work: Callable[[bool], Coroutine[Any, Any, Any]]) -> Any:
        """What a coroutine of this class returns; it is told whether it can wait for the interrupt."""
        if self._loop is None or self._interrupt is None or self._loop.is_running():
            return _at_once(work(False))
        task = self._loop.create_task(work(True))
        try:
            return self._loop.run_until_complete(task)
        finally:
            if not task.done():  # Ctrl-C
                task.cancel()
                self._loop.run_until_complete(asyncio.wait({task}))

    async def _packet(self, images: Any, listens: bool) -> Any:
        """The scores of the images of one packet."""
        self._write("batch", len(images))
        return self._unpack(await self._transfer((self._pack(images),), listens), len(images))

    async def _transfer(self, packets: Sequence[Any], listens: bool) -> Any:
        """Sends packets one after the other, bytes each, and takes the packet of scores that they make: uint8 [m]."""
        if self._at_work:
            raise HardwareError("images are at work: wait for infer_async before the next call")
        self._at_work = True
        try:
            return await self._exchange(packets, listens)
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.reset()  # the DMA is in the middle of a packet
            raise
        finally:
            self._at_work = False

    async def _exchange(self, packets: Sequence[Any], listens: bool) -> Any:
        count = len(packets[-1]) // self.facts["image_bytes"]
        scores = self._buffer("scores", count * self.facts["score_bytes"])
        before = self._read("packets")
        self.dma.recvchannel.transfer(scores)
        for at, packet in enumerate(packets, 1):
            end = time.monotonic() + self.timeout
            buffer = self._buffer("images", len(packet))
            buffer[:] = packet
            buffer.flush()
            self.dma.sendchannel.transfer(buffer)
            if listens and self._interrupt is not None and at == len(packets):
                await self._interrupted(end)
            await self._wait(self.dma.sendchannel, end, "images did not go in")
        await self._wait(self.dma.recvchannel, end, "scores did not come out")
        self._raise_errors()
        if self._read("packets") != (before + 1) % 2**32:
            self.reset()
            raise HardwareError("scores came of another packet than was sent; the hardware was reset")
        scores.invalidate()
        return np.array(scores)

    async def _interrupted(self, end: float) -> None:
        """Until the hardware says by its interrupt that the scores went to the DMA, or there is no use in waiting.

        An interrupt that does not come although the scores did is told, and never waited for again.
        """
        done, missed = self._bits("interrupt_status", "done"), False
        told = asyncio.ensure_future(self._interrupt.wait())
        try:
            while True:
                await asyncio.wait({told}, timeout=LOOK)
                came, is_done = told.done(), bool(self._read("interrupt_status") & done)
                if came:
                    told.result()  # an overlay that was loaded meanwhile
                if is_done and came:
                    self._write("interrupt_status", done)
                    return
                if is_done and missed:
                    warnings.warn("the interrupt does not come; from now on the driver polls", stacklevel=2)
                    self._interrupt = None
                    self._write("interrupt_enable", 0)
                    return
                missed = is_done
                if not is_done and (time.monotonic() > end or self._dma_failed()):
                    return
                if came:  # of what was cleared before: a controller keeps it for the next time
                    told = asyncio.ensure_future(self._interrupt.wait())
        finally:
            told.cancel()
            await asyncio.wait({told})

    async def _wait(self, channel: Any, end: float, what: str) -> None:
        """Polls until a channel of the DMA has done its transfer."""
        while not channel.idle:
            if self._dma_failed():
                self._give_up(f"{what}: the DMA reports an error")
            if time.monotonic() > end:
                self._give_up(f"{what} within {self.timeout:g} s")
            await asyncio.sleep(0)
        if self._dma_failed():
            self._give_up(f"{what}: the DMA reports an error")
        channel.wait()

    def _dma_failed(self) -> bool:
        """Whether a channel stands still: what fails on one side stops the other."""
        return bool(self.dma.sendchannel.error or self.dma.recvchannel.error)

    def _until(self, done: Callable[[], bool], what: str) -> None:
        """Waits as long as a reset may take. Raises HardwareError."""
        end = time.monotonic() + RESET
        while not done():
            if time.monotonic() > end:
                raise HardwareError(f"{what} within {RESET:g} s")

    def _give_up(self, what: str) -> None:
        names = ", ".join(self._set("status")) or "none"
        faults = ", ".join(self._set("errors")) or "none"
        images = self._read("images")
        self.reset()
        again = "; load the weights again" if self.facts["loads"] else ""
        raise HardwareError(
            f"{what}: {images} images done, status: {names}, errors: {faults}; the hardware was reset{again}"
        )

    def _raise_errors(self) -> None:
        """Raises HardwareError for errors of the packets, which are cleared: the next packet is a new one."""
        found = self._set("errors")
        if not found:
            return
        self._write("errors", self._read("errors"))
        meanings = self.facts["meanings"]
        texts = [f"{name}: {meanings['errors'][name]}" for name in found]
        if "response" in found:
            status = self._read("verdict") & 0xFF
            texts += [text for bit, text in meanings["response"].items() if status >> int(bit) & 1]
        raise HardwareError(f"the scores are not right: {'; '.join(texts)}")

    def _pack(self, images: Any) -> Any:
        """uint8 [n * image_bytes]: a byte for each activation, in the order of the design's words."""
        of = self.facts["input"]
        channels, height, width = of["shape"]
        padded = np.zeros((len(images), height, width, of["per_pixel"] * of["group"]), np.int8)
        padded[..., :channels] = images.transpose(0, 2, 3, 1)
        sets = padded.reshape(-1, of["at_once"], of["per_pixel"], of["group"]).swapaxes(1, 2)
        return np.ascontiguousarray(sets).reshape(-1).view(np.uint8)

    def _unpack(self, octets: Any, count: int) -> Any:
        """int [n, *output shape] from the bytes of the scores."""
        of = self.facts["output"]
        channels, height, width = of["words"]
        scores = octets.view(self._score_type)
        sets = scores.reshape(-1, of["per_pixel"], of["at_once"], of["group"]).swapaxes(1, 2)
        pixels = sets.reshape(count, height, width, of["per_pixel"] * of["group"])[..., :channels]
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(count, *of["shape"])

    @property
    def _score_type(self) -> str:
        return f"<i{self.facts['output']['score_bits'] // 8}"

    def _buffer(self, use: str, size: int) -> Any:
        """Memory that the DMA reaches, kept for the next transfer of the same size."""
        if (use, size) not in self._buffers:
            self._buffers[use, size] = pynq.allocate((size,), np.uint8)
        return self._buffers[use, size]

    def _bits(self, register: str, field: str) -> int:
        """The bits of a field."""
        return int(self.facts["fields"][register][field])

    def _set(self, register: str) -> list[str]:
        """The names of the flags of a register that are set."""
        value = self._read(register)
        return [name for name, mask in self.facts["fields"][register].items() if value & mask]

    def _read(self, register: str) -> int:
        return int(self.ip.read(self.facts["registers"][register]))

    def _read64(self, register: str) -> int:
        low = self._read(register)  # keeps the upper half
        return self._read(f"{register}_high") << 32 | low

    def _write(self, register: str, value: int) -> None:
        self.ip.write(self.facts["registers"][register], value)


def _at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing but its next turn: it gets each of them now."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            return end.value


def _read(path: Path) -> dict[str, Any]:
    """The JSON file. Raises HardwareError that names it."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HardwareError(f"{path}: cannot be read: {error.strerror}; psconv board writes it") from None
    except ValueError as error:
        raise HardwareError(f"{path}: is no JSON: {error}") from None
    if not isinstance(facts, dict) or facts.get("psconv_hardware") != FORMAT:
        found = facts.get("psconv_hardware") if isinstance(facts, dict) else None
        raise HardwareError(f"{path}: psconv_hardware: must be {FORMAT}, got {found!r}")
    return facts
