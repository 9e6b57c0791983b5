"""SynFlow: which weights to keep, found at initialisation and without data.

H. Tanaka, D. Kunin, D. Yamins, S. Ganguli, "Pruning neural networks without any data by iteratively conserving
synaptic flow", NeurIPS 2020 (arXiv 2006.05467). With R = the sum of the network's outputs for an input of ones,
all parameters replaced by their magnitudes, the score of weight w is |w * dR/dw|. The weights of least score of all
layers together are pruned in many rounds, after round k of n down to the fraction density ** (k / n): no layer is
ever cut through.

The masks are part of a network's topology, so they must be the same on every processor. Processors add in different
orders: scores are computed in double precision and rounded to SCORE_BITS, so that those which are equal by definition
(two weights on the only path through a channel) are equal as numbers, and of equal ones the first are pruned.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch

from pymodel.common.arrays import Bool, Floats, Int64, all_but_smallest
from pymodel.common.errors import ConfigError
from pymodel.nn.build import NetworkModule

ROUNDS = 100  # as in the paper
SCORE_BITS = 32  # of a score's mantissa: far fewer than are right of double precision, far more than tell weights apart


def synflow_masks(network: NetworkModule, layers: Sequence[str], keep: int) -> dict[str, Bool]:
    """The `keep` weights with the highest scores of the convolutions `layers`: masks bool [cout, cin, K, K] by name.

    The network is left as it is; its batch norm counts as evaluation has it. Raises ConfigError unless `keep` is
    1 to the number of weights there are.
    """
    linear = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    weights = [linear.conv(name).weight for name in layers]
    total = sum(weight.numel() for weight in weights)
    if not 1 <= keep <= total:
        raise ConfigError(f"SynFlow: weights to keep: must be 1 to {total}, got {keep}")
    ones = torch.ones(1, *network.network.input.shape, dtype=torch.float64)
    kept = np.arange(total)  # numbers of the weights that are left
    for round_ in range(1, ROUNDS + 1):
        gradients = torch.autograd.grad(linear(ones).sum(), weights)
        scores = torch.cat([(w.detach() * g).flatten() for w, g in zip(weights, gradients, strict=True)]).numpy()[kept]
        if not np.isfinite(scores).all():
            raise ConfigError("SynFlow: the network is too deep for its scores in double precision")
        gone = len(kept) - round(total * (keep / total) ** (round_ / ROUNDS))
        kept = kept[all_but_smallest(_rounded(scores), gone)]
        masks = _masks(kept, weights)
        with torch.no_grad():
            for weight, mask in zip(weights, masks, strict=True):
                weight.mul_(mask)
    return {name: mask.numpy() for name, mask in zip(layers, masks, strict=True)}


def _rounded(scores: Floats) -> Floats:
    """The scores, float64, with mantissas of SCORE_BITS."""
    mantissas, exponents = np.frexp(scores)
    rounded: Floats = np.ldexp(np.rint(np.ldexp(mantissas, SCORE_BITS)), exponents - SCORE_BITS)
    return rounded


def _masks(kept: Int64, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """bool, of the form of each of the weights: which of them, counted through, are `kept`."""
    flat = torch.zeros(sum(weight.numel() for weight in weights), dtype=torch.bool)
    flat[torch.from_numpy(kept)] = True
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
