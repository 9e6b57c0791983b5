"""Images of a run that come from a file: integers as they are, real numbers rounded, wrong ones named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psconv.flow.config import RunConfig
from psconv.flow.inputs import Inputs, load_inputs
from pymodel.common.errors import ConfigError, validated
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from tests.helpers.networks import DIGITS, conv, network

INTEGERS = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8))  # of digits: 2^-4


def inputs(folder: Path, arrays: dict[str, Any], **images: Any) -> Inputs:
    np.savez(folder / "images.npz", **arrays)
    content = {"psconv": 1, "bundle": str(DIGITS), "images": {"source": "file", "path": "images.npz", **images}}
    return load_inputs(validated(RunConfig, content, "test"), folder / "run.yaml")


def test_the_first_images_and_their_labels(tmp_path: Path) -> None:
    found = inputs(tmp_path, {"images": INTEGERS, "labels": np.arange(5, dtype=np.uint8)}, count=3)
    assert found.images.dtype == np.int8 and (found.images == INTEGERS[:3]).all()
    assert found.labels is not None and found.labels.tolist() == [0, 1, 2]


def test_real_numbers_are_rounded_to_the_input(tmp_path: Path) -> None:
    found = inputs(tmp_path, {"images": (INTEGERS + 0.25) / 16}, count=5)
    assert (found.images == INTEGERS).all() and found.labels is None


@pytest.mark.parametrize(
    "arrays, more, problem",
    [
        ({"pictures": INTEGERS}, {}, "images.npz: must hold an array 'images', got pictures"),
        ({"images": INTEGERS[:, 0]}, {}, r"images.npz: images: shape must be \[n, 1, 8, 8\], got \[2, 8, 8\]"),
        ({"images": INTEGERS * 100}, {}, r"images.npz: images \(8 bits\): must be -128 to 127"),
        ({"images": INTEGERS}, {"count": 6}, "images.count: must be at most 5, the images of .*images.npz, got 6"),
        ({"images": INTEGERS, "labels": np.zeros(4, int)}, {}, r"labels: must be integers \[5\], got int64 \[4\]"),
        ({"images": INTEGERS, "labels": np.zeros(5)}, {}, r"labels: must be integers \[5\], got float64 \[5\]"),
        ({"images": INTEGERS}, {"path": None}, "path: must be given with source: file, got none"),
        ({"images": INTEGERS}, {"source": "random"}, "path: must be left out with source: random, got images.npz"),
        ({"images": INTEGERS}, {"path": "none.npz"}, "none.npz"),
    ],
)
def test_wrong_files_are_named(arrays: dict[str, Any], more: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        inputs(tmp_path, arrays, **more)


def test_test_images_of_a_data_set_of_ones_own(tmp_path: Path) -> None:
    """Pixels 0 to 255 are -128 to 127 at 2^-7; the fifth of each class is for testing."""
    made = network(conv("conv", "input", 2), channels=3, height=4, width=5)
    bundle = random_bundle(made, 1)
    replace(bundle, formats=bundle.formats | {"input": Format(8, 7)}).save(tmp_path / "own.yaml")
    pixels = np.random.default_rng(1).integers(0, 256, (20, 3, 4, 5), np.uint8)
    np.savez(tmp_path / "own_data.npz", images=pixels, labels=np.arange(20) % 2)
    content = {"psconv": 1, "bundle": "own.yaml", "images": {"source": "npz", "path": "own_data.npz", "count": 3}}
    found = load_inputs(validated(RunConfig, content, "test"), tmp_path / "run.yaml")
    assert (found.images == pixels[[8, 9, 18]].astype(int) - 128).all()
    assert found.labels is not None and found.labels.tolist() == [0, 1, 0]
    for change, problem in [
        ({"count": 5}, "images.count: must be at most 4, the test images of npz, got 5"),
        ({"source": "folder", "path": None}, "path: must be given with source: folder, got none"),
        ({"source": "digits", "path": None}, r"images.source: must have images of \(3, 4, 5\)"),
    ]:
        wrong = content | {"images": {**content["images"], **change}}  # type: ignore[dict-item]
        with pytest.raises(ConfigError, match=problem):
            load_inputs(validated(RunConfig, wrong, "test"), tmp_path / "run.yaml")
