"""Accuracy under attack of small networks, by how they were trained: handwritten digits, the examples `robust*.yaml`.

Plain training, adversarial training in fixed places, and both forms of dynamic network rewiring, with several seeds.
Accuracies are of all 360 test images, so one image is 0.28 points; read them beside the spread over the seeds.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from pymodel.training.config import load_config
from pymodel.training.quantise import QuantiseResult, quantise
from pymodel.training.train import TrainResult, train
from scripts.benchmarks.frame import Table
from scripts.places import ROOT

PACKAGES = ("torch", "scikit-learn")
TAPS, IRREGULAR = (ROOT / "examples" / "digits" / name for name in ("robust_taps.yaml", "robust.yaml"))
SEEDS = (1, 2, 3)
EPOCHS = 8
FIXED_PLACES = "rewire=null"
TRAININGS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "PS1_P9, adversarial": (TAPS, (FIXED_PLACES,)),
    "DNR, taps from PS1_P9": (TAPS, ()),
    "DNR, irregular, as many weights": (TAPS, ("rewire.granularity=irregular",)),
    "DNR, irregular, 5 % of the weights": (IRREGULAR, ()),
    "PS1_P9, plain": (TAPS, (FIXED_PLACES, "adversarial.weight=0")),
}


def _row(name: str, runs: list[tuple[TrainResult, QuantiseResult]]) -> dict[str, Any]:
    """In per cent, means over the seeds."""

    def mean(values: list[float | None]) -> float:
        return 100 * statistics.mean(value for value in values if value is not None)

    floats, fixed = [run[0] for run in runs], [run[1] for run in runs]
    under_attack = [100 * run.pgd_accuracy for run in floats if run.pgd_accuracy is not None]
    return {
        "training": name,
        "weights": floats[0].weights,
        "clean %": mean([run.test_accuracy for run in floats]),
        "FGSM %": mean([run.fgsm_accuracy for run in floats]),
        "PGD %": mean([run.pgd_accuracy for run in floats]),
        "least PGD %": min(under_attack),
        "most PGD %": max(under_attack),
        "8 bits, clean %": mean([run.fixed_accuracy for run in fixed]),
        "8 bits, PGD %": mean([run.pgd_accuracy for run in fixed]),
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Each training with each seed."""
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[dict[str, Any]] = []
    with redirect_stderr(StringIO()):  # the trainings' own progress
        for name, (config, overrides) in TRAININGS.items():
            progress(name)
            runs = []
            for seed in SEEDS:
                out = folder / f"{len(rows)}_seed{seed}"
                trained = train(config, out, overrides=(f"epochs={EPOCHS}", *overrides, f"seed={seed}"))
                quantised = quantise(out, out / "bundle.yaml")
                assert quantised is not None, "one process"
                runs.append((trained, quantised))
            rows.append(_row(name, runs))
    example = load_config(TAPS)
    assert example.adversarial is not None
    return [
        Table(
            "Accuracy under attack, digits",
            rows,
            (
                f"{EPOCHS} epochs, means of {len(SEEDS)} seeds; one test image is 0.28 points. Attacks change "
                f"a pixel by at most {example.adversarial.epsilon:g} of its range; PGD: {example.adversarial.steps} "
                f"steps of {example.adversarial.step:g} from a random start. 8 bits: the bundle's integers, attacked "
                "through their own rounding in whole greys.",
            ),
        )
    ]
