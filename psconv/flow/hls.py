"""A top's C++ through the open HLS flow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

from openhls import compile_hls

from psconv.common.places import ENGINE, INCLUDE
from pymodel.common.files import write_text
from pymodel.top import cpp
from pymodel.top.dataflow import Dataflow


class Options(TypedDict, total=False):
    """Options of `openhls.compile_hls` that a run may choose."""

    target: str
    clock_ns: float
    jobs: int | None
    cache: Path | None


def compile_top(
    dataflow: Dataflow, out: Path, sources: Mapping[str, str] | None = None, **options: Unpack[Options]
) -> None:
    """Writes the C++ of a top to `out` and what the open flow makes of it: rtl/, ports.json, schedule.json.

    sources: instead of what cpp.render gives. Raises HlsError; ConfigError as cpp.render does.
    """
    for file, text in (sources or cpp.render(dataflow, dataflow.top)).items():
        write_text(out / file, text)
    includes = [INCLUDE, ENGINE, out]
    compile_hls([out / cpp.SOURCE], dataflow.top, include_dirs=includes, out=out, **options)
