"""What each recipe of a training does to accuracy: one change at a time, on a network that trains in a minute.

Handwritten digits, PSD1_P16, a few epochs: the plain recipe, then each option alone, with several seeds. Below it
4-bit weights and activations of the first of these networks, after training and with training in fixed point.
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

from pymodel.training.quantise import quantise
from pymodel.training.train import train
from scripts.benchmarks.frame import Table
from scripts.places import ROOT

PACKAGES = ("torch", "scikit-learn")
CONFIG = ROOT / "examples" / "digits" / "train.yaml"
EPOCHS, SEEDS, QAT_EPOCHS = 6, (1, 2), 3
PLAIN = ("label_smoothing=0", "data.augment.crop=0", "schedule.warmup_epochs=1", f"epochs={EPOCHS}")
RECIPES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "random crop": ("data.augment.crop=1",),
    "label smoothing 0.1": ("label_smoothing=0.1",),
    "mean of the weights, 0.99": ("ema=0.99",),
    "one-cycle rate": ("schedule={name: one_cycle}",),
    "cutout 3": ("data.augment.cutout=3",),
    "random erasing 0.5": ("data.augment.erase=0.5",),
    "mixup 0.2": ("mixup=0.2",),
    "best of 200 images held back": ("data.validation=200", "keep=best"),
    "dense teacher": ("distil={teacher: TEACHER, weight: 0.9, temperature: 4}",),
}
FIXED: dict[str, dict[str, Any]] = {
    "8 bits, after training": {"weight_bits": 8, "activation_bits": 8},
    "4-bit weights": {"weight_bits": 4, "activation_bits": 8},
    "4-bit weights, a scale per channel": {"weight_bits": 4, "activation_bits": 8, "channels": True},
    "4-bit weights and activations, per channel": {"weight_bits": 4, "activation_bits": 4, "channels": True},
    "the same, trained on": {"weight_bits": 4, "activation_bits": 4, "channels": True, "qat": True},
    "the same, with the float network as teacher": {
        "weight_bits": 4,
        "activation_bits": 4,
        "channels": True,
        "qat": True,
        "taught": True,
    },
}


def _accuracies(name: str, folder: Path, teacher: Path) -> list[float]:
    """Accuracies on the test set, by seed."""
    options = tuple(option.replace("TEACHER", str(teacher)) for option in RECIPES[name])
    return [
        train(CONFIG, folder / f"seed{seed}", overrides=(*PLAIN, *options, f"seed={seed}")).test_accuracy
        for seed in SEEDS
    ]


def _fixed(run: Path, out: Path, options: dict[str, Any]) -> float:
    overrides = [f"quantise.qat_epochs={QAT_EPOCHS}", "quantise.qat_lr=0.02"]
    overrides += ["quantise.per_channel=true"] * bool(options.get("channels"))
    overrides += ["quantise.distil={weight: 0.9, temperature: 4}"] * bool(options.get("taught"))
    result = quantise(
        run,
        out,
        weight_bits=options["weight_bits"],
        activation_bits=options["activation_bits"],
        qat=bool(options.get("qat")),
        overrides=tuple(overrides),
    )
    assert result is not None, "one process"
    return result.fixed_accuracy


def _row(name: str, accuracies: list[float], plain: list[float]) -> dict[str, Any]:
    """In per cent."""
    return {
        "recipe": name,
        "accuracy %": 100 * statistics.mean(accuracies),
        "least %": 100 * min(accuracies),
        "most %": 100 * max(accuracies),
        "points over the first": 100 * (statistics.mean(accuracies) - statistics.mean(plain)),
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Each option alone, then bits."""
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, list[float]] = {}
    with redirect_stderr(StringIO()):  # the trainings' own progress
        progress("the teacher")
        teacher = folder / "teacher"
        dense = train(CONFIG, teacher, overrides=(*PLAIN, "network.variant=dense", f"epochs={2 * EPOCHS}"))
        for name in RECIPES:
            progress(name)
            found[name] = _accuracies(name, folder / name.replace(" ", "_"), teacher)
        fixed = {}
        for name, options in FIXED.items():
            progress(name)
            runs = [folder / "plain" / f"seed{seed}" for seed in SEEDS]
            fixed[name] = [_fixed(one, one / f"{name.replace(' ', '_')}.yaml", options) for one in runs]
    seeds = f"{len(SEEDS)} seeds"
    return [
        Table(
            "Recipes, one at a time, floating point",
            [_row(name, found[name], found["plain"]) for name in RECIPES],
            (
                f"Digits, PSD1_P16, {EPOCHS} epochs, mean of {seeds}; one image is 0.28 points. The teacher, dense "
                f"and trained for {2 * EPOCHS} epochs, has {100 * dense.test_accuracy:.2f} %.",
            ),
        ),
        Table(
            "Bits of the plain recipe's networks, by the golden model",
            [_row(name, fixed[name], fixed["8 bits, after training"]) for name in FIXED],
            (f"The same networks in fixed point, mean of {seeds}; trained on: {QAT_EPOCHS} epochs.",),
        ),
    ]
