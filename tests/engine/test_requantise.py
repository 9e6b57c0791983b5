"""requantise.hpp compiled alone: every sum of nine bits, against the definition in fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.engine.programs import configuration, run_header


@pytest.mark.parametrize(("relu", "largest"), [(True, 15), (True, 9), (True, 0), (False, 15)])
@pytest.mark.parametrize("shift", [0, 1, 4, 8, 12])
@pytest.mark.parametrize("to_even", [False, True])
def test_every_sum(to_even: bool, shift: int, relu: bool, largest: int) -> None:
    """The nearest integer, a half upwards or to the even one; of those that five bits hold, up to an upper bound."""
    sums = range(-256, 256)
    exact = [Fraction(number, 2**shift) for number in sums]
    nearest = [round(number) if to_even else math.floor(number + Fraction(1, 2)) for number in exact]
    expected = [[min(max(number, 0 if relu else -16), largest)] for number in nearest]
    constants = {"SUM_BITS": 9, "SHIFT": shift, "RELU": relu, "OUT_BITS": 5, "LARGEST": largest}
    constants |= {"HALVES_TO_EVEN": to_even}
    assert run_header("requantise", configuration(constants), np.array(sums)) == expected
