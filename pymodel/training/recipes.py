"""What a recipe adds to plain training: mixed images, a running mean of the weights, a teacher, images held back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pymodel.datasets.splits import Split


def mixed(images: torch.Tensor, alpha: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """mixup (Zhang et al., arXiv 1710.09412): (share * images + (1 - share) * images[partner], partner, share).

    images: real [n, ...]. share is of Beta(alpha, alpha), one for the batch; partner: int64 [n], a permutation. The
    loss is mixed as the images are.
    """
    seed = int(torch.randint(1 << 62, (1,), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    return share * images + (1 - share) * images[partner], partner, share


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """temperature^2 * KL(teacher || student) of logits [n, classes], both divided by the temperature: mean over images.

    Hinton et al., arXiv 1503.02531: with the square, gradients do not shrink with the temperature.
    """
    ours, theirs = (functional.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


class Average:
    """An exponential moving average of a network's weights and batch norm statistics.

    After step t it is d * average + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)), so that the first
    weights are soon forgotten. What is zero off the support stays zero. Counts are taken over as they are.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the optimiser."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def keep(self, parameter: torch.Tensor, mask: torch.Tensor) -> None:
        """A parameter's average keeps what `mask`, bool of its shape, marks; the rest starts anew from zero."""
        for name, value in self.network.named_parameters():
            if value is parameter:
                self.values[name].masked_fill_(~mask, 0)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """The network with the average for its weights."""
        own = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.values)
        try:
            yield
        finally:
            self.network.load_state_dict(own)


def digest(network: nn.Module) -> str:
    """A hash of all weights and statistics: two networks with the same one give the same outputs."""
    hashed = hashlib.sha256()
    for name, value in network.state_dict().items():
        hashed.update(name.encode())
        hashed.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def held_back(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """(what is trained on, the `count` images that are not): drawn by the seed, each in the order of `split`."""
    chosen = np.zeros(len(split), bool)
    chosen[np.random.default_rng([seed, len(split)]).permutation(len(split))[:count]] = True
    return Split(split.images[~chosen], split.labels[~chosen]), Split(split.images[chosen], split.labels[chosen])
