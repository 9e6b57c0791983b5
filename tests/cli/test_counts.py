"""psconv complexity and energy of networks from files: what is counted is what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psconv.commands import counted
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from tests.helpers.networks import DIGITS
from tests.helpers.places import EXAMPLES, ROOT

FILES = ROOT / "tests" / "frontend" / "files"
MODULE = f"{EXAMPLES / 'own_network' / 'my_model.py'}"


def counts_of(psconv: Any, *arguments: str) -> dict[str, Any]:
    code, printed, err = psconv("complexity", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(printed)
    return found


def test_a_bundle(psconv) -> None:
    """Its weights off the supports are zeros: what may be nonzero is counted."""
    bundle = Bundle.load(DIGITS)
    found = counts_of(psconv, str(DIGITS))
    assert found["network"] == "digits" and list(found["variants"]) == ["as it is"]
    counts = found["variants"]["as it is"]
    masks = {
        layer.name: layer.make_support().mask(*bundle.weights[layer.name].shape[:2])
        for layer in bundle.network.weighted_layers()
        if layer.op == "conv"
    }
    linear = sum(bundle.weights[name].size for name in bundle.weights if name not in masks)
    assert counts["weights"] == linear + sum(int(mask.sum()) for mask in masks.values())
    assert counts["parameters"] == counts["weights"] + sum(bias.size for bias in bundle.biases.values())
    shapes = bundle.network.shapes()
    pixels = {name: shapes[name][1] * shapes[name][2] for name in bundle.weights}
    assert counts["macs"] == linear + sum(int(mask.sum()) * pixels[name] for name, mask in masks.items())


def test_the_dense_twin_under_variants(psconv) -> None:
    found = counts_of(psconv, str(DIGITS), "--variant", "dense,PSD1_P16,PS1_P9")["variants"]
    named = counts_of(psconv, "--network", "digits", "--dataset", "digits", "--variant", "dense,PSD1_P16,PS1_P9")
    for variant, counts in found.items():
        assert {key: counts[key] for key in ("weights", "macs")} == {
            key: named["variants"][variant][key] for key in ("weights", "macs")
        }


def test_an_onnx_file(psconv) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FILES / "plain_dynamo.onnx")
    stored = sum(int(np.prod(one.dims)) for one in model.graph.initializer if len(one.dims) in (2, 4))
    assert counts_of(psconv, str(FILES / "plain_dynamo.onnx"))["variants"]["as it is"]["weights"] == stored


def test_a_module(psconv) -> None:
    pytest.importorskip("torch", reason="traces a module")
    from pymodel.frontend.user_file import load_model
    from pymodel.nn.build import nonzero_weights

    found = counts_of(psconv, "--model", f"{MODULE}:make_model", "--input", "1x8x8")
    assert found["network"] == "Net"
    assert found["variants"]["as it is"]["weights"] == nonzero_weights(load_model(f"{MODULE}:make_model"))
    code, printed, _ = psconv("energy", "--model", f"{MODULE}:make_model", "--input", "1x8x8", "--json")
    rows = json.loads(printed)
    assert code == 0 and {row["variant"] for row in rows} == {"as it is"}
    assert min(row["of_periodic"] for row in rows) == 1 and all(row["of_dense"] < 1 for row in rows)


def test_energy_takes_the_bits_of_a_bundle(tmp_path: Path, psconv) -> None:
    bundle = Bundle.load(DIGITS)
    assert (counted.of_file(DIGITS).weight_bits, counted.of_file(DIGITS).activation_bits) == (8, 8)
    four = {name: Format(4, form.frac) for name, form in bundle.weight_formats.items()}
    weights = {name: np.clip(array, -8, 7) for name, array in bundle.weights.items()}
    Bundle(**vars(bundle) | {"weight_formats": four, "weights": weights}).save(tmp_path / "four.yaml")
    assert counted.of_file(tmp_path / "four.yaml").weight_bits == 4

    def dram(path: Path, *more: str) -> float:
        code, printed, err = psconv("energy", str(path), *more, "--json")
        assert code == 0, err
        return next(float(row["dram_weights_uJ"]) for row in json.loads(printed) if row["format"] == "periodic")

    assert dram(tmp_path / "four.yaml") == pytest.approx(dram(DIGITS) / 2)
    assert dram(DIGITS, "--weight-bits", "4") == pytest.approx(dram(DIGITS) / 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([str(DIGITS), "--network", "vgg16"], "--network: must be left out with a network from a file"),
        ([str(DIGITS), "--dataset", "cifar10"], "--dataset: must be left out with a network from a file"),
        ([str(DIGITS), "--model", "m.py:f"], "FILE: must be left out with --model, got "),
        ([str(DIGITS), "--input", "1x8x8"], "--input: must come with --model alone, got 1x8x8"),
        (
            ["--model", "m.py:f"],
            "--input: must be the shape of an image with --model, such as 3x32x32, or 784, got none",
        ),
        (["--model", "m.py:f", "--input", "8x8"], "--input: must be the shape of an image"),
        (["--model", "m.py:f", "--input", "1x8x8"], "--model: m.py: no such file"),
        (["none.yaml"], "none.yaml"),
        ([str(EXAMPLES / "digits" / "run.yaml")], "must be a bundle (a quantised network)"),
        ([str(DIGITS), "--variant", "PSD3_P4"], "PSD3_P4"),
    ],
)
@pytest.mark.parametrize("command", ["complexity", "energy"])
def test_refusals(command: str, arguments: list[str], told: str, psconv) -> None:
    code, printed, err = psconv(command, *arguments)
    assert code == 2 and told in err and not printed and "Traceback" not in err, err
