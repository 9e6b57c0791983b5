"""Mixture normalisation against batch norm: optimiser steps until an accuracy, and what hardware's one Gaussian costs.

Handwritten digits, the example `mixture.yaml`, with batch norm and with mixtures, at two learning rates, with several
seeds. The test set is judged after each epoch, so steps are whole epochs of them. Accuracies are of all 360 test
images, so one image is 0.28 points; read them beside the spread over the seeds.
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pymodel.datasets.splits import load_dataset
from pymodel.training.config import load_config
from pymodel.training.quantise import QuantiseResult, quantise
from pymodel.training.train import train
from scripts.benchmarks.frame import Table
from scripts.places import ROOT

PACKAGES = ("torch", "scikit-learn")
CONFIG = ROOT / "examples" / "digits" / "mixture.yaml"
SEEDS = (1, 2, 3)
EPOCHS, QAT_EPOCHS = 15, 5
RATES = (0.02, 0.1)
TARGET = 0.95  # of the test set
BATCH_NORM = "batch norm"
NORMS = {
    BATCH_NORM: ("mixture=null",),
    "2 Gaussians": ("mixture.components=2",),
    "3 Gaussians": ("mixture.components=3",),
    "3 Gaussians, two steps of EM": ("mixture.components=3", "mixture.em_steps=2"),
}


@dataclass(frozen=True)
class Run:
    """A training: test accuracy after each epoch, the optimiser's steps in one, and its bundles of 8 bits."""

    accuracies: list[float]
    steps_per_epoch: int
    after: QuantiseResult
    trained_on: QuantiseResult

    def steps_to(self, accuracy: float) -> int | None:
        """The optimiser's steps after which the test accuracy is first reached; none: never."""
        reached = (epoch for epoch, found in enumerate(self.accuracies, 1) if found >= accuracy)
        epoch = next(reached, None)
        return None if epoch is None else epoch * self.steps_per_epoch


def _run(out: Path, overrides: tuple[str, ...]) -> Run:
    config = load_config(CONFIG, overrides)
    train(CONFIG, out, overrides=overrides)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    after = quantise(out, out / "after.yaml", qat=False)
    options = (f"quantise.qat_epochs={QAT_EPOCHS}",)
    trained_on = quantise(out, out / "trained_on.yaml", qat=True, overrides=options)
    assert after is not None and trained_on is not None, "one process"
    steps = len(load_dataset(config.data.dataset).train) // config.batch_size
    return Run([record["test_accuracy"] for record in log], steps, after, trained_on)


def _row(name: str, rate: float, runs: list[Run], plain: list[Run]) -> dict[str, Any]:
    """Means over the seeds; steps only where all seeds come so far."""

    def steps(targets: list[float]) -> float | None:
        found = [run.steps_to(target) for run, target in zip(runs, targets, strict=True)]
        return None if None in found else statistics.mean(count for count in found if count is not None)

    def accuracy(values: list[float | None]) -> float | None:
        return None if None in values else 100 * statistics.mean(value for value in values if value is not None)

    finals = [100 * run.accuracies[-1] for run in runs]
    return {
        "normalisation": name,
        "rate": rate,
        f"steps to {TARGET:.0%}": steps([TARGET] * len(runs)),
        "steps to batch norm's best": steps([max(run.accuracies) for run in plain]),
        "accuracy %": statistics.mean(finals),
        "least %": min(finals),
        "most %": max(finals),
        "one Gaussian, float %": accuracy([run.after.one_gaussian_accuracy for run in runs]),
        "8 bits %": accuracy([run.after.fixed_accuracy for run in runs]),
        "8 bits, trained on %": accuracy([run.trained_on.fixed_accuracy for run in runs]),
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Each normalisation at each learning rate with each seed."""
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[dict[str, Any]] = []
    with redirect_stderr(StringIO()):  # the trainings' own progress
        for rate in RATES:
            plain: list[Run] = []
            for name, options in NORMS.items():
                progress(f"{name}, rate {rate:g}")
                common = (f"epochs={EPOCHS}", f"optimiser.lr={rate:g}", *options)
                runs = [_run(folder / f"{len(rows)}_seed{seed}", (*common, f"seed={seed}")) for seed in SEEDS]
                plain = plain or runs
                rows.append(_row(name, rate, runs, plain))
    return [
        Table(
            "Mixture normalisation against batch norm, digits",
            rows,
            (
                f"{EPOCHS} epochs, means of {len(SEEDS)} seeds; one test image is 0.28 points. Steps are the "
                "optimiser's, in whole epochs, where every seed comes so far; batch norm's best is that of the same "
                "seed and rate, after any epoch. 8 bits: mixtures folded as one Gaussian; trained on: "
                f"{QAT_EPOCHS} epochs in fixed point.",
            ),
        )
    ]
