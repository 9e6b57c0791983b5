"""A kernel compiled, run as a program and as RTL on the same words: do they agree?"""

from __future__ import annotations

import json
import random
import runpy
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openhls.backend.targets import DEFAULT_CLOCK_NS, DEFAULT_TARGET, Target
from openhls.common.errors import HlsError, Location
from openhls.driver.compile import CompileResult, compile_hls
from openhls.results import records
from openhls.results.ports import PortStream
from openhls.simulation.native import run_native
from openhls.simulation.rtl import SimulationError, Simulator
from openhls.simulation.words import Words, checked, fields, split

# Chances per cycle that an input has nothing to offer, and that an output is not ready.
PATTERNS = ((0.0, 0.0), (0.3, 0.3), (0.8, 0.1), (0.1, 0.8))
_UNKNOWN = 2_000_000  # cycles for loops whose number of iterations depends on data


@dataclass(frozen=True)
class Comparison:
    """Whether the RTL does what the program does.

    `taken`, `expected`: the words that the program read and wrote, port by port, unsigned. `problem`: where the RTL
    first differed, with port, word and stalls; "" where it never did. `cycles` of the run without stalls, from the
    first transfer to the last one; 0 where nothing was transferred.
    """

    result: CompileResult
    taken: Words
    expected: Words
    problem: str
    cycles: int

    @property
    def agrees(self) -> bool:
        return not self.problem

    def text(self) -> str:
        """One line that says how it went."""
        if self.problem:
            return f"{self.result.ports.top}: the RTL differs from the program: {self.problem}"
        said = [
            f"{len(words)} words of {name}" for group in (self.taken, self.expected) for name, words in group.items()
        ]
        stalls = len(PATTERNS) - 1
        return (
            f"{self.result.ports.top}: program and RTL agree: {', '.join(said)}; "
            f"{self.cycles} cycles without stalls, {stalls} runs with"
        )


def simulate(
    sources: Sequence[Path],
    top: str,
    words: Mapping[str, Sequence[int | Sequence[int]]] | Path,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    target: str | Path | Target = DEFAULT_TARGET,
    clock_ns: float = DEFAULT_CLOCK_NS,
    *,
    out: Path,
    runs: int = 1,
    seed: int = 1,
    jobs: int | None = None,
    cache: Path | None = None,
    print_after: str | Sequence[str] = (),
) -> Comparison:
    """Compile a kernel, call it natively, and feed its RTL with the same words: freely, and under random stalls.

    Args:
        sources, top, include_dirs, defines, target, clock_ns, jobs, cache, print_after: as for `compile_hls`.
            The arguments of the top are streams and arrays of streams, none in a structure.
        words: what each input gets, integers or lists of a word's fields; or a file that says so: JSON with such a
            mapping, or Python with a function `words(rng)` that gives one, where `rng` is a random.Random(seed).
        out: the folder: `compile_hls`'s files, and simulation/.
        runs: how often the top is called; seed: of words and stalls.
    Raises:
        HlsError: it cannot be compiled, the words are not its inputs', or the program reads more than there are.
    """
    result = compile_hls(
        sources, top, include_dirs, defines, target, clock_ns, out=out, jobs=jobs, cache=cache, print_after=print_after
    )
    folder = Path(out).absolute() / "simulation"
    widths = {stream.name: stream.width for stream in result.schedule.streams}
    ports = {stream.name: stream for stream in result.ports.streams}
    inputs = {name: stream for name, stream in ports.items() if stream.direction == "in"}
    given, source = _given(words, seed)
    inputs_words = checked(given, inputs, widths, source)
    shapes = {name: (widths[name], stream.direction == "in") for name, stream in ports.items()}
    taken, expected = run_native(
        sources, top, shapes, inputs_words, runs, folder / "program", result.arguments, include_dirs, defines
    )
    simulator = Simulator(result, folder / "rtl")
    counts = {name: len(made) for name, made in expected.items()}
    transfers = sum(map(len, [*taken.values(), *expected.values()]))
    cycles = 0
    for number, (idle, stall) in enumerate(PATTERNS):
        limit = _limit(result, runs, transfers, idle, stall)
        under = f"with idle {idle}, stall {stall}, seed {seed + number}"
        try:
            run = simulator.run(taken, counts, idle=idle, stall=stall, seed=seed + number, limit=limit)
        except SimulationError as error:
            return Comparison(result, taken, expected, f"{under}: {error}", cycles)
        if problem := _difference(run.out, expected, ports, widths):
            return Comparison(result, taken, expected, f"{under}: {problem}", cycles)
        if number == 0:
            when = [time for times in run.times.values() for time in times]
            cycles = max(when) - min(when) + 1 if when else 0
    return Comparison(result, taken, expected, "", cycles)


def _given(words: Mapping[str, Any] | Path, seed: int) -> tuple[object, str]:
    """What was given, and how a message calls it."""
    if isinstance(words, Mapping):
        return words, "words"
    if words.suffix == ".json":
        try:
            return json.loads(records.read(words)), str(words)
        except ValueError as error:
            raise HlsError(f"{words}: no JSON: {error}") from None
    if words.suffix == ".py":
        return _by_bench(words, seed), f"{words}: words(rng)"
    raise HlsError(f"{words}: words come from a .json or a .py")


def _by_bench(path: Path, seed: int) -> object:
    """What a user's function gives. Raises HlsError where it is missing or fails, with its line."""
    if not path.is_file():
        raise HlsError(f"{path}: no such file")
    try:
        make = runpy.run_path(str(path)).get("words")
        if not callable(make):
            raise HlsError(f"{path}: no function words(rng)")
        return make(random.Random(seed))
    except HlsError:
        raise
    except Exception as error:  # whatever a user's code raises
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise HlsError(f"{type(error).__name__}: {error}", Location(last.filename, last.lineno or 0)) from error


def _limit(result: CompileResult, runs: int, transfers: int, idle: float, stall: float) -> int:
    """Cycles that are more than enough, and few enough to wait for."""
    iterations = [process.iterations for process in result.schedule.processes]
    known = sum(n for n in iterations if n is not None)
    busy = 20 * transfers + 4 * runs * known + (_UNKNOWN if None in iterations else 0)
    return int(10_000 + busy / ((1 - idle) * (1 - stall)))


def _difference(made: Words, expected: Words, ports: Mapping[str, PortStream], widths: Mapping[str, int]) -> str:
    """The first word that differs, in hexadecimal, field by field where there are several."""
    for name, words in expected.items():
        parts = fields(ports[name], widths[name])
        for number, (got, right) in enumerate(zip(made[name], words, strict=True)):
            if got != right:
                hexed = [" ".join(f"{value:#x}" for value in split(word, parts)) for word in (got, right)]
                return f"{name}: word {number} of {len(words)} is {hexed[0]}, the program says {hexed[1]}"
    return ""
