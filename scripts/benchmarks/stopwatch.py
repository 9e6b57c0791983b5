"""Times of calls, and the exponents by which they grow."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seconds:
    """What a call took: by the clock on the wall, and of processors, those of its child processes included."""

    wall: float
    processor: float

    def row(self, name: str) -> dict[str, float]:
        """Two values of a table."""
        return {f"{name} s": self.wall, f"{name} processor s": self.processor}


def timed(call: Callable[[], object]) -> Seconds:
    """Time of one call, including child processes that it waits for."""
    wall, processor = time.perf_counter(), _processor()
    call()
    return Seconds(time.perf_counter() - wall, _processor() - processor)


def shortest(call: Callable[[], object], rounds: int) -> Seconds:
    """Time of the round with the least processor time, which leaves out what other work on the machine adds."""
    return min((timed(call) for _ in range(rounds)), key=lambda seconds: seconds.processor)


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """p of times = c * sizes^p, by least squares on the logarithms: 1 is linear, 0 is no growth."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def _processor() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
