"""What a user sees of a training: the progress line, the log, the plot."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pymodel.common.files import write_atomically
from pymodel.common.records import json_text

REFRESH_SECONDS = 0.5


class EpochRecord(TypedDict):
    """A line of log.jsonl. epoch: 1 for the first. Losses are means over images; accuracies are fractions of them.

    learning_rate: of the last step. seconds: of training since its begin, that of earlier runs included.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


class Monitor:
    """Progress with loss, accuracy and time left; one line per finished epoch. Silent where not `enabled`."""

    def __init__(self, title: str, steps: int, enabled: bool) -> None:
        self.enabled = enabled
        self.progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True, markup=False),
            disable=not enabled,
        )
        self.task = self.progress.add_task(title, total=steps, state="")
        self.refreshed = 0.0

    def __enter__(self) -> Monitor:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def advance(self, steps: int) -> None:
        """Count `steps` as done (by an earlier run)."""
        self.progress.advance(self.task, steps)

    def step(self, totals: Callable[[], list[float]], rate: float) -> None:
        """One step done.

        `totals()` gives [loss sum, correct, images]: asked only now and then, for that waits for the GPU.
        """
        self.progress.advance(self.task)
        now = time.monotonic()
        if self.enabled and now - self.refreshed > REFRESH_SECONDS:
            self.refreshed = now
            loss, correct, images = totals()
            if images:
                state = f"loss {loss / images:.3f}  accuracy {correct / images:.1%}  lr {rate:.4f}"
                self.progress.update(self.task, state=state)

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """One epoch done."""
        if self.enabled:
            self.progress.console.print(
                f"epoch {record['epoch']}/{epochs}  train loss {record['train_loss']:.4f} "
                f"accuracy {record['train_accuracy']:.2%}  test loss {record['test_loss']:.4f} "
                f"accuracy {record['test_accuracy']:.2%}  {record['seconds']:.0f} s",
                highlight=False,
            )


def write_log(path: Path, history: list[EpochRecord]) -> None:
    """One JSON object per line and epoch."""
    text = "".join(json_text(record, indent=None, name=path.name) + "\n" for record in history)
    write_atomically(path, lambda target: target.write_text(text))


def write_plot(path: Path, history: list[EpochRecord], title: str) -> None:
    """Loss and accuracy against the epoch, as SVG."""
    from matplotlib.figure import Figure

    epochs = [record["epoch"] for record in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "test"):
            axes.plot(epochs, [dict(record)[f"{split}_{quantity}"] for record in history], label=split)
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.grid(alpha=0.3)
        axes.legend()
    write_atomically(path, lambda target: figure.savefig(target, format="svg"))
