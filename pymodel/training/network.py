"""The network that a training configuration names."""

from __future__ import annotations

from pymodel.common.errors import ConfigError
from pymodel.datasets.splits import Dataset
from pymodel.network import zoo
from pymodel.network.topology import Network
from pymodel.network.zoo import make_network, resnet18
from pymodel.training.config import NetworkChoice


def dense_network(choice: NetworkChoice, dataset: Dataset) -> Network:
    """The topology that a configuration names, its variant left out. Raises ConfigError."""
    channels, height, width = dataset.shape
    own = zoo.Dataset(dataset.name, channels, height, width, len(dataset.classes))
    standard = make_network(choice.name, own.name if zoo.DATASETS.get(own.name) == own else own)
    if choice.width is None:
        return standard
    if choice.name != "resnet18":
        raise ConfigError(
            f"network.width: must be left out for {choice.name}, got {choice.width}; only resnet18 has a width"
        )
    return resnet18(len(dataset.classes), standard.input.height, choice.width)
