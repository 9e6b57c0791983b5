"""How far a simulation is: written by the bench inside the simulator, read by the process that waits for it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pymodel.common.files import write_text

FILE = "progress.json"


@dataclass(frozen=True)
class Progress:
    """cycles: simulated so far. beats, expected: output beats received, and in all. seconds_left: None: unknown."""

    cycles: int
    cycles_per_second: float
    beats: int
    expected: int
    seconds_left: float | None


class Meter:
    """Makes a Progress of the counts of a run, with rates over the whole of it."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._start

    def measure(self, cycles: int, beats: int, expected: int, moved: int, to_move: int) -> Progress:
        """moved, to_move: beats on all streams, from which the time left is reckoned."""
        seconds = self.seconds()
        left = seconds * (to_move - moved) / moved if moved else None
        return Progress(cycles, cycles / seconds, beats, expected, left)


def write_progress(folder: Path, progress: Progress) -> None:
    write_text(folder / FILE, json.dumps(asdict(progress)))


def read_progress(folder: Path) -> Progress | None:
    """The latest progress of the run in `folder`; None before the first."""
    try:
        return Progress(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
