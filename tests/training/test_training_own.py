"""A module in a file of the user's own, trained by a configuration: resumed, quantised, swept, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import psconv as package  # noqa: E402
from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.common.records import yaml_text  # noqa: E402
from pymodel.datasets.splits import load_dataset  # noqa: E402
from pymodel.frontend.user_file import load_model  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.nn.psconv2d import PSConv2d  # noqa: E402
from pymodel.training.config import load_config  # noqa: E402
from pymodel.training.quantise import quantise  # noqa: E402
from pymodel.training.sweep import sweep  # noqa: E402
from pymodel.training.train import Trainer, train  # noqa: E402

torch.set_num_threads(1)
MODEL = '''
import torch
from torch import nn
from heads import head

print("made by a program that prints")


class Net(nn.Module):
    """Dropout, whose numbers are drawn; `view`, which not every layout of memory allows; a norm before a border."""

    def __init__(self):
        super().__init__()
        self.entering = nn.BatchNorm2d(1)
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.drop = nn.Dropout(0.25)
        self.fc = head()

    def forward(self, x):
        x = torch.relu(self.stem(self.entering(x)))
        x = torch.relu(self.norm(self.conv1(x)))
        x = self.drop(torch.relu(self.conv2(x)))
        return self.fc(x.view(len(x), -1))


class TwoWays(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        scores = self.fc(x.flatten(1))
        return (scores, x) if self.training else scores


class Fails(TwoWays):
    def forward(self, x):
        if self.training:
            raise RuntimeError("no such thing")
        return super().forward(x)


def eleven():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 11))


def colour():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))


def swish():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 10))
'''
EPOCHS = 2
CONFIG: dict[str, Any] = {
    "name": "own",
    "data": {"dataset": "digits"},
    "network": {"python": "my_model.py:Net", "variant": "PSD1_P16"},
    "optimiser": {"name": "adamw", "lr": 0.005, "weight_decay": 0.01},
    "epochs": EPOCHS,
    "batch_size": 48,
    "device": "cpu",
    "threads": 1,
    "quantise": {"calibration_images": 100, "qat_epochs": 1, "qat_lr": 0.001},
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the user's files and a configuration with other keys of `network`."""
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "heads.py").write_text("from torch import nn\n\n\ndef head():\n    return nn.Linear(128, 10)\n")

    def written(**network: Any) -> Path:
        path = tmp_path / "own.yaml"
        path.write_text(yaml_text(CONFIG | {"network": network or CONFIG["network"]}, 110))
        return path

    return written


def state_of(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return found


def test_from_a_file_to_a_bundle(write: Callable[..., Path], tmp_path: Path, psconv) -> None:
    """The weights are the user's module's, its supports the configuration's, and the bundle computes what it does."""
    config, run, out = write(), tmp_path / "run", tmp_path / "own_bundle.yaml"
    code, printed, err = psconv("train", str(config), "--out", str(run), "--json")
    assert code == 0, err
    assert "made by a program that prints" in err
    result = json.loads(printed)
    assert result["network"] == "Net" and result["variant"] == "PSD1_P16" and result["epochs"] == EPOCHS
    assert result["test_accuracy"] > 0.75
    assert (
        result["weights"] == 8 * 9 + 2 * 8 * 8 + 1280
    )  # 8 + 8 channels: the full kernel, o + i = 15, is none of theirs
    model = package.convert(load_model(f"{tmp_path / 'my_model.py'}:Net"), "PSD1_P16")
    assert [name for name, module in model.named_modules() if isinstance(module, PSConv2d)] == ["conv1", "conv2"]
    model.load_state_dict(state_of(run))  # the user's own keys, all of them
    digits = load_dataset("digits")
    images = digits.input_format.real(digits.integers(digits.test.images))
    with torch.no_grad():
        scores = model.eval()(torch.from_numpy(images).float())
    right = float((scores.argmax(1).numpy() == digits.test.labels).mean())
    assert right == pytest.approx(result["test_accuracy"], abs=1e-9)
    made = quantise(run, out)
    assert made is not None and made.identical_images == 64
    assert made.variant == "PSD1_P16" and made.fixed_accuracy > right - 0.03
    bundle = Bundle.load(out)
    assert bundle.dataset == "digits"  # its images, for `images: {source: digits}` of a run
    supports = {conv.name: conv.make_support().name for conv in bundle.network.weighted_layers() if conv.op == "conv"}
    assert supports["conv1"] == supports["conv2"] == "PSD1_P16" and supports["stem"] == "dense"
    trained = quantise(run, tmp_path / "qat.yaml", qat=True, weight_bits=5)
    assert trained is not None and trained.qat_epochs == 1 and trained.fixed_accuracy > right - 0.04


def test_the_supports_of_a_rule(write: Callable[..., Path], tmp_path: Path) -> None:
    """The first pattern that fits a path counts; a name that stands for none leaves the convolution as it is."""
    rule = {"conv1": "PSD2_P8", "st*": "dense", "*": {"taps": [[0, 4, 8], [2, 4, 6]]}}
    result = train(write(python="my_model.py:Net", rule=rule), tmp_path / "run", overrides=("epochs=1",))
    assert result.variant == "PSD2_P8+custom_P2_N6"
    state = state_of(tmp_path / "run")
    cross = np.array([[1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 1, 0, 0]], bool)
    variant = (np.add.outer(np.arange(8), np.arange(8)) + 1) % 2
    assert ((state["conv2.weight"].numpy().reshape(8, 8, 9) != 0) == cross[variant]).all()
    assert (state["stem.weight"] != 0).all()
    assert (state["conv1.weight"] != 0).sum() == 8 * (7 * 2 + 9)


class Killed(BaseException):
    """As if the process had ended."""


def test_a_killed_training_ends_with_the_same_weights(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws what it would have drawn."""
    config, options = write(), ("checkpoint_steps=7",)
    train(config, tmp_path / "undisturbed", overrides=options)
    save, count = Trainer.save, 0

    def saved(self: Trainer) -> None:
        nonlocal count
        save(self)
        count += 1
        if count == 6:  # in the second epoch
            raise Killed

    monkeypatch.setattr(Trainer, "save", saved)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", overrides=options)
    monkeypatch.undo()
    torch.rand(100)
    train(config, tmp_path / "run", resume=True, overrides=options)
    ours, theirs = state_of(tmp_path / "run"), state_of(tmp_path / "undisturbed")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_another_module_is_told(write: Callable[..., Path], tmp_path: Path) -> None:
    """One with the same weights, which computes something else: neither resumed nor quantised."""
    config, run, file = write(), tmp_path / "run", tmp_path / "my_model.py"
    train(config, run, overrides=("epochs=1",))
    file.write_text(MODEL.replace("self.drop(torch.relu(", "self.drop(torch.nn.functional.relu6("))
    with pytest.raises(ConfigError, match="my_model.py:Net: is not the module that was trained in .*run"):
        quantise(run, tmp_path / "b.yaml")
    with pytest.raises(ConfigError, match="is of a network with other masks or ranks"):
        train(config, run, resume=True, overrides=("epochs=1",))
    file.unlink()
    with pytest.raises(ConfigError, match=r"network.python: .*my_model.py: no such file"):
        quantise(run, tmp_path / "b.yaml")
    assert not (tmp_path / "b.yaml").exists()


def test_a_module_that_is_sparse_already_is_left_so(write: Callable[..., Path], tmp_path: Path) -> None:
    config = write(python="my_model.py:sparse")
    with (tmp_path / "my_model.py").open("a") as file:
        file.write("\n\ndef sparse():\n    import psconv\n\n    return psconv.convert(Net(), 'PS4_P4')\n")
    result = train(config, tmp_path / "run", overrides=("epochs=1",))
    assert result.variant == "PS4_P4" and result.weights == 8 * 9 + 2 * 64 * 4 + 1280


def test_a_sweep(write: Callable[..., Path], tmp_path: Path) -> None:
    found = sweep(write(), tmp_path / "runs", ("dense", "PS1_P9"), tmp_path / "r.json", ("epochs=1",))
    assert found is not None
    assert [(one.network, one.variant) for one in found.results] == [("Net", "dense"), ("Net", "PS1_P9")]
    assert [one.weights for one in found.results] == [72 + 2 * 576 + 1280, 72 + 2 * 64 + 1280]


REFUSED = {
    "both": ({"name": "digits", "python": "my_model.py:Net"}, "network: name, python: exactly one must be given"),
    "neither": ({"variant": "PSD1_P16"}, "network: name, python: exactly one must be given"),
    "rule of ours": (
        {"name": "digits", "rule": {"*": "PSD1_P16"}},
        "network: rule: must be left out with name: digits",
    ),
    "both ways": (
        {"python": "my_model.py:Net", "variant": "PS1_P9", "rule": {"*": "PS1_P9"}},
        "network: variant: must be left out with rule, got PS1_P9",
    ),
    "baseline": (
        {"python": "my_model.py:Net", "variant": "SVD@PS1_P9"},
        "network: variant: must be a support with python, got the baseline SVD@PS1_P9",
    ),
    "width": ({"python": "my_model.py:Net", "width": 8}, "network.width: must be left out with network.python, got 8"),
    "support": ({"python": "my_model.py:Net", "variant": "PSD3_P16"}, "PSD3_P16"),
    "pattern": (
        {"python": "my_model.py:Net", "rule": {"layer*": "PSD1_P16"}},
        "network.rule: layer*: must fit the path of a convolution of ",
    ),
    "kernel": (
        {"python": "my_model.py:Net", "rule": {"conv1": {"taps": [[99]]}}},
        "network.rule: conv1: ",
    ),
    "no place": ({"python": "my_model.py"}, "network.python: must be FILE.py:NAME, such as my_model.py:make_model"),
    "no name": ({"python": "my_model.py:Nett"}, "must define Nett, has Fails, Net, TwoWays"),
    "classes": ({"python": "my_model.py:eleven"}, "must give [n, 10], a score for each class of digits, got [n, 11]"),
    "channels": ({"python": "my_model.py:colour"}, "cannot be built"),
    "operation": ({"python": "my_model.py:swish"}, "1 (SiLU): has no fixed-point form here: use nn.ReLU or nn.ReLU6"),
    "training": (
        {"python": "my_model.py:TwoWays"},
        "in training: must give [n, 10] as it does in evaluation, got tuple",
    ),
    "error": ({"python": "my_model.py:Fails"}, "in training: RuntimeError: no such thing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained(case: str, write: Callable[..., Path], tmp_path: Path, psconv) -> None:
    network, told = REFUSED[case]
    code, printed, err = psconv("train", str(write(**network)), "--out", str(tmp_path / "run"))
    assert code == 2 and told in err and not printed and "Traceback" not in err, err
    assert not (tmp_path / "run" / "config.json").exists()


def test_the_file_is_looked_for_beside_the_configuration(write: Callable[..., Path], tmp_path: Path) -> None:
    path = load_config(write()).network.python
    assert path == f"{tmp_path / 'my_model.py'}:Net"
