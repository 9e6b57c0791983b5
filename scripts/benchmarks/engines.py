"""Engines of one layer for a benchmark: through the whole flow, checked as every run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from psconv.flow import run as flow
from psconv.flow.config import RunConfig


def through_flow(config: RunConfig, name: str, folder: Path) -> dict[str, Any]:
    """The report's record of the one layer of `config`, built in folder/name.

    Raises AssertionError where a value of C simulation or RTL differs, or the cycles are not the model's.
    """
    run = flow.prepare(config, Path(f"{name}.yaml"), folder / name)
    for step in flow.STEPS:
        flow.run_step(step, run, Console(quiet=True))
    result = flow.report(run)
    layer: dict[str, Any]
    [layer] = result["layers"]
    assert result["ok"] and layer["cycles_model"] == layer["cycles_sim"], (name, layer["mismatches"])
    return layer
