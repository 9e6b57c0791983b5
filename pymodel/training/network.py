"""The network that a training configuration names: one of ours, or a module of the user's own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from pymodel.common.errors import ConfigError
from pymodel.datasets.splits import Dataset
from pymodel.frontend.from_torch import trace
from pymodel.frontend.lower import lower
from pymodel.frontend.user_file import load_model
from pymodel.network import zoo
from pymodel.network.supports import SupportSpec, make_support
from pymodel.network.topology import Conv, Network
from pymodel.network.zoo import make_network
from pymodel.nn.baselines import initialised
from pymodel.nn.build import NetworkModule
from pymodel.nn.mixture import with_mixtures
from pymodel.nn.psconv2d import MaskedSupport, convert, papers_rule
from pymodel.nn.rewiring import first_network
from pymodel.training.config import NetworkChoice, TrainConfig

IMAGES = 2  # of the one batch that a module of the user's own is tried with before it is trained


@dataclass(frozen=True, eq=False)
class Trainable:
    """What is trained. module: real [n, channels, rows, columns] -> scores [n, classes].

    network: its topology. variant: what tables call its supports. memory_format: of its weights and images.
    rewired: the layers whose supports move during training, of a NetworkModule.
    """

    module: nn.Module
    network: Network
    variant: str
    memory_format: torch.memory_format = torch.channels_last
    rewired: tuple[str, ...] = ()


def trainable(config: TrainConfig, dataset: Dataset) -> Trainable:
    """The network of a configuration, with the initial weights of its seed. Raises ConfigError."""
    if config.network.python is not None:
        return own_network(config, dataset)
    subject = _ours(config, dataset)
    normalised(subject.module, config, f"network.name: {config.network.name}")
    return subject


def normalised(module: nn.Module, config: TrainConfig, where: str) -> nn.Module:
    """The module, its batch norms replaced by mixtures, in place, where the configuration says so.

    Raises ConfigError, which begins with `where`.
    """
    if config.mixture is None:
        return module
    return with_mixtures(module, config.mixture.components, config.mixture.em_steps, config.seed, where)


def _ours(config: TrainConfig, dataset: Dataset) -> Trainable:
    dense, variant = dense_network(config.network, dataset), config.network.variant
    if config.rewire is None:
        module = initialised(dense, variant, config.seed)
        return Trainable(module, module.network, variant)
    granularity, density = config.rewire.granularity, config.rewire.density
    network, layers = first_network(dense, granularity, variant, density, config.seed)
    torch.manual_seed(config.seed)
    return Trainable(NetworkModule(network), network, variant, rewired=layers)


def dense_network(choice: NetworkChoice, dataset: Dataset) -> Network:
    """The topology of ours that a configuration names, its variant left out. Raises ConfigError."""
    assert choice.name is not None
    channels, height, width = dataset.shape
    own = zoo.Dataset(dataset.name, channels, height, width, len(dataset.classes))
    known = own.name if zoo.DATASETS.get(own.name) == own else own
    try:
        return make_network(choice.name, known, width=choice.width)
    except ConfigError as error:
        raise ConfigError(f"network: {error}") from error


def own_network(config: TrainConfig, dataset: Dataset) -> Trainable:
    """The user's own module, made sparse as the configuration says, and the network that hardware will have.

    What cannot be built or trained is refused here, before anything long runs. Raises ConfigError.
    """
    choice = config.network
    assert choice.python is not None
    where = f"network.python: {choice.python}"
    if choice.width is not None:
        raise ConfigError(f"network.width: must be left out with network.python, got {choice.width}")
    torch.manual_seed(config.seed)
    module = _converted(load_model(choice.python, "network.python"), choice)
    try:
        lowered = lower(trace(module, dataset.shape))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    classes = len(dataset.classes)
    if lowered.output_shapes != ((classes,),):
        shapes = " and ".join(_batch(*shape) for shape in lowered.output_shapes)
        raise ConfigError(
            f"{where}: must give {_batch(classes)}, a score for each class of {dataset.name}, got {shapes}"
        )
    normalised(module, config, where)  # after tracing: hardware will have one Gaussian
    _try_training(module, dataset, where)
    variant = variant_of(choice, lowered.network)
    # As it came: a forward of the user's own may use `view`, which other formats do not allow.
    return Trainable(module, lowered.network, variant, torch.contiguous_format)


def _converted(module: nn.Module, choice: NetworkChoice) -> nn.Module:
    """The module with the supports of the configuration, in place. Raises ConfigError."""
    if not choice.rule:
        return module if choice.variant == "dense" else convert(module, papers_rule(module, choice.variant))
    paths = [path for path, conv in module.named_modules() if type(conv) is nn.Conv2d]
    for pattern in choice.rule:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise ConfigError(
                f"network.rule: {pattern}: must fit the path of a convolution of {choice.python}, which has "
                f"{', '.join(paths) or 'none that is dense'}"
            )

    def rule(path: str, conv: nn.Conv2d) -> MaskedSupport | SupportSpec | None:
        found = next((support for pattern, support in choice.rule.items() if fnmatchcase(path, pattern)), "dense")
        if found == "dense":
            return None
        try:
            return make_support(found, max(conv.kernel_size))
        except ConfigError as error:
            raise ConfigError(f"network.rule: {path}: {error}") from error

    return convert(module, rule)


def _try_training(module: nn.Module, dataset: Dataset, where: str) -> None:
    """One batch as in training, through a copy. Raises ConfigError where its forward gives other things there."""
    classes = len(dataset.classes)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            scores = copy.deepcopy(module).cpu().train()(torch.zeros(IMAGES, *dataset.shape))
        except Exception as error:  # whatever the user's own program raises
            raise ConfigError(f"{where}: in training: {type(error).__name__}: {error}") from error
    if not isinstance(scores, torch.Tensor) or scores.shape != (IMAGES, classes):
        got = _batch(*scores.shape[1:]) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ConfigError(f"{where}: in training: must give {_batch(classes)} as it does in evaluation, got {got}")


def _batch(*shape: int) -> str:
    """A shape with the axis of the batch."""
    return f"[{', '.join(map(str, ('n', *shape)))}]"


def variant_of(choice: NetworkChoice, network: Network) -> str:
    """What tables call the supports of a network: the configuration's word, or those that a module of one's own has."""
    if choice.python is None or choice.variant != "dense":
        return choice.variant
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    names = {support.name for support in (conv.make_support() for conv in convs) if not support.is_dense}
    return "+".join(sorted(names)) or "dense"
