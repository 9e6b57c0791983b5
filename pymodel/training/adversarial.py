"""Images that an attack has changed, to train on and to judge by.

PGD is projected gradient ascent on the loss within a box around each image (Madry et al., "Towards deep learning models
resistant to adversarial attacks", ICLR 2018); FGSM is one step of it to the box's edge (Goodfellow et al., "Explaining
and harnessing adversarial examples", ICLR 2015). Both know the network: its gradients are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from pymodel.datasets.splits import Dataset
from pymodel.training.config import Adversarial

SLACK = 1e-3  # of a step of a fixed-point input: whole steps are not quite whole in floating point

Loss = Callable[[torch.Tensor], torch.Tensor]
"""Images -> the sum of their losses."""


@dataclass(frozen=True)
class Attack:
    """`steps` times `step` along the sign of the gradient, each pixel at most `epsilon` from where it was and in 0..1.

    random_start: from a uniformly random place of that box, else from the image.
    """

    steps: int
    step: float
    epsilon: float
    random_start: bool = True

    @classmethod
    def pgd(cls, options: Adversarial) -> Attack:
        """The attack that a configuration describes."""
        return cls(options.steps, options.step, options.epsilon)

    @classmethod
    def fgsm(cls, options: Adversarial) -> Attack:
        """One step of the whole epsilon, from the image itself."""
        return cls(1, options.epsilon, options.epsilon, random_start=False)

    def __call__(self, images: torch.Tensor, loss: Loss, generator: torch.Generator) -> torch.Tensor:
        """Images real [n, ...] of pixels 0..1 -> as the attack leaves them. generator: on the CPU, of the start."""
        images = images.detach()
        low, high = (images - self.epsilon).clamp(min=0), (images + self.epsilon).clamp(max=1)
        found = images
        if self.random_start:
            noise = torch.empty(images.shape).uniform_(-self.epsilon, self.epsilon, generator=generator)
            found = torch.clamp(images + noise.to(images.device), low, high)
        for _ in range(self.steps):
            with torch.enable_grad():
                [gradient] = torch.autograd.grad(loss(found.requires_grad_()), found)
            found = torch.clamp(found.detach() + self.step * gradient.sign(), low, high)
        return found


@dataclass(frozen=True)
class Range:
    """The real values that pixels 0 and 1 of an attack enter the network as."""

    black: float
    white: float

    @classmethod
    def of(cls, dataset: Dataset) -> Range:
        """From the least to the largest pixel of a data set."""
        scale = dataset.input_format.scale
        return cls(-dataset.zero_point * scale, (dataset.white - dataset.zero_point) * scale)

    def pixels(self, real: torch.Tensor) -> torch.Tensor:
        """Network inputs -> pixels 0..1."""
        return (real - self.black) / (self.white - self.black)

    def real(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels 0..1 -> network inputs."""
        return pixels * (self.white - self.black) + self.black


def attacked(
    network: nn.Module,
    images: torch.Tensor,
    loss: Loss,
    attack: Attack,
    range_: Range,
    generator: torch.Generator,
) -> torch.Tensor:
    """Network inputs real [n, ...] -> those with the attack's changes. loss: of logits [n, classes].

    The network counts as evaluation has it: its batch norm's statistics neither move nor depend on the other images.
    """
    with frozen(network):
        found = attack(range_.pixels(images), lambda pixels: loss(network(range_.real(pixels))), generator)
    return range_.real(found)


def robust_answers(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: Attack,
    range_: Range,
    generator: torch.Generator,
    grid: float | None = None,
) -> torch.Tensor:
    """bool [n]: whether the network's answer to each attacked image is its label.

    grid: the real value of one step of the network's fixed-point input; changes are cut off to whole steps, which
    keeps them within epsilon (and SLACK).
    """

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits.float(), labels, reduction="sum")

    found = attacked(network, images, loss, attack, range_, generator)
    if grid is not None:
        steps = (found - images) / grid
        found = images + (steps + SLACK * steps.sign()).trunc() * grid
    with torch.no_grad(), frozen(network):
        right: torch.Tensor = network(found).argmax(1) == labels
    return right


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """The network in evaluation, without gradients of its parameters; afterwards as it was."""
    training = [(module, module.training) for module in network.modules()]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for module, before in training:
            module.training = before
