"""From a trained network to a fixed-point bundle: fold, calibrate, train on if asked, export, check."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openhls.system.locks import locked

from pymodel.common.arrays import Integers
from pymodel.common.errors import ConfigError
from pymodel.common.records import json_text, read_json
from pymodel.datasets.splits import Dataset, load_dataset
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle, Note, check_name
from pymodel.network.formats import BIAS_BITS, check_range
from pymodel.nn.build import NetworkModule
from pymodel.training.adversarial import Attack, Range, robust_answers
from pymodel.training.calibrate import calibrate
from pymodel.training.config import Schedule, TrainConfig
from pymodel.training.distributed import is_main, joined
from pymodel.training.fixed_point import FixedConv, FixedLinear, FixedPointNetwork
from pymodel.training.fold import fold_batch_norm
from pymodel.training.folder import load_teacher, run_config, trained
from pymodel.training.network import Trainable, variant_of
from pymodel.training.train import EVALUATION_BATCH, Trainer, identity, kept

IDENTITY_IMAGES = 64


@dataclass(frozen=True)
class QuantiseResult:
    """What a quantisation came to. Accuracies are fractions of the whole test set."""

    name: str
    dataset: str
    variant: str
    weight_bits: int
    activation_bits: int
    per_channel: bool  # weights with a scale per output channel
    qat_epochs: int
    float_accuracy: float  # before quantisation
    one_gaussian_accuracy: float | None  # in floating point, each mixture folded as one Gaussian; with `mixture`
    fixed_accuracy: float  # of the bundle, by the golden model
    # Of the bundle, under attacks on its own network that change its input in whole steps; with `adversarial`.
    fgsm_accuracy: float | None
    pgd_accuracy: float | None
    identical_images: int  # test images whose every layer is the same integers in torch and in the golden model
    bundle: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quantise(
    run_dir: Path,
    out: Path,
    *,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    qat: bool | None = None,
    resume: bool = False,
    overrides: tuple[str, ...] = (),
) -> QuantiseResult | None:
    """Quantise the training in `run_dir`; write the bundle `out` (.yaml, with its .npz beside it).

    Arguments that are None come from the run's configuration (keys `quantise`); `overrides` are KEY=VALUE.
    With `qat`, quantisation-aware training follows the calibration, in a folder of run_dir for these bits and
    options (`qat_folder`), where `resume` continues a killed one. Under torchrun, whose processes share that training,
    the main one writes the bundle and returns a result, the others return None. Raises ConfigError; InUse where another
    process writes the same bundle or folder.
    """
    check_name(out)
    config = run_config(run_dir, overrides, weight_bits=weight_bits, activation_bits=activation_bits, qat=qat)
    dataset = load_dataset(config.data.dataset, Path(config.data.path) if config.data.path else None)
    before = _float_accuracy(run_dir)
    network = trained(config, dataset, run_dir)
    one_gaussian = None if config.mixture is None else folded_accuracy(network, dataset)
    with locked(out.parent, out.name) if is_main() else nullcontext():
        fixed = to_fixed_point(network.eval(), dataset, config)
        if config.quantise.qat:
            _train_on(fixed, dataset, config, run_dir, resume)
        return _exported(fixed, dataset, config, (before, one_gaussian), out) if is_main() else None


def _exported(
    fixed: FixedPointNetwork,
    dataset: Dataset,
    config: TrainConfig,
    in_float: tuple[float, float | None],
    out: Path,
) -> QuantiseResult:
    """Check the network against the golden model and write its bundle.

    in_float: accuracies in floating point, as trained and as folded.
    """
    bundle = export(fixed, dataset, {})
    test = dataset.integers(dataset.test.images)
    identical = assert_identical(fixed, bundle, test[:IDENTITY_IMAGES])
    accuracy = golden.accuracy(bundle, test, dataset.test.labels)
    fgsm, pgd = robustness(fixed, dataset, config) or (None, None)
    result = QuantiseResult(
        name=config.name,
        dataset=dataset.name,
        variant=variant_of(config.network, bundle.network),
        weight_bits=config.quantise.weight_bits,
        activation_bits=config.quantise.activation_bits,
        per_channel=config.quantise.per_channel,
        qat_epochs=config.quantise.qat_epochs if config.quantise.qat else 0,
        float_accuracy=in_float[0],
        one_gaussian_accuracy=in_float[1],
        fixed_accuracy=accuracy,
        fgsm_accuracy=fgsm,
        pgd_accuracy=pgd,
        identical_images=identical,
        bundle=str(out),
    )
    notes: dict[str, Note] = {
        "variant": result.variant,
        "method": config.method,
        "test_images": len(dataset.test),
        "test_accuracy": round(accuracy, 6),
        "float_accuracy": round(result.float_accuracy, 6),
        "epochs": config.epochs,
        "qat_epochs": result.qat_epochs,
        "seed": config.seed,
        "zero_point": dataset.zero_point,
    }
    export(fixed, dataset, notes).save(out)
    return result


@torch.no_grad()
def folded_accuracy(network: NetworkModule, dataset: Dataset) -> float:
    """The share of the test images that the network, as it is folded, has right in floating point."""
    folded, test = fold_batch_norm(network), dataset.test
    right = 0
    for start in range(0, len(test), EVALUATION_BATCH):
        batch = slice(start, start + EVALUATION_BATCH)
        images = torch.from_numpy(dataset.input_format.real(dataset.integers(test.images[batch]))).float()
        right += int((folded(images).argmax(1).numpy() == test.labels[batch]).sum())
    return right / len(test)


def to_fixed_point(network: NetworkModule, dataset: Dataset, config: TrainConfig) -> FixedPointNetwork:
    """Fold batch norm and calibrate on training images. The network must be in evaluation mode."""
    options = config.quantise
    folded = fold_batch_norm(network)
    # Spread over the whole training set, whatever its order.
    count = min(options.calibration_images, len(dataset.train))
    chosen = np.linspace(0, len(dataset.train) - 1, count).astype(np.int64)
    images = dataset.input_format.real(dataset.integers(dataset.train.images[chosen]))
    formats, weight_formats, scales = calibrate(
        folded,
        torch.from_numpy(images).float(),
        dataset.input_format,
        options.weight_bits,
        options.activation_bits,
        options.output_bits,
        options.per_channel,
    )
    return FixedPointNetwork(folded, formats, weight_formats, scales)


def export(fixed: FixedPointNetwork, dataset: Dataset | None, notes: dict[str, Note]) -> Bundle:
    """The integers of a fixed-point network, trained on `dataset`, as a bundle. Raises ConfigError where they break its
    rules."""
    weights, biases = {}, {}
    for name, module in fixed.layers.items():
        if isinstance(module, FixedConv | FixedLinear):
            weight, bias = module.integers()
            weights[name] = weight.astype(np.int8)
            if bias is not None:
                limit = 1 << (BIAS_BITS - 1)
                check_range(bias, -limit, limit - 1, f"{name}.bias")
                biases[name] = bias.astype(np.int32)
    return Bundle(
        network=fixed.network,
        formats=fixed.formats,
        weight_formats=fixed.weight_formats,
        weights=weights,
        biases=biases,
        scales={name: own.astype(np.uint16) for name, own in fixed.scales.items()},
        dataset=None if dataset is None else dataset.name,
        notes=notes,
    )


def assert_identical(fixed: FixedPointNetwork, bundle: Bundle, images: Integers) -> int:
    """The number of images, for all of which torch and the golden model give the same integers everywhere.

    Raises AssertionError, naming the layer, where they do not: that is an error of this program.
    """
    ours, exact = fixed.cpu().integers(images), golden.run(bundle, images)
    for name, expected in exact.items():
        if not np.array_equal(ours[name], expected):
            wrong = int((ours[name] != expected).sum())
            raise AssertionError(f"layer {name}: {wrong} of {expected.size} integers are not the golden model's")
    return len(images)


def robustness(fixed: FixedPointNetwork, dataset: Dataset, config: TrainConfig) -> tuple[float, float] | None:
    """Accuracies of the integers over the test set under FGSM and PGD, as `config.adversarial` has them, if it does.

    Gradients pass the rounding unchanged; what an attack changes is cut off to steps of the network's input. In
    float64, which is exact: the answers are the golden model's.
    """
    if config.adversarial is None:
        return None
    attacks = (Attack.fgsm(config.adversarial), Attack.pgd(config.adversarial))
    images = torch.from_numpy(dataset.input_format.real(dataset.integers(dataset.test.images)))
    labels = torch.from_numpy(dataset.test.labels)
    right, network, grid = [0, 0], fixed.cpu(), dataset.input_format.scale
    for start in range(0, len(labels), EVALUATION_BATCH):
        batch = slice(start, start + EVALUATION_BATCH)
        for at, attack in enumerate(attacks):
            generator = torch.Generator().manual_seed(config.seed)
            answers = robust_answers(network, images[batch], labels[batch], attack, Range.of(dataset), generator, grid)
            right[at] += int(answers.sum())
    return right[0] / len(labels), right[1] / len(labels)


def qat_plan(config: TrainConfig) -> TrainConfig:
    """The configuration of the quantisation-aware training that `config` asks for."""
    options = config.quantise
    return config.model_copy(
        update={
            "name": f"{config.name}_qat",
            "epochs": options.qat_epochs,
            "optimiser": config.optimiser.model_copy(update={"lr": options.qat_lr}),
            "schedule": Schedule(name="cosine"),
            "distil": options.distil,
            "mixture": None,  # folded as one Gaussian
            "rewire": None,  # supports are where that training has left them
            "precision": "float32",  # accumulators need more than the 8 bits of a bfloat16
        }
    )


def qat_folder(run_dir: Path, config: TrainConfig) -> Path:
    """Where that training lies: a folder for each choice of bits and options, so that one is not in another's way."""
    digest = hashlib.sha256(json_text(identity(qat_plan(config)), indent=None).encode()).hexdigest()[:8]
    return run_dir / f"qat_w{config.quantise.weight_bits}a{config.quantise.activation_bits}_{digest}"


def _train_on(fixed: FixedPointNetwork, dataset: Dataset, config: TrainConfig, run_dir: Path, resume: bool) -> None:
    """Quantisation-aware training, in place: a training run of its own, with a log and checkpoints."""
    out, plan = qat_folder(run_dir, config), qat_plan(config)
    teacher = None
    if plan.distil is not None:
        own = plan.distil.model_copy(update={"teacher": plan.distil.teacher or str(run_dir)})
        teacher = load_teacher(own, dataset)
    with kept(out), joined(config.device) as process:
        subject = Trainable(fixed, fixed.network, variant_of(config.network, fixed.network))
        Trainer(plan, dataset, process, out, subject, resume, teacher).run()


def _float_accuracy(run_dir: Path) -> float:
    path = run_dir / "result.json"
    try:
        return float(read_json(path)["test_accuracy"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); finish the training first") from error
