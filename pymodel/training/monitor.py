"""What a user sees of a training: the progress line, the log, the plot."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NotRequired, TypedDict

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
LINE_SECONDS = 30.0  # from line to line where the output is no terminal


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
    validation_loss: NotRequired[float]  # where images are held back
    validation_accuracy: NotRequired[float]
    fgsm_accuracy: NotRequired[float]  # of the test images as an attack has changed them, with `adversarial`
    pgd_accuracy: NotRequired[float]
    moved: NotRequired[int]  # units that are in another place after the epoch, with `rewire`


class Monitor:
    """Progress with loss, accuracy and time left; one line per finished epoch. Silent where not `enabled`.

    steps: of `batch` images, of the whole training. Where the output is no terminal, a line every LINE_SECONDS.
    """

    def __init__(self, title: str, steps: int, batch: int, enabled: bool) -> None:
        self.enabled, self.steps, self.batch = enabled, steps, batch
        console = Console(stderr=True, markup=False)
        self.by_lines = enabled and not console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not enabled or self.by_lines,
        )
        self.task = self.progress.add_task(title, total=steps, state="")
        self.refreshed = 0.0
        self.started = self.line_at = time.monotonic()
        self.before = self.done = 0  # steps by an earlier run, and by it and this one

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
        self.before = self.done = steps

    def say(self, text: str) -> None:
        """A line, at once."""
        if self.enabled:
            self.progress.console.print(text, highlight=False, soft_wrap=True)
            self.progress.console.file.flush()

    def step(self, totals: Callable[[], list[float]], rate: float) -> None:
        """One step done.

        `totals()` gives [loss sum, correct, images]: asked only now and then, for that waits for the GPU.
        """
        self.progress.advance(self.task)
        self.done += 1
        now = time.monotonic()
        if self.by_lines:
            if now - self.line_at > LINE_SECONDS:
                self.line_at = now
                self._line(totals(), now - self.started)
        elif self.enabled and now - self.refreshed > REFRESH_SECONDS:
            self.refreshed = now
            loss, correct, images = totals()
            if images:
                state = f"loss {loss / images:.3f}  accuracy {correct / images:.1%}  lr {rate:.4f}"
                self.progress.update(self.task, state=state)

    def _line(self, totals: list[float], seconds: float) -> None:
        """Loss and accuracy of the epoch so far; speed of this run, and the time that it leaves."""
        loss, correct, images = totals
        own = self.done - self.before
        left = timedelta(seconds=round(seconds / own * (self.steps - self.done)))
        self.say(
            f"step {self.done}/{self.steps}  loss {loss / images:.4f}  accuracy {correct / images:.2%}  "
            f"{own * self.batch / seconds:.1f} images/s  {left} left"
        )

    def epoch(self, record: EpochRecord, epochs: int) -> None:
        """One epoch done."""
        self.line_at = time.monotonic()
        held_back = ""
        if "validation_accuracy" in record:
            held_back = f"validation accuracy {record['validation_accuracy']:.2%}  "
        attacked = ""
        if "pgd_accuracy" in record:
            attacked = f"FGSM {record['fgsm_accuracy']:.2%} PGD {record['pgd_accuracy']:.2%}  "
        rewired = f"{record['moved']} moved  " if "moved" in record else ""
        self.say(
            f"epoch {record['epoch']}/{epochs}  train loss {record['train_loss']:.4f} "
            f"accuracy {record['train_accuracy']:.2%}  {held_back}test loss {record['test_loss']:.4f} "
            f"accuracy {record['test_accuracy']:.2%}  {attacked}{rewired}{record['seconds']:.0f} s"
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
        if quantity == "accuracy" and all("pgd_accuracy" in record for record in history):
            axes.plot(epochs, [dict(record)["pgd_accuracy"] for record in history], label="test, PGD")
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.grid(alpha=0.3)
        axes.legend()
    write_atomically(path, lambda target: figure.savefig(target, format="svg"))
