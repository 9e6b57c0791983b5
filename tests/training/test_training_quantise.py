"""Fixed point in torch against the golden model: the same integers, always."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.datasets.splits import Dataset, Split  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network import zoo as networks  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.formats import Format, requantise  # noqa: E402
from pymodel.network.topology import (  # noqa: E402
    Add,
    AvgPool,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalAvgPool,
    InputSpec,
    Linear,
    MaxPool,
    Network,
    Relu,
)
from pymodel.nn.build import NetworkModule  # noqa: E402
from pymodel.training.calibrate import best_format, best_scales  # noqa: E402
from pymodel.training.config import TrainConfig  # noqa: E402
from pymodel.training.fixed_point import FixedPointNetwork, fake_quantise  # noqa: E402
from pymodel.training.fold import fold_batch_norm  # noqa: E402
from pymodel.training.quantise import assert_identical, export, to_fixed_point  # noqa: E402

torch.set_num_threads(1)  # tensors are tiny here: threads would only wait for each other


def every_operation() -> Network:
    """A small network with each kind of layer, in the combinations that share a format."""
    return Network(
        name="every_operation",
        input=InputSpec(channels=3, height=8, width=8),
        layers=[
            Conv(name="a", input="input", out_channels=8, kernel=3, padding=1, batch_norm=True, relu=True, clip=1.3),
            Conv(name="b", input="a", out_channels=8, kernel=3, padding=1, support="PSD4_P8", batch_norm=True),
            Conv(name="grouped", input="b", out_channels=8, kernel=4, padding=[2, 1, 0, 3], stride=2, groups=4),
            MaxPool(name="pooled", input="b", kernel=3, stride=2, padding=[0, 0, 1, 1]),
            AvgPool(name="mean", input="a"),
            Concat(name="joined", inputs=["pooled", "mean"]),
            ChannelShuffle(name="mixed", input="joined", groups=2),
            Relu(name="positive", input="mixed", clip=0.8),
            Conv(name="c", input="positive", out_channels=8, kernel=1, support="dense", bias=False),
            Add(name="sum", inputs=["c", "pooled"], relu=True, clip=1.1),
            Conv(
                name="custom",
                input="sum",
                out_channels=8,
                kernel=3,
                padding=[2, 0, 1, 1],
                support={"taps": [[0, 4], [2], [1, 7, 8]]},
                batch_norm=True,
                relu=True,
            ),
            GlobalAvgPool(name="average", input="custom"),
            Linear(name="hidden", input="average", out_features=6, relu=True, clip=0.9),
            Linear(name="scores", input="hidden", out_features=5),
        ],
        output="scores",
    )


def random_network(network: Network, seed: int) -> NetworkModule:
    """With random statistics in every batch norm, in evaluation mode."""
    torch.manual_seed(seed)
    module = NetworkModule(network)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.05, 2)
            torch.nn.init.normal_(part.weight, 1, 0.5)
            torch.nn.init.normal_(part.bias, 0, 0.3)
    return module.eval()


def random_dataset(network: Network, seed: int, images: int = 24) -> Dataset:
    random = np.random.default_rng(seed)
    shape = (images, *network.input.shape)
    split = Split(random.integers(0, 256, shape, dtype=np.uint8), random.integers(0, 5, images))
    return Dataset("random", tuple("abcde"), split, split, Format(8, 7), 128)


def config(**quantise: int) -> TrainConfig:
    return TrainConfig(name="test", data={"dataset": "digits"}, network={"name": "digits"}, epochs=1, quantise=quantise)


@settings(max_examples=200, deadline=None)
@given(
    acc=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20),
    shift=st.integers(0, 31),
    bits=st.integers(2, 8),
    relu=st.booleans(),
    most=st.integers(0, 127),
)
def test_fake_quantise_is_requantise(acc: list[int], shift: int, bits: int, relu: bool, most: int) -> None:
    form = Format(bits, 3)
    real = torch.tensor(acc, dtype=torch.float64) * 2.0 ** -(3 + shift)
    integers = (fake_quantise(real, form, relu) * 2.0**form.frac).numpy()
    assert np.array_equal(integers, requantise(np.array(acc), shift, bits, relu))
    clipped = (fake_quantise(real, form, True, (most + 0.49) / 8) * 2.0**form.frac).numpy()
    assert np.array_equal(clipped, requantise(np.array(acc), shift, bits, True, high=min(most, form.max)))


def test_gradient_passes_rounding_and_stops_at_saturation() -> None:
    x = torch.tensor([-9.0, -0.3, 0.26, 1.9, 9.0], requires_grad=True)
    fake_quantise(x, Format(4, 2)).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 0]
    x.grad = None
    fake_quantise(x, Format(4, 2), relu=True).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_folding_keeps_the_function(seed: int) -> None:
    module = random_network(every_operation(), seed)
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(fold_batch_norm(module)(x), module(x), atol=1e-4, rtol=1e-4)


def residual() -> Network:
    """A branch of two convolutions, added to what it branches from."""
    common = {"out_channels": 4, "kernel": 3, "padding": 1}
    return Network(
        name="residual",
        input=InputSpec(channels=3, height=8, width=8),
        layers=[
            Conv(name="a", input="input", **common, relu=True),
            Conv(name="b", input="a", **common),
            Conv(name="c", input="b", **common),
            Add(name="sum", inputs=["c", "a"], relu=True),
            Add(name="twice", inputs=["sum", "c"]),
            GlobalAvgPool(name="average", input="twice"),
            Linear(name="scores", input="average", out_features=5),
        ],
        output="scores",
    )


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("make", [every_operation, residual])
def test_a_dead_layer_is_a_legal_layer(make: Callable[[], Network], per_channel: bool) -> None:
    """All zeros, or all but, with and without biases: each layer in turn, and all; as exact as any other network."""
    network = make()
    dataset, names = random_dataset(network, 0), [layer.name for layer in network.weighted_layers()]
    for dead in (*((name,) for name in names), names):
        for scale, bias in itertools.product((0.0, 1e-30, 1e-44), (False, True)):
            module = random_network(network, 1)
            with torch.no_grad():
                for name in dead:
                    for key, value in module.layers[name].named_parameters():
                        if bias or "bias" not in key:
                            value.mul_(scale)
            fixed = to_fixed_point(module, dataset, config(per_channel=per_channel))
            assert assert_identical(fixed, export(fixed, dataset, {}), dataset.integers(dataset.test.images)) == 24


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("value", [1e22, 1e36])
def test_values_beyond_every_format_name_their_layer(value: float, per_channel: bool) -> None:
    network = residual()
    module = random_network(network, 1)
    with torch.no_grad():
        module.layers["b"].conv.weight[0, 0, 0, 0] = value
    with pytest.raises(ConfigError, match="layer (b|c|sum|twice|scores): .* reach .*diverged"):
        to_fixed_point(module, random_dataset(network, 0), config(per_channel=per_channel))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    weight_bits=st.integers(2, 8),
    activation_bits=st.integers(2, 8),
    output_bits=st.integers(2, 8),
    per_channel=st.booleans(),
)
def test_torch_and_golden_model_give_the_same_integers(
    seed: int, weight_bits: int, activation_bits: int, output_bits: int, per_channel: bool
) -> None:
    network = every_operation()
    dataset = random_dataset(network, seed)
    options = config(
        weight_bits=weight_bits, activation_bits=activation_bits, output_bits=output_bits, per_channel=per_channel
    )
    fixed = to_fixed_point(random_network(network, seed), dataset, options)
    images = np.concatenate(
        [
            dataset.integers(dataset.test.images),
            np.full((1, 3, 8, 8), -128, np.int8),
            np.full((1, 3, 8, 8), 127, np.int8),
        ]
    )
    bundle = export(fixed, dataset, {})
    assert set(bundle.scales) == (set(bundle.weights) if per_channel else set())
    assert assert_identical(fixed, bundle, images) == 26


@pytest.mark.parametrize("name", ["shufflenet", "mobilenet_v2"])
def test_mobile_networks_are_identical(name: str) -> None:
    network = networks.make_network(name, "cifar10")
    dataset = random_dataset(network, 2, images=3)
    fixed = to_fixed_point(random_network(network, 2), dataset, config())
    bundle = export(fixed, dataset, {})
    images = dataset.integers(dataset.test.images)
    assert assert_identical(fixed, bundle, images) == 3
    assert all(len(np.unique(values)) > 1 for values in golden.run(bundle, images).values())  # nothing died on the way


@pytest.mark.parametrize("variant", ["dense", "PSD1_P16", "PS1_P9", "pSC2"])
def test_residual_network_is_identical(variant: str) -> None:
    network = networks.resnet18(width=8, variant=variant)
    dataset = random_dataset(network, 1, images=4)
    fixed = to_fixed_point(random_network(network, 1), dataset, config())
    bundle = export(fixed, dataset, {})
    assert_identical(fixed, bundle, dataset.integers(dataset.test.images))
    for layer in bundle.network.weighted_layers():
        if isinstance(layer, Conv):
            mask = layer.make_support().mask(*bundle.weights[layer.name].shape[:2])
            assert not bundle.weights[layer.name][~mask].any()


def test_a_difference_is_found() -> None:
    network = every_operation()
    dataset = random_dataset(network, 0)
    fixed = to_fixed_point(random_network(network, 0), dataset, config())
    bundle = export(fixed, dataset, {})
    bundle.biases["a"][0] += 64
    with pytest.raises(AssertionError, match="layer a: "):
        assert_identical(fixed, bundle, dataset.integers(dataset.test.images))


@pytest.mark.parametrize("per_channel", [False, True])
def test_gradient_follows_that_of_the_real_network(per_channel: bool) -> None:
    network = every_operation()
    dataset = random_dataset(network, 3)
    module = random_network(network, 3)
    x = torch.from_numpy(dataset.input_format.real(dataset.integers(dataset.train.images))).float()
    labels = torch.from_numpy(dataset.train.labels)
    gradients = []
    fixed = to_fixed_point(module, dataset, config(per_channel=per_channel))
    for model in (fold_batch_norm(module), fixed):
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        reached = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in reached]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.95


@pytest.mark.parametrize("per_channel", [False, True])
def test_training_in_fixed_point_moves_weights_on_the_support_only(per_channel: bool) -> None:
    network = every_operation()
    dataset = random_dataset(network, 2)
    options = config(weight_bits=4, activation_bits=4, per_channel=per_channel)
    fixed = to_fixed_point(random_network(network, 2), dataset, options)
    before = export(fixed, dataset, {})
    optimiser = torch.optim.SGD(fixed.parameters(), lr=0.05, momentum=0.9)
    labels = torch.arange(24) % 5
    x = (labels.view(-1, 1, 1, 1) / 2.5 - 1).expand(-1, 3, 8, 8)  # the class is the brightness
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(fixed(x), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    after = export(fixed, dataset, {})  # Bundle refuses a weight off the support
    assert losses[-1] < losses[0]
    assert any(not np.array_equal(before.weights[name], after.weights[name]) for name in after.weights)
    assert_identical(fixed, after, dataset.integers(dataset.test.images))


def test_best_format_beats_its_neighbours() -> None:
    values = np.random.default_rng(0).normal(0, 1, 10_000)
    for bits in range(2, 9):
        best = best_format(values, bits)
        errors = {}
        for frac in range(best.frac - 2, best.frac + 3):
            form = Format(bits, frac)
            errors[frac] = np.square(form.real(form.quantise(values)) - values).sum()
        assert min(errors, key=errors.get) == best.frac
    assert best_format(np.zeros(3), 8) == Format(8, 7)


@settings(max_examples=25, deadline=None)
@given(bits=st.integers(2, 8), seed=st.integers(0, 2**32), exponent=st.integers(-30, 20), spread=st.integers(0, 6))
def test_best_scales_lose_less_than_one_scale(bits: int, seed: int, exponent: int, spread: int) -> None:
    """Channels whose weights are up to 2**spread times those of others; one channel is zero."""
    random = np.random.default_rng(seed)
    weights = random.normal(0, 1, (12, 50)) * 2.0 ** random.uniform(exponent, exponent + spread, (12, 1))
    weights[3] = 0
    form, scales = best_scales(weights, bits)
    assert form.bits == bits and scales.shape == (12,) and scales.min() >= 1 and 1 << 13 <= scales.max() < 1 << 16

    def error(scale: np.ndarray) -> np.ndarray:
        steps = scale.reshape(-1, 1) * 2.0**-form.frac
        return np.square(np.clip(np.round(weights / steps), form.min, form.max) * steps - weights).sum(axis=1)

    one = best_format(weights, bits)
    common = error(np.full(12, 2.0 ** (form.frac - one.frac)))
    assert error(scales).sum() <= common.sum()
    unsaturated = np.ceil(np.maximum(weights / form.max, weights / form.min).max(axis=1) * 2.0**form.frac)
    assert (error(scales) <= error(np.maximum(unsaturated, 1))).all()


def test_scales_of_weights_that_are_all_zero() -> None:
    form, scales = best_scales(np.zeros((3, 4)), 5)
    assert form == Format(5, 4) and scales.tolist() == [1, 1, 1]


@pytest.mark.parametrize("per_channel", [False, True])
def test_fracs_are_lowered_until_every_shift_is_possible(per_channel: bool) -> None:
    """Large weights and tiny activations: the output would ask for more fractional bits than there are."""
    layers = [
        Conv(name="a", input="input", out_channels=2, kernel=1, relu=True),
        Add(name="sum", inputs=["a", "a"]),
        Linear(name="fc", input="sum", out_features=2),
    ]
    network = Network(name="n", input=InputSpec(channels=1, height=2, width=2), layers=layers, output="fc")
    module = NetworkModule(network).eval()
    with torch.no_grad():
        module.layers["a"].conv.weight.copy_(torch.tensor([100.0, 0.001]).view(2, 1, 1, 1))
        module.layers["a"].conv.bias.copy_(torch.tensor([-50.0, 1e-4]))
    images = np.full((4, 1, 2, 2), 128, np.uint8)  # all inputs zero: only the tiny bias is left
    dataset = Dataset(
        "n", ("a", "b"), Split(images, np.zeros(4, int)), Split(images, np.zeros(4, int)), Format(8, 0), 128
    )
    fixed = to_fixed_point(module, dataset, config(per_channel=per_channel))
    bundle = export(fixed, dataset, {})  # Bundle refuses shifts outside 0..31
    assert isinstance(fixed, FixedPointNetwork) and isinstance(bundle, Bundle)
    assert_identical(fixed, bundle, np.arange(-128, 128).reshape(-1, 1, 2, 2))
    assert golden.predict(bundle, np.zeros((1, 1, 2, 2), np.int8)).shape == (1,)


def test_a_network_with_several_outputs_is_quantised() -> None:
    """All outputs have the bits of outputs; the module gives their features one after the other."""
    whole = every_operation()
    network = Network(**whole.spec() | {"output": ["scores", "hidden", "custom"]})
    module, dataset = random_network(network, 1), random_dataset(network, 1)
    fixed = to_fixed_point(module, dataset, config(activation_bits=6, output_bits=8))
    bundle = export(fixed, dataset, {})
    assert {name: bundle.formats[name].bits for name in ("scores", "hidden", "custom", "sum")} == {
        "scores": 8,
        "hidden": 8,
        "custom": 8,
        "sum": 6,
    }
    images = dataset.integers(dataset.test.images[:3])
    assert_identical(fixed, bundle, images)
    outputs = golden.run(bundle, images)
    with torch.no_grad():
        found = fixed(torch.from_numpy(bundle.formats["input"].real(images))).numpy()
    parts = [bundle.formats[name].real(outputs[name]).reshape(3, -1) for name in network.outputs]
    assert np.array_equal(found, np.concatenate(parts, axis=1))
