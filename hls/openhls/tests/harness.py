"""Kernel in C++ -> words of a native run and of its RTL under many patterns of stalls, from the same random input."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from openhls import CompileResult, compile_hls
from openhls.frontend.clang import HEADERS as INCLUDE
from openhls.simulation.native import run_native
from openhls.simulation.rtl import Simulator
from openhls.simulation.words import Words

__all__ = ["INCLUDE", "PATTERNS", "Simulator", "compare", "native", "random_words", "run_native"]

PATTERNS = [
    {"idle": 0.0, "stall": 0.0},
    {"idle": 0.7, "stall": 0.0, "seed": 2},
    {"idle": 0.0, "stall": 0.7, "seed": 3},
    {"idle": 0.3, "stall": 0.3, "seed": 4},
    {"idle": 0.95, "stall": 0.1, "seed": 5},
    {"idle": 0.1, "stall": 0.95, "seed": 6},
    {"idle": 0.2, "stall": 0.2, "seed": 7, "reset_at": 37},
]


def random_words(width: int, count: int, seed: int) -> list[int]:
    """Random words, corner values (0, -1, smallest, largest byte) over-represented."""
    rng = random.Random(seed)
    corners = [0, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1, 1]

    def word() -> int:
        if rng.random() < 0.1:
            return rng.choice(corners)
        value = rng.getrandbits(width)
        for byte in range(0, width, 8):
            if rng.random() < 0.1:
                value = value & ~(0xFF << byte) | rng.choice((0x00, 0x7F, 0x80, 0xFF)) << byte
        return value & ((1 << width) - 1)

    return [word() for _ in range(count)]


def native(
    kernel: Path, top: str, result: CompileResult, inputs: Mapping[str, Sequence[int]], runs: int, folder: Path
) -> tuple[Words, Words]:
    """Call the kernel `runs` times, natively: (the input words it took, its output words)."""
    widths = {s.name: s.width for s in result.schedule.streams}
    ports = {s.name: (widths[s.name], s.direction == "in") for s in result.ports.streams}
    return run_native([kernel], top, ports, inputs, runs, folder, result.arguments)


def compare(
    source: Path,
    top: str,
    words: int,
    folder: Path,
    *,
    target: str = "xcup",
    clock_ns: float = 3.33,
    runs: int = 3,
    patterns: Sequence[Mapping] = PATTERNS,
) -> CompileResult:
    """Compile a kernel, run it natively on random words, and compare its RTL under stalls.

    Args:
        words: per run and input, at least as many as are read.
    """
    result = compile_hls([source], top, target=target, clock_ns=clock_ns, out=folder)
    widths = {s.name: s.width for s in result.schedule.streams}
    inputs = {
        s.name: random_words(widths[s.name], words * runs, k)
        for k, s in enumerate(result.ports.streams)
        if s.direction == "in"
    }
    taken, expected = native(source, top, result, inputs, runs, folder / "native")
    simulator = Simulator(result, folder / "sim")
    for pattern in patterns:
        got = simulator.run(taken, {name: len(w) for name, w in expected.items()}, **pattern)
        assert got.out == expected, pattern
    return result
