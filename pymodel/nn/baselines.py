"""Baselines to read pSConv beside, with as many weights: BASELINE@SUPPORT, such as SynFlow@PSD1_P16.

    SynFlow  unstructured pruning at initialisation (synflow.py)
    SVD      low rank from initialisation on (lowrank.py)

Both change the layers that SUPPORT would change and no others, start from the dense network's initial weights, and
are trained as everything else is. SynFlow has exactly the number of weights that SUPPORT leaves, SVD as many as whole
ranks allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pymodel.common.errors import ConfigError
from pymodel.network.supports import MaskSupport
from pymodel.network.topology import Conv, Network
from pymodel.network.zoo import apply_variant, sparse_convs
from pymodel.nn.build import NetworkModule
from pymodel.nn.lowrank import low_rank
from pymodel.nn.synflow import synflow_masks


def compressed(dense: Network, variant: str, seed: int) -> NetworkModule:
    """`dense` under BASELINE@SUPPORT, with its initial weights, those of `seed`. Raises ConfigError."""
    method, _, support = variant.partition("@")
    if method not in _METHODS or "@" in support:
        raise ConfigError(
            f"variant: must be {' or '.join(_METHODS)}, @ and a support, such as SVD@PSD1_P16, got {variant!r}"
        )
    layers = sparse_convs(dense)
    if not layers:
        raise ConfigError(f"variant {variant}: {dense.name} has no convolution that {support} changes")
    weights = _weights(apply_variant(dense, support), layers)
    with _one_thread():
        return _METHODS[method](initialised(dense, "dense", seed), layers, weights)


def initialised(dense: Network, variant: str, seed: int) -> NetworkModule:
    """`dense` under any variant (networks.apply_variant), with its initial weights, those of `seed`."""
    if "@" in variant:
        return compressed(dense, variant, seed)
    torch.manual_seed(seed)
    return NetworkModule(apply_variant(dense, variant))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs PyTorch on one thread, so that masks and ranks do not depend on the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _weights(network: Network, layers: tuple[str, ...]) -> int:
    convs = [layer for layer in network.layers if isinstance(layer, Conv) and layer.name in layers]
    return sum(conv.make_support().weights(*network.weight_shape(conv)[:2]) for conv in convs)


def _synflow(dense: NetworkModule, layers: tuple[str, ...], weights: int) -> NetworkModule:
    masks = synflow_masks(dense, layers, weights)

    def change(conv: Conv) -> Conv:
        mask = masks.get(conv.name)
        if mask is None or mask.all():
            return conv
        return Conv(**{**conv.model_dump(), "support": MaskSupport.of(mask).spec()})

    pruned = NetworkModule(dense.network.map_convs(change))
    pruned.load_state_dict(dense.state_dict())
    return pruned


_METHODS = {"SynFlow": _synflow, "SVD": low_rank}
