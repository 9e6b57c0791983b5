"""Linear models of what hardware takes, with coefficients that are never negative, and how far off they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from pymodel.common.arrays import Floats, Int64
from pymodel.common.errors import Strict

_PRIOR = 0.1


class Fit(Strict):
    """Coefficients of a linear model, by feature, and its relative errors in percent (`fit_linear`).

    worst, mean: of what was fitted. unseen_worst, unseen_mean: each by a fit to all the others.
    """

    coefficients: dict[str, float]
    mean_percent: float
    worst_percent: float
    unseen_mean_percent: float
    unseen_worst_percent: float

    def predict(self, features: Mapping[str, int]) -> int:
        """The amount that the model gives, rounded up."""
        return math.ceil(sum(self.coefficients[name] * value for name, value in features.items()))


def fit_linear(
    features: Sequence[Mapping[str, int]],
    totals: Sequence[int],
    known: Sequence[int],
    floor: int = 1,
    prior: Mapping[str, float] | None = None,
) -> Fit:
    """Non-negative least squares of the relative errors of `known` + coefficients * features against `totals`.

    floor: what errors are relative to where a total is less: of what is small they do not matter. prior: coefficients
    of a model like this one, which says what the measurements leave open: each counts as _PRIOR of a measurement
    that has as much of its feature as theirs have (root mean square), and nothing else (Tikhonov regularisation).
    """
    names = list(features[0])
    total, offset, scale = np.array(totals, float), np.array(known, float), np.maximum(totals, floor)
    matrix = np.array([[row[name] for name in names] for row in features], float)
    typical = np.sqrt(((matrix / scale[:, None]) ** 2).mean(axis=0))
    weight = np.diag(np.sqrt(_PRIOR) * np.where(typical > 0, typical, 1)) if prior else np.zeros((0, len(names)))
    expected = weight @ np.array([prior[name] for name in names]) if prior else np.zeros(0)

    def solve(rows: Int64) -> Floats:
        weighed = np.concatenate([matrix[rows] / scale[rows, None], weight])
        found: Floats = nnls(weighed, np.concatenate([(total[rows] - offset[rows]) / scale[rows], expected]))[0]
        return found

    def errors(rows: Int64, coefficients: Floats) -> Floats:
        percent: Floats = 100 * np.abs(offset[rows] + matrix[rows] @ coefficients - total[rows]) / scale[rows]
        return percent

    every = np.arange(len(total))
    coefficients = solve(every)
    seen = errors(every, coefficients)
    unseen = np.concatenate([errors(every[[at]], solve(np.delete(every, at))) for at in every])
    return Fit(
        coefficients={name: round(float(value), 4) for name, value in zip(names, coefficients, strict=True)},
        mean_percent=round(float(seen.mean()), 1),
        worst_percent=round(float(seen.max()), 1),
        unseen_mean_percent=round(float(unseen.mean()), 1),
        unseen_worst_percent=round(float(unseen.max()), 1),
    )
