"""Networks under any variant: a support, or a baseline with as many weights as a support leaves."""

from __future__ import annotations

from functools import lru_cache

from pymodel.common.errors import NEEDS_TORCH, ConfigError
from pymodel.network import zoo
from pymodel.network.topology import Network


@lru_cache
def make_network(name: str, dataset: str, variant: str = "dense", seed: int = 0) -> Network:
    """The network `name` for `dataset` under `variant`: the name of a support, or BASELINE@NAME (baselines.py): the
    baseline with as many weights as the support NAME leaves, made from the initial weights of `seed`.

    Raises ConfigError for a name or a pair unknown, and where a baseline finds no PyTorch.
    """
    if "@" not in variant:
        return zoo.make_network(name, dataset, variant)
    dense = zoo.make_network(name, dataset)
    try:
        from pymodel.nn.baselines import compressed
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"variant {variant} {NEEDS_TORCH}") from error
    return compressed(dense, variant, seed).network
