"""The driver for PYNQ, unmodified, on the RTL in Verilator: its bus is a model, everything else is what a user has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from psconv.flow.config import load
from psconv.flow.inputs import load_inputs
from psconv.flow.run import prepare
from pymodel.golden import model as golden
from tests.helpers.places import EXAMPLES
from tests.helpers.zynq import Simulated, small

pytest.importorskip("cocotbext.axi")
DIGITS = 32  # images


@pytest.mark.parametrize(
    "loaded, score_bits",
    [
        pytest.param(False, 16, id="weights in ROM", marks=pytest.mark.slow),
        pytest.param(True, 8, id="weights that are loaded"),
    ],
)
def test_driver(loaded: bool, score_bits: int, tmp_path: Path) -> None:
    small("residual", tmp_path, loaded, score_bits).run("driver")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network", "loaded"])
def test_digits(name: str, tmp_path: Path, psconv) -> None:
    """What `psconv board` writes for a trained network classifies real images as the golden model does."""
    config = EXAMPLES / "digits" / f"{name}.yaml"
    status, printed, told = psconv(
        "board", str(config), "--board", "pynq_z2", "--out", str(tmp_path / "out"), "--no-fit", "--no-build", "--json"
    )
    assert status == 0, told
    made = json.loads(printed)
    inputs = load_inputs(load(config), config)
    run = prepare(load(config), config, tmp_path / "out", target="pynq_z2")
    x, labels = inputs.images[:DIGITS], inputs.labels[:DIGITS]
    y = golden.run(inputs.bundle, x)[run.designs[0].layer]
    Simulated.of(Path(made["folder"]), made["ip"], x, y, labels, run.designs[0].weights).run("driver")
