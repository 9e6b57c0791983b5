"""Linear models of what hardware takes: what measurements leave open is as a model like them says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.explore.linear import fit_linear

NAMES = ("engine", "ring", "sums")


def measured(seed: int, count: int, truth: list[float]) -> tuple[list[dict[str, int]], list[int], list[int]]:
    """Features, totals and what is known of so many designs, which come to `truth` for each feature, rounded."""
    rng = np.random.default_rng(seed)
    known = rng.integers(0, 50, count).tolist()
    rows = [dict(zip(NAMES, (1, *rng.integers(100, 3000, 2).tolist()), strict=True)) for _ in range(count)]
    totals = [
        round(base + sum(c * value for c, value in zip(truth, row.values(), strict=True)))
        for base, row in zip(known, rows, strict=True)
    ]
    return rows, totals, known


def test_what_no_measurement_says_is_as_the_other_model_has_it() -> None:
    rows, totals, known = measured(1, 6, [40, 0.5, 0])
    rows = [row | {"sums": 0} for row in rows]
    prior = {"engine": 40.0, "ring": 0.5, "sums": 1.25}
    found = fit_linear(rows, totals, known, prior=prior).coefficients
    assert found["sums"] == 1.25 and found["ring"] == pytest.approx(0.5, abs=0.01)
    assert fit_linear(rows, totals, known).coefficients["sums"] == 0  # without it nothing says what they take


def test_many_measurements_outweigh_it() -> None:
    truth = [40, 0.5, 2.0]
    rows, totals, known = measured(2, 400, truth)
    prior = {"engine": 90.0, "ring": 2.0, "sums": 0.25}
    found = fit_linear(rows, totals, known, prior=prior)
    assert found.coefficients["ring"] == pytest.approx(0.5, rel=0.03)
    assert found.coefficients["sums"] == pytest.approx(2.0, rel=0.03)
    few = fit_linear(rows[:2], totals[:2], known[:2], prior=prior)
    assert abs(few.coefficients["sums"] - 2.0) > abs(found.coefficients["sums"] - 2.0)
    assert found.mean_percent <= 1


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 1 << 32),
    st.integers(1, 8),
    st.lists(st.floats(0, 4), min_size=3, max_size=3),
    st.none() | st.lists(st.floats(0, 4), min_size=3, max_size=3),
)
def test_the_coefficients_are_the_least_of_what_is_minimised(
    seed: int, count: int, truth: list[float], other: list[float] | None
) -> None:
    """Karush, Kuhn and Tucker: where a coefficient is more than 0 the gradient is 0, else it is not negative."""
    rows, totals, known = measured(seed, count, truth)
    prior = None if other is None else dict(zip(NAMES, other, strict=True))
    found = np.array([*fit_linear(rows, totals, known, prior=prior).coefficients.values()])
    scale = np.maximum(totals, 1)
    matrix = np.array([[*row.values()] for row in rows]) / scale[:, None]
    left = matrix @ found - (np.array(totals) - known) / scale
    gradient = 2 * matrix.T @ left
    if other is not None:  # a tenth of a measurement with the feature's root mean square, and nothing else
        gradient += 2 * 0.1 * (matrix**2).mean(axis=0) * (found - other)
    # The file has four decimals: as far as that moves the gradient.
    slack = 1e-3 + 2e-4 * np.abs(2 * matrix.T @ matrix).sum(axis=1)
    assert (found >= 0).all() and (gradient >= -slack).all()
    assert (np.abs(gradient) <= slack)[found > 1e-3].all()
