"""Engines of one layer for a benchmark: through the whole flow, checked as every run is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from psconv.flow import run as flow
from psconv.flow.config import RunConfig
from psconv.flow.design import make_designs
from psconv.flow.inputs import load_inputs
from psconv.report.collect import report
from psconv.synthesis.targets import load_target
from pymodel.common.arrays import Int8
from pymodel.golden import model as model
from pymodel.top.units import EngineUnit
from scripts.designs import engine_of


def through_flow(config: RunConfig, name: str, folder: Path) -> dict[str, Any]:
    """The report's record of the design of the one layer of `config`, built in folder/name.

    Raises AssertionError where a value of C simulation or RTL differs, or the cycles are not the model's.
    """
    run = flow.prepare(config, Path(f"{name}.yaml"), folder / name)
    flow.run_steps("all", run, Console(quiet=True))
    result = report(run)
    design: dict[str, Any]
    [design] = result["designs"]
    assert result["ok"], (name, design["mismatches"], design["errors"])
    return design


def layer_vectors(config: RunConfig, path: Path) -> tuple[EngineUnit, Int8, Int8]:
    """The engine of the one layer of `config`, read from `path`; its images and its outputs, int8 [n, C, H, W]."""
    inputs = load_inputs(config, path)
    [design] = make_designs(config, inputs.bundle, load_target(config.target))
    vectors = design.vectors(model.run(inputs.bundle, inputs.images))
    return engine_of(design), vectors.x, vectors.outputs[design.layer]
