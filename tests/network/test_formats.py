"""Formats, requantisation against a definition on Python's big integers, accumulator proof against search."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.network.formats import (
    Format,
    accumulator_bits,
    accumulator_bound,
    check_accumulator,
    check_range,
    mean,
    mean_scale,
    requantise,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
ACC48 = st.integers(-(2**47), 2**47 - 1)


def requantise_by_definition(acc: int, shift: int, bits: int, relu: bool) -> int:
    """Round half up, exactly, then saturate."""
    rounded = (Fraction(acc, 2**shift) + Fraction(1, 2)).__floor__() if shift else acc
    return min(max(rounded, 0 if relu else -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


@given(st.lists(INT64, min_size=1, max_size=20), st.integers(0, 31), st.integers(2, 8), st.booleans())
def test_requantise_is_the_definition(acc: list[int], shift: int, bits: int, relu: bool) -> None:
    expected = [requantise_by_definition(a, shift, bits, relu) for a in acc]
    assert requantise(np.array(acc, np.int64), shift, bits, relu).tolist() == expected


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1), st.integers(0, 31), st.integers(0, 12))
def test_halves_to_even_as_pythons_round(numbers: list[int], shift: int, zeros: int) -> None:
    """Numbers that end in so many zeros, of which many are halves."""
    acc = [(number >> zeros) << zeros for number in numbers]
    expected = [min(max(round(Fraction(a, 2**shift)), -128), 127) for a in acc]
    assert requantise(np.array(acc), shift, 8, False, rounding="half_even").tolist() == expected


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1), st.integers(1, 300))
def test_means_with_halves_to_even_are_pythons_round(sums: list[int], count: int) -> None:
    assert mean(np.array(sums), count, "half_even").tolist() == [round(Fraction(total, count)) for total in sums]


@given(st.integers(-300, 300), st.integers(1, 31), st.sampled_from([-1, 0, 1]), st.integers(2, 8), st.booleans())
def test_requantise_near_halves(whole: int, shift: int, off: int, bits: int, relu: bool) -> None:
    acc = whole * 2**shift + 2 ** (shift - 1) + off
    assert requantise(np.array(acc), shift, bits, relu) == requantise_by_definition(acc, shift, bits, relu)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_requantise_takes_every_integer_type(dtype: type) -> None:
    acc = np.array([np.iinfo(dtype).max, 0, np.iinfo(dtype).min], dtype)
    expected = [requantise_by_definition(int(a), 3, 5, False) for a in acc]
    assert requantise(acc, 3, 5, False).tolist() == expected


@pytest.mark.parametrize("shift", [-1, 32])
def test_requantise_refuses_shifts(shift: int) -> None:
    with pytest.raises(ConfigError, match="shift"):
        requantise(np.array([1]), shift, 8, False)


def test_scaled_requantise_is_the_definition_at_the_extremes() -> None:
    """The largest accumulators and scales: every product is an int64."""
    for acc, scale, shift in itertools.product((-(2**47), 2**47 - 1), (1, 65535), range(32)):
        got = requantise(np.array([acc]), shift, 8, False, np.array([scale]))
        assert got.tolist() == [requantise_by_definition(acc * scale, shift, 8, False)]


@given(
    st.lists(st.tuples(ACC48 | st.integers(-300, 300), st.integers(1, 2**16 - 1)), min_size=1),
    st.integers(0, 31),
    st.integers(2, 8),
    st.booleans(),
)
def test_scaled_requantise_is_the_definition(pairs: list[tuple[int, int]], shift: int, bits: int, relu: bool) -> None:
    acc, scales = np.array(pairs, np.int64).T
    expected = [requantise_by_definition(a * m, shift, bits, relu) for a, m in pairs]
    assert requantise(acc, shift, bits, relu, scales.astype(np.uint16)).tolist() == expected


@given(
    st.lists(st.tuples(ACC48, st.integers(0, 15), st.integers(1, 2**16 - 1)), min_size=1),
    st.integers(15, 31),
    st.integers(2, 8),
    st.booleans(),
)
def test_a_power_of_two_scale_is_a_shift_of_its_own(
    channels: list[tuple[int, int, int]], shift: int, bits: int, relu: bool
) -> None:
    """The same bits as one multiplier and one shift for each channel; with the multiplier 1, as no scale at all."""
    for acc, less, multiplier in channels:
        multiplier = max(1, multiplier >> less)
        scale, one = np.array([multiplier << less]), np.array([multiplier])
        both = [requantise(np.array([acc]), shift - n, bits, relu, m)[0] for n, m in ((0, scale), (less, one))]
        assert both[0] == both[1]
        plain = requantise(np.array([acc]), shift - less, bits, relu)
        assert requantise(np.array([acc]), shift, bits, relu, np.array([1 << less])) == plain


@pytest.mark.parametrize(
    ("acc", "scale", "says"),
    [
        (1, 0, "scale: must be 1 to 65535, got 0"),
        (1, 65536, "scale: must be 1 to 65535, got 65536"),
        (1, -1, "scale: must be 1 to 65535, got -1"),
        (1, 1.0, "scale: must be integers, got float64"),
        (2**47, 1, "accumulator"),
        (-(2**47) - 1, 1, "accumulator"),
    ],
)
def test_scales_and_accumulators_that_are_refused(acc: int, scale: float, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        requantise(np.array([acc]), 8, 8, False, np.array([scale]))


def test_requantise_refuses_floats() -> None:
    with pytest.raises(ConfigError, match="integers"):
        requantise(np.array([1.0]), 1, 8, False)


@given(st.integers(2, 8))
def test_range_of_a_format(bits: int) -> None:
    form = Format(bits, 3)
    assert form.max - form.min == 2**bits - 1
    assert form.min == -form.max - 1
    assert form.contains(np.arange(form.min, form.max + 1))
    assert not form.contains(np.array([form.max + 1]))
    assert not form.contains(np.array([form.min - 1]))
    assert not form.contains(np.array([0.0]))
    with pytest.raises(ConfigError, match=rf"w .*{form.max + 1} at \[1\]"):
        form.check(np.array([0, form.max + 1]), "w")


@pytest.mark.parametrize(
    ("bits", "frac"),
    [(1, 0), (9, 0), (0, 0), (8, 65), (8, -65), (8.0, 0), (8, "1"), (True, 0), (8, np.int64(1))],
)
def test_formats_that_do_not_exist(bits: int, frac: int) -> None:
    with pytest.raises(ConfigError):
        Format(bits, frac)


def test_unsigned_values_beyond_int64_are_compared_correctly() -> None:
    with pytest.raises(ConfigError):
        check_range(np.array([2**63], np.uint64), -8, 7, "x")


@given(st.floats(allow_nan=False), st.integers(2, 8), st.integers(-20, 20))
def test_quantise_rounds_half_up_and_saturates(value: float, bits: int, frac: int) -> None:
    form = Format(bits, frac)
    got = int(form.quantise(np.array(value)))
    if value in (np.inf, -np.inf):
        assert got == (form.max if value > 0 else form.min)
        return
    exact = Fraction(value) * Fraction(2) ** frac
    # Overflow of the scaling saturates too, and its underflow rounds to zero, as the exact value does.
    assert got == min(max((exact + Fraction(1, 2)).__floor__(), form.min), form.max)


def test_quantise_just_below_a_half() -> None:
    below, above = np.nextafter(0.5, 0), np.nextafter(0.5, 1)
    assert Format(8, 0).quantise(np.array([below, 0.5, -0.5, -above])).tolist() == [0, 1, 0, -1]


def test_quantise_refuses_nan() -> None:
    with pytest.raises(ConfigError, match="NaN"):
        Format(8, 0).quantise(np.array([0.0, np.nan]))


@given(st.integers(2, 8), st.integers(-10, 10))
def test_real_values_round_trip(bits: int, frac: int) -> None:
    form = Format(bits, frac)
    every = np.arange(form.min, form.max + 1)
    assert (form.quantise(form.real(every)) == every).all()
    assert (form.real(every) == every * form.scale).all()


@given(
    st.lists(st.lists(st.integers(-4, 3), min_size=3, max_size=3), min_size=1, max_size=3),
    st.integers(-50, 50),
    st.integers(2, 3),
)
def test_accumulator_never_wraps_and_is_tight(rows: list[list[int]], bias: int, in_bits: int) -> None:
    weights, biases = np.array(rows), np.full(len(rows), bias)
    bits = accumulator_bits(weights, biases, in_bits)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    values = range(-(2 ** (in_bits - 1)), 2 ** (in_bits - 1))
    for inputs in itertools.product(values, repeat=3):
        partial = biases.astype(int)
        for column, value in enumerate(inputs):
            partial = partial + weights[:, column] * value
            assert (low <= partial).all() and (partial <= high).all()
    # The bound itself is what the contract says; one bit less could not hold it.
    bound = max(sum(map(abs, row)) for row in rows) * 2 ** (in_bits - 1) + abs(bias)
    assert accumulator_bound(weights, biases, in_bits) == bound <= high
    assert bits == 2 or bound > 2 ** (bits - 2) - 1


def test_accumulator_at_the_edge() -> None:
    # 127 * 2 + 1 = 255 needs 9 bits; one more needs 10.
    assert accumulator_bits(np.array([[1]]), np.array([127]), 8) == 9
    assert accumulator_bits(np.array([[1]]), np.array([128]), 8) == 10
    assert accumulator_bits(np.zeros((2, 3), np.int8), np.zeros(2, np.int32), 8) == 2


def test_accumulator_of_extreme_int8_weights() -> None:
    weights = np.full((1, 512, 3, 3), -128, np.int8)
    assert accumulator_bound(weights, np.array([-(2**31)], np.int32), 8) == 512 * 9 * 128 * 128 + 2**31


def test_accumulator_that_is_too_small() -> None:
    weights, bias = np.array([[3, -4]]), np.array([10])
    needed = accumulator_bits(weights, bias, 4)
    check_accumulator(weights, bias, 4, needed, "conv1")
    with pytest.raises(ConfigError, match=f"conv1: accumulator_bits: must be at least {needed} .*, got {needed - 1}"):
        check_accumulator(weights, bias, 4, needed - 1, "conv1")


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 10, 12, 25, 36, 49, 63, 100, 196, 255, 257])
def test_multipliers_of_means_are_exact(count: int, bits: int) -> None:
    """They give the mean of every sum, by fractions."""
    scale, shift, doubled = mean_scale(count, bits)
    for total in range(-(count << (bits - 1)), count * ((1 << (bits - 1)) - 1) + 1):
        exact = math.floor(Fraction(total, count) + Fraction(1, 2))
        assert int(mean(np.array(total), count)) == exact
        value = 2 * total + 1 if doubled else total
        assert (value * scale + (1 << shift >> 1)) >> shift == exact, total


@pytest.mark.parametrize("count", [3 << 4, 1001, 12544, 50176, 65535, 10**6 + 2])
def test_multipliers_of_means_of_many(count: int) -> None:
    """Sums beside each half, and the extremes."""
    scale, shift, doubled = mean_scale(count, 8)
    assert scale.bit_length() < 32
    sums = {-128 * count, 127 * count}
    for twice in range(-255, 255, 2):
        at = twice * count // 2
        sums |= {at - 1, at, at + 1}
    for total in sums:
        value = 2 * total + 1 if doubled else total
        assert (value * scale + (1 << shift >> 1)) >> shift == math.floor(Fraction(total, count) + Fraction(1, 2))


def test_a_mean_of_a_power_of_two_is_a_shift() -> None:
    assert mean_scale(64, 8) == (1, 6, False)
    assert mean_scale(1, 8) == (1, 0, False)
