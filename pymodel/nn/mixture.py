"""Mixture normalisation: each sample normalised by the components of a Gaussian mixture, weighted by their posterior.

M. M. Kalayeh, M. Shah, "Training faster by separating modes of variation in batch-normalized models", TPAMI 2019 (arXiv
1806.02892). A batch's channel vectors, one for each pixel of each image, are samples of a mixture of K Gaussians of
diagonal covariance, found by k-means++ and one or two steps of EM (expectation maximisation). With posteriors tau_k(x),
priors p_k, means mu_k and variances var_k, all by channel but for the posteriors and priors,

    y = gamma * sum_k tau_k(x) / sqrt(p_k) * (x - mu_k) / sqrt(var_k + eps) + beta

which with K = 1 is batch norm. The paper's text was not at hand; ours are these choices:

* The components of the first batch come from k-means++. Each later batch's EM begins with the running mixture: a
  component remains the same one, and running means are means of the same thing. (The generator of a batch is seeded
  by `seed` and the number of batches so far, which is in the state dict: a resumed training takes the same steps.)
* What normalises are the means and variances of the samples weighted by their posteriors after EM. In training,
  gradients flow through samples, means and variances; posteriors and priors count as constants. In evaluation, whose
  mixture is constant, they flow through the posteriors as well, so that an attack sees the function that answers.
* Running means and variances are blended by the shares that the components have in the batch and had before: one
  without samples keeps its own, and its prior decays. Below LEAST_SHARE / K it starts anew, from a sample that
  k-means++ draws.
* The running variance is the unbiased one, by the effective number of samples of a component, as batch norm's is.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pymodel.common import bounds
from pymodel.common.errors import ConfigError

LEAST_SHARE = 0.01
"""A component whose running prior is below this share of the mean prior, 1 / K, starts anew."""
_MOST_UNBIASED = 2.0  # the factor of two samples, the fewest that have a variance


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians of diagonal covariance. prior: real [K], at least 0, of sum 1; mean, var: real [K, channels]."""

    prior: torch.Tensor
    mean: torch.Tensor
    var: torch.Tensor

    def to(self, dtype: torch.dtype) -> Mixture:
        """The same numbers in another format."""
        return Mixture(self.prior.to(dtype), self.mean.to(dtype), self.var.to(dtype))

    def log_joint(self, samples: torch.Tensor, eps: float) -> torch.Tensor:
        """samples [n, channels] -> [n, K]: log(prior_k * density_k(sample)), with variances var + eps.

        Exact where samples and means are small beside the square roots of the variances times 1e3 (float32).
        """
        var = self.var + eps
        precision = 1 / var
        constant = self.prior.log() - 0.5 * ((math.tau * var).log() + self.mean.square() * precision).sum(1)
        return samples @ (self.mean * precision).T - 0.5 * (samples.square() @ precision.T) + constant

    def posterior(self, samples: torch.Tensor, eps: float) -> torch.Tensor:
        """samples [n, channels] -> [n, K] of row sums 1: the probability of each component, given the sample."""
        return self.log_joint(samples, eps).softmax(1)

    def normalised(self, samples: torch.Tensor, posterior: torch.Tensor, eps: float) -> torch.Tensor:
        """sum_k posterior_k / sqrt(prior_k) * (samples - mean_k) / sqrt(var_k + eps), [n, channels]."""
        scale = (self.var + eps).rsqrt()
        weights = posterior * _positive(self.prior).rsqrt()
        return samples * (weights @ scale) - weights @ (self.mean * scale)


def weighted(samples: torch.Tensor, posterior: torch.Tensor) -> Mixture:
    """The mixture of samples [n, channels] that belong to components by posterior [n, K]: the M step of EM.

    The variances are the biased ones. A component without samples has prior, means and variances 0.
    """
    total = posterior.sum(0)
    share = (posterior / _positive(total)).T
    mean = share @ samples
    return Mixture(total / len(samples), mean, (share @ samples.square() - mean.square()).clamp(min=0))


def seeded(samples: torch.Tensor, components: int, generator: torch.Generator) -> Mixture:
    """The mixture of samples [n, channels] that k-means++ begins with (Arthur, Vassilvitskii, SODA 2007).

    Centres are samples: the first any, each further one with a probability proportional to its squared distance from
    the nearest centre so far. Each sample belongs to the nearest one, of equally near ones to the first.
    """
    centres = spread(samples, samples[:0], components, generator)
    nearest = torch.stack([(samples - centre).square().sum(1) for centre in centres], 1).argmin(1)
    return weighted(samples, nn.functional.one_hot(nearest, components).to(samples.dtype))


def spread(samples: torch.Tensor, centres: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """[count, channels]: samples that k-means++ draws as further centres beside `centres` [any, channels].

    generator: on the CPU. Where every sample is a centre, any is drawn.
    """
    found = list(centres)
    for _ in range(count):
        odds = torch.ones(len(samples), dtype=torch.float64, device=samples.device)
        if found:
            odds = torch.stack([(samples - centre).square().sum(1) for centre in found]).amin(0).double()
            odds = odds if odds.any() else torch.ones_like(odds)
        sums = odds.cumsum(0)
        drawn = torch.rand((), dtype=torch.float64, generator=generator).to(samples.device) * sums[-1]
        at = torch.searchsorted(sums, drawn, right=True).clamp(max=len(samples) - 1)
        found.append(samples[at])
    return torch.stack(found[len(centres) :])


class MixtureNorm2d(nn.Module):
    """Mixture normalisation of images [n, channels, h, w], with nn.BatchNorm2d's weight, bias, momentum and eps.

    running_prior: real [components]; running_mean, running_var: real [components, channels]. In training, raises
    ValueError for a single sample, n * h * w = 1, as batch norm does; always for images of another form. Raises
    ConfigError for components or steps out of bounds. Computed in float32, or float64 where x is.
    """

    running_prior: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(
        self,
        channels: int,
        components: int,
        em_steps: int = 1,
        *,
        seed: int = 0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        bounds.MIXTURE_COMPONENTS.check(components, "components")
        bounds.EM_STEPS.check(em_steps, "em_steps")
        self.channels, self.components, self.em_steps = channels, components, em_steps
        self.seed, self.eps, self.momentum = seed, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_prior", torch.full((components,), 1 / components))
        self.register_buffer("running_mean", torch.zeros(components, channels))
        self.register_buffer("running_var", torch.ones(components, channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def extra_repr(self) -> str:
        return f"{self.channels}, components={self.components}, em_steps={self.em_steps}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f"mixture normalisation: must be given [n, {self.channels}, h, w], got {list(x.shape)}")
        with torch.autocast(x.device.type, enabled=False):
            samples = x.permute(0, 2, 3, 1).reshape(-1, self.channels)
            samples = samples.to(torch.promote_types(x.dtype, torch.float32))
            normalised = self._in_training(samples) if self.training else self._in_evaluation(samples)
            y = normalised * self.weight + self.bias
        n, _, height, width = x.shape
        y = y.view(n, height, width, self.channels).permute(0, 3, 1, 2).to(x.dtype)
        return y.contiguous() if x.is_contiguous() else y  # in the order that it came in

    @property
    def running(self) -> Mixture:
        """The mixture that evaluation normalises by."""
        return Mixture(self.running_prior, self.running_mean, self.running_var)

    @torch.no_grad()
    def one_gaussian(self) -> nn.BatchNorm2d:
        """The batch norm that is nearest in evaluation: of each channel the least squares.

        Of samples of the running mixture, with variances s_k^2 = var_k + eps, whose posteriors are tau_k, E[tau_k(x)
        f(x)] = p_k E_k[f(x)]. So the normalised y has mean 0, and E[y x] = sum_k sqrt(p_k) s_k. The line in x that is
        nearest to y goes through 0 at the mixture's mean m; its slope is E[y x] / V with the mixture's variance V =
        sum_k p_k (s_k^2 + (mu_k - m)^2), the law of total variance. As a batch norm: mean m, variance V - eps, and
        gamma times E[y x] / sqrt(V).
        """
        prior, mean = self.running_prior.double()[:, None], self.running_mean.double()
        var = self.running_var.double() + self.eps
        overall = (prior * mean).sum(0)
        total = (prior * (var + (mean - overall).square())).sum(0)
        gain = (prior.sqrt() * var.sqrt()).sum(0) / total.sqrt()
        norm = nn.BatchNorm2d(self.channels, eps=self.eps, momentum=self.momentum)
        norm = norm.to(self.weight.device, self.weight.dtype).train(self.training)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(overall)
        norm.running_var.copy_(total - self.eps)
        norm.weight.copy_(self.weight.double() * gain)
        norm.bias.copy_(self.bias)
        return norm

    def _in_evaluation(self, samples: torch.Tensor) -> torch.Tensor:
        running = self.running.to(samples.dtype)
        middle = running.prior @ running.mean  # samples near 0 have small squares, which lose less
        mixture = Mixture(running.prior, running.mean - middle, running.var)
        samples = samples - middle
        return mixture.normalised(samples, mixture.posterior(samples, self.eps), self.eps)

    def _in_training(self, samples: torch.Tensor) -> torch.Tensor:
        if len(samples) < 2:
            raise ValueError(f"mixture normalisation: needs 2 samples or more in training, got {len(samples)}")
        middle = samples.detach().mean(0)
        samples = samples - middle
        with torch.no_grad():
            start, anew = self._start(samples.detach(), middle)
            for _ in range(self.em_steps if self.components > 1 else 0):
                start = weighted(samples.detach(), start.posterior(samples.detach(), self.eps))
            posterior = start.posterior(samples.detach(), self.eps)
        mixture = weighted(samples, posterior)
        with torch.no_grad():
            self._track(mixture, posterior, middle, anew)
        return mixture.normalised(samples, posterior, self.eps)

    def _start(self, samples: torch.Tensor, middle: torch.Tensor) -> tuple[Mixture, torch.Tensor]:
        """(the mixture of `samples`, given less `middle`, that EM begins with; bool [K]: which components are new)."""
        running = self.running.to(samples.dtype)
        prior, mean, var = running.prior, running.mean - middle, running.var
        if self.components == 1:  # no other than itself, and blended from the first batch on, as batch norm's is
            return Mixture(prior, mean, var), torch.zeros_like(prior, dtype=torch.bool)
        batches = int(self.num_batches_tracked)
        words = np.random.SeedSequence([self.seed, batches]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]))
        if not batches:
            return seeded(samples, self.components, generator), torch.ones_like(prior, dtype=torch.bool)
        anew = prior < LEAST_SHARE / self.components
        lost = int(anew.sum())
        if lost:
            mean = mean.clone()
            mean[anew] = spread(samples, mean[~anew], lost, generator)
            var = torch.where(anew[:, None], samples.var(0, correction=0), var)
            prior = torch.where(anew, 1 / self.components, prior)
            prior = prior / prior.sum()
        return Mixture(prior, mean, var), anew

    def _track(self, batch: Mixture, posterior: torch.Tensor, middle: torch.Tensor, anew: torch.Tensor) -> None:
        """Blend a batch's mixture, whose means are less `middle`, into the running one; replace components `anew`."""
        before, now = (1 - self.momentum) * self.running_prior, self.momentum * batch.prior
        part = torch.where(anew, 1, now / _positive(before + now))[:, None]
        count = posterior.sum(0).square() / _positive(posterior.square().sum(0))  # effective samples of a component
        unbiased = torch.where(count > 1, count / _positive(count - 1), 1).clamp(max=_MOST_UNBIASED)[:, None]
        self.running_mean.lerp_((batch.mean + middle).to(self.running_mean.dtype), part.to(self.running_mean.dtype))
        self.running_var.lerp_((batch.var * unbiased).to(self.running_var.dtype), part.to(self.running_var.dtype))
        prior = torch.where(anew, batch.prior, before + now)
        self.running_prior.copy_(prior / prior.sum())
        self.num_batches_tracked += 1


def with_mixtures(model: nn.Module, components: int, em_steps: int, seed: int, where: str) -> nn.Module:
    """Replace, in place, each nn.BatchNorm2d by a MixtureNorm2d of its weight, bias, eps, momentum; returns the model.

    Statistics begin anew. Raises ConfigError, which begins with `where`: no batch norm, or one that a mixture cannot
    replace.
    """
    twins: dict[int, MixtureNorm2d] = {}  # a module that stands in several places remains one
    for path, module in list(model.named_modules(remove_duplicate=False)):
        for name, child in list(module.named_children()):
            if type(child) is not nn.BatchNorm2d:
                continue
            if not child.affine or not child.track_running_stats or child.momentum is None:
                raise ConfigError(
                    f"{where}: {f'{path}.{name}' if path else name}: must be a BatchNorm2d with affine, "
                    f"track_running_stats and a momentum, got {child}"
                )
            if id(child) not in twins:
                twins[id(child)] = _twin(child, components, em_steps, seed)
            setattr(module, name, twins[id(child)])
    if not twins:
        raise ConfigError(f"{where}: must have a BatchNorm2d for mixture to replace, got none")
    return model


def with_one_gaussian(model: nn.Module) -> nn.Module:
    """A copy of the model, each MixtureNorm2d replaced by its `one_gaussian`; the model itself where it has none."""
    if not any(isinstance(module, MixtureNorm2d) for module in model.modules()):
        return model
    model = copy.deepcopy(model)
    twins: dict[int, nn.BatchNorm2d] = {}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, MixtureNorm2d):
                setattr(module, name, twins.setdefault(id(child), child.one_gaussian()))
    return model


def _twin(norm: nn.BatchNorm2d, components: int, em_steps: int, seed: int) -> MixtureNorm2d:
    assert norm.momentum is not None
    mixture = MixtureNorm2d(
        norm.num_features, components, em_steps, seed=seed, eps=norm.eps, momentum=float(norm.momentum)
    )
    mixture = mixture.to(norm.weight.device, norm.weight.dtype).train(norm.training)
    with torch.no_grad():
        mixture.weight.copy_(norm.weight)
        mixture.bias.copy_(norm.bias)
    mixture.weight.requires_grad_(norm.weight.requires_grad)
    mixture.bias.requires_grad_(norm.bias.requires_grad)
    return mixture


def _positive(values: torch.Tensor) -> torch.Tensor:
    """Values by which may be divided: what is 0 stands above a 0, too."""
    return values.clamp(min=torch.finfo(values.dtype).tiny)
