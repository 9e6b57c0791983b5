"""Training: from a configuration to the weights of a network, resumable after a kill at any moment.

Every random choice is a function of (seed, purpose, epoch, step, rank), never of what ran before. So a
checkpoint needs no generator states: a run that is killed and resumed takes the same steps on the same
batches as one that is not, and on the same machine ends with the same weights, bit for bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openhls.system.locks import locked
from torch import nn
from torch.nn import functional

from pymodel.common.errors import ConfigError
from pymodel.common.files import remove_partial
from pymodel.common.records import reading, write_json
from pymodel.datasets.splits import Dataset, Split, load_dataset
from pymodel.network.supports import SupportSpec
from pymodel.network.topology import Network
from pymodel.nn import periodic
from pymodel.nn.build import NetworkModule, nonzero_weights
from pymodel.nn.native.build import KERNEL
from pymodel.nn.rewiring import Rewiring, prune_share
from pymodel.training import checkpoint, precision
from pymodel.training.adversarial import Attack, Range, attacked, robust_answers
from pymodel.training.augment import augment, blank_rectangles, blank_squares
from pymodel.training.config import TrainConfig, load_config
from pymodel.training.distributed import Process, is_main, joined
from pymodel.training.folder import load_teacher, load_topology
from pymodel.training.monitor import EpochRecord, Monitor, write_log, write_plot
from pymodel.training.network import Trainable, trainable
from pymodel.training.optimiser import make_optimiser, momentum, set_learning_rate
from pymodel.training.recipes import Average, digest, distillation, held_back, mixed

EVALUATION_BATCH = 500
Parts = list[tuple[torch.Tensor, float]]  # labels int64 [n] and their share in the loss
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class _Purpose(IntEnum):
    """Keeps the random streams of one seed apart."""

    ORDER = 0
    AUGMENT = 1
    MIXUP = 2
    MODULE = 3  # what a module of the user's own draws in its forward, such as dropout
    ATTACK = 4
    JUDGE = 5  # the attack on test images, the same after every epoch


@dataclass(frozen=True)
class TrainResult:
    """What a finished training came to. Accuracies are fractions of the test set, in floating point."""

    name: str
    dataset: str
    network: str
    variant: str
    epochs: int
    test_accuracy: float
    train_accuracy: float
    train_loss: float
    weights: int  # weights of convolutions and linear layers that may be nonzero
    seconds: float
    device: str
    run_dir: str
    precision: str  # of products
    kept_epoch: int  # whose weights these are
    validation_accuracy: float | None  # of the images held back
    method: str  # TrainConfig.method
    fgsm_accuracy: float | None  # of the test set under attack, with `adversarial`
    pgd_accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def train(config_path: Path, out: Path, resume: bool = False, overrides: tuple[str, ...] = ()) -> TrainResult:
    """Train as the YAML file `config_path` says, changed by `overrides` (KEY=VALUE); write the folder `out`:

        config.json    the resolved configuration
        network.json   the topology, masks included; with `rewire` those of the beginning until the training is finished
        checkpoint.pt  everything that a resumed run needs; replaced atomically
        log.jsonl      one line per epoch
        training.svg   the same as a plot
        model.pt       the final state dict
        result.json    the TrainResult

    With `resume`, continues from checkpoint.pt (from the start where there is none yet). Under torchrun, one
    process per GPU (or CPU) shares each batch. Raises ConfigError; InUse where another training writes there.
    """
    config = load_config(config_path, overrides)
    dataset = load_dataset(config.data.dataset, Path(config.data.path) if config.data.path else None)
    teacher = None if config.distil is None else load_teacher(config.distil, dataset)
    with kept(out), joined(config.device) as process:
        return Trainer(config, dataset, process, out, trainable(config, dataset), resume, teacher).run()


@contextmanager
def kept(out: Path) -> Iterator[None]:
    """Nobody else trains in the folder `out`; of torchrun's processes the main one sees to that. Raises InUse."""
    if not is_main():
        yield
        return
    with locked(out):
        remove_partial(out)
        yield


@dataclass(frozen=True)
class _DeviceSplit:
    """A `Split` as tensors on a device: images uint8 [n, channels, height, width], labels int64 [n]."""

    images: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, split: Split, device: torch.device) -> _DeviceSplit:
        return cls(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.labels)


class Trainer:
    """One training run of `subject` in the folder `out`: optimiser, position, the loop that advances them.

    Raises ConfigError where the folder holds a training and `resume` is not set, or holds another one.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        process: Process,
        out: Path,
        subject: Trainable,
        resume: bool = False,
        teacher: NetworkModule | None = None,
    ) -> None:
        self.config, self.dataset, self.process, self.out = config, dataset, process, out
        if (out / "checkpoint.pt").exists() and not resume:
            raise ConfigError(f"{out}: holds a training; resume it (--resume), remove it, or choose another folder")
        self.device = process.device
        if config.data.validation > len(dataset.train):
            raise ConfigError(
                f"data.validation: must be at most the {len(dataset.train)} training images, "
                f"got {config.data.validation}"
            )
        train_split, validation = held_back(dataset.train, config.data.validation, config.seed)
        self.steps_per_epoch = len(train_split) // config.batch_size
        if config.batch_size % process.world or not self.steps_per_epoch:
            raise ConfigError(
                f"batch_size: must be a multiple of the {process.world} processes and at most the {len(train_split)} "
                f"training images, got {config.batch_size}"
            )
        _choose_algorithms(config.deterministic)
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        subject.network.only_output("training, which is of a classifier")
        self.subject, self.network = subject, subject.module
        self.model = process.place(subject.module, subject.memory_format)
        self.optimiser = make_optimiser(self.network, config.optimiser)
        self.average = Average(self.network, config.ema) if config.ema else None
        self.rewiring = None
        if config.rewire is not None:
            assert isinstance(subject.module, NetworkModule)
            self.rewiring = Rewiring(subject.module, subject.rewired, config.rewire.granularity)
        self.best: dict[str, torch.Tensor] = {}  # the weights of best_epoch, with keep: best
        self.best_supports: dict[str, SupportSpec] | None = None  # where they are, with `rewire`
        self.best_epoch = 0
        self.range = Range.of(dataset)
        self.teacher = None if teacher is None else process.place(teacher.eval())
        self.teacher_digest = "" if teacher is None else digest(teacher)
        _choose_kernels(config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        runnable = process.wrap(self.model)
        # PyTorch's types have forgotten that what it compiles of a module is one.
        self.runnable: nn.Module = torch.compile(runnable) if config.compile else runnable  # type: ignore[assignment]
        self.train_split = _DeviceSplit.of(train_split, self.device)
        self.validation = _DeviceSplit.of(validation, self.device)
        self.test_split = _DeviceSplit.of(dataset.test, self.device)
        self.epoch, self.step = 0, 0
        # The first step of the epoch whose loss was not finite; a tensor, as looking at it would wait for the GPU.
        self.diverged = torch.full((), self.steps_per_epoch, device=self.device)
        # Of the epoch so far: sum of losses, correct answers, images.
        self.totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.history: list[EpochRecord] = []
        self.seconds_before = 0.0
        self.started = time.monotonic()
        self.precision: str = config.precision
        self.why = ""  # the precision, where it was found
        begun_before = (out / "checkpoint.pt").exists()
        if begun_before:
            self._restore()
        elif config.precision == "auto":
            found = precision.find(subject, self.device)
            self.precision, self.why = found.precision, found.why
        process.wait()  # every process has looked at the folder before the first one writes
        if process.is_main:
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / "config.json", config.model_dump(mode="json"))
            # A finished training with `rewire` has left the one that its weights are of.
            if self.rewiring is None or not begun_before:
                write_json(out / "network.json", subject.network.spec())

    @property
    def seconds(self) -> float:
        """Training time, that of earlier runs included."""
        return self.seconds_before + time.monotonic() - self.started

    def run(self) -> TrainResult:
        """Train to the last epoch and write the results."""
        steps = self.config.epochs * self.steps_per_epoch
        with Monitor(self._title, steps, self.config.batch_size, enabled=self.process.is_main) as monitor:
            if self.why:
                monitor.say(f"precision {self.why}")
            monitor.advance(self.epoch * self.steps_per_epoch + self.step)
            while self.epoch < self.config.epochs:
                self._run_epoch(monitor)
        return self._finish()

    def _run_epoch(self, monitor: Monitor) -> None:
        order = torch.randperm(len(self.train_split), generator=self._generator(_Purpose.ORDER, self.epoch))
        self.runnable.train()
        while self.step < self.steps_per_epoch:
            rate = self._take_step(order)
            self.step += 1
            monitor.step(self.totals.tolist, rate)
            every = self.config.checkpoint_steps
            if every and self.step % every == 0 and self.step < self.steps_per_epoch:
                self.save()
        self._end_epoch(monitor, rate)

    def _take_step(self, order: torch.Tensor) -> float:
        """One batch; returns the learning rate it was taken with."""
        config, size = self.config, self.config.batch_size
        rate = config.optimiser.lr * config.schedule.factor(
            self.epoch + (self.step + 1) / self.steps_per_epoch, config.epochs
        )
        set_learning_rate(self.optimiser, rate)
        share = slice(self.step * size + self.process.rank, (self.step + 1) * size, self.process.world)
        chosen = order[share].to(self.device)
        labels = self.train_split.labels[chosen]
        torch.manual_seed(self._seed(_Purpose.MODULE, self.epoch, self.step, self.process.rank))
        self.optimiser.zero_grad(set_to_none=True)
        logits, loss = self._loss(self._real(self._augmented(self.train_split.images[chosen])), labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.rewiring:
            self.rewiring.clear()
        if self.average:
            self.average.update()
        with torch.no_grad():
            self.diverged.clamp_(max=torch.where(loss.isfinite(), self.steps_per_epoch, self.step))
            self.totals[0] += loss.detach() * len(labels)
            self.totals[1] += (logits.argmax(1) == labels).sum()
            self.totals[2] += len(labels)
        return rate

    def _augmented(self, pixels: torch.Tensor) -> torch.Tensor:
        options, value = self.config.data.augment, self.dataset.zero_point
        generator = self._generator(_Purpose.AUGMENT, self.epoch, self.step, self.process.rank)
        pixels = augment(pixels, options.crop, options.flip, value, generator)
        if options.cutout:
            pixels = blank_squares(pixels, options.cutout, value, generator)
        if options.erase:
            pixels = blank_rectangles(pixels, options.erase, value, generator)
        return pixels

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits, loss) of real images, as the configuration asks: mixed, smoothed, with a teacher."""
        config = self.config
        parts: Parts = [(labels, 1.0)]
        if config.mixup:
            generator = self._generator(_Purpose.MIXUP, self.epoch, self.step, self.process.rank)
            images, partner, share = mixed(images, config.mixup, generator)
            parts = [(labels, share), (labels[partner], 1 - share)]
        theirs: torch.Tensor | None = None
        if self.teacher is not None:
            with self._autocast(), torch.no_grad():
                theirs = self.teacher(images).float()
        options = config.adversarial
        if options is None or not options.weight:
            with self._autocast():
                logits = self.runnable(images)
                return logits, self._objective(logits, parts, theirs)
        changed = self._attacked(images, parts, Attack.pgd(options))
        with self._autocast():
            # One pass over both, which share the statistics of their batch norm.
            logits, under_attack = self.runnable(torch.cat([images, changed])).chunk(2)
            clean, robust = (self._objective(one, parts, theirs) for one in (logits, under_attack))
            return logits, (1 - options.weight) * clean + options.weight * robust

    def _objective(self, logits: torch.Tensor, parts: Parts, theirs: torch.Tensor | None) -> torch.Tensor:
        """The loss of a batch's logits, beside a teacher's where there is one."""
        config = self.config
        loss = torch.zeros((), device=self.device)
        for wanted, share in parts:
            smooth = config.label_smoothing
            loss = loss + share * functional.cross_entropy(logits.float(), wanted, label_smoothing=smooth)
        if theirs is not None and config.distil is not None:
            soft = distillation(logits.float(), theirs, config.distil.temperature)
            loss = (1 - config.distil.weight) * loss + config.distil.weight * soft
        return loss

    def _attacked(self, images: torch.Tensor, parts: Parts, attack: Attack) -> torch.Tensor:
        """The batch as the attack leaves it, which the cross entropy of the labels guides."""

        def loss(logits: torch.Tensor) -> torch.Tensor:
            sums = [share * functional.cross_entropy(logits.float(), to, reduction="sum") for to, share in parts]
            return torch.stack(sums).sum()

        generator = self._generator(_Purpose.ATTACK, self.epoch, self.step, self.process.rank)
        with self._attack_autocast():
            found = attacked(self.model, images, loss, attack, self.range, generator)
        return found.contiguous(memory_format=self.subject.memory_format)

    def _end_epoch(self, monitor: Monitor, rate: float) -> None:
        loss, correct, images = self.process.sum(self.totals).tolist()
        with self.average.instead() if self.average else nullcontext():
            test_loss, test_accuracy = self.evaluate(self.test_split)
            validation = self.evaluate(self.validation) if len(self.validation) else None
            self._check_finite(loss, test_loss)
            robust = None if self.config.adversarial is None else self.robustness(self.test_split)
            self.epoch, self.step = self.epoch + 1, 0
            if self.config.keep == "best" and validation is not None:
                earlier = self.history[self.best_epoch - 1]["validation_accuracy"] if self.best_epoch else -1.0
                if validation[1] > earlier:
                    self.best_epoch = self.epoch
                    self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
                    self.best_supports = self.rewiring.supports() if self.rewiring else None
        self.totals.zero_()
        record: EpochRecord = {
            "epoch": self.epoch,
            "learning_rate": rate,
            "train_loss": loss / images,
            "train_accuracy": correct / images,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "seconds": round(self.seconds, 3),
        }
        if validation is not None:
            record["validation_loss"], record["validation_accuracy"] = validation
        if robust is not None:
            record["fgsm_accuracy"], record["pgd_accuracy"] = robust
        if self.rewiring and self.config.rewire is not None:
            record["moved"] = self._rewire(self.rewiring, self.config.rewire.prune_rate)
        self.history.append(record)
        monitor.epoch(record, self.config.epochs)
        self.save()

    def _rewire(self, rewiring: Rewiring, rate: float) -> int:
        """Move the supports, after the epochs so far; how many units moved."""
        share = prune_share(rate, self.epoch, self.config.epochs)
        count = rewiring.rewire(lambda parameter: momentum(self.optimiser, parameter), share)
        if self.average:
            for conv in rewiring.convs.values():
                self.average.keep(conv.weight, ~conv.pruned)
        return count

    def _check_finite(self, *losses: float) -> None:
        """Raises ConfigError, naming epoch and step, where training has diverged; in all processes or in none.

        The last step of an epoch, which no loss follows, shows in the loss of the test images and in the weights.
        """
        if all(map(math.isfinite, losses)) and all(value.isfinite().all() for value in self.network.parameters()):
            return
        step = min(int(self.diverged) + 1, self.step)
        raise ConfigError(
            f"optimiser.lr: {self.config.optimiser.lr}: training diverged in epoch {self.epoch + 1}, step {step} of "
            f"{self.steps_per_epoch} (loss or weights are not finite); try a smaller rate or a longer warm-up"
        )

    @torch.no_grad()
    def evaluate(self, split: _DeviceSplit) -> tuple[float, float]:
        """(mean loss, accuracy) over a split, shared by the processes."""
        self.model.eval()
        self._share_statistics()
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        size = EVALUATION_BATCH * self.process.world
        for start in range(0, len(split), size):
            share = slice(start + self.process.rank, start + size, self.process.world)
            labels = split.labels[share]
            with self._autocast():
                logits = self.model(self._real(split.images[share])).float()
            totals[0] += functional.cross_entropy(logits, labels, reduction="sum")
            totals[1] += (logits.argmax(1) == labels).sum()
        loss, correct = self.process.sum(totals).tolist()
        return loss / len(split), correct / len(split)

    def _share_statistics(self) -> None:
        """Each process has batch norm statistics of its own; the masks, not real numbers, are the same everywhere."""
        self.process.share(buffer for buffer in self.model.buffers() if buffer.is_floating_point())

    def robustness(self, split: _DeviceSplit) -> tuple[float, float]:
        """Accuracies over a split under FGSM and PGD, shared by the processes; after `evaluate`.

        The random starts are the same after every epoch.
        """
        options = self.config.adversarial
        assert options is not None
        attacks = (Attack.fgsm(options), Attack.pgd(options))
        totals = torch.zeros(len(attacks), dtype=torch.float64, device=self.device)
        size = EVALUATION_BATCH * self.process.world
        for start in range(0, len(split), size):
            share = slice(start + self.process.rank, start + size, self.process.world)
            images, labels = self._real(split.images[share]), split.labels[share]
            for at, attack in enumerate(attacks):
                generator = self._generator(_Purpose.JUDGE, start, self.process.rank)
                with self._attack_autocast():
                    totals[at] += robust_answers(self.model, images, labels, attack, self.range, generator).sum()
        fgsm, pgd = (self.process.sum(totals) / len(split)).tolist()
        return fgsm, pgd

    def save(self) -> None:
        """Write the checkpoint and the log; all processes must come here together."""
        self._check_finite(self.process.sum(self.totals)[0].item())
        self._share_statistics()  # a resumed run has the main process's, by which a mixture's next step goes
        if not self.process.is_main:
            self.totals.zero_()  # they are in the main process's now
            return
        state = {
            "config": identity(self.config),
            "world": self.process.world,
            "epoch": self.epoch,
            "step": self.step,
            "totals": self.totals,
            "history": self.history,
            "seconds": self.seconds,
            "model": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else [self.average.steps, self.average.values],
            "best": [self.best_epoch, self.best, self.best_supports],
            "supports": self.rewiring.supports() if self.rewiring else None,
            "teacher": self.teacher_digest,
            "precision": self.precision,
            "kernels": periodic.choices(),
        }
        checkpoint.save(self.out / "checkpoint.pt", state)
        write_log(self.out / "log.jsonl", self.history)

    def _restore(self) -> None:
        """Go on from the checkpoint. Raises ConfigError where it belongs to another configuration."""
        state = begun(self.config, self.out, self.subject.network, self.process.world, self.device)
        path = self.out / "checkpoint.pt"
        with reading(path, "train anew in another folder"):
            self._restore_from(path, state)

    def _restore_from(self, path: Path, state: dict[str, Any]) -> None:
        if self.rewiring:
            self.rewiring.move(state["supports"])  # first: loading clears what is off them
        checkpoint.into(self.network, state["model"], path)
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.seconds_before = state["seconds"]
        self.best_epoch, self.best, self.best_supports = state["best"]
        if self.average:
            self.average.steps, self.average.values = state["average"]
        if state["teacher"] != self.teacher_digest:
            raise ConfigError(f"{path}: was made with another teacher; resume with the same, or choose another folder")
        self.precision = state["precision"]
        periodic.restore(state["kernels"])
        if self.process.is_main:
            self.totals.copy_(state["totals"])

    @property
    def _title(self) -> str:
        return f"{self.config.name} {self.subject.variant}"

    def _finish(self) -> TrainResult:
        if self.best:
            if self.rewiring and self.best_supports is not None:
                self.rewiring.move(self.best_supports)
            self.network.load_state_dict(self.best)
        elif self.average:
            self.network.load_state_dict(self.average.values)
        kept_epoch = self.best_epoch or self.epoch
        last = self.history[kept_epoch - 1]
        result = TrainResult(
            name=self.config.name,
            dataset=self.dataset.name,
            network=self.config.network.name or self.subject.network.name,
            variant=self.subject.variant,
            epochs=self.epoch,
            test_accuracy=last["test_accuracy"],
            train_accuracy=last["train_accuracy"],
            train_loss=last["train_loss"],
            weights=nonzero_weights(self.network),
            seconds=round(self.history[-1]["seconds"], 1),
            device=_device_name(self.device, self.process.world),
            run_dir=str(self.out),
            precision=self.precision,
            kept_epoch=kept_epoch,
            validation_accuracy=last.get("validation_accuracy"),
            method=self.config.method,
            fgsm_accuracy=last.get("fgsm_accuracy"),
            pgd_accuracy=last.get("pgd_accuracy"),
        )
        if self.process.is_main:
            if self.rewiring:
                write_json(self.out / "network.json", self.rewiring.moved_network().spec())
            write_log(self.out / "log.jsonl", self.history)
            write_plot(self.out / "training.svg", self.history, self._title)
            state = {name: value.cpu() for name, value in self.network.state_dict().items()}
            checkpoint.save(self.out / "model.pt", state)
            write_json(self.out / "result.json", result.to_json())
        self.process.wait()
        return result

    def _real(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels as the real values that the fixed-point input stands for."""
        real = (pixels.float() - self.dataset.zero_point) * self.dataset.input_format.scale
        return real.contiguous(memory_format=self.subject.memory_format)

    def _generator(self, purpose: _Purpose, *position: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed(purpose, *position))

    def _seed(self, purpose: _Purpose, *position: int) -> int:
        words = np.random.SeedSequence([self.config.seed, purpose, *position]).generate_state(1, np.uint64)
        return int(words[0])

    def _attack_autocast(self) -> torch.autocast:
        """As `_autocast`, but not in float16, which loses small gradients, and with them their signs."""
        enabled = self.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16 if enabled else None, enabled=enabled)

    def _autocast(self) -> torch.autocast:
        enabled = self.precision != "float32"
        return torch.autocast(self.device.type, _PRECISIONS[self.precision] if enabled else None, enabled=enabled)


def _choose_algorithms(deterministic: bool) -> None:
    """The repeatable GPU algorithms, or the quickest ones."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Only a warning where an operation has no repeatable form: max pooling backwards on a GPU.
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic


def _choose_kernels(config: TrainConfig) -> None:
    """Raises ConfigError: kernels that are asked for and cannot be."""
    if config.kernels == "sparse" and KERNEL.chosen() is None:
        raise ConfigError(f"kernels: must be auto or dense without a compiled kernel, got sparse; {KERNEL.describe()}")
    periodic.use(config.kernels)


def identity(config: TrainConfig) -> dict[str, Any]:
    """A configuration as far as it decides the result.

    The data may move, and so may what is compared by content: the user's own network, a teacher.
    """
    places: dict[str, Any] = {
        "data": {"path"},
        "network": {"python"},
        "distil": {"teacher"},
        "quantise": {"distil": {"teacher"}},
    }
    return config.model_dump(mode="json", exclude=places)


def begun(
    config: TrainConfig, out: Path, network: Network, world: int, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """The checkpoint in `out`. Raises ConfigError where it is damaged or of another training."""
    path = out / "checkpoint.pt"
    state = checkpoint.load(path, device)
    if state["config"] != identity(config) or state["world"] != world:
        raise ConfigError(
            f"{path}: was made by another configuration or number of processes; resume with the same, or "
            "choose another folder"
        )
    before = load_topology(out)
    # A support that moves is in the checkpoint, and in the end in the topology.
    if (before != network) if config.rewire is None else (before.dense_twin() != network.dense_twin()):
        raise ConfigError(f"{path}: is of a network with other masks or ranks; choose another folder")
    return state


def _device_name(device: torch.device, world: int) -> str:
    threads = torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return name if world == 1 else f"{world} x {name}"
