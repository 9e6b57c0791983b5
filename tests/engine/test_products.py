"""Several products in one multiplier: how many fit, and the C++ that makes and reads them, against plain products."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from psconv.common.places import ENGINE
from psconv.flow import csim
from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.engine.products import fields, most_products, operand_bits
from pymodel.network.formats import accumulator_bits
from pymodel.top import cpp
from pymodel.top.dataflow import single
from tests.helpers.places import TESTS

PROGRAM = TESTS / "engine" / "products.cpp"
WIDE = (18, 25, 27)  # ECP5, DSP48E1, DSP48E2


def packed(products: int, spacing: int, bits: int) -> np.ndarray:
    """Every packed operand, as its definition says: int64 [values ** products]."""
    values = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    columns = itertools.product(values, repeat=products)
    return np.array([sum(int(w) << (i * spacing) for i, w in enumerate(row)) for row in columns])


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(2, 2), (2, 4), (3, 3), (4, 2), (3, 5), (4, 4)])
def test_the_spacing_is_the_least_that_tells_products_apart(weight_bits: int, activation_bits: int) -> None:
    """By trying every pair of weights: whether equal packed products come from equal products."""
    spacing = fields(2, weight_bits, activation_bits, 1, 27).spacing
    weights = np.arange(-(1 << (weight_bits - 1)), 1 << (weight_bits - 1))
    low, high, a = np.meshgrid(weights, weights, np.arange(-(1 << activation_bits - 1), 1 << activation_bits - 1))

    def distinct(spacing: int) -> int:
        return len(np.unique((high * a << spacing) + low * a))

    pairs = len(np.unique(np.stack([high * a, low * a]).reshape(2, -1), axis=1).T)
    assert distinct(spacing) == pairs > distinct(spacing - 1)


@pytest.mark.parametrize("wide", WIDE)
def test_as_many_products_as_fit(wide: int) -> None:
    """The operand of one product more is too wide at the least spacing, by its extremes."""
    for w, a in itertools.product(range(2, 9), repeat=2):
        most, spacing = most_products(w, a, wide), w + a - 1

        def fits(products: int, w: int = w, spacing: int = spacing) -> bool:
            least = sum(-(1 << (w - 1)) << (i * spacing) for i in range(products))
            return least >= -(1 << (wide - 1))

        assert fits(most) and not fits(most + 1), (w, a)
        with pytest.raises(ConfigError, match=f"packing: must be .*, got {most + 1}: .* multiplier {wide}"):
            fields(most + 1, w, a, 1, wide)


def test_numbers_of_products_that_the_docs_name() -> None:
    """8 x 8 bits, 4 x 4 and 4 x 8 (weights x activations) on the three kinds of multiplier."""
    assert [most_products(8, 8, wide) for wide in WIDE] == [1, 2, 2]
    assert [most_products(4, 4, wide) for wide in WIDE] == [2, 3, 4]
    assert [most_products(4, 8, wide) for wide in WIDE] == [2, 2, 3]


@pytest.mark.parametrize(("products", "bits", "spacing"), [(2, 2, 3), (2, 4, 7), (3, 3, 5), (4, 3, 6)])
def test_operand_bits_are_what_the_operands_need(products: int, bits: int, spacing: int) -> None:
    values = packed(products, spacing, bits)
    need = operand_bits(products, spacing, bits)
    assert -(1 << (need - 1)) <= values.min() and values.max() < 1 << (need - 1)
    assert values.min() < -(1 << (need - 2))


@pytest.mark.parametrize("products", [2, 3, 4])
def test_fields_are_as_wide_as_the_operand_lets_them_be(products: int) -> None:
    """They hold the sum of as many products as there are lanes, or take all of the operand."""
    for lanes in (1, 2, 3, 24):
        made = fields(products, 4, 4, lanes, 27)
        assert made.group == 1 << (made.spacing - 7) and operand_bits(products, made.spacing, 4) <= 27
        assert lanes <= made.group < 2 * lanes or operand_bits(products, made.spacing + 1, 4) > 27


# products, bits of weights and of activations, lanes, bits of the operand: every number of every operand.
EXHAUSTIVE = {
    "8x8 at the least spacing": (2, 8, 8, 1, 24),
    "4x4, four": (4, 4, 4, 1, 27),
    "2x2, six in 18 bits": (6, 2, 2, 1, 18),
    "2x2, nine": (9, 2, 2, 1, 27),
    "3x3, five": (5, 3, 3, 1, 27),
    "6x6 in 18 bits": (2, 6, 6, 1, 18),
    "2x8": (2, 2, 8, 1, 18),
    "8x2, three": (2, 8, 2, 1, 27),
    "2x2, three, groups of two": (3, 2, 2, 3, 11),
    "2x2, three, one group": (3, 2, 2, 3, 18),
    "3x2, two, groups of four": (2, 2, 3, 3, 27),
    "2x4, groups of one": (2, 2, 4, 3, 8),
    "unpacked": (1, 4, 4, 3, 27),
}
# Beyond that: random operands, every second one an extreme.
RANDOM = {
    "8x8, groups of eight": (2, 8, 8, 24, 27),
    "8x8, one full group": (2, 8, 8, 8, 27),
    "8x8, a group and one lane": (2, 8, 8, 9, 27),
    "8x8, groups of one": (2, 8, 8, 3, 24),
    "4x8 in 18 bits": (2, 4, 8, 7, 18),
    "4x4, four of 24 lanes": (4, 4, 4, 24, 27),
    "4x4, three": (3, 4, 4, 17, 25),
    "2x2, nine of five lanes": (9, 2, 2, 5, 27),
    "8x2": (2, 8, 2, 11, 27),
    "2x8, two": (2, 2, 8, 13, 27),
}
FAST = ("4x4, four", "2x2, three, one group", "8x8, groups of eight", "4x4, four of 24 lanes")


def check(case: tuple[int, int, int, int, int], compiler: csim.Compiler, folder: Path) -> str:
    """Compiles and runs the program for a fully parallel 1x1 convolution, whose lanes are its channels."""
    if compiler != "clang" and csim.amd_include() is None:
        pytest.skip("AMD's ap_types (hls4ml) are not installed")
    products, weight_bits, in_bits, lanes, wide = case
    weights, bias = np.full((products, lanes, 1, 1), -(1 << (weight_bits - 1))), np.zeros(products, int)
    shape = EngineShape(
        cin=lanes,
        cout=products,
        kernel=1,
        height=1,
        width=1,
        support="dense",
        To=products,
        Tb=lanes,
        packing=products,
        multiplier_bits=wide,
        in_bits=in_bits,
        weight_bits=weight_bits,
        acc_bits=accumulator_bits(weights, bias, in_bits),
    )
    assert (shape.lanes, shape.multipliers) == (products * lanes, lanes)
    cpp.write(folder, single("layer", shape, weights, bias), "products")
    program = folder / "products"
    command = [
        *csim.compiler_command(compiler),
        "-std=c++14",
        "-O2",
        *csim.WARNINGS,
        f"-I{folder}",
        f"-I{ENGINE}",
        str(PROGRAM),
        "-o",
        str(program),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not built.returncode, built.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", FAST)
def test_products_are_right(name: str, tmp_path: Path) -> None:
    case = (EXHAUSTIVE | RANDOM)[name]
    said = check(case, "clang", tmp_path)
    bits = case[3] * (case[0] * case[1] + case[2])
    assert f"{1 << (bits if name in EXHAUSTIVE else 18)} trials of 2^{bits}," in said


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted((EXHAUSTIVE | RANDOM).keys() - set(FAST)))
def test_more_products_are_right(name: str, tmp_path: Path) -> None:
    test_products_are_right(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["amd", "amd_clang"])
@pytest.mark.parametrize("name", ["2x2, nine", "4x4, four", "8x8, groups of eight", "2x2, three, one group"])
def test_products_with_amds_headers(name: str, compiler: csim.Compiler, tmp_path: Path) -> None:
    check((EXHAUSTIVE | RANDOM)[name], compiler, tmp_path)
