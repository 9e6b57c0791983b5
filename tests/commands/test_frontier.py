"""psconv frontier: accuracy and rate of bundles on one device, beside what others have published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from psconv.commands.frontier import Frontier, Point, frontier, published
from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import load_target
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top.dataflow import build
from tests.helpers.networks import conv
from tests.helpers.places import EXAMPLES


def saved(folder: Path, name: str, channels: int, dataset: str | None = "cifar10", **notes: Any) -> Path:
    """A small bundle with an accuracy in its notes."""
    layers = [
        conv("a", "input", channels, support="PS4_P4", relu=True),
        {"op": "global_avgpool", "name": "g", "input": "a"},
        {"op": "linear", "name": "f", "input": "g", "out_features": 10},
    ]
    spec = {"channels": 4, "height": 8, "width": 8}
    bundle = random_bundle(Network(name=name, input=spec, layers=layers, output="f"), 0)
    path = folder / f"{name}.yaml"
    replace(bundle, dataset=dataset, notes=notes).save(path)
    return path


def test_points_are_what_is_built(tmp_path: Path) -> None:
    """The written configurations, built by the flow, have the interval that was promised."""
    paths = [saved(tmp_path, "wide", 16, test_accuracy=0.9), saved(tmp_path, "narrow", 4, test_accuracy=0.8)]
    found = frontier(paths, "zcu104", tmp_path / "out", budget=("DSP=40",))
    assert [point.name for point in found.points] == ["wide", "narrow"]
    for point in found.points:
        config = load(point.config)
        bundle = load_bundle(config, point.config)
        dataflow = build(bundle, engine_shapes(config, bundle, load_target("zcu104")))
        assert dataflow.interval == point.row["cycles"] and dataflow.multipliers <= 40
        assert point.fps == pytest.approx(1e9 / (dataflow.interval * found.clock_ns), rel=1e-6)
    data = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert data == json.loads(json.dumps(found.to_json())) and (tmp_path / "out" / "frontier.svg").exists()
    assert "no MLPerf result" in data["note"] and len(data["published"]) == len(published())


def test_what_is_dominated() -> None:
    """Against the definition: a point that no other one beats in one and equals in the other is on the frontier."""
    values = [(0.9, 100.0), (0.9, 90.0), (0.8, 100.0), (0.8, 200.0), (0.7, 200.0), (0.7, 300.0), (0.9, 100.0)]
    points = [
        Point(Path("b"), str(at), "cifar10", accuracy, {"frames_per_second": fps}, Path("c"))
        for at, (accuracy, fps) in enumerate(values)
    ]
    found = Frontier(load_target("zcu104"), 3.333, points, [], {})
    assert [found.dominated(point) for point in points] == [False, True, True, False, True, False, False]


def test_digits_have_no_peers(tmp_path: Path) -> None:
    path = EXAMPLES / "digits" / "digits_PSD1_P16.yaml"
    found = frontier([path], "zcu104", tmp_path)
    assert found.peers == [] and found.points[0].accuracy == Bundle.load(path).notes["test_accuracy"]


def test_what_does_not_fit_is_told(tmp_path: Path, psconv) -> None:
    path = saved(tmp_path, "one", 16, test_accuracy=0.5)
    code, out, _ = psconv(
        "frontier", str(path), "--device", "zcu104", "--budget", "LUT=10", "--out", str(tmp_path / "o")
    )
    assert code == 0 and "Left out: " in out and "no folding of one fits zcu104" in " ".join(out.split())


@pytest.mark.parametrize(
    ("notes", "dataset", "told"),
    [
        ({}, "cifar10", "notes.test_accuracy: must be the accuracy of all test images from 0 to 1"),
        ({"test_accuracy": 87.0}, "cifar10", "got 87.0"),
        ({"test_accuracy": True}, "cifar10", "got True"),
        ({"test_accuracy": "high"}, "cifar10", "got 'high'"),
        ({"test_accuracy": 0.8}, "digits", "bundles: must be of one data set"),
    ],
)
def test_bundles_without_what_is_needed(notes, dataset, told, tmp_path: Path, psconv) -> None:
    good = saved(tmp_path, "good", 4, test_accuracy=0.8)
    bad = saved(tmp_path, "bad", 4, dataset, **notes)
    code, _, err = psconv("frontier", str(good), str(bad), "--device", "zcu104", "--out", str(tmp_path / "out"))
    assert code == 2 and told in " ".join(err.split()) and not (tmp_path / "out" / "frontier.json").exists()


def test_two_of_one_name_and_a_device_that_there_is_not(tmp_path: Path, psconv) -> None:
    first = saved(tmp_path, "same", 4, test_accuracy=0.8)
    (tmp_path / "other").mkdir()
    second = saved(tmp_path / "other", "same", 8, test_accuracy=0.9)
    code, _, err = psconv("frontier", str(first), str(second), "--device", "zcu104", "--out", str(tmp_path / "out"))
    assert code == 2 and "bundles: must have names of their own, got same more than once" in " ".join(err.split())
    code, _, err = psconv("frontier", str(first), "--device", "none", "--out", str(tmp_path / "out"))
    assert code == 2 and "none" in err
