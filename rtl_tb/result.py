"""What a run came to, as result.json has it: written by the test inside the simulator, read by `simulate`."""

from __future__ import annotations

from typing import TypedDict


class CycleNumbers(TypedDict):
    """Cycles, numbered from 0, the first whole cycle after the reset.

    first_in, last_in, first_out, last_out: of the first and the last beat; None: there was none. image_last: of each
    image's last output beat. total: from first_in to last_out, both included. simulated: of the run's end.
    """

    first_in: int | None
    last_in: int | None
    first_out: int | None
    last_out: int | None
    image_last: list[int]
    total: int | None
    simulated: int


class Result(TypedDict):
    """One run. mismatches: the fields of rtl_tb.scoreboard.Mismatch of the first of `mismatch_count`.

    errors: everything that is wrong, in words. moved: beats transferred, by stream. stalls: cycles in which one side of
    a stream waited for the other. probes: by stream, the fields of rtl_tb.scoreboard.ProbeVerdict. seconds: of the
    simulation.
    """

    mismatch_count: int
    mismatches: list[dict[str, object]]
    errors: list[str]
    protocol_errors: int
    cycles: CycleNumbers
    moved: dict[str, int]
    stalls: dict[str, int]
    probes: dict[str, dict[str, object]]
    seconds: float
