"""The training configuration: every key, its meaning and its default. Unknown keys are refused."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import model_validator

from pymodel.common import bounds
from pymodel.common.bounds import FileName
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import TRAINING, read_kind
from pymodel.common.records import parse_yaml

Bits = Annotated[int, bounds.TENSOR_BITS.field()]
Rate = Annotated[float, bounds.LEARNING_RATE.field()]
Threads = Annotated[int, bounds.THREADS.field()]
Epochs = Annotated[int, bounds.EPOCHS.field()]


class Augment(Strict):
    """Random changes to each training image."""

    crop: Annotated[int, bounds.CROP.field()] = 0  # pixels of padding before a random crop of the original size
    flip: bool = False  # mirror half of the images


class Data(Strict):
    """Which images."""

    dataset: Literal["digits", "cifar10", "tiny-imagenet"]
    path: FileName | None = None  # where the data set lies; default: the environment variable PSCONV_DATA
    augment: Augment = Augment()


class NetworkChoice(Strict):
    """Which network, by the names of pymodel.network.zoo."""

    name: str
    variant: str = "dense"  # of 3x3 convolutions but the first and grouped ones; or a baseline: SynFlow@PSD1_P16
    width: Annotated[int, bounds.WIDTH.field()] | None = None  # resnet18: channels of the first stage; default 64


class Optimiser(Strict):
    """Weight decay is applied to convolution and linear weights only, not to batch norm and biases."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Rate = 0.1
    momentum: Annotated[float, bounds.BELOW_ONE.field()] = 0.9  # sgd
    nesterov: bool = True  # sgd
    weight_decay: Annotated[float, bounds.WEIGHT_DECAY.field()] = 5e-4

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Optimiser:
        if self.name == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: must be false where momentum is 0, got true")
        return self


class Schedule(Strict):
    """The learning rate as a factor of optimiser.lr, set anew for every step."""

    name: Literal["cosine", "multistep", "constant"] = "cosine"
    warmup_epochs: Annotated[float, bounds.WARM_UP.field()] = 0.0  # linear from 0
    milestones: list[Epochs] = []  # multistep: epochs after which the rate is multiplied by gamma
    gamma: Annotated[float, bounds.FRACTION.field()] = 0.1

    def factor(self, epoch: float, epochs: int) -> float:
        """The factor at `epoch` (fractions count) of a training of `epochs`."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        if self.name == "multistep":
            return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        if self.name == "cosine":
            progress = (epoch - self.warmup_epochs) / (epochs - self.warmup_epochs)
            return 0.5 * (1 + math.cos(math.pi * progress))
        return 1.0


class Quantise(Strict):
    """Fixed point: batch norm folded, one power-of-two scale per tensor found on training images."""

    weight_bits: Bits = 8
    per_channel: bool = False  # weights: an integer scale per output channel as well (docs/reference/maths.md)
    activation_bits: Bits = 8
    output_bits: Bits = 8  # the network's output (logits)
    calibration_images: Annotated[int, bounds.IMAGES.field()] = 1024
    qat: bool = False  # quantisation-aware training after calibration
    qat_epochs: Epochs = 10
    qat_lr: Rate = 0.01  # SGD with momentum, cosine to zero


class TrainConfig(Strict):
    """A whole training run: the schema of a training YAML file."""

    name: str
    data: Data
    network: NetworkChoice
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    epochs: Epochs
    batch_size: Annotated[int, bounds.BATCH.field()] = 128  # over all processes together
    label_smoothing: Annotated[float, bounds.BELOW_ONE.field()] = 0.0
    seed: Annotated[int, bounds.SEED.field()] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: bfloat16 where a GPU has it
    threads: Threads | None = None  # of the CPU; 1 gives the same bits whatever the number of cores
    compile: bool = False  # torch.compile
    deterministic: bool = True  # on a GPU: the same bits each time, a little slower
    checkpoint_steps: Annotated[int, bounds.STEPS.field()] = 0  # within an epoch, besides the one at its end
    quantise: Quantise = Quantise()

    @model_validator(mode="after")
    def _schedule_fits(self) -> TrainConfig:
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs: must be below epochs {self.epochs}, got {self.schedule.warmup_epochs:g}"
            )
        if self.schedule.milestones and self.schedule.name != "multistep":
            raise ValueError(f"schedule.name: must be multistep with schedule.milestones, got {self.schedule.name}")
        return self


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file and apply overrides such as "network.variant=PSD4_P8" (values are YAML).

    Raises ConfigError for an unreadable file, an unknown key or a value out of range.
    """
    content = overridden(read_kind(path, TRAINING), overrides)
    return validated(TrainConfig, content, " ".join((str(path), *(f"--set {one}" for one in overrides))))


def overridden(content: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """`content` with each KEY=VALUE set. Raises ConfigError for an override of another form."""
    content = copy.deepcopy(content)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"override: must be KEY=VALUE, such as network.variant=PSD4_P8, got {override!r}")
        *parents, leaf = key.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"override: {parent}: must be a mapping of keys, got {override!r}")
        node[leaf] = parse_yaml(text, f"override {override!r}")
    return content
