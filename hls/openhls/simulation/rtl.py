"""The RTL of a compilation as a program, driven under random stalls.

Random idle cycles in front of each input word, random back-pressure on each output, a reset in the middle on demand.
On every cycle it is checked that TVALID holds and the data stay until TREADY, that TREADY does not look at its own
TVALID, and that no word is lost, repeated or made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openhls.driver.compile import CompileResult
from openhls.results.ports import PortStream
from openhls.simulation import tools
from openhls.simulation.words import Words, fields, from_bytes, joined, split
from openhls.system import children

# As strict as Verilator can be about what is written; not every bit of a word is read. What is not driven is random.
_VERILATE = ("--cc", "-O3", "-Wall", "-Wno-UNUSEDSIGNAL", "--x-assign", "unique", "--x-initial", "unique")


class SimulationError(Exception):
    """What the bench found wrong with the RTL, and in which cycle."""


@dataclass(frozen=True)
class Run:
    """What a simulation gave: the words of each output, the cycle of each transfer of each port."""

    out: Words
    times: Words


def _size(width: int) -> int:
    """Bytes in which Verilator keeps a signal of `width` bits."""
    return next((size for size in (1, 2, 4, 8) if width <= 8 * size), -(-width // 32) * 4)


class Simulator:
    """The RTL of one compilation as a program.

    Args:
        result: of `compile_hls`; folder: for the program and its files.
    Raises:
        HlsError: Verilator does not take the RTL, or a tool is missing.
    """

    def __init__(self, result: CompileResult, folder: Path):
        self.result, self.folder = result, folder
        self.widths = {stream.name: stream.width for stream in result.schedule.streams}
        self.model = folder / "model"
        self.model.mkdir(parents=True, exist_ok=True)
        binary = tools.verilator() / "bin" / "verilator_bin"
        names = ("--Mdir", self.model, "--prefix", "Vtop", "--top-module", result.ports.top)
        tools.run([binary, *_VERILATE, *names, *result.rtl], "verilator", folder)
        (folder / "design.cpp").write_text(self._design())
        header = ("-include-pch", tools.prepared() / "model.pch")
        tools.compiled(folder, [*header, f"-I{self.model}", "-c", folder / "design.cpp", "-o", folder / "design.o"])
        tools.compiled(folder, [folder / "design.o", *tools.objects(), "-o", folder / "simulator", "-pthread"])

    def _design(self) -> str:
        """What bench.hpp declares, for this design; its model is compiled with it."""
        rows = []
        for stream in self.result.ports.streams:
            handshake = ", ".join(f"&top->{stream.signals[kind].name}" for kind in ("TVALID", "TREADY"))
            payload = ", ".join(f"{{&top->{s.name}, {_size(s.width)}}}" for s in stream.payload)
            is_input = str(stream.direction == "in").lower()
            rows.append(f'  ports.push_back({{"{stream.name}", {is_input}, {handshake}, {{{payload}}}}});')
        lines = [
            *(f'#include "{path.name}"' for path in sorted(self.model.glob("*.cpp"))),
            '#include "bench.hpp"',
            "static Vtop* top;",
            "Design::Design(int seed) {",
            "  Verilated::randReset(2);",
            "  Verilated::randSeed(seed);",
            "  top = new Vtop;",
            "  clock = &top->ap_clk;",
            "  reset_n = &top->ap_rst_n;",
            *rows,
            "}",
            "void Design::eval() { top->eval(); }",
        ]
        return "\n".join(lines) + "\n"

    def run(
        self,
        inputs: Mapping[str, Sequence[int]],
        expected: Mapping[str, int],
        *,
        idle: float = 0.0,
        stall: float = 0.0,
        seed: int = 1,
        reset_at: int = 0,
        limit: int = 1_000_000,
    ) -> Run:
        """Feed words, collect words.

        Args:
            inputs: all words of each input; expected: how many words each output will give.
            idle: chance per cycle that an input has nothing to offer; stall: that an output is not ready.
            reset_at: reset before this cycle, and start again from the first word (0: no).
            limit: cycles after which it is taken for hung.
        Raises:
            SimulationError: too many words, a word that was not held, no end, a combinational TREADY.
        """
        streams = {stream.name: stream for stream in self.result.ports.streams}
        for name, stream in streams.items():
            if stream.direction == "in":
                (self.folder / f"{name}.beats").write_bytes(self._beats(stream, inputs[name]))
            else:
                (self.folder / f"{name}.count").write_text(str(expected[name]))
        arguments = [str(value) for value in (self.folder, seed, idle, stall, reset_at, limit)]
        done = children.run([self.folder / "simulator", *arguments])
        if done.returncode:
            raise SimulationError(done.stderr.strip() or f"the simulation ended with status {done.returncode}")
        return Run(
            {name: self._words(stream) for name, stream in streams.items() if stream.direction == "out"},
            {name: from_bytes((self.folder / f"{name}.times").read_bytes(), 64) for name in streams},
        )

    def _beats(self, stream: PortStream, words: Sequence[int]) -> bytes:
        widths = fields(stream, self.widths[stream.name])
        sizes = [_size(signal.width) for signal in stream.payload]
        return b"".join(
            value.to_bytes(size, "little")
            for word in words
            for value, size in zip(split(word, widths), sizes, strict=True)
        )

    def _words(self, stream: PortStream) -> list[int]:
        raw = (self.folder / f"{stream.name}.out").read_bytes()
        widths = fields(stream, self.widths[stream.name])
        sizes = [_size(signal.width) for signal in stream.payload]
        words, at = [], 0
        while at < len(raw):
            values = []
            for size in sizes:
                values.append(int.from_bytes(raw[at : at + size], "little"))
                at += size
            words.append(joined(values, widths))
        return words
