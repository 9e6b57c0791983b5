"""A top's C++ through the open HLS flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from openhls import compile_hls

from psconv.common.places import ENGINE, INCLUDE
from pymodel.common.files import write_text
from pymodel.common.records import read_json
from pymodel.top import cpp
from pymodel.top.dataflow import Dataflow

SCHEDULE, PORTS = "schedule.json", "ports.json"  # of a folder that the open flow wrote


class Options(TypedDict, total=False):
    """Options of `openhls.compile_hls` that a run may choose."""

    target: str
    clock_ns: float
    jobs: int | None
    cache: Path | None
    done: Callable[[int, int], None]


@dataclass(frozen=True)
class Synthesised:
    """What the open flow has written into a folder."""

    folder: Path

    @property
    def rtl(self) -> list[Path]:
        """The files of SystemVerilog, sorted."""
        return sorted((self.folder / "rtl").glob("*.sv"))

    @property
    def schedule(self) -> dict[str, Any]:
        """The contents of schedule.json. Raises ConfigError where it cannot be read."""
        found: dict[str, Any] = read_json(self.folder / SCHEDULE)
        return found

    @property
    def ports(self) -> dict[str, Any]:
        """The contents of ports.json, for rtl_tb.ports. Raises ConfigError where it cannot be read."""
        found: dict[str, Any] = read_json(self.folder / PORTS)
        return found


def compile_top(
    dataflow: Dataflow, out: Path, sources: Mapping[str, str] | None = None, **options: Unpack[Options]
) -> Synthesised:
    """Writes the C++ of a top to `out` and what the open flow makes of it: rtl/, ports.json, schedule.json.

    sources: instead of what cpp.render gives. Raises HlsError; ConfigError as cpp.render does.
    """
    for file, text in (sources or cpp.render(dataflow, dataflow.top)).items():
        write_text(out / file, text)
    includes = [INCLUDE, ENGINE, out]
    compile_hls([out / cpp.SOURCE], dataflow.top, include_dirs=includes, out=out, **options)
    return Synthesised(out)
