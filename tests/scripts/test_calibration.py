"""Which designs the calibration of the cost model measures, and the files that its scripts write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.identifiers import IN_PORT, OUT_PORT
from pymodel.engine.packing import EngineShape
from pymodel.explore.costs import calibration, ff_features, lut_features
from pymodel.explore.technology import SERIES_7, ULTRASCALE_PLUS, Technology, calibrated
from pymodel.explore.unit_costs import features, unit_calibration
from scripts import calibrate_costs, calibrate_units
from scripts.calibration import Calibrated, informative, main


def gain(rows: np.ndarray, chosen: list[int]) -> float:
    """log det of what the chosen rows say, by the determinant itself."""
    scaled = rows / np.sqrt((rows**2).mean(axis=0))
    return float(np.linalg.slogdet(1e-3 * np.eye(rows.shape[1]) + scaled[chosen].T @ scaled[chosen])[1])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(2, 9), st.integers(1, 4), st.integers(1, 12))
def test_each_design_is_the_one_that_says_most_for_its_cost(seed: int, rows: int, width: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    models = [rng.uniform(0.1, 1, (rows, width)) ** 3 for _ in range(2)]
    costs = rng.uniform(1, 3, rows).tolist()
    chosen = informative(models, costs, count)
    assert len(chosen) == len(set(chosen)) == min(count, rows)
    assert informative(models, costs, max(1, count - 1)) == chosen[: max(1, count - 1)]
    for at, picked in enumerate(chosen):
        before = sum(gain(model, chosen[:at]) for model in models)
        others = [n for n in range(rows) if n not in chosen[:at]]
        worth = {n: (sum(gain(model, [*chosen[:at], n]) for model in models) - before) / costs[n] for n in others}
        assert worth[picked] >= max(worth.values()) - 1e-6


def test_designs_that_are_alike_come_last() -> None:
    alike, other = [1.0, 0.0, 0.1], [0.0, 1.0, 0.1]
    assert sorted(informative([np.array([alike, alike, alike, other])], [1] * 4, 2)) == [0, 3]


def test_a_feature_that_no_design_has_is_no_obstacle() -> None:
    assert sorted(informative([np.array([[1.0, 0.0], [2.0, 0.0]])], [1, 1], 5)) == [0, 1]


def test_engines_have_room_in_the_multipliers_of_their_technology() -> None:
    """4 x 4 bits by four take 26 bits, 4 x 8 by three 27: not a DSP48E1's 25."""
    left_out = set(calibrate_costs.designs(ULTRASCALE_PLUS)) - set(calibrate_costs.designs(SERIES_7))
    assert left_out == {"packed_4x4", "packed_4x8", "packed_channels_4x4", "rotations_8_p8_4x4"}
    sample = calibrate_costs.designs(SERIES_7, 8)
    assert len(sample) == 8 and set(sample) <= set(calibrate_costs.designs(SERIES_7))
    assert calibrate_costs.designs(SERIES_7, 5) == sample[:5]


@pytest.mark.parametrize("sample", range(1, 5))
def test_a_sample_has_so_many_units_of_each_type(sample: int) -> None:
    every = Counter(
        unit.function for name in calibrate_units.DESIGNS for unit in calibrate_units.units_of(name).values()
    )
    chosen = calibrate_units.designs(SERIES_7, sample)
    found = Counter(unit.function for name in chosen for unit in calibrate_units.units_of(name).values())
    assert found.keys() == every.keys() and min(found.values()) == sample
    assert calibrate_units.designs(SERIES_7, 1) == chosen[:2] and len(set(chosen)) == 2 * sample


@pytest.mark.parametrize("name", calibrate_units.CHAINS)
def test_the_units_of_a_chain_fit_one_another(name: str) -> None:
    """Each stream is written once and read once, in words of one form; each unit's model has its features."""
    dataflow = calibrate_units.CHAINS[name]
    written = {stream.name: stream for unit in dataflow.units for stream in unit.writes}
    read = [stream for unit in dataflow.units for stream in unit.reads]
    assert len({stream.name for stream in read}) == len(read) == len(written)
    assert {stream.name for stream in read} ^ written.keys() == {IN_PORT, OUT_PORT}
    for stream in read:
        if stream.name in written:
            assert stream == written[stream.name]
    alone = {unit.function: unit for one in calibrate_units.DESIGNS for unit in calibrate_units.units_of(one).values()}
    for unit in calibrate_units.units_of(name).values():
        assert features(unit).keys() == features(alone[unit.function]).keys()


@pytest.mark.parametrize("technology", [one for one in calibrated() if one.like], ids=lambda each: each.name)
def test_the_files_have_the_sample_that_they_name(technology: Technology) -> None:
    """And in it, of each feature of an engine, some that have it."""
    engines, units = calibration(technology), unit_calibration(technology)
    assert engines.sample == len(engines.measured) and list(engines.measured) == calibrate_costs.designs(
        technology, engines.sample
    )
    shapes = [EngineShape(**record["shape"]) for record in engines.measured.values()]
    for of_shape in (lut_features, ff_features):
        assert all(sum(of_shape(shape)[name] > 0 for shape in shapes) >= 2 for name in of_shape(shapes[0]))
    assert {shape.multiplier_bits for shape in shapes} == {technology.multiplier_bits}
    first = technology.calibration.read_text().splitlines()[0], technology.unit_calibration.read_text().splitlines()[0]
    assert first[0].endswith(f"scripts.calibrate_costs {technology.name} --sample {engines.sample}")
    assert first[1].endswith(f"scripts.calibrate_units {technology.name} --sample {units.sample}")


# What a script writes


def designs(technology: Technology, sample: int | None) -> list[str]:
    return [technology.name, "second", "third"][: sample or 3]


def measure(name: str, technology: Technology, out: Path) -> dict[str, Any]:
    return {"length": len(name), "out": str(out), "device": technology.device}


def fit(found: dict[str, dict[str, Any]], technology: Technology, sample: int | None) -> dict[str, Any]:
    return {"technology": technology.name, "sample": sample, "measured": found}


@pytest.mark.parametrize(("words", "sample"), [([], None), (["--sample", "2"], 2)])
def test_the_command_measures_its_sample_and_says_how_the_file_was_made(
    words: list[str], sample: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["calibrate", "series_7", *words, "--out", str(tmp_path)])
    path = tmp_path / "fit.yaml"
    main(
        "What it is.\n\nMore.", Calibrated("calibrate_some", "parts", "N parts", designs, measure, fit, lambda _: path)
    )
    text = path.read_text()
    asked = "" if sample is None else " --sample 2"
    assert text.splitlines()[0].endswith(f" of parts. Made by: python -m scripts.calibrate_some series_7{asked}")
    found = yaml.safe_load(text)
    names = ["series_7", "second", "third"][: sample or 3]
    assert found["sample"] == sample and list(found["measured"]) == names
    assert found["measured"]["series_7"] == {"length": 8, "out": str(tmp_path), "device": "pynq_z2"}


@pytest.mark.parametrize("words", [["--sample", "0"], ["--sample", "few"], ["stratix"], ["series_7", "--sample", "5"]])
def test_what_the_command_does_not_take(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["calibrate", *words])
    with pytest.raises(SystemExit) as leave:
        main("What.", calibrate_units.CALIBRATED)
    assert leave.value.code == 2 and words[-1] in capsys.readouterr().err
