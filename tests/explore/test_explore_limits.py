"""psconv explore says what limits: a layer that can have no more lanes, a budget, a unit between layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from psconv.commands import explore
from pymodel.common.errors import ConfigError
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's work in this process: starting workers takes longer than it."""
    monkeypatch.setattr(explore, "in_workers", lambda function, calls, _: [function(*call) for call in calls])


def configured(folder: Path, out_channels: int) -> Path:
    """A layer of 24 channels under a period of 16: neither To nor Tb can be 2."""
    layers: list[dict[str, Any]] = [
        {
            "op": "conv",
            "name": "c",
            "input": "input",
            "out_channels": out_channels,
            "kernel": 3,
            "padding": 1,
            "support": "PSD1_P16",
        }
    ]
    spec = {"channels": 16, "height": 5, "width": 5}
    random_bundle(Network(name="n", input=spec, layers=layers, output="c"), 0).save(folder / "b.yaml")
    (folder / "n.yaml").write_text(yaml.safe_dump({"psconv": 1, "bundle": "b.yaml", "top": "network"}))
    return folder / "n.yaml"


def asked(path: Path, *budget: str, fps: float | None = None) -> explore.Exploration:
    nothing = [f"{kind}=none" for kind in ("DSP", "BRAM", "LUT", "FF", "URAM")]
    return explore.explore(path, explore.Request(fps, "DSP", (*nothing, *budget), device="zcu104", points=1))


def test_a_layer_that_can_have_no_more_lanes(tmp_path: Path) -> None:
    """25 pixels, two rounds of 16 rotations: 50 cycles, with all 24 products of 16 outputs at once."""
    found = asked(configured(tmp_path, 24))
    assert found.best.interval == 50
    [limit] = found.limits
    assert limit.startswith("layer c: 50 cycles at least, with 384 lanes; no more lanes: ")
    assert "To: period * To = 16 * 2 = 32 must divide cout, got To 2 with cout 24" in limit
    assert found.to_json()["limits"] == [limit]


def test_a_budget(tmp_path: Path) -> None:
    found = asked(configured(tmp_path, 32), "DSP=24")
    [limit] = found.limits
    assert limit.endswith(" multipliers; more lanes take more than the budget has")
    luts = found.best.answer.cost.LUT
    found = asked(configured(tmp_path, 32), f"LUT={luts}")
    [limit] = found.limits
    assert limit.startswith("layer c: a faster one takes LUT ") and limit.endswith(f" of {luts:,}")


def test_a_rate_that_no_folding_reaches(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reaches 100,000,000 frames/s.*; layer c: 50 cycles at least.* cout 24"):
        asked(configured(tmp_path, 24), fps=1e8)
    with pytest.raises(ConfigError) as caught:
        asked(configured(tmp_path, 24), fps=1e8)
    assert str(caught.value).count("no folding") == 1  # loaded weights have no more lanes


def test_nothing_where_a_rate_was_asked_for(tmp_path: Path) -> None:
    assert asked(configured(tmp_path, 24), fps=1000.0).limits == []
