"""Trainings with mixture normalisation: repeatable, resumable, quantised as one Gaussian, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.places import ROOT

torch = pytest.importorskip("torch")

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.datasets.splits import load_dataset  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.zoo import digits  # noqa: E402
from pymodel.nn.build import NetworkModule  # noqa: E402
from pymodel.nn.mixture import MixtureNorm2d, with_mixtures, with_one_gaussian  # noqa: E402
from pymodel.training.config import load_config  # noqa: E402
from pymodel.training.fold import fold_batch_norm  # noqa: E402
from pymodel.training.folder import load_topology, trained  # noqa: E402
from pymodel.training.monitor import Monitor  # noqa: E402
from pymodel.training.network import trainable  # noqa: E402
from pymodel.training.quantise import folded_accuracy, qat_plan, quantise  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)
MIXTURE = ROOT / "examples" / "digits" / "mixture.yaml"
SHORT = ("epochs=2", "schedule.warmup_epochs=0", "optimiser.lr=0.05")
MODEL = """
from torch import nn


def make():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )


def without():
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
"""


def state_of(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return found


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) | {"seconds": 0} for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, two epochs of it."""
    folder = tmp_path_factory.mktemp("mixture") / "run"
    train(MIXTURE, folder, overrides=SHORT)
    return folder


def test_the_example_trains_quantises_and_is_won_back(run: Path, tmp_path: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert result["method"] == "plain with mixtures of 3" and result["test_accuracy"] > 0.5
    plain = quantise(run, tmp_path / "b.yaml")
    assert plain is not None and plain.identical_images == 64 and plain.float_accuracy == result["test_accuracy"]
    bundle, data = Bundle.load(tmp_path / "b.yaml"), load_dataset("digits")
    assert golden.accuracy(bundle, data.integers(data.test.images), data.test.labels) == plain.fixed_accuracy
    assert bundle.notes["method"] == result["method"]
    network = trained(load_config(MIXTURE, SHORT), data, run)
    assert plain.one_gaussian_accuracy == folded_accuracy(network, data)
    assert abs(plain.fixed_accuracy - plain.one_gaussian_accuracy) < 0.05  # what 8 bits cost beside the one Gaussian
    options = ("quantise.qat_epochs=2", "quantise.distil={weight: 0.5}")  # the mixture itself teaches
    won = quantise(run, tmp_path / "q.yaml", qat=True, overrides=options)
    assert won is not None and won.one_gaussian_accuracy == plain.one_gaussian_accuracy
    assert won.fixed_accuracy > plain.fixed_accuracy and won.identical_images == 64
    assert qat_plan(load_config(MIXTURE)).mixture is None


def test_weights_are_of_mixtures(run: Path) -> None:
    config, data = load_config(MIXTURE, SHORT), load_dataset("digits")
    network, state = trained(config, data, run), state_of(run)
    norms = [module for module in network.modules() if isinstance(module, MixtureNorm2d)]
    assert len(norms) == 4 == sum("running_prior" in name for name in state)
    assert all(norm.components == 3 and float(norm.running_prior.sum()) == pytest.approx(1) for norm in norms)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert load_topology(run) == digits("PSD1_P16")  # hardware knows of no mixture
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images))).float()
    with torch.no_grad():
        right = float((network.eval()(images).argmax(1).numpy() == data.test.labels).mean())
    assert right == pytest.approx(json.loads((run / "result.json").read_text())["test_accuracy"], abs=1.5 / 360)


def test_what_is_folded_is_what_one_gaussian_computes(run: Path) -> None:
    data = load_dataset("digits")
    network = trained(load_config(MIXTURE, SHORT), data, run).eval()
    one = with_one_gaussian(network)
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images[:50]))).float()
    with torch.no_grad():
        expected, found = one(images), fold_batch_norm(network)(images)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        assert not torch.allclose(expected, network(images), rtol=0.01, atol=0.01)  # it does cost something
    assert any(isinstance(module, MixtureNorm2d) for module in network.modules())  # which is left as it was


def test_one_component_is_folded_without_loss() -> None:
    torch.manual_seed(0)
    network = with_mixtures(NetworkModule(digits("PSD1_P16")), 1, 1, 0, "here")
    assert isinstance(network, NetworkModule)
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for start in range(0, 40, 10):
        network(images[start : start + 10])
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(network.eval())(images), network(images), rtol=1e-4, atol=1e-5)


def test_one_component_trains_as_batch_norm_does(tmp_path: Path) -> None:
    """The same losses but for the order of sums in float32, which training makes larger."""
    one = train(MIXTURE, tmp_path / "one", overrides=(*SHORT, "epochs=1", "mixture={components: 1}"))
    plain = train(MIXTURE, tmp_path / "plain", overrides=(*SHORT, "epochs=1", "mixture=null"))
    assert one.train_loss == pytest.approx(plain.train_loss, rel=1e-2)
    assert (one.method, plain.method) == ("plain with mixtures of 1", "plain")


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("mixture.em_steps=2", "mixture.components=2", "ema=0.9", "keep=best", "data.validation=200"),
        ("adversarial={steps: 1, step: 0.1, epsilon: 0.1}", "rewire={granularity: taps}", "network.variant=PS1_P9"),
    ],
    ids=["plain", "average and best", "attacked and rewired"],
)
def test_a_killed_training_ends_with_the_same_bits(more: tuple[str, ...], tmp_path: Path, monkeypatch: Any) -> None:
    """Interrupted after the first batch's seed, within an epoch and at its end."""
    overrides = (*SHORT, "checkpoint_steps=1", "batch_size=128", *more)
    whole = train(MIXTURE, tmp_path / "whole", overrides=overrides)
    steps, original = 0, Monitor.step

    def interrupting(self: Monitor, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps in (2, 7, 14):
            raise Interrupted
        original(self, *arguments)

    monkeypatch.setattr(Monitor, "step", interrupting)
    for _ in range(3):
        with pytest.raises(Interrupted):
            train(MIXTURE, tmp_path / "parts", resume=True, overrides=overrides)
    parts = train(MIXTURE, tmp_path / "parts", resume=True, overrides=overrides)
    one, two = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")
    assert whole.test_accuracy == parts.test_accuracy and whole.method == parts.method


@pytest.mark.slow
def test_two_killed_processes_end_with_the_same_bits(tmp_path: Path) -> None:
    """Killed within an epoch, when each of both has a running mixture of its own images."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [f"--set={override}" for override in (*SHORT, "checkpoint_steps=3")]

    def start(run: Path) -> subprocess.Popen[bytes]:
        command = [*launcher, "-m", "pymodel.training", "train", str(MIXTURE), "--out", str(run), "--resume", *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait() == 0
    disturbed = start(killed)
    while disturbed.poll() is None and not (killed / "checkpoint.pt").exists():
        time.sleep(0.01)
    disturbed.terminate()  # torchrun ends its processes, which do nothing about it
    disturbed.wait()
    assert torch.load(killed / "checkpoint.pt", weights_only=True)["step"] > 0, "it was too quick"
    assert start(killed).wait() == 0
    one, two = state_of(whole), state_of(killed)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert log_of(whole) == log_of(killed)


def test_another_mixture_is_no_resumption(run: Path) -> None:
    with pytest.raises(ConfigError, match="another configuration"):
        train(MIXTURE, run, resume=True, overrides=(*SHORT, "mixture.components=2"))


def test_the_seed_of_the_training_is_that_of_the_mixtures() -> None:
    data = load_dataset("digits")
    for seed in (3, 4):
        subject = trainable(load_config(MIXTURE, (f"seed={seed}",)), data)
        assert {norm.seed for norm in subject.module.modules() if isinstance(norm, MixtureNorm2d)} == {seed}


def test_attacked_and_rewired_it_is_quantised(tmp_path: Path) -> None:
    together = ("adversarial={steps: 1, step: 0.1, epsilon: 0.1}", "rewire={granularity: taps}")
    result = train(MIXTURE, tmp_path / "run", overrides=(*SHORT, *together, "network.variant=PS1_P9"))
    assert result.method == "DNR taps with mixtures of 3" and result.pgd_accuracy is not None
    done = quantise(tmp_path / "run", tmp_path / "b.yaml")
    assert done is not None and done.identical_images == 64 and done.pgd_accuracy is not None


@pytest.mark.parametrize("baseline", ["SynFlow@PSD1_P16", "SVD@PSD1_P16"])
def test_baselines_have_mixtures_too(baseline: str, tmp_path: Path) -> None:
    train(MIXTURE, tmp_path / "run", overrides=(*SHORT, "epochs=1", f"network.variant={baseline}"))
    assert any("running_prior" in name for name in state_of(tmp_path / "run"))
    done = quantise(tmp_path / "run", tmp_path / "b.yaml")
    assert done is not None and done.identical_images == 64


def test_mixed_precision(tmp_path: Path) -> None:
    result = train(MIXTURE, tmp_path, overrides=(*SHORT, "precision=bfloat16"))
    assert result.test_accuracy > 0.3
    assert all(value.dtype in (torch.float32, torch.int64, torch.bool) for value in state_of(tmp_path).values())


def test_a_module_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(MODEL)
    network = f"network={{python: {tmp_path / 'my_model.py'}:make, variant: PS2_P6}}"
    result = train(MIXTURE, tmp_path / "run", overrides=(*SHORT, network))
    state = state_of(tmp_path / "run")
    assert result.test_accuracy > 0.5 and state["1.running_mean"].shape == (3, 8)
    done = quantise(tmp_path / "run", tmp_path / "b.yaml")
    assert done is not None and done.identical_images == 64 and done.one_gaussian_accuracy is not None
    assert abs(done.fixed_accuracy - done.one_gaussian_accuracy) < 0.05
    config, data = load_config(MIXTURE, (*SHORT, network)), load_dataset("digits")
    module = trainable(config, data).module
    module.load_state_dict(state)
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images))).float()
    with torch.no_grad():
        expected = with_one_gaussian(module.eval())(images)
        found = trained(config, data, tmp_path / "run").eval()(images)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-3)
    without = network.replace(":make", ":without")
    with pytest.raises(ConfigError, match="network.python: .*:without: must have a BatchNorm2d for mixture to replace"):
        train(MIXTURE, tmp_path / "without", overrides=(*SHORT, without))
    assert not (tmp_path / "without").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mixture.components=0", "mixture.components: must be greater than or equal to 1, got 0"),
        ("mixture.components=65", "mixture.components: .*64"),
        ("mixture.components=2.5", "mixture.components"),
        ("mixture.em_steps=0", "mixture.em_steps: .*1"),
        ("mixture.em_steps=1000", "mixture.em_steps: .*100"),
        ("mixture.steps=1", "mixture.steps"),
        ("mixture=3", "mixture"),
        ("compile=true", "compile: must be false with mixture"),
    ],
)
def test_what_is_refused(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(MIXTURE, tmp_path / "run", overrides=(override,))
    assert not (tmp_path / "run").exists()
