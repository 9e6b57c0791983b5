"""Says who waits for whom, and where, when a run was ended because nothing moved (rtl_tb/sv/bench_control.sv)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamState:
    """What one stream was doing when the watchdog looked. `direction` is seen from the design."""

    name: str
    direction: str
    transferred: int
    total: int
    position: str
    valid: bool
    ready: bool

    def describe(self) -> str:
        if self.transferred >= self.total:
            more = ", and the design asks for more" if self.direction == "in" and self.ready else ""
            return f"{self.name}: all {self.total} beats transferred{more}"
        driver, taker = ("bench", "design") if self.direction == "in" else ("design", "bench")
        if self.valid and self.ready:
            waiting = "a beat is being transferred"
        elif self.valid:
            waiting = f"the {driver} offers a beat, the {taker} is not ready"
        elif self.ready:
            waiting = f"the {taker} is ready, the {driver} offers no beat"
        else:
            waiting = f"the {driver} offers no beat and the {taker} is not ready"
        return f"{self.name}: stuck at {self.position}, {self.transferred} of {self.total} beats done: {waiting}"


def report(limit: int, cycle: int, states: Iterable[StreamState]) -> str:
    """The message of a run that ended in `cycle`, after `limit` cycles without a transferred beat."""
    stuck = "; ".join(state.describe() for state in states)
    return f"watchdog: no beat moved in {limit} cycles (cycle {cycle}): {stuck}"
