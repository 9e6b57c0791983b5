"""requantise.hpp compiled alone: every sum of nine bits, against the definition in fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.engine.programs import configuration, run_header


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("shift", [0, 1, 4, 12])
def test_every_sum(shift: int, relu: bool) -> None:
    """The nearest integer, a half upwards; of those that five bits hold."""
    sums = range(-256, 256)
    nearest = [math.floor(Fraction(number, 2**shift) + Fraction(1, 2)) for number in sums]
    expected = [[min(max(number, 0 if relu else -16), 15)] for number in nearest]
    constants = {"SUM_BITS": 9, "SHIFT": shift, "RELU": relu, "OUT_BITS": 5}
    assert run_header("requantise", configuration(constants), np.array(sums)) == expected
