"""What the scripts of the cost model's calibration share: which designs they measure, and their command line.

A fit needs designs that differ in its features more than it needs many: `--sample N` takes such, the first N. Each
measurement is kept as soon as it is made, so that a run that was ended goes on where it was, and a larger sample
measures what is new in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from psconv.common.parallel import in_workers
from pymodel.common.arrays import Floats
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.explore.technology import TECHNOLOGIES, ULTRASCALE_PLUS, Technology

_FAINT = 1e-3  # what is known of each coefficient before anything is measured: it keeps the determinant from being 0


@dataclass(frozen=True)
class Calibrated:
    """A part of the cost model that a script of `module` measures and fits.

    what: is measured, for the file's first line. designs: the names of all that a technology has, or of a sample.
    sample: what N of `--sample` is the number of; `designs` raises ConfigError where there are fewer. measure: what the
    calibration keeps of a design, from name, technology and the folder that keeps yosys' results. fit: the file's
    content, from these, technology and sample. file: that of a technology.
    """

    module: str
    what: str
    sample: str
    designs: Callable[[Technology, int | None], list[str]]
    measure: Callable[[str, Technology, Path], dict[str, Any]]
    fit: Callable[[dict[str, dict[str, Any]], Technology, int | None], dict[str, Any]]
    file: Callable[[Technology], Path]


def informative(models: Sequence[Floats], costs: Sequence[float], count: int) -> list[int]:
    """Rows of linear models' matrices, `count` or all, that say most about their coefficients, the first one first.

    models: real [designs, features] of each model, its rows weighed as the fit weighs them. costs: of measuring each
    design. Each next row is the one that adds most, for its cost, to the sum of the models' log det(X^T X) (D-optimal
    design, chosen greedily); of equal ones the first. So a sample is the beginning of every larger one.
    """
    scaled = [rows / np.maximum(np.sqrt((rows**2).mean(axis=0)), np.finfo(float).tiny) for rows in models]
    known = [_FAINT * np.eye(rows.shape[1]) for rows in scaled]
    chosen: list[int] = []
    while len(chosen) < min(count, len(models[0])):
        # log det(A + x x^T) - log det A = log(1 + x^T A^-1 x)
        gains = sum(
            np.log1p(np.einsum("df,fd->d", rows, np.linalg.solve(of, rows.T)))
            for rows, of in zip(scaled, known, strict=True)
        )
        worth = np.round(gains / np.array(costs), 12)
        best = int(np.argmax(np.where(np.isin(np.arange(len(worth)), chosen), -1, worth)))
        chosen.append(best)
        for rows, of in zip(scaled, known, strict=True):
            of += np.outer(rows[best], rows[best])
    return chosen


def main(about: str, calibrated: Calibrated) -> None:
    """The command of a script. about: its docstring."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("technology", nargs="?", default=ULTRASCALE_PLUS.name, choices=TECHNOLOGIES)
    parser.add_argument("--sample", type=_count, metavar="N", help=f"measure {calibrated.sample}; without it all")
    parser.add_argument("--out", type=Path, default=Path("out/calibration"), help="folder for yosys' results")
    given = parser.parse_args()
    technology = TECHNOLOGIES[given.technology]
    try:
        names = calibrated.designs(technology, given.sample)
    except ConfigError as error:
        parser.error(str(error))
    found = in_workers(calibrated.measure, [(name, technology, given.out) for name in names])
    data = calibrated.fit(dict(zip(names, found, strict=True)), technology, given.sample)
    sample = "" if given.sample is None else f" --sample {given.sample}"
    command = f"python -m scripts.{calibrated.module} {technology.name}{sample}"
    comment = f"# LUTs and flip-flops of {calibrated.what}. Made by: {command}\n"
    write_text(calibrated.file(technology), comment + yaml.safe_dump(data, sort_keys=False, width=118))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number
