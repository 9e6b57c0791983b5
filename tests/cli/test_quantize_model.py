"""psconv quantize --model: a model in a file of one's own, its weights and images, to a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="quantises PyTorch models")

from psconv.api.models import quantize  # noqa: E402
from pymodel.frontend.user_file import load_model, load_weights  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402

MODEL = """
import torch
from torch import nn
from parts import head

print("made by a program that prints")


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), head())


instance = make_model()
nothing = None
number = 7


def broken():
    return 1 / 0


def bad():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """my_model.py, which imports a file beside it; its weights, other than those it comes with; images with labels."""
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "parts.py").write_text("from torch import nn\n\n\ndef head():\n    return nn.Linear(16, 3)\n")
    model = load_model(f"{tmp_path / 'my_model.py'}:make_model")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    torch.save({"epoch": 3, "state_dict": model.state_dict()}, tmp_path / "checkpoint.pt")
    images = np.random.default_rng(0).uniform(-1, 1, (20, 1, 8, 8)).astype(np.float32)
    labels = model(torch.from_numpy(images)).argmax(dim=1).numpy()
    labels[:5] = (labels[:5] + 1) % 3  # a fifth and a twentieth are wrong
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    np.savez(tmp_path / "unlabelled.npz", images=images)
    np.savez(tmp_path / "other.npz", pictures=images)
    np.savez(tmp_path / "colour.npz", images=np.zeros((2, 3, 8, 8)))
    return tmp_path


@pytest.mark.parametrize("weights", ["w.pt", "checkpoint.pt"])
def test_a_bundle_of_a_file(weights: str, folder: Path, psconv) -> None:
    out = folder / "made" / "bundle.yaml"
    code, printed, _ = psconv(
        "quantize",
        *("--model", f"{folder / 'my_model.py'}:make_model"),
        *("--weights", str(folder / weights)),
        *("--calibration", str(folder / "data.npz")),
        *("--out", str(out)),
        *("--output-bits", "7"),
        "--json",
    )
    assert code == 0
    result = json.loads(printed)
    assert result["float_accuracy"] == 0.75
    assert result["layers"] == 3 and result["weights"] == 4 * 9 + 16 * 3
    assert result["input_range"] == "-1 to 0.992188" and result["input_format"] == "8 bits, 2^-7"
    bundle = Bundle.load(out)
    assert bundle.formats[bundle.network.output].bits == 7
    model = load_model(f"{folder / 'my_model.py'}:make_model")
    load_weights(model, folder / "w.pt")
    images = np.load(folder / "data.npz")["images"]
    expected = quantize(model, images, output_bits=7)
    assert all((bundle.weights[name] == expected.weights[name]).all() for name in expected.weights)
    assert result["fixed_accuracy"] == expected.evaluate(images, np.load(folder / "data.npz")["labels"])


def test_without_weights_and_labels(folder: Path, psconv) -> None:
    """A module that is made already; a table for people."""
    code, printed, err = psconv(
        "quantize",
        *("--model", f"{folder / 'my_model.py'}:instance"),
        *("--calibration", str(folder / "unlabelled.npz")),
        *("--out", str(folder / "b.yaml")),
    )
    assert code == 0
    assert "float_accuracy" in printed and "null" in printed
    assert "made by a program that prints" in err and "made by" not in printed


@pytest.mark.parametrize(
    "model, weights, images, told",
    [
        ("my_model.py", "w.pt", "data.npz", "--model: must be FILE.py:NAME, such as my_model.py:make_model"),
        ("none.py:make", "w.pt", "data.npz", "none.py: no such file"),
        ("my_model.py:make", "w.pt", "data.npz", "my_model.py: must define make, has bad, broken, "),
        ("my_model.py:number", "w.pt", "data.npz", "number must be a torch.nn.Module, or return one, got int"),
        ("my_model.py:nothing", "w.pt", "data.npz", "nothing must be a torch.nn.Module, or return one, got NoneType"),
        ("my_model.py:broken", "w.pt", "data.npz", "my_model.py:20: ZeroDivisionError: division by zero"),
        ("my_model.py:make_model", "none.pt", "data.npz", "--weights: "),
        ("my_model.py:make_model", "my_model.py", "data.npz", "must be a state dict, torch.save(model.state_dict()"),
        ("my_model.py:bad", "w.pt", "data.npz", "w.pt: is not of this model: "),
        ("my_model.py:make_model", "w.pt", "none.npz", "none.npz"),
        ("my_model.py:make_model", "w.pt", "other.npz", "must hold an array 'images', got pictures"),
        ("my_model.py:make_model", "w.pt", "colour.npz", "colour.npz: Sequential: cannot be built:\n  0 (Conv2d"),
        ("my_model.py:bad", None, "data.npz", "  1 (SiLU): has no fixed-point form here: use nn.ReLU or nn.ReLU6"),
    ],
)
def test_what_is_wrong_is_named(
    model: str, weights: str | None, images: str, told: str, folder: Path, monkeypatch: pytest.MonkeyPatch, psconv
) -> None:
    monkeypatch.chdir(folder)
    given = [] if weights is None else ["--weights", weights]
    code, printed, err = psconv("quantize", "--model", model, *given, "--calibration", images, "--out", "b.yaml")
    assert code == 2 and told in err and "error: " in err and "Traceback" not in err, err
    assert not printed and not (folder / "b.yaml").exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "quantize: must be given RUN, the folder of a training, or --model FILE.py:NAME"),
        (["run", "--model", "a.py:b"], "RUN: must be left out with --model, got run"),
        (["--model", "a.py:b"], "--calibration: must be given with --model"),
        (["--model", "a.py:b", "--qat", "--set", "a=1"], "--qat, --set: must come with RUN alone"),
        (["run", "--weights", "w.pt", "--per-channel"], "--weights, --per-channel: must come with --model alone"),
        (["--model", "a.py:b", "--weight-bits", "9"], "--weight-bits: must be 2 to 8, got 9"),
    ],
)
def test_the_two_ways_are_not_mixed(arguments: list[str], told: str, psconv) -> None:
    code, _, err = psconv("quantize", *arguments, "--out", "b.yaml")
    assert code == 2 and told in err
