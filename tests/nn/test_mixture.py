"""Mixture normalisation: with one component batch norm; else against scikit-learn, loops, and what has to hold."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from sklearn.mixture import GaussianMixture  # noqa: E402
from torch import nn  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.nn.mixture import (  # noqa: E402
    LEAST_SHARE,
    Mixture,
    MixtureNorm2d,
    seeded,
    spread,
    weighted,
    with_mixtures,
    with_one_gaussian,
)

torch.set_num_threads(1)
EPS = 1e-5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clustered(seed: int, shape: tuple[int, int, int, int], clusters: int = 3, apart: float = 3.0) -> torch.Tensor:
    """float64 images whose pixels are of so many groups, each channel with its own scale and offset."""
    rng = np.random.default_rng(seed)
    n, channels, height, width = shape
    centres = apart * rng.standard_normal((clusters, channels))
    group = rng.integers(0, clusters, (n, height, width))
    spreads = rng.uniform(0.3, 2, (clusters, channels))
    samples = centres[group] + spreads[group] * rng.standard_normal((n, height, width, channels))
    scaled = samples * rng.uniform(0.1, 5, channels) + 10 * rng.standard_normal(channels)
    return torch.from_numpy(scaled).permute(0, 3, 1, 2).contiguous()


def samples_of(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def random_mixture(seed: int, components: int, channels: int) -> Mixture:
    rng = np.random.default_rng(seed)
    prior = torch.from_numpy(rng.dirichlet(np.ones(components)))
    mean = torch.from_numpy(rng.standard_normal((components, channels)))
    return Mixture(prior, mean, torch.from_numpy(rng.uniform(0.1, 2, (components, channels))))


def trained_norm(seed: int, components: int, channels: int, batches: int = 3) -> MixtureNorm2d:
    norm = MixtureNorm2d(channels, components, seed=seed).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator(seed)))
        norm.bias.copy_(torch.randn(channels, generator=generator(seed + 1)))
    for batch in range(batches):
        norm(clustered(batch, (4, channels, 5, 6)))
    return norm


# One component


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_one_component_is_batch_norm(n: int, channels: int, height: int, width: int, seed: int, last: bool) -> None:
    """Outputs, gradients and statistics of several batches, and of evaluation; in both orders of memory."""
    if n * height * width == 1:
        n = 2
    ours, theirs = MixtureNorm2d(channels, 1, em_steps=2).double(), nn.BatchNorm2d(channels).double()
    for norm in (ours, theirs):
        with torch.no_grad():
            norm.weight.copy_(torch.randn(channels, generator=generator(seed)))
            norm.bias.copy_(torch.randn(channels, generator=generator(seed + 1)))
    for step in range(4):
        for norm in (ours, theirs):
            norm.train(step < 3)
        images = clustered(seed + step, (n, channels, height, width))
        if last:
            images = images.contiguous(memory_format=torch.channels_last)
        upstream = torch.randn(images.shape, generator=generator(seed + step), dtype=torch.float64)
        found = []
        for norm in (ours, theirs):
            norm.zero_grad()
            entering = images.clone().requires_grad_()
            out = norm(entering)
            (out * upstream).sum().backward()
            found.append((out.detach(), entering.grad, norm.weight.grad, norm.bias.grad))
        for mine, wanted in zip(*found, strict=True):
            torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(ours.running_mean[0], theirs.running_mean, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(ours.running_var[0], theirs.running_var, rtol=1e-11, atol=1e-11)
        assert ours.running_prior.tolist() == [1.0]
        assert int(ours.num_batches_tracked) == int(theirs.num_batches_tracked)


def test_one_gaussian_of_one_component_is_itself() -> None:
    norm = trained_norm(3, 1, 4).eval()
    images = clustered(9, (2, 4, 3, 3))
    torch.testing.assert_close(norm.one_gaussian()(images), norm(images), rtol=1e-10, atol=1e-10)


# Several components


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_posterior_is_that_of_scikit_learn(components: int, channels: int, seed: int) -> None:
    mixture, samples = random_mixture(seed, components, channels), torch.randn(20, channels, generator=generator(seed))
    samples = samples.double()
    theirs = GaussianMixture(components, covariance_type="diag")
    theirs.weights_, theirs.means_ = mixture.prior.numpy(), mixture.mean.numpy()
    theirs.covariances_ = mixture.var.numpy() + EPS
    theirs.precisions_cholesky_ = 1 / np.sqrt(theirs.covariances_)
    np.testing.assert_allclose(
        mixture.log_joint(samples, EPS).logsumexp(1).numpy(), theirs.score_samples(samples.numpy()), rtol=1e-10
    )
    found = mixture.posterior(samples, EPS)
    np.testing.assert_allclose(found.numpy(), theirs.predict_proba(samples.numpy()), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.sum(1).numpy(), 1, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("components", [2, 3])
def test_a_step_of_expectation_maximisation_is_that_of_scikit_learn(components: int, seed: int) -> None:
    samples, start = samples_of(clustered(seed, (3, 4, 5, 5))), random_mixture(seed, components, 4)
    found = weighted(samples, start.posterior(samples, 0))
    theirs = GaussianMixture(
        components,
        covariance_type="diag",
        reg_covar=0,
        max_iter=1,
        weights_init=start.prior.numpy(),
        means_init=start.mean.numpy(),
        precisions_init=1 / start.var.numpy(),
    )
    with pytest.warns(UserWarning, match="did not converge"):
        theirs.fit(samples.numpy())
    np.testing.assert_allclose(found.prior.numpy(), theirs.weights_, rtol=1e-8, atol=1e-12)
    alive = found.prior.numpy() > 1e-6
    np.testing.assert_allclose(found.mean.numpy()[alive], theirs.means_[alive], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.var.numpy()[alive], theirs.covariances_[alive], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_evaluation_is_the_formula_in_loops(seed: int) -> None:
    norm, images = trained_norm(seed, 3, 2).eval(), clustered(seed, (2, 2, 3, 2))
    prior, mean, var = (value.tolist() for value in (norm.running_prior, norm.running_mean, norm.running_var))
    expected = np.zeros(images.shape)
    for n, row, column in np.ndindex(2, 3, 2):
        x = images[n, :, row, column].tolist()
        logs = [
            math.log(prior[k])
            - sum(
                0.5 * math.log(2 * math.pi * (var[k][c] + EPS)) + (x[c] - mean[k][c]) ** 2 / (2 * (var[k][c] + EPS))
                for c in range(2)
            )
            for k in range(3)
        ]
        odds = [math.exp(one - max(logs)) for one in logs]
        for c in range(2):
            value = sum(
                odds[k] / sum(odds) / math.sqrt(prior[k]) * (x[c] - mean[k][c]) / math.sqrt(var[k][c] + EPS)
                for k in range(3)
            )
            expected[n, c, row, column] = value * norm.weight[c].item() + norm.bias[c].item()
    np.testing.assert_allclose(norm(images).detach().numpy(), expected, rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_in_training_what_each_component_normalises_has_mean_0_and_variance_1(
    components: int, channels: int, seed: int
) -> None:
    samples = samples_of(clustered(seed, (3, channels, 4, 4)))
    posterior = random_mixture(seed, components, channels).posterior(samples, EPS)
    mixture = weighted(samples, posterior)
    for k in range(components):
        if float(posterior[:, k].sum()) < 2:
            continue
        scaled = (samples - mixture.mean[k]) / mixture.var[k].sqrt()
        share = (posterior[:, k] / posterior[:, k].sum())[:, None]
        torch.testing.assert_close((share * scaled).sum(0), torch.zeros(channels).double(), rtol=0, atol=1e-6)
        torch.testing.assert_close((share * scaled.square()).sum(0), torch.ones(channels).double(), rtol=1e-6, atol=0)
    summed = mixture.normalised(samples, posterior, EPS).sum(0)
    torch.testing.assert_close(summed, torch.zeros(channels).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_components_does_not_matter(seed: int, training: bool) -> None:
    norm, images = trained_norm(seed, 4, 3), clustered(seed + 7, (2, 3, 4, 4))
    other, order = copy.deepcopy(norm), torch.randperm(4, generator=generator(seed + 1))
    for name in ("running_prior", "running_mean", "running_var"):
        getattr(other, name).copy_(getattr(norm, name)[order])
    torch.testing.assert_close(norm.train(training)(images), other.train(training)(images), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(norm.running_mean[order], other.running_mean, rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_constant_posteriors_in_training() -> None:
    """By differences: posteriors stay, means and variances are of the changed samples; in evaluation, of all of it."""
    norm, images = trained_norm(1, 2, 2), clustered(5, (2, 2, 3, 3), apart=0.7)
    upstream = torch.randn(images.shape, generator=generator(2), dtype=torch.float64)
    entering = images.clone().requires_grad_()
    frozen = copy.deepcopy(norm)
    (norm(entering) * upstream).sum().backward()
    samples = samples_of(images)
    start = frozen.running
    start = weighted(samples, start.posterior(samples, EPS))
    posterior = start.posterior(samples, EPS)

    def value(changed: torch.Tensor) -> float:
        own = samples_of(changed)
        out = weighted(own, posterior).normalised(own, posterior, EPS) * frozen.weight.detach() + frozen.bias.detach()
        return float((out * samples_of(upstream)).sum())

    assert entering.grad is not None
    for at in [(0, 0, 1, 2), (1, 1, 0, 0), (1, 0, 2, 2)]:
        step = torch.zeros_like(images)
        step[at] = 1e-5
        difference = (value(images + step) - value(images - step)) / 2e-5
        assert float(entering.grad[at]) == pytest.approx(difference, rel=1e-5, abs=1e-7)
    frozen.eval()
    assert torch.autograd.gradcheck(frozen, (images.clone().requires_grad_(),))


def test_centres_are_drawn_by_squared_distance() -> None:
    """The second of two centres, given the first, of three places; against the odds on paper."""
    samples = torch.tensor([[0.0], [1.0], [3.0]]).double()
    source, counts = generator(5), {0.0: 0, 1.0: 0, 3.0: 0}
    for _ in range(2000):
        counts[float(spread(samples, torch.tensor([[0.0]]).double(), 1, source))] += 1
    assert counts[0.0] == 0 and counts[1.0] / 2000 == pytest.approx(1 / 10, abs=0.03)
    alike = spread(torch.ones(5, 2), torch.zeros(0, 2), 3, generator())
    assert alike.tolist() == [[1, 1]] * 3


def test_a_seed_belongs_to_the_nearest_centre() -> None:
    samples = torch.tensor([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.0, 9.2]]).double()
    for seed in range(10):
        found = seeded(samples, 2, generator(seed))
        order = found.mean[:, 0].argsort()
        torch.testing.assert_close(found.prior, torch.tensor([0.5, 0.5]).double())
        torch.testing.assert_close(found.mean[order], torch.tensor([[0.05, 0], [9, 9.1]]).double())
        torch.testing.assert_close(found.var[order], torch.tensor([[0.0025, 0], [0, 0.01]]).double())


def test_the_same_seed_gives_the_same_bits_and_another_state_goes_on() -> None:
    first, second, other = (MixtureNorm2d(3, 3, seed=seed) for seed in (1, 1, 2))
    batches = [clustered(seed, (2, 3, 4, 4)).float() for seed in range(6)]
    one = [first(batch) for batch in batches]
    two = [second(batch) for batch in batches[:3]]
    fresh = MixtureNorm2d(3, 3, seed=1)
    fresh.load_state_dict(second.state_dict())
    two += [fresh(batch) for batch in batches[3:]]
    assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))
    assert not torch.equal(other(batches[0]), one[0])


def test_a_component_that_is_lost_starts_anew() -> None:
    """Its prior decays while no sample is its own; then it takes a sample that the others are far from."""
    norm = MixtureNorm2d(1, 2).double()
    ends = torch.tensor([-4.0, 4.0] * 32).double() + 0.1 * torch.randn(64, generator=generator()).double()
    norm(ends.view(4, 1, 4, 4))
    left = int(norm.running_mean[:, 0].argmin())
    seen = []
    for step in range(80):
        right = 4 + 0.1 * torch.randn(64, generator=generator(step)).double()
        before = float(norm.running_mean[left, 0])
        norm(right.view(4, 1, 4, 4))
        seen.append(float(norm.running_mean[left, 0]))
        if seen[-1] != before:
            break
    assert seen[:-1] == [seen[0]] * (len(seen) - 1) and 3 < seen[-1] < 5
    # 0.5 * 0.9^t falls below LEAST_SHARE / 2; the batch after that begins anew.
    assert len(seen) == math.floor(math.log(LEAST_SHARE) / math.log(0.9)) + 2
    assert float(norm.running_prior.sum()) == pytest.approx(1)


@pytest.mark.parametrize("components", [1, 2, 5])
@pytest.mark.parametrize(
    "case", ["constant", "constant channel", "one image", "two pixels", "far away", "huge", "half"]
)
def test_degenerate_batches_give_finite_numbers(components: int, case: str) -> None:
    norm = MixtureNorm2d(3, components, em_steps=2)
    images = {
        "constant": torch.full((2, 3, 4, 4), 7.0),
        "constant channel": torch.randn(2, 3, 4, 4, generator=generator()) * torch.tensor([1.0, 0, 1])[:, None, None],
        "one image": torch.randn(1, 3, 2, 2, generator=generator()),
        "two pixels": torch.randn(2, 3, 1, 1, generator=generator()),
        "far away": torch.randn(2, 3, 4, 4, generator=generator()) + 1e4,
        "huge": torch.randn(2, 3, 4, 4, generator=generator()) * 1e6,
        "half": torch.randn(2, 3, 4, 4, generator=generator()).bfloat16(),
    }[case]
    for step in range(60):
        entering = (images.roll(step, 0) if step < 50 else images.flip(3)).requires_grad_()
        out = norm(entering)
        out.float().square().sum().backward()
        assert out.shape == images.shape and out.dtype == images.dtype and out.isfinite().all()
        assert entering.grad is None or entering.grad.isfinite().all()
        assert all(value.isfinite().all() for value in norm.state_dict().values())
    assert float(norm.running_prior.sum()) == pytest.approx(1, abs=1e-5) and norm.running_prior.min() >= 0
    assert (norm.running_var >= 0).all()
    assert norm.eval()(images).isfinite().all() and norm.one_gaussian()(images.float()).isfinite().all()


def test_images_that_cannot_be_normalised() -> None:
    norm = MixtureNorm2d(4, 2)
    with pytest.raises(ValueError, match="2 samples or more in training, got 1"):
        norm(torch.zeros(1, 4, 1, 1))
    assert int(norm.num_batches_tracked) == 0
    for shape in [(2, 3, 4, 4), (2, 8, 4, 4), (2, 4)]:
        with pytest.raises(ValueError, match=r"must be given \[n, 4, h, w\]"):
            norm(torch.zeros(shape))
    with pytest.raises(ConfigError, match="components: must be 1 to 64, got 0"):
        MixtureNorm2d(4, 0)
    with pytest.raises(ConfigError, match="em_steps: must be 1 to 100, got 101"):
        MixtureNorm2d(4, 2, 101)


def test_the_order_in_memory_stays() -> None:
    norm, images = MixtureNorm2d(4, 2), torch.randn(2, 4, 3, 5, generator=generator())
    assert norm(images).is_contiguous()
    assert norm(images.contiguous(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("components", [1, 3])
def test_samples_of_more_digits_than_the_weights(components: int) -> None:
    """float64 images through a float32 module: as through its float64 twin."""
    norm = MixtureNorm2d(3, components)
    twin = copy.deepcopy(norm).double()
    for seed in range(3):
        images = clustered(seed, (2, 3, 4, 4))
        found, expected = norm(images), twin(images)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.eval()(images), twin.eval()(images), rtol=1e-3, atol=1e-3)


# One Gaussian for hardware


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("components", [1, 2, 4])
def test_one_gaussian_is_the_least_squares_line_under_the_mixture(components: int, seed: int) -> None:
    """Against numpy's least squares of 200,000 samples that the running mixture itself draws."""
    channels = 2
    norm, mixture = MixtureNorm2d(channels, components).double().eval(), random_mixture(seed, components, channels)
    with torch.no_grad():
        norm.running_prior.copy_(mixture.prior)
        norm.running_mean.copy_(mixture.mean)
        norm.running_var.copy_(mixture.var)
        norm.weight.copy_(torch.tensor([1.5, -0.7]))
        norm.bias.copy_(torch.tensor([0.3, 2.0]))
    rng = np.random.default_rng(seed)
    group = rng.choice(components, 200_000, p=mixture.prior.numpy())
    deviation = np.sqrt(mixture.var.numpy() + EPS)
    drawn = mixture.mean.numpy()[group] + deviation[group] * rng.standard_normal((len(group), channels))
    images = torch.from_numpy(drawn)[:, :, None, None]
    with torch.no_grad():
        exact, line = norm(images)[:, :, 0, 0].numpy(), norm.one_gaussian()(images)[:, :, 0, 0].numpy()
    for channel in range(channels):
        matrix = np.stack([drawn[:, channel], np.ones(len(drawn))], 1)
        best = np.linalg.lstsq(matrix, exact[:, channel], rcond=None)[0]
        expected = matrix @ best
        assert np.abs(line[:, channel] - expected).max() < 0.05 * max(1.0, np.abs(expected).max())
        least, own = (np.square(exact[:, channel] - one).mean() for one in (expected, line[:, channel]))
        assert least - 1e-12 <= own < least + 1e-3 * exact[:, channel].var()


def test_one_gaussian_has_the_mean_and_variance_of_the_mixture() -> None:
    norm = trained_norm(2, 3, 4)
    one = norm.one_gaussian()
    prior, mean, var = norm.running_prior[:, None], norm.running_mean, norm.running_var
    torch.testing.assert_close(one.running_mean, (prior * mean).sum(0))
    second = (prior * (var + mean.square())).sum(0)
    torch.testing.assert_close(one.running_var, second - (prior * mean).sum(0).square())


# In a model


def test_batch_norms_are_replaced() -> None:
    norm = nn.BatchNorm2d(4, eps=1e-3, momentum=0.3)
    with torch.no_grad():
        norm.weight.fill_(2)
        norm.bias.fill_(-1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Sequential(norm, nn.BatchNorm1d(4))).double().eval()
    assert with_mixtures(model, 3, 2, 5, "here") is model
    twin = model[1]
    assert isinstance(twin, MixtureNorm2d) and model[2][0] is twin and isinstance(model[2][1], nn.BatchNorm1d)
    assert (twin.components, twin.em_steps, twin.seed, twin.eps, twin.momentum) == (3, 2, 5, 1e-3, 0.3)
    assert twin.weight.tolist() == [2] * 4 and twin.bias.tolist() == [-1] * 4
    assert twin.weight.dtype == torch.float64 and not twin.training
    one = with_one_gaussian(model)
    assert isinstance(model[1], MixtureNorm2d) and type(one[1]) is nn.BatchNorm2d and one[2][0] is one[1]
    assert with_one_gaussian(one) is one


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "here: must have a BatchNorm2d for mixture to replace, got none"),
        (nn.Sequential(nn.BatchNorm2d(2, affine=False)), "here: 0: must be a BatchNorm2d with affine.*affine=False"),
        (nn.Sequential(nn.Sequential(nn.BatchNorm2d(2, momentum=None))), "here: 0.0: must be .* a momentum"),
        (nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)), "track_running_stats"),
    ],
)
def test_models_without_batch_norms_that_can_be_replaced(model: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_mixtures(model, 2, 1, 0, "here")
