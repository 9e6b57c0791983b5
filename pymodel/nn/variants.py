"""Networks under any variant: a support, or a baseline with as many weights as a support leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pymodel.common.errors import NEEDS_TORCH, ConfigError
from pymodel.network import zoo
from pymodel.network.supports import PAPER_VARIANTS
from pymodel.network.topology import Network

AS_IT_IS = "as it is"  # the variant of a network that none was chosen for


@dataclass(frozen=True, eq=False)
class Family:
    """A network under some variants. title: of tables. dense: what they are compared with. networks: by variant."""

    title: str
    dense: Network
    networks: Mapping[str, Network]


def family(name: str, dataset: str, variants: Sequence[str] = PAPER_VARIANTS) -> Family:
    """The network `name` for `dataset` under variants (see `make_network`). Raises ConfigError."""
    networks = {variant: make_network(name, dataset, variant) for variant in variants}
    return Family(f"{name}, {dataset}", make_network(name, dataset), networks)


def family_of(network: Network, variants: Sequence[str] = ()) -> Family:
    """Any network, as it is or with its dense twin under variants. Raises ConfigError."""
    dense = network.dense_twin()
    networks = {variant: _under(dense, variant) for variant in variants} or {AS_IT_IS: network}
    return Family(network.name, dense, networks)


@lru_cache
def make_network(name: str, dataset: str, variant: str = "dense", seed: int = 0, width: int | None = None) -> Network:
    """The network `name` for `dataset` under `variant`: the name of a support, or BASELINE@NAME (baselines.py): the
    baseline with as many weights as the support NAME leaves, made from the initial weights of `seed`. width: see
    `zoo.make_network`.

    Raises ConfigError as that does, and where a baseline finds no PyTorch.
    """
    return _under(zoo.make_network(name, dataset, width=width), variant, seed)


def _under(dense: Network, variant: str, seed: int = 0) -> Network:
    """A dense network under a variant."""
    if "@" not in variant:
        return zoo.apply_variant(dense, variant)
    try:
        from pymodel.nn.baselines import compressed
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"variant {variant} {NEEDS_TORCH}") from error
    return compressed(dense, variant, seed).network
