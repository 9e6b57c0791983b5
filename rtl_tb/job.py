"""One run of the bench, as the process that starts a simulation describes it to the test inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pymodel.common.files import write_text
from rtl_tb.scoreboard import Field, Layout
from rtl_tb.watchdog import Inner


@dataclass(frozen=True)
class Job:
    """One run. `data` is an npz with the expected beats and words, uint8 [m, bytes]: `expected_NAME` of each output
    stream and `probe_NAME`.

    source: the input stream with the images. sinks: the output streams, the one that results tell of first. beats: by
    input stream, how many it sends. layouts: by stream or probe.
    reset_after: beats of the stream reset_on after which reset is pulsed and everything starts again. The rest is as
    in rtl_tb.runner.simulate.
    """

    ports: dict[str, object]
    data: str
    source: str
    sinks: list[str]
    beats: dict[str, int]
    layouts: dict[str, Layout]
    probes: list[str]
    inner: list[Inner]
    seed: int
    idle: float
    backpressure: float
    timeout_cycles: int
    reset_after: int | None
    reset_on: str

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Job:
        fields = json.loads(path.read_text(encoding="utf-8"))
        layouts = {
            name: Layout(layout["beats"], layout["axes"], layout["field"] and Field(**layout["field"]))
            for name, layout in fields["layouts"].items()
        }
        return cls(**fields | {"layouts": layouts, "inner": [Inner(**stream) for stream in fields["inner"]]})
