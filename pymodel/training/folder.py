"""What lies in the folder of a training: its configuration, its network, the weights that it came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymodel.common.errors import ConfigError, shortened, validated
from pymodel.common.kinds import TRAINING, of_mapping, wrong
from pymodel.common.records import json_text, read_json
from pymodel.datasets.splits import Dataset
from pymodel.frontend.from_torch import trace
from pymodel.frontend.lower import lower
from pymodel.frontend.module import to_module
from pymodel.network.topology import Network
from pymodel.nn.build import NetworkModule
from pymodel.nn.mixture import with_one_gaussian
from pymodel.training import checkpoint
from pymodel.training.config import Distil, TrainConfig, overridden
from pymodel.training.network import normalised, own_network


def run_config(run_dir: Path, overrides: tuple[str, ...] = (), **options: object) -> TrainConfig:
    """The configuration of a training, changed by KEY=VALUE. options: of its key `quantise`. Raises ConfigError."""
    path = run_dir / "config.json"
    content = run_file(path)
    given = tuple(f"quantise.{key}={json_text(value)}" for key, value in options.items() if value is not None)
    return validated(TrainConfig, overridden(content, (*given, *overrides)), str(path))


def load_topology(run_dir: Path) -> Network:
    """The network that a run trains. Raises ConfigError."""
    path = run_dir / "network.json"
    return validated(Network, run_file(path), str(path))


def run_file(path: Path) -> dict[str, Any]:
    """The mapping in a file of a run's folder. Raises ConfigError, which says what the folder is if it is none."""
    if not path.is_file():
        raise ConfigError(f"{wrong(path.parent, 'the folder of a training')} ({path.name} is not in it)")
    content = read_json(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must be a mapping of keys, got {shortened(content)}")
    if of_mapping(content) not in (TRAINING, None):
        raise ConfigError(wrong(path.parent, "the folder of a training"))
    return content


def trained(config: TrainConfig, dataset: Dataset, run_dir: Path) -> NetworkModule:
    """The network in `run_dir` with its weights; of a module of the user's own what it is in hardware, where a mixture
    that normalises is one Gaussian.

    Raises ConfigError: a module that is not the one that was trained, weights of another network.
    """
    topology, weights = load_topology(run_dir), run_dir / "model.pt"
    if config.network.python is None:
        network = NetworkModule(topology)
        normalised(network, config, str(weights))
        checkpoint.load_weights(network, weights)
        return network
    own = own_network(config, dataset)
    if own.network != topology:
        raise ConfigError(f"network.python: {config.network.python}: is not the module that was trained in {run_dir}")
    checkpoint.load_weights(own.module, weights)
    return to_module(lower(trace(with_one_gaussian(own.module), dataset.shape)))


def load_teacher(distil: Distil, dataset: Dataset) -> NetworkModule:
    """The trained network that a configuration names. Raises ConfigError: none, or one of other images or classes."""
    folder = Path(distil.teacher or "")
    topology = load_topology(folder)
    own = (topology.input.shape, topology.shapes()[topology.outputs[-1]][0])
    wanted = (dataset.shape, len(dataset.classes))
    if own != wanted:
        raise ConfigError(
            f"distil.teacher: must be a network of images {list(wanted[0])} and {wanted[1]} classes, got {folder}, of "
            f"{list(own[0])} and {own[1]}"
        )
    return trained(run_config(folder), dataset, folder)
