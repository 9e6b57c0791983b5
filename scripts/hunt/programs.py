"""Random C++ kernels: the program with AMD's headers against the RTL of openhls, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from openhls import HlsError, compile_hls
from openhls.simulation import tools
from openhls.simulation.rtl import SimulationError

from psconv.common.places import INCLUDE
from scripts.hunt import kernel_bench, kernels
from scripts.hunt.campaign import Campaign, Case, Declined, Fault

RUNS = 3  # calls of a kernel: static words outlive the first
CLOCKS = {"xcup": (3.33, 5.0, 8.0, 15.0, 30.0), "ecp5": (10.0, 20.0, 50.0, 100.0)}  # ns

# What openhls refuses with good reason (hls/openhls/docs/language.md), and its name in the table. Kernels are drawn so
# that an iteration uses each stream and memory once: a refusal for a second use is none of these.
REASONS = (
    ("a recurrence or dependence that allows no II of 1", r"II=1 impossible"),
    ("an operation longer than the clock", r"one '\w+' of \d+ bits takes"),
    ("a port that only dead code uses", r"stream '\w+' is neither read nor written"),
)


class Programs(Campaign):
    """A case: target and clock in ns, seeds of words and stalls, the kernel."""

    name = "programs"
    help = "random C++ kernels: compiled with AMD's headers and run, against openhls' RTL under random stalls"
    aim = 1000
    seconds = 120.0

    def prepare(self) -> None:
        kernel_bench.prepared()
        tools.prepared()

    def draw(self, rng: np.random.Generator) -> Case:
        target = "xcup" if rng.random() < 0.7 else "ecp5"
        return {
            "target": target,
            "clock": float(rng.choice(CLOCKS[target])),
            "seed": int(rng.integers(1 << 31)),
            "idle": float(rng.choice((0.0, 0.2, 0.7))),
            "stall": float(rng.choice((0.0, 0.2, 0.7))),
            "kernel": kernels.Draw(rng).kernel,
        }

    def check(self, case: Case, folder: Path) -> None:
        kernel, seed = case["kernel"], case["seed"]
        source = folder / "kernel.cpp"
        source.write_text(text := kernels.text(kernel))
        inputs, outputs = kernel["inputs"], kernel["outputs"]
        rng = np.random.default_rng(seed)
        words = {name: _words(rng, width, RUNS * _most_reads(kernel["body"], name) + 1) for name, width, _ in inputs}
        taken, expected = kernel_bench.run_natively(text, inputs, outputs, words, RUNS, folder)
        try:
            result = compile_hls(
                [source], "top", [INCLUDE], {}, case["target"], case["clock"], out=folder / "out", jobs=1
            )
        except HlsError as error:
            raise _refusal(error) from error
        try:
            count = {name: len(w) for name, w in expected.items()}
            made = kernel_bench.run_rtl(result, taken, count, folder / "rtl", seed, case["idle"], case["stall"])
        except (SimulationError, HlsError) as error:
            raise Fault("hang" if "no end" in str(error) else "wrong", f"RTL: {error}") from None
        if made != expected:
            ours = kernel_bench.run_natively(text, inputs, outputs, words, RUNS, folder, "clang")
            where = (
                "openhls (hls/openhls/include gives AMD's words)"
                if ours == (taken, expected)
                else "hls/openhls/include/ap_int.h"
            )
            raise Fault("wrong", f"{_difference(made, expected)}; to be looked for in {where}")

    def smaller(self, case: Case) -> Iterator[Case]:
        for kernel in kernels.smaller(case["kernel"]):
            yield {**case, "kernel": kernel}
        if case["idle"] or case["stall"]:
            yield {**case, "idle": 0.0, "stall": 0.0}
        slowest = CLOCKS[case["target"]][-1]
        if case["clock"] != slowest:
            yield {**case, "clock": slowest}


def _refusal(error: HlsError) -> Exception:
    for reason, pattern in REASONS:
        if re.search(pattern, str(error)):
            return Declined(reason)
    return Fault("refused", f"openhls: {error}")


def _words(rng: np.random.Generator, width: int, count: int) -> list[int]:
    """Random words, corner values more often."""
    ones = (1 << width) - 1
    corners = [0, 1, ones, 1 << (width - 1), ones >> 1]
    return [
        corners[int(rng.integers(5))] if rng.random() < 0.15 else int.from_bytes(rng.bytes(8), "little") & ones
        for _ in range(count)
    ]


def _most_reads(body: list[kernels.Node], stream: str) -> int:
    """How many words one run takes at most."""
    total = 0
    for s in body:
        if s[0] == "read":
            total += s[2] == stream
        elif s[0] == "if":
            total += _most_reads(s[2], stream) + _most_reads(s[3], stream)
        elif s[0] == "loop":
            total += s[2] * _most_reads(s[4], stream)
    return total


def _difference(made: kernel_bench.Words, expected: kernel_bench.Words) -> str:
    for name, right in expected.items():
        for k, (a, b) in enumerate(zip(made[name], right, strict=True)):
            if a != b:
                return f"word {k} of {name}: RTL {a:#x}, the program {b:#x}"
    return f"RTL {made}, the program {expected}"


CAMPAIGN = Programs()
