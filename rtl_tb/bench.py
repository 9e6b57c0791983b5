"""The cocotb test: sends beats_in to a design with one input and one output stream, judges what comes out.

Runs inside the simulator. Environment: RTL_TB_JOB names a JSON file with the fields of `Job`. Writes
`beats.npz` (beats uint8 [m, bytes], last bool [m]) and then `result.json` beside it; without result.json the
run did not end.

One coroutine, one trigger per cycle: cocotb resumes a RisingEdge before the design evaluates the edge, so
what is read there are the values at the edge, and what is written takes effect after it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from rtl_tb.axis import AxisSink, AxisSource, Pins
from rtl_tb.ports import Ports, parse_ports
from rtl_tb.protocol import OutputMonitor
from rtl_tb.scoreboard import Layout, Verdict, compare_beats
from rtl_tb.watchdog import StreamState, Watchdog

PERIOD_NS = 10
_RESET_CYCLES = 8
_RESET_SETTLE = 4  # edges in reset before TVALID must be low; edges after it before the first beat is offered
_DRAIN_CYCLES = 1000  # how long to look for extra beats after the last expected one
_QUIET_CYCLES = 4  # edges without any change before the bench waits for events instead of edges


@dataclass(frozen=True)
class Job:
    """One run. `reset_after`: input beats after which reset is pulsed and everything starts again."""

    ports: dict[str, object]
    data: str  # npz: beats_in uint8 [n, bytes], last_in bool [n], expected uint8 [m, bytes]
    beats_per_image: dict[str, int]  # by direction
    axes: dict[str, list[tuple[str, int]]]  # by direction; what the beats of an image are, if known
    seed: int
    idle: float
    backpressure: float
    timeout_cycles: int
    reset_after: int | None


@dataclass
class Phase:
    """What one stretch between two resets produced."""

    sink: AxisSink
    source: AxisSource
    first_in: int | None = None
    last_in: int | None = None
    end: int = 0
    errors: list[str] = field(default_factory=list)


class Bench:
    """Source, sink, monitor, watchdog and scoreboard around one design."""

    def __init__(self, dut: SimHandleBase, job: Job, ports: Ports) -> None:
        self.job, self.ports = job, ports
        self._in, self._out = Pins(dut, ports.stream("in")), Pins(dut, ports.stream("out"))
        self._clock, self._reset = getattr(dut, ports.clock), getattr(dut, ports.reset.name)
        for name, value in ports.tie.items():
            getattr(dut, name).value = value
        data = np.load(job.data)
        self.expected: np.ndarray = data["expected"]
        self._beats = [int.from_bytes(beat.tobytes(), "little") for beat in data["beats_in"]]
        self._last = data["last_in"].tolist()
        self._random = Random(job.seed)
        self._payload_roles = tuple(
            role for role in ("TDATA", "TLAST", "TKEEP", "TSTRB") if role in self._out.handles
        )
        self._payload_readers = [self._out.readers[role] for role in self._payload_roles]
        self._rising = RisingEdge(self._clock)
        self.monitor = OutputMonitor(self._out.stream.name, self._payload_roles)
        self.layouts = {
            direction: Layout(job.beats_per_image[direction], job.axes.get(direction, ()))
            for direction in ("in", "out")
        }
        self._cycle = 0

    def start_clock(self) -> None:
        Clock(self._clock, PERIOD_NS, "ns").start()

    async def reset(self) -> None:
        """Pulse the reset with all streams idle."""
        active = 0 if self.ports.reset.active_low else 1
        self._reset.value = active
        source, sink = self._new_source(), self._new_sink()
        source.reset()
        sink.reset()
        for edge in range(_RESET_CYCLES):
            await self._edge()
            if edge >= _RESET_SETTLE:
                self.monitor.sample_reset(self._cycle, self._out.bit("TVALID"))
        self._reset.value = 1 - active
        for _ in range(_RESET_SETTLE):
            await self._edge()
            self._sample_output(sink)

    async def run(self, stop_after: int | None = None) -> Phase:
        """Send all beats and receive all that are expected, or stop after `stop_after` input beats."""
        source, sink = self._new_source(), self._new_sink()
        phase, watchdog = Phase(sink, source), Watchdog(self.job.timeout_cycles)
        watchdog.progress(self._cycle)
        drain, quiet, limit = min(_DRAIN_CYCLES, self.job.timeout_cycles), 0, 2 * len(self.expected) + 16
        while True:
            active = source.drive()
            active |= sink.drive()
            quiet = 0 if active else quiet + 1
            if quiet > _QUIET_CYCLES:
                await self._sleep(source, watchdog.remaining(self._cycle))
                quiet = 0
            await self._edge()
            ready = self._in.bit("TREADY") if source.valid else 0
            if ready < 0:
                phase.errors.append(f"protocol: {source.name}, cycle {self._cycle}: TREADY is X or Z")
                break
            moved_in, moved_out = source.sample(ready), self._sample_output(sink)
            if moved_in:
                phase.last_in = self._cycle
                if phase.first_in is None:
                    phase.first_in = self._cycle
                if source.accepted == stop_after:
                    break
            if moved_in or moved_out:
                watchdog.progress(self._cycle)
                quiet = 0
                if len(sink.beats) >= limit:
                    break
            elif watchdog.remaining(self._cycle) <= self.job.timeout_cycles - drain and self._complete(
                source, sink
            ):
                break
            elif watchdog.remaining(self._cycle) <= 0:
                phase.errors.append(watchdog.report(self._cycle, self._states(source, sink)))
                break
        phase.end = self._cycle
        return phase

    def judge(self, phase: Phase, complete: bool) -> Verdict:
        """Compare what `phase` received with what was expected."""
        name, size = phase.sink.name, self._out.stream.bytes
        last = np.array(phase.sink.last, bool) if "TLAST" in self._out.handles else None
        verdict = compare_beats(
            name, self.expected, received(phase.sink, size), last, self.layouts["out"], complete
        )
        verdict.errors = phase.errors + verdict.errors
        return verdict

    async def _edge(self) -> None:
        await self._rising
        self._cycle += 1

    async def _sleep(self, source: AxisSource, cycles: int) -> None:
        """Nothing moves until the design raises TREADY or TVALID: wait for that, not for every edge."""
        if self._out.bit("TVALID") != 0 or (source.valid and self._in.bit("TREADY") != 0):
            return
        most = max(min(cycles, _DRAIN_CYCLES if source.done else cycles) - 2, 0)
        # Half a period off the edge, so that it never falls together with one.
        events = [Timer(most * PERIOD_NS + PERIOD_NS // 2, "ns"), RisingEdge(self._out.handles["TVALID"])]
        if source.valid:
            events.append(RisingEdge(self._in.handles["TREADY"]))
        before = get_sim_time("ns")
        await First(*events)
        passed = int((get_sim_time("ns") - before) // PERIOD_NS)
        self._cycle += passed
        source.waiting += passed * source.valid

    def _sample_output(self, sink: AxisSink) -> bool:
        valid = self._out.bit("TVALID")
        payload = tuple([read() for read in self._payload_readers]) if valid == 1 else ()
        self.monitor.sample(self._cycle, valid, sink.ready, payload)
        return sink.sample(self._cycle, valid, payload)

    def _complete(self, source: AxisSource, sink: AxisSink) -> bool:
        return source.done and len(sink.beats) >= len(self.expected)

    def _states(self, source: AxisSource, sink: AxisSink) -> list[StreamState]:
        return [
            StreamState(
                source.name,
                "in",
                source.accepted,
                len(self._beats),
                self.layouts["in"].position(source.accepted),
                bool(source.valid),
                self._in.bit("TREADY") == 1,
            ),
            StreamState(
                sink.name,
                "out",
                len(sink.beats),
                len(self.expected),
                self.layouts["out"].position(len(sink.beats)),
                self._out.bit("TVALID") == 1,
                bool(sink.ready),
            ),
        ]

    def _new_source(self) -> AxisSource:
        return AxisSource(self._in, self._beats, self._last, self.job.idle, self._random)

    def _new_sink(self) -> AxisSink:
        return AxisSink(self._out, self.job.backpressure, self._random)


def received(sink: AxisSink, size: int) -> np.ndarray:
    """Beats of the sink as uint8 [m, size]."""
    data = b"".join(beat.to_bytes(size, "little") for beat in sink.beats)
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def cycles_of(phase: Phase, beats_per_image: int) -> dict[str, object]:
    """Cycle numbers of the phase; `total` is from first_in to last_out, both included."""
    out = phase.sink.cycles
    total = out[-1] - phase.first_in + 1 if out and phase.first_in is not None else None
    return {
        "first_in": phase.first_in,
        "last_in": phase.last_in,
        "first_out": out[0] if out else None,
        "last_out": out[-1] if out else None,
        "image_last": out[beats_per_image - 1 :: beats_per_image],
        "total": total,
        "simulated": phase.end,
    }


def stalls_of(phase: Phase) -> dict[str, int]:
    """Cycles in which one side offered and the other did not take."""
    return {"in_design_not_ready": phase.source.waiting, "out_bench_not_ready": phase.sink.stalled}


def write_result(folder: Path, result: dict[str, object], sink: AxisSink, size: int) -> None:
    """beats.npz first, result.json last: its presence says that both are whole."""
    temporary = folder / "beats.tmp.npz"
    np.savez(temporary, beats=received(sink, size), last=np.array(sink.last, bool))
    os.replace(temporary, folder / "beats.npz")
    temporary = folder / "result.json.tmp"
    temporary.write_text(json.dumps(result, indent=1), encoding="utf-8")
    os.replace(temporary, folder / "result.json")


@cocotb.test()
async def stream_in_order(dut: SimHandleBase) -> None:
    """Every expected beat comes out, in order, nothing else, within the rules of the protocol."""
    path = Path(os.environ["RTL_TB_JOB"])
    job = Job(**json.loads(path.read_text(encoding="utf-8")))
    ports = parse_ports(job.ports)
    bench = Bench(dut, job, ports)
    bench.start_clock()
    await bench.reset()
    errors: list[str] = []
    if job.reset_after is not None:
        cut = await bench.run(stop_after=job.reset_after)
        errors += [f"before the reset: {error}" for error in bench.judge(cut, complete=False).errors]
        await bench.reset()
    phase = await bench.run()
    verdict = bench.judge(phase, complete=True)
    errors += verdict.errors + bench.monitor.errors
    result = {
        **verdict.as_dict(),
        "errors": errors,
        "protocol_errors": bench.monitor.error_count,
        "cycles": cycles_of(phase, job.beats_per_image["out"]),
        "stalls": stalls_of(phase),
    }
    write_result(path.parent, result, phase.sink, ports.stream("out").bytes)
    assert not errors, "\n".join(errors)
