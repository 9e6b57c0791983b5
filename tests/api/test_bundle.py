"""Bundles from Python: what goes in, what comes out, what is refused. Answers are computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import psconv
from pymodel.common.errors import ConfigError
from pymodel.network import bundle as on_disk
from pymodel.network.formats import Format
from tests.helpers.networks import DIGITS, network


def bundle(size: int = 1, **more: object) -> psconv.Bundle:
    """Two outputs of two channels, x0 + x1 and x0 - x1, of images of one or more pixels."""
    net = network(
        {"op": "conv", "name": "c", "input": "input", "out_channels": 2, "kernel": 1, "bias": False},
        channels=2,
        height=size,
        width=size,
    )
    return psconv.Bundle(
        network=net,
        formats={"input": Format(8, 1), "c": Format(8, 1)},
        weight_formats={"c": Format(8, 0)},
        weights={"c": np.array([[1, 1], [1, -1]], np.int8).reshape(2, 2, 1, 1)},
        biases={},
        **more,
    )


def test_real_numbers_are_rounded_and_integers_taken() -> None:
    assert bundle().predict(np.array([[1.0, 0.25]])).tolist() == [[3, 1]]  # 2 and, halves up, 1
    assert bundle().predict(np.array([[2, 1]])).tolist() == [[3, 1]]
    assert bundle().predict(np.array([[[[2]], [[1]]]])).tolist() == [[3, 1]]
    assert bundle().predict([[2, 1]]).dtype == np.int8
    assert bundle().real(np.array([[3, 1]])).tolist() == [[1.5, 0.5]]


@pytest.mark.parametrize(
    "images, problem",
    [
        ([[200, 0]], r"images \(8 bits\): must be -128 to 127, got 200 at \[0, 0, 0, 0\]"),
        ([[np.nan, 0.0]], "must be numbers, got NaN"),
        ([[1, 2, 3]], r"images: shape must be \[n, 2, 1, 1\], got \[1, 3, 1, 1\]"),
        ([True, False], r"images: shape must be \[n, 2, 1, 1\], got \[2\]"),
        ([["a", "b"]], r"images \(8 bits\): must be integers, got <U1"),
    ],
)
def test_images_of_another_kind_are_refused(images: list, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        bundle().predict(np.array(images))


def test_accuracy_is_of_images_or_of_pixels() -> None:
    assert bundle().evaluate(np.array([[2, 1], [2, -1], [2, 0]]), np.array([0, 1, 1])) == pytest.approx(2 / 3)
    pixels = np.array([[[[1, 1], [1, 1]], [[1, -1], [1, -1]]]])  # classes 0 1 0 1
    assert bundle(2).predict(pixels).shape == (1, 2, 2, 2)
    assert bundle(2).evaluate(pixels, np.array([[[0, 1], [1, 1]]])) == 0.75
    with pytest.raises(ConfigError, match=r"labels: must be integers \[1, 2, 2\], got int64 \[1\]"):
        bundle(2).evaluate(pixels, np.array([0]))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    bundle(notes={"why": "test"}).save(str(tmp_path / "one.yaml"))
    loaded = psconv.load(str(tmp_path / "one.yaml"))
    assert isinstance(loaded, psconv.Bundle)
    assert loaded.notes == {"why": "test"}
    assert loaded.predict(np.array([[2, 1]])).tolist() == [[3, 1]]
    with pytest.raises(ConfigError, match="must end in .yaml"):
        loaded.save(tmp_path / "one.json")


def test_many_images_are_computed_in_pieces() -> None:
    images = np.random.default_rng(0).integers(-20, 20, (600, 2))
    expected = np.stack([images[:, 0] + images[:, 1], images[:, 0] - images[:, 1]], axis=1)
    assert (bundle().predict(images) == expected).all()
    assert bundle().predict(images[:0]).shape == (0, 2)


def test_the_summary_names_layers_and_formats() -> None:
    lines = psconv.load(DIGITS).summary().splitlines()
    assert lines[1].split() == "layer op output support weights nonzero weight format output format".split()
    counted = [np.count_nonzero(on_disk.Bundle.load(DIGITS).weights[name]) for name in ("conv1", "conv2")]
    assert lines[3].split()[:6] == ["conv1", "conv", "16x8x8", "dense", "144", str(counted[0])]
    assert lines[4].split()[3:6] == ["PSD1_P16", "4,608", str(counted[1])]
    assert lines[-1] == "Input: 8-bit integers at scale 2^-4, -8 to 7.9375"
