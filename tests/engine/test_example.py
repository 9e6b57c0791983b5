"""hls/engine/example, as a user would copy it: against the convolutions that its comments state, and as RTL."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from openhls import compile_hls

from psconv.common.places import ENGINE, INCLUDE
from pymodel.engine.cpp import engine_constants, loaded_engine_struct
from pymodel.engine.packing import EngineShape
from tests.engine.programs import HERE, run

EXAMPLE = ENGINE / "example"

# The tables in the comments of layers.hpp.
TAPS = [[4], [0], [8], [2, 6]]
FIRST = [[1, 7, 2, 2, 6], [-8, -4, 4, 5, -5], [6, -8, -1, -4, 5], [5, -6, 4, -7, -1]]
FIRST_BIAS, FIRST_SHIFT = [10, -20, 30, 0], 3
SECOND = np.array([[5, -4, -3, -4], [3, -4, 7, -1]])
SECOND_BIAS, SECOND_SHIFT = [5, -5], 4


def requantised(sums: np.ndarray, shift: int, least: int) -> np.ndarray:
    return ((sums + (1 << shift >> 1)) >> shift).clip(least, 127)


def first(image: np.ndarray) -> np.ndarray:
    """int [4, 4, 4] for an image int [row, column, channel], by the definition of the support."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    sums = np.broadcast_to(FIRST_BIAS, (4, 4, 4)).copy()
    for o, weights in enumerate(FIRST):
        lanes = [(v, tap) for v, taps in enumerate(TAPS) for tap in taps]
        for weight, (v, tap) in zip(weights, lanes, strict=True):
            channel = next(i for i in range(4) if (o + i + 1) % 4 == v)
            row, column = divmod(tap, 3)
            sums[..., o] += weight * padded[row : row + 4, column : column + 4, channel]
    return requantised(sums, FIRST_SHIFT, 0)


def second(features: np.ndarray) -> np.ndarray:
    return requantised(features @ SECOND.T + SECOND_BIAS, SECOND_SHIFT, -128)


@pytest.mark.parametrize("two", [False, True])
def test_outputs_are_those_of_the_layers(two: bool) -> None:
    images = np.random.default_rng(0).integers(-128, 128, (5, 4, 4, 4))
    images[0], images[1] = 127, -128
    top = EXAMPLE / ("two_engines.cpp" if two else "one_engine.cpp")
    made = np.array(run([HERE / "example.cpp", top], "", images, *(["-DTWO"] if two else [])))
    expected = np.array([second(first(image)) if two else first(image) for image in images])
    assert (made[:, 1:].ravel() == expected.ravel()).all()
    ends = np.zeros((len(images), len(made) // len(images)), int)
    ends[:, -1] = 1
    assert (made[:, 0] == ends.ravel()).all()


@pytest.mark.parametrize(("top", "engines"), [("one_engine", [64]), ("two_engines", [64, 32])])
def test_it_becomes_hardware(top: str, engines: list[int], tmp_path: Path) -> None:
    """A processing element takes a cycle for each of its words of a pixel: 4 output channels, then 2."""
    compile_hls([EXAMPLE / f"{top}.cpp"], top, include_dirs=[INCLUDE, ENGINE], target="xcup", out=tmp_path, jobs=1)
    processes = json.loads((tmp_path / "schedule.json").read_text())["processes"]
    assert all(process["ii"] == 1 for process in processes)
    assert [p["iterations"] for p in processes if p["name"].split("_")[-1] == "pe"] == engines


SHAPES = {
    "FirstLayer": EngineShape(
        cin=4,
        cout=4,
        kernel=3,
        height=4,
        width=4,
        padding=1,
        support={"taps": TAPS},
        weight_bits=4,
        shift=3,
        acc_bits=15,
    ),
    "SecondLayer": EngineShape(
        cin=4, cout=2, kernel=1, height=4, width=4, support="dense", Tb=4, weight_bits=4, shift=4, acc_bits=15
    ),
}


@pytest.mark.parametrize("layer", SHAPES)
def test_what_is_written_by_hand_has_what_is_generated(layer: str) -> None:
    text = (EXAMPLE / "layers.hpp").read_text()
    struct = re.search(rf"struct {layer} {{(.*?)\n}};", text, re.DOTALL)
    assert struct
    names = re.findall(r"(?:int|bool|,) (\w+) = ", struct[1])
    assert sorted(names) == sorted(name for _, name, _, _ in engine_constants(SHAPES[layer]))


def test_every_name_of_a_configuration_is_documented() -> None:
    """geometry.hpp lists the constants that pymodel.engine.cpp generates, of any kind of engine, and no others."""
    shape = SHAPES["FirstLayer"]
    generated = {name for streamed in (False, True) for _, name, _, _ in engine_constants(shape, streamed)}
    generated |= set(re.findall(r"static constexpr \w+ (\w+) =", loaded_engine_struct("C", shape)))
    text = (ENGINE / "geometry.hpp").read_text()
    block = text[text.index("// Config:") : text.index("int variant(int number)")]
    documented = re.findall(r"^//   ((?:[A-Z_]+ )*[A-Z_]+)(?:  |$)", block, re.MULTILINE)
    assert {name for line in documented for name in line.split()} == generated
