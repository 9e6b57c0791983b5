"""The training configuration: every key, its meaning and its default. Unknown keys are refused.

`python -m scripts.reference` makes the table of docs/reference/configuration.md of it.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pymodel.common import bounds
from pymodel.common.bounds import FileName
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import TRAINING, read_kind
from pymodel.common.records import parse_yaml

# torch's OneCycleLR: div_factor 25, final_div_factor 1e4.
_ONE_CYCLE_START, _ONE_CYCLE_END = 1 / 25, 1 / 25 / 1e4

Bits = Annotated[int, bounds.TENSOR_BITS.field()]
Rate = Annotated[float, bounds.LEARNING_RATE.field()]
Threads = Annotated[int, bounds.THREADS.field()]
Epochs = Annotated[int, bounds.EPOCHS.field()]
Width = Annotated[int, bounds.WIDTH.field()]
Kernels = Literal["auto", "sparse", "dense"]  # pymodel.nn.periodic.Kernels; configurations are read without PyTorch


class Augment(Strict):
    """Random changes to each training image."""

    crop: int = bounds.CROP.field(0, description="pixels of padding before a random crop of the original size")
    flip: bool = Field(False, description="mirror half of the images")
    cutout: int = bounds.CROP.field(0, description="side of a square that is blanked, around any pixel; 0: none")
    erase: float = bounds.SHARE.field(0.0, description="share of the images of which a random rectangle is blanked")


class Data(Strict):
    """Which images."""

    dataset: Literal["digits", "cifar10", "tiny-imagenet", "folder", "npz"] = Field(
        description="`digits` comes with scikit-learn; `folder`, `npz`: your own, a folder of images for each class or "
        "a file of arrays"
    )
    path: FileName | None = Field(
        None, description="where the data set lies; none: the environment variable PSCONV_DATA"
    )
    augment: Augment = Augment()
    validation: int = bounds.IMAGES_HELD_BACK.field(
        0, description="training images held back, drawn by `seed`, that `keep: best` judges by"
    )


class NetworkChoice(Strict):
    """Which network: by the names of pymodel.network.zoo, or a module of one's own."""

    name: str | None = Field(
        None, description="see pymodel/network/zoo.py: `resnet18`, `vgg16`, ... Exactly one of `name` and `python`"
    )
    python: FileName | None = Field(
        None,
        description="or your own, `FILE.py:NAME`: a torch.nn.Module, or the function that returns one. FILE is looked "
        "for beside this file",
    )
    variant: str = Field(
        "dense",
        description="support of 3x3 convolutions but the first and grouped ones; or, with `name`, a baseline: "
        "`SynFlow@PSD1_P16`. `dense` leaves a module of your own as it is",
    )
    rule: dict[str, str | dict[str, list[list[int]]]] = Field(
        {},
        description="`python`: instead of `variant`, supports by the path of a convolution, in which `*` stands for "
        "anything: `{layer1.*: PSD4_P8, layer2.*: PSD1_P16}`; the first that fits counts, the others stay as they are",
    )
    width: Width | None = Field(
        None, description="`resnet8`, `resnet18`, `resnet20`: channels of the first stage; none: the standard ones"
    )

    @model_validator(mode="after")
    def _one_way(self) -> NetworkChoice:
        if (self.name is None) == (self.python is None):
            raise ValueError("name, python: exactly one must be given")
        if self.rule and self.python is None:
            raise ValueError(f"rule: must be left out with name: {self.name}; it is of a module of your own")
        if self.rule and self.variant != "dense":
            raise ValueError(f"variant: must be left out with rule, got {self.variant}")
        if self.python is not None and "@" in self.variant:
            raise ValueError(f"variant: must be a support with python, got the baseline {self.variant}")
        return self


class Optimiser(Strict):
    """Weight decay is applied to convolution and linear weights only, not to batch norm and biases."""

    name: Literal["sgd", "adamw"] = Field("sgd", description="the optimiser")
    lr: Rate = Field(0.1, description="learning rate")
    momentum: float = bounds.BELOW_ONE.field(0.9, description="of `sgd`")
    nesterov: bool = Field(True, description="of `sgd`")
    weight_decay: float = bounds.WEIGHT_DECAY.field(5e-4, description="of weights; not of batch norm and biases")

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Optimiser:
        if self.name == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: must be false where momentum is 0, got true")
        return self


class Schedule(Strict):
    """The learning rate as a factor of optimiser.lr, set anew for every step."""

    name: Literal["cosine", "multistep", "constant", "one_cycle"] = Field(
        "cosine",
        description="how the learning rate goes; `one_cycle`: from a 25th up to `optimiser.lr`, then down to nothing",
    )
    warmup_epochs: float = bounds.WARM_UP.field(0.0, description="linear from 0")
    milestones: list[Epochs] = Field(
        [], description="`multistep`: epochs after which the rate is multiplied by `schedule.gamma`"
    )
    gamma: float = bounds.FRACTION.field(0.1, description="`multistep`")
    peak: float = bounds.FRACTION.field(0.3, description="`one_cycle`: share of the epochs on the way up")

    def factor(self, epoch: float, epochs: int) -> float:
        """The factor at `epoch` (fractions count) of a training of `epochs`."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        if self.name == "multistep":
            return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        if self.name == "one_cycle":
            return self._one_cycle(epoch / epochs)
        if self.name == "cosine":
            progress = (epoch - self.warmup_epochs) / (epochs - self.warmup_epochs)
            return 0.5 * (1 + math.cos(math.pi * progress))
        return 1.0

    def _one_cycle(self, progress: float) -> float:
        """Smith and Topin, arXiv 1708.07120, in the form of torch's OneCycleLR; momentum stays as it is."""
        if progress <= self.peak:
            return _ONE_CYCLE_START + (1 - _ONE_CYCLE_START) * (1 - math.cos(math.pi * progress / self.peak)) / 2
        down = (progress - self.peak) / (1 - self.peak)
        return _ONE_CYCLE_END + (1 - _ONE_CYCLE_END) * (1 + math.cos(math.pi * down)) / 2


class Distil(Strict):
    """Knowledge distillation (Hinton et al., arXiv 1503.02531): a trained network's outputs as soft labels.

    loss = (1 - weight) * cross entropy + weight * temperature^2 * KL(teacher || student), both softened.
    """

    teacher: FileName | None = Field(
        None, description="folder of a finished training; in `quantise`, none: the float network itself"
    )
    weight: float = bounds.SHARE.field(0.9, description="of the teacher's part in the loss")
    temperature: float = bounds.TEMPERATURE.field(4.0, description="by which logits are divided")


class Adversarial(Strict):
    """Adversarial training: loss = (1 - weight) * that of the images + weight * that of the images as an attack has
    changed them. The attack is projected gradient ascent on the loss from a random start (Madry et al., ICLR 2018).

    Pixels count from 0, black, to 1, white. The numbers are those of Kundu et al., ASP-DAC 2021.
    """

    steps: int = bounds.ATTACK_STEPS.field(7, description="gradients that an attack takes")
    step: float = bounds.FRACTION.field(0.01, description="by which each changes a pixel, of the range 0 to 1")
    epsilon: float = bounds.FRACTION.field(0.031, description="by which a pixel changes at most, of the range 0 to 1")
    weight: float = bounds.SHARE.field(
        0.5, description="of attacked images in the loss; 0: none, they are only counted after each epoch"
    )


class Rewire(Strict):
    """Which weights there are moves during training (pymodel.nn.rewiring): after each epoch a share of the smallest is
    pruned, and as many are regrown where the momentum of the loss is largest."""

    granularity: Literal["irregular", "channel", "taps"] = Field(
        description="what moves: single weights; input channels of a layer; taps of the variants of the periodic "
        "support that `network.variant` names, which an engine runs"
    )
    density: Annotated[float, bounds.FRACTION.field()] | None = Field(
        None,
        description="`irregular`, `channel`: share of the weights that there are, in the layers that a variant "
        "changes; none: as many as `network.variant` leaves",
    )
    prune_rate: float = bounds.BELOW_ONE.field(
        0.5,
        description="share that is pruned after an epoch: at the beginning, and by a cosine down to none at the end",
    )


class Mixture(Strict):
    """Mixture normalisation (Kalayeh and Shah, TPAMI 2019) in the place of batch norm: each sample is normalised by the
    components of a Gaussian mixture, weighted by their posterior (pymodel.nn.mixture)."""

    components: int = bounds.MIXTURE_COMPONENTS.field(3, description="Gaussians of the mixture; 1 is batch norm")
    em_steps: int = bounds.EM_STEPS.field(1, description="of expectation maximisation, for each batch")


class Quantise(Strict):
    """Fixed point: batch norm folded, one power-of-two scale per tensor found on training images."""

    weight_bits: Bits = Field(8, description="of a weight, signed")
    per_channel: bool = Field(False, description="weights: an integer scale per output channel as well")
    activation_bits: Bits = Field(8, description="of an activation, signed")
    output_bits: Bits = Field(8, description="of the network's output (logits)")
    calibration_images: int = bounds.IMAGES.field(1024, description="training images that scales are chosen by")
    qat: bool = Field(False, description="quantisation-aware training after calibration")
    qat_epochs: Epochs = Field(10, description="of that training")
    qat_lr: Rate = Field(0.01, description="its learning rate: SGD with momentum, cosine to zero")
    distil: Distil | None = Field(None, description="a teacher in that training; none: labels alone")


class TrainConfig(Strict):
    """A whole training run: the schema of a training YAML file."""

    name: str = Field(description="of the run, in tables and files")
    data: Data
    network: NetworkChoice
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    epochs: Epochs = Field(description="of the training")
    batch_size: int = bounds.BATCH.field(128, description="over all processes together")
    label_smoothing: float = bounds.BELOW_ONE.field(0.0, description="of the loss")
    mixup: float = bounds.MIXUP.field(
        0.0, description="alpha of the Beta distribution by which images and labels are mixed in pairs; 0: none"
    )
    ema: float = bounds.BELOW_ONE.field(
        0.0, description="decay of a running mean of the weights, which is judged and kept in their place; 0: none"
    )
    distil: Distil | None = Field(None, description="a teacher; none: labels alone")
    adversarial: Adversarial | None = Field(None, description="training on attacked images, too; none: no attack")
    rewire: Rewire | None = Field(None, description="supports that move during training; none: they stay")
    mixture: Mixture | None = Field(None, description="mixture normalisation instead of batch norm; none: batch norm")
    keep: Literal["last", "best"] = Field(
        "last", description="the epoch whose weights are kept; `best`: by accuracy on `data.validation`"
    )
    seed: int = bounds.SEED.field(0, description="of initial weights, batches and augmentation")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: a GPU where there is one")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="`auto`: bfloat16 where a GPU has it, or a CPU that has it is quicker by a probe",
    )
    kernels: Kernels = Field(
        "auto",
        description="of convolutions over a periodic support, on a CPU: `sparse` multiplies on it only, `dense` masks "
        "the weights; `auto`: by probes, layer for layer",
    )
    threads: Threads | None = Field(
        None, description="of the CPU; 1 gives the same bits whatever the number of cores; none: as torch chooses"
    )
    compile: bool = Field(False, description="torch.compile")
    deterministic: bool = Field(True, description="on a GPU: the same bits each time, a little slower")
    checkpoint_steps: int = bounds.STEPS.field(
        0, description="steps from checkpoint to checkpoint within an epoch, besides the one at its end; 0: none"
    )
    quantise: Quantise = Quantise()

    @model_validator(mode="after")
    def _schedule_fits(self) -> TrainConfig:
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs: must be below epochs {self.epochs}, got {self.schedule.warmup_epochs:g}"
            )
        if self.keep == "best" and not self.data.validation:
            raise ValueError("data.validation: must be 1 or more with keep: best, got 0")
        if self.schedule.name == "one_cycle" and self.schedule.warmup_epochs:
            raise ValueError(
                "schedule.warmup_epochs: must be 0 with one_cycle, which has its own, "
                f"got {self.schedule.warmup_epochs:g}"
            )
        if self.schedule.name == "one_cycle" and self.schedule.peak == 1:
            raise ValueError("schedule.peak: must be below 1, got 1")
        if self.distil is not None and self.distil.teacher is None:
            raise ValueError("distil.teacher: must be the folder of a finished training, got none")
        if self.schedule.milestones and self.schedule.name != "multistep":
            raise ValueError(f"schedule.name: must be multistep with schedule.milestones, got {self.schedule.name}")
        return self

    @model_validator(mode="after")
    def _mixture_fits(self) -> TrainConfig:
        if self.mixture is not None and self.compile:
            raise ValueError("compile: must be false with mixture, which looks at its components, got true")
        return self

    @model_validator(mode="after")
    def _rewiring_fits(self) -> TrainConfig:
        rewire, variant = self.rewire, self.network.variant
        if rewire is None:
            return self
        if self.network.python is not None:
            raise ValueError("rewire: must be left out with network.python; the supports of a module of your own stay")
        if "@" in variant:
            raise ValueError(f"network.variant: must be a support with rewire, got the baseline {variant}")
        if rewire.granularity == "taps":
            if rewire.density is not None:
                raise ValueError(
                    f"rewire.density: must be left out with granularity: taps, got {rewire.density:g}; "
                    "network.variant says how many taps there are"
                )
            if variant == "dense":
                raise ValueError(
                    "network.variant: must be the periodic support whose taps move with rewire.granularity: taps, "
                    "such as PS2_P6, got dense"
                )
        elif (rewire.density is None) == (variant == "dense"):
            got = f"none and {variant}" if rewire.density is None else f"{rewire.density:g} and {variant}"
            raise ValueError(
                "rewire.density, network.variant: must be a density and dense, or none and the support that leaves as "
                f"many weights, got {got}"
            )
        if self.optimiser.name == "sgd" and not self.optimiser.momentum:
            raise ValueError("optimiser.momentum: must be more than 0 with rewire, got 0")
        if self.kernels == "sparse":
            raise ValueError("kernels: must be auto or dense with rewire, which needs gradients off the support")
        return self

    @property
    def method(self) -> str:
        """What tables call the way of training: plain, adversarial, rewired ... or, both together, DNR ...; of mixtures
        with the components, as in plain with mixtures of 3."""
        attacked = self.adversarial is not None and self.adversarial.weight > 0
        mixture = "" if self.mixture is None else f" with mixtures of {self.mixture.components}"
        if self.rewire is None:
            return f"{'adversarial' if attacked else 'plain'}{mixture}"
        density = "" if self.rewire.density is None else f" {self.rewire.density:g}"
        return f"{'DNR' if attacked else 'rewired'} {self.rewire.granularity}{density}{mixture}"


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file and apply overrides such as "network.variant=PSD4_P8" (values are YAML).

    Raises ConfigError for an unreadable file, an unknown key or a value out of range.
    """
    content = overridden(read_kind(path, TRAINING), overrides)
    config = validated(TrainConfig, content, " ".join((str(path), *(f"--set {one}" for one in overrides))))
    if config.network.python is None:
        return config
    place = str((path.parent / config.network.python).resolve())  # as it is found from the run's folder, too
    return config.model_copy(update={"network": config.network.model_copy(update={"python": place})})


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
