"""The cocotb test: resets the design, starts and supervises the compiled bench around it, judges what came out.

Runs inside the simulator, on the top of rtl_tb.harness. The beats move in compiled code (rtl_tb/sv); this test
sets its variables, lets the clock run, and looks again now and then until the run has halted.

Environment: RTL_TB_JOB names the file of a `Job`. Writes `beats.npz` (beats uint8 [m, bytes],
last bool [m]) and then `result.json` beside it; without result.json the run did not end.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import Timer

from pymodel.common.arrays import Array
from pymodel.common.files import write_atomically, write_text
from rtl_tb import records, watchdog
from rtl_tb.job import Job
from rtl_tb.ports import Ports, Stream, parse_ports
from rtl_tb.progress import Meter, Progress, write_progress
from rtl_tb.result import CycleNumbers, Result
from rtl_tb.scoreboard import ProbeVerdict, Verdict, compare_beats, compare_words

PERIOD_NS = 10
_RESET_CYCLES = 8
_SETTLE_CYCLES = 3  # after the reset, before the first beat is chosen
_DRAIN_CYCLES = 1000  # how long to look for extra beats after the last expected one
_FIRST_LOOK = 1000  # cycles until the bench looks for the first time
_LOOK_SECONDS = 0.5  # seconds between later looks
_CHANCE = 2**32  # the components count chances in units of 1 / _CHANCE


@dataclass(frozen=True)
class Phase:
    """What one stretch between two resets produced.

    beats, words: structured arrays (rtl_tb/records.py), by output stream and by probe. moved: beats transferred, by
    stream.
    """

    beats: dict[str, Array]
    words: dict[str, Array]
    first_in: int | None
    last_in: int | None
    moved: dict[str, int]
    stalls: dict[str, int]
    end: int
    errors: list[str]
    seconds: float  # since the simulation began


class Bench:
    """The compiled bench around one design, seen from Python."""

    def __init__(self, dut: SimHandleBase, job: Job, ports: Ports, folder: Path) -> None:
        self._dut, self._job, self._ports, self._folder = dut, job, ports, folder
        self._in = ports.named(job.source, "in")
        self._sinks = {name: ports.named(name, "out") for name in job.sinks}
        with np.load(job.data) as data:
            self._expected = {name: data[f"expected_{name}"] for name in job.sinks}
            self._expected_words = {name: data[f"probe_{name}"] for name in job.probes}
        self._meter = Meter()
        self._records_read: dict[str, int] = defaultdict(int)  # by file
        self._configure()

    async def reset(self) -> None:
        """Pulse the reset with all streams idle; everything starts from the first beat again."""
        self._set("enable", 0)
        self._set("reset", 1)
        await self._cycles(_RESET_CYCLES)
        self._set("reset", 0)
        await self._cycles(_SETTLE_CYCLES)

    async def run(self, cut_after: int = 0) -> Phase:
        """Send all beats and receive all that are expected, or stop after `cut_after` beats of the job's reset_on."""
        self._set(f"{self._job.reset_on}_cut", cut_after)
        self._set("enable", 1)
        look, before = _FIRST_LOOK, time.monotonic()
        await self._cycles(look)
        while not self._get("halted"):
            now = time.monotonic()
            look = max(int(look * _LOOK_SECONDS / max(now - before, 1e-3)), _FIRST_LOOK)
            before = now
            write_progress(self._folder, self._progress())
            await self._cycles(look)
        write_progress(self._folder, self._progress())
        return self._phase()

    def judge(self, phase: Phase, complete: bool) -> tuple[Verdict, dict[str, dict[str, object]]]:
        """Compare what `phase` recorded with what was expected: output beats; words of the probed streams.

        The verdict is of all outputs together. Where there are several, each is among the probes as well.
        """
        outputs = {
            name: self._judge_output(stream, phase.beats[name], complete) for name, stream in self._sinks.items()
        }
        verdict = Verdict(
            sum(one.mismatch_count for one in outputs.values()),
            [mismatch for one in outputs.values() for mismatch in one.mismatches],
            [error for one in outputs.values() for error in one.errors],
        )
        probes = {
            name: compare_words(name, expected, phase.words[name], self._job.layouts[name], complete)
            for name, expected in self._expected_words.items()
        }
        # What goes wrong first inside explains what comes out.
        inner = [error for probe in probes.values() for error in probe.errors]
        verdict.errors = phase.errors + inner + verdict.errors
        if len(outputs) > 1:
            probes |= {
                name: ProbeVerdict(
                    len(phase.beats[name]), len(self._expected[name]), one.mismatch_count, errors=one.errors
                )
                for name, one in outputs.items()
            }
        return verdict, {name: probe.as_dict() for name, probe in probes.items()}

    def _judge_output(self, stream: Stream, beats: Array, complete: bool) -> Verdict:
        last = beats["last"] != 0 if "TLAST" in stream.signals else None
        layout = self._job.layouts[stream.name]
        return compare_beats(stream.name, self._expected[stream.name], beats["data"], last, layout, complete)

    def protocol_errors(self) -> tuple[list[str], int]:
        """The first violations on each stream, in words, and how many there are."""
        files = [self._folder / records.errors(stream.name) for stream in self._ports.streams]
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        return lines, sum(self._get(f"{stream.name}_errors") for stream in self._ports.streams)

    def _configure(self) -> None:
        seeds = np.random.SeedSequence(self._job.seed).generate_state(len(self._ports.streams), np.uint64)
        for stream, seed in zip(self._ports.streams, seeds, strict=True):
            inward = stream.direction == "in"
            chance = self._job.idle if inward else self._job.backpressure
            self._set(f"{stream.name}_seed", int(seed) or 1)
            self._set(f"{stream.name}_stall", min(round(chance * _CHANCE), _CHANCE - 1))
            self._set(f"{stream.name}_beats", self._total(stream))
        for name, value in self._ports.tie.items():
            self._set(f"tie_{name}", value)
        self._set("timeout", self._job.timeout_cycles)
        self._set("drain", _DRAIN_CYCLES)

    def _phase(self) -> Phase:
        """The state of the halted run."""
        source, sink = self._in.name, self._job.sinks[0]
        end = self._get("cycle") - 1
        errors = []
        if self._get("stuck"):
            states = [self._state(stream) for stream in self._ports.streams]
            inner = self._job.inner
            levels = [self._get(f"{s.name}_level" if s.producer else f"{s.name}_tvalid") for s in inner]
            errors.append(watchdog.report(self._job.timeout_cycles, end, states, inner, levels))
        sent = self._get(f"{source}_moved")
        return Phase(
            beats={
                name: self._new_records(records.sink(name), records.sink_type(stream.bytes))
                for name, stream in self._sinks.items()
            },
            words={
                name: self._new_records(records.probe(name), records.probe_type(words.shape[1]))
                for name, words in self._expected_words.items()
            },
            first_in=self._get(f"{source}_first") if sent else None,
            last_in=self._get(f"{source}_last") if sent else None,
            moved={stream.name: self._get(f"{stream.name}_moved") for stream in self._ports.streams},
            stalls={
                "in_design_not_ready": self._get(f"{source}_waited"),
                "out_bench_not_ready": self._get(f"{sink}_waited"),
            },
            end=end,
            errors=errors,
            seconds=self._meter.seconds(),
        )

    def _state(self, stream: Stream) -> watchdog.StreamState:
        moved = self._get(f"{stream.name}_moved")
        return watchdog.StreamState(
            stream.name,
            stream.direction,
            moved,
            self._total(stream),
            self._job.layouts[stream.name].position(moved),
            bool(self._get(f"{stream.name}_tvalid")),
            bool(self._get(f"{stream.name}_tready")),
        )

    def _progress(self) -> Progress:
        streams, sink = self._ports.streams, self._job.sinks[0]
        moved = {stream.name: self._get(f"{stream.name}_moved") for stream in streams}
        total = sum(self._total(stream) for stream in streams)
        return self._meter.measure(
            self._get("cycle"), moved[sink], len(self._expected[sink]), sum(moved.values()), total
        )

    def _total(self, stream: Stream) -> int:
        """Beats that are to move on the stream."""
        return self._job.beats[stream.name] if stream.direction == "in" else len(self._expected[stream.name])

    def _new_records(self, file: str, kind: np.dtype[np.void]) -> Array:
        """The records that came since the last call."""
        found = records.read_records(self._folder / file, kind, self._records_read[file])
        self._records_read[file] += len(found)
        return found

    async def _cycles(self, count: int) -> None:
        await Timer(count * PERIOD_NS, "ns")

    def _get(self, name: str) -> int:
        return int(getattr(self._dut, name).value)

    def _set(self, name: str, value: int) -> None:
        getattr(self._dut, name).value = value


def cycles_of(phase: Phase, beats_per_image: Mapping[str, int]) -> CycleNumbers:
    """Cycle numbers of the phase, the first whole cycle after its reset being 0 (that in which a process issues first).

    `total` is from first_in to last_out, both included. beats_per_image: by output stream; an image ends with the last
    beat of all of them.
    """
    out = sorted(cycle for beats in phase.beats.values() for cycle in beats["cycle"].tolist())
    ends = [phase.beats[name]["cycle"].tolist()[count - 1 :: count] for name, count in beats_per_image.items()]
    total = out[-1] - phase.first_in + 1 if out and phase.first_in is not None else None
    return {
        "first_in": phase.first_in,
        "last_in": phase.last_in,
        "first_out": out[0] if out else None,
        "last_out": out[-1] if out else None,
        "image_last": [max(of_image) for of_image in zip(*ends, strict=False)],
        "total": total,
        "simulated": phase.end,
    }


def write_result(folder: Path, result: Result, beats: Mapping[str, Array]) -> None:
    """beats.npz first, result.json last: its presence says that both are whole. beats: by output stream."""
    first, *others = beats
    arrays = {"beats": beats[first]["data"], "last": beats[first]["last"] != 0}
    arrays |= {f"beats_{name}": beats[name]["data"] for name in others}
    write_atomically(folder / "beats.npz", lambda target: np.savez(target, allow_pickle=False, **arrays))
    write_text(folder / "result.json", json.dumps(result, indent=1))


@cocotb.test()
async def stream_in_order(dut: SimHandleBase) -> None:
    """Every expected beat comes out, in order, nothing else, within the rules of the protocol."""
    path = Path(os.environ["RTL_TB_JOB"])
    job = Job.load(path)
    ports = parse_ports(job.ports)
    bench = Bench(dut, job, ports, path.parent)
    await bench.reset()
    errors: list[str] = []
    if job.reset_after is not None:
        cut, _ = bench.judge(await bench.run(cut_after=job.reset_after), complete=False)
        errors += [f"before the reset: {error}" for error in cut.errors]
        await bench.reset()
    phase = await bench.run()
    verdict, probes = bench.judge(phase, complete=True)
    protocol, count = bench.protocol_errors()
    errors += verdict.errors + protocol
    result: Result = {
        "mismatch_count": verdict.mismatch_count,
        "mismatches": [asdict(mismatch) for mismatch in verdict.mismatches],
        "errors": errors,
        "protocol_errors": count,
        "cycles": cycles_of(phase, {name: job.layouts[name].beats for name in job.sinks}),
        "moved": phase.moved,
        "stalls": phase.stalls,
        "probes": probes,
        "seconds": round(phase.seconds, 3),
    }
    write_result(path.parent, result, phase.beats)
    assert not errors, "\n".join(errors)
