"""From a PyTorch model to a bundle: the integers are PyTorch's, whatever the model; what cannot be is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="quantises PyTorch models")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import psconv  # noqa: E402
from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.formats import Format  # noqa: E402
from pymodel.network.topology import INPUT  # noqa: E402
from tests.helpers.integers import outputs  # noqa: E402
from tests.helpers.models import MODELS, LeNet, SegmentationHead, made  # noqa: E402

NAMES = list(MODELS)


def images_for(shape: tuple[int, ...], count: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize("per_channel", [False, True], ids=["power of two", "scale per channel"])
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_is_the_integers_of_pytorch(name: str, per_channel: bool) -> None:
    model, shape = made(name)
    images = images_for(shape)
    bundle = psconv.quantize(model, images, weight_bits=6 if per_channel else 8, per_channel=per_channel)
    form = bundle.formats[INPUT]
    integers = np.random.default_rng(1).integers(form.min, form.max + 1, (8, *bundle.network.input.shape))
    expected, found = outputs(bundle, integers), golden.run(bundle, integers)
    for layer, values in expected.items():
        assert (found[layer] == values).all(), layer
    results = bundle.run(integers)
    assert set(results) == set(bundle.network.outputs)
    for layer, values in results.items():
        assert (values.reshape(expected[layer].shape) == expected[layer]).all()


@pytest.mark.parametrize("name", ["lenet", "mlp", "vgg", "resnet", "shufflenet", "segmentation", "sparse"])
def test_fixed_point_is_near_the_model(name: str) -> None:
    """Eight bits lose a few hundredths of the largest output: a layer that was lowered wrongly loses all."""
    model, shape = made(name)
    images = images_for(shape)
    bundle = psconv.quantize(model, images)
    real = bundle.real(bundle.predict(images))
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    assert real.shape == expected.shape
    assert np.abs(real - expected).max() < 0.1 * np.abs(expected).max()


def test_the_format_of_the_input_is_chosen_by_the_images() -> None:
    """Pixels from 0 to 1 fit 8 bits at 2^-7, those up to 100 at 2^0."""
    model = LeNet()
    unit = np.random.default_rng(0).uniform(0, 0.99, (16, 1, 28, 28))
    assert psconv.quantize(model, unit).formats[INPUT] == Format(8, 7)
    bundle = psconv.quantize(model, unit * 101, activation_bits=8)
    assert bundle.formats[INPUT] == Format(8, 0)
    assert bundle.summary().endswith("Input: 8-bit integers at scale 2^0, -128 to 127")


def test_bits_are_those_asked_for() -> None:
    model, shape = made("lenet")
    bundle = psconv.quantize(model, images_for(shape), weight_bits=4, activation_bits=5, output_bits=7)
    assert {form.bits for form in bundle.weight_formats.values()} == {4}
    assert bundle.formats["conv1"].bits == 5
    assert bundle.formats["fc3"].bits == 7
    with pytest.raises(ConfigError, match="weight_bits: must be 2 to 8, got 9"):
        psconv.quantize(model, images_for(shape), weight_bits=9)


@pytest.mark.parametrize(
    "images, problem",
    [
        (np.zeros((0, 1, 28, 28)), r"calibration: shape must be \[n, 1, 28, 28\] with n of 1 or more, got \[0, 1"),
        (np.full((2, 1, 28, 28), np.nan), "calibration: must be finite, got 1568 values that are not"),
        (np.zeros((2, 1, 28, 28), bool), "calibration: must be numbers, got bool"),
        (np.zeros((2, 28, 28)), r"LeNet: images must be \[n, channels, rows, columns\], .* got \[n, 28, 28\]"),
        (
            np.zeros((2, 3, 28, 28)),
            r"conv1 \(Conv2d, models.py:\d+: .*expected input\[2, 3, 28, 28\] to have 1 channels",
        ),
    ],
)
def test_images_that_are_none_are_refused(images: np.ndarray, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        psconv.quantize(LeNet(), images)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model: must be a torch.nn.Module, got dict"):
        psconv.quantize({}, np.zeros((2, 1, 28, 28)))


def test_convert_takes_the_papers_choice_or_ones_own() -> None:
    model = psconv.convert(MODELS["resnet"][0](), "PSD1_P8")
    sparse = [name for name, module in model.named_modules() if isinstance(module, psconv.PSConv2d)]
    assert "layer1.0.conv1" in sparse
    assert not {"conv1", "layer2.0.downsample.0"} & set(sparse)
    own = psconv.convert(LeNet(), rule=lambda path, conv: {"taps": [[0, 12, 24]]} if path == "conv2" else None)
    assert isinstance(own.conv1, nn.Conv2d) and not isinstance(own.conv1, psconv.PSConv2d)
    for both in ({}, {"support": "PSD1_P8", "rule": lambda path, conv: None}):
        with pytest.raises(ConfigError, match="exactly one of support and rule"):
            psconv.convert(LeNet(), **both)


def test_supports_reach_the_bundle() -> None:
    model = psconv.convert(MODELS["vgg"][0](), "PSD1_P8")
    bundle = psconv.quantize(model, images_for((3, 16, 16)))
    assert bundle.network.layer("features_7").support == "PSD1_P8"
    assert np.count_nonzero(bundle.weights["features_7"]) <= 16 * 16 * (9 + 7) / 8  # of 9: one full of eight


def test_what_trains_on_in_fixed_point_is_what_the_bundle_computes() -> None:
    torch.manual_seed(0)
    model, shape = made("lenet")
    images, labels = torch.from_numpy(images_for(shape, 24)), torch.arange(24) % 10
    network = psconv.prepare_qat(model, images, weight_bits=3)
    before = network.bundle()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    losses = []
    for _ in range(12):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    bundle = network.bundle()
    assert any((bundle.weights[name] != before.weights[name]).any() for name in bundle.weights)
    scores = network(images).detach().numpy()
    assert (bundle.real(bundle.predict(images)) == scores).all()
    assert bundle.evaluate(images, labels) == (scores.argmax(axis=1) == labels.numpy()).mean()


def test_training_on_keeps_the_shape_of_an_image() -> None:
    images = images_for((3, 9, 7), 4)
    network = psconv.prepare_qat(SegmentationHead().eval(), images)
    assert network(torch.from_numpy(images)).shape == (4, 5, 9, 7)


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys, psconv; print([one for one in ('torch', 'numpy', 'pydantic', 'pymodel') if one in sys.modules])"
    )
    assert python(program) == "[]"


def test_without_pytorch_all_but_models_works(tmp_path: Path) -> None:
    psconv.quantize(LeNet(), np.zeros((1, 1, 28, 28))).save(tmp_path / "lenet.yaml")
    program = f"""
import sys
sys.modules["torch"] = None
import numpy, psconv
bundle = psconv.load({str(tmp_path / "lenet.yaml")!r})
print(bundle.predict(numpy.zeros((1, 1, 28, 28))).shape)
try:
    psconv.quantize
except ValueError as error:
    print(error)
"""
    assert python(program).splitlines() == ["(1, 10)", "psconv.quantize needs PyTorch: pip install 'psconv[train]'"]
