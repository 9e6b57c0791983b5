"""AXI4-Stream source and sink.

Both live in one loop: at each rising edge the bench first lets every object `sample` the values from before
the edge, then lets it `drive` those of after it. A beat is transferred iff TVALID and TREADY are both high at
the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cocotb.handle import SimHandleBase

from rtl_tb.ports import Stream

_UNKNOWN_AS_ZERO = str.maketrans({digit: "0" for digit in "xXzZuUwW-"})


class Pins:
    """The signals of one stream; remembers what it drove and writes changes only.

    Values are read below cocotb's value objects (`_handle`), whose making takes most of a cycle's time.
    """

    def __init__(self, dut: SimHandleBase, stream: Stream) -> None:
        self.stream = stream
        self.handles = {role: getattr(dut, signal.name) for role, signal in stream.signals.items()}
        self.readers = {role: handle._handle.get_signal_val_binstr for role, handle in self.handles.items()}
        self._driven: dict[str, int] = {}

    def bit(self, role: str) -> int:
        """Value of a one-bit signal; -1 if it is neither 0 nor 1."""
        text = self.readers[role]()
        return 1 if text == "1" else 0 if text == "0" else -1

    def write(self, role: str, value: int) -> None:
        if role in self.handles and self._driven.get(role) != value:
            self.handles[role].value = value
            self._driven[role] = value


class AxisSource:
    """Sends beats in order. `idle` is the chance, per cycle, of waiting before the next beat is offered.

    Once TVALID is high it stays so, and the payload with it, until the beat is accepted.
    """

    def __init__(
        self, pins: Pins, beats: Sequence[int], last: Sequence[bool], idle: float, random: Random
    ) -> None:
        self.pins, self._beats, self._last, self._idle, self._random = pins, beats, last, idle, random
        self.accepted = 0
        self.valid = 0
        self.waiting = 0  # cycles in which the design did not take an offered beat

    @property
    def name(self) -> str:
        return self.pins.stream.name

    @property
    def done(self) -> bool:
        return self.accepted == len(self._beats)

    def sample(self, ready: int) -> bool:
        """True when a beat was transferred at this edge."""
        if not self.valid:
            return False
        if ready == 1:
            self.accepted += 1
            self.valid = 0
            return True
        self.waiting += 1
        return False

    def drive(self) -> bool:
        """Offer the next beat. True when a signal changed or may change at the next edge by itself."""
        if self.valid:
            return False
        if self.done or (self._idle and self._random.random() < self._idle):
            self.pins.write("TVALID", 0)
            return not self.done
        self.valid = 1
        self.pins.write("TVALID", 1)
        self.pins.write("TDATA", self._beats[self.accepted])
        self.pins.write("TLAST", int(self._last[self.accepted]))
        return True

    def reset(self) -> None:
        """Drive the idle state; every byte of every beat counts, so TKEEP and TSTRB are constant ones."""
        for role, value in (("TVALID", 0), ("TDATA", 0), ("TLAST", 0)):
            self.pins.write(role, value)
        for role in ("TKEEP", "TSTRB"):
            self.pins.write(role, (1 << self.pins.stream.bytes) - 1)


class AxisSink:
    """Receives beats. `backpressure` is the chance, per cycle, of TREADY being low."""

    def __init__(self, pins: Pins, backpressure: float, random: Random) -> None:
        self.pins, self._backpressure, self._random = pins, backpressure, random
        self.ready = 0
        self.beats: list[int] = []
        self.last: list[bool] = []
        self.cycles: list[int] = []
        self.stalled = 0  # cycles in which the design offered a beat and the bench did not take it

    @property
    def name(self) -> str:
        return self.pins.stream.name

    def sample(self, cycle: int, valid: int, payload: tuple[str, ...]) -> bool:
        """True when a beat was transferred at this edge. `payload` is TDATA, then TLAST if there is one."""
        if valid != 1:
            return False
        if not self.ready:
            self.stalled += 1
            return False
        # A beat with X or Z bits is already an error of the protocol monitor; they count as 0 here.
        self.beats.append(int(payload[0].translate(_UNKNOWN_AS_ZERO), 2))
        self.last.append(len(payload) > 1 and payload[1] == "1")
        self.cycles.append(cycle)
        return True

    def drive(self) -> bool:
        """Choose TREADY of the next cycle. True when it may change at the next edge by itself."""
        self.ready = int(not (self._backpressure and self._random.random() < self._backpressure))
        self.pins.write("TREADY", self.ready)
        return self._backpressure > 0

    def reset(self) -> None:
        self.ready = 0
        self.pins.write("TREADY", 0)
