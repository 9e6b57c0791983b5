"""Attacks by their definition, and what trainings with them and with supports that move keep."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.places import ROOT

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.common.records import yaml_text  # noqa: E402
from pymodel.counts.complexity import complexity  # noqa: E402
from pymodel.datasets.splits import load_dataset  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.supports import MaskSupport, Support, make_support  # noqa: E402
from pymodel.network.topology import Conv, InputSpec, Network  # noqa: E402
from pymodel.network.zoo import apply_variant, digits, sparse_convs  # noqa: E402
from pymodel.nn.build import NetworkModule, nonzero_weights  # noqa: E402
from pymodel.training import checkpoint  # noqa: E402
from pymodel.training.adversarial import Attack, Range, attacked, frozen, robust_answers  # noqa: E402
from pymodel.training.config import Adversarial, load_config  # noqa: E402
from pymodel.training.folder import load_topology  # noqa: E402
from pymodel.training.monitor import Monitor  # noqa: E402
from pymodel.training.quantise import qat_plan, quantise  # noqa: E402
from pymodel.training.sweep import markdown_table, read_results, sweep  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)
EXAMPLES = ROOT / "examples" / "digits"
PLAIN, IRREGULAR, TAPS = (EXAMPLES / name for name in ("train.yaml", "robust.yaml", "robust_taps.yaml"))
LAYERS = sparse_convs(digits())
# Four steps an epoch, and attacks of two.
SHORT = ("data.validation=1181", "epochs=3", "schedule.warmup_epochs=0", "adversarial.steps=2", "adversarial.step=0.08")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classifier(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(5)
    return nn.Sequential(nn.Conv2d(2, 5, 3), norm, nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(45, 4))


def images_and_labels(seed: int, count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(count, 2, 5, 5, generator=generator(seed))
    edges = torch.rand(count, 2, 5, 5, generator=generator(seed + 100)) < 0.2
    return torch.where(edges, images.round(), images), torch.arange(count) % 4


def losses(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(network(images), labels, reduction="none")


# Attacks


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [Adversarial(), Adversarial(steps=20, step=0.3, epsilon=0.2), Adversarial(step=1)])
def test_pgd_stays_in_its_box_and_raises_the_loss(options: Adversarial, seed: int) -> None:
    network = classifier(seed).eval()
    images, labels = images_and_labels(seed)
    kept = images.clone()
    attack = Attack.pgd(options)
    found = attack(images, lambda changed: losses(network, changed, labels).sum(), generator(seed))
    assert torch.equal(images, kept) and not found.requires_grad
    assert 0 <= float(found.min()) and float(found.max()) <= 1
    assert float((found - images).abs().max()) <= options.epsilon * (1 + 1e-6)
    start = Attack(0, options.step, options.epsilon)(images, lambda changed: changed.sum(), generator(seed))
    assert 0 < float((start - images).abs().max()) <= options.epsilon * (1 + 1e-6)
    with torch.no_grad():
        after, clean, random = (losses(network, one, labels) for one in (found, images, start))
    assert after.mean() > clean.mean() and after.mean() > random.mean()
    if options.step <= options.epsilon:
        assert (after > clean).all()
    again = attack(images, lambda changed: losses(network, changed, labels).sum(), generator(seed))
    assert torch.equal(found, again)
    other = attack(images, lambda changed: losses(network, changed, labels).sum(), generator(seed + 1))
    assert not torch.equal(found, other)


@pytest.mark.parametrize("epsilon", [0.031, 0.125, 1.0])
def test_fgsm_is_one_step_of_pgd(epsilon: float) -> None:
    """On paper: the gradient of a linear classifier's cross entropy is W^T (softmax - label)."""
    rng = np.random.default_rng(3)
    matrix, pixels, labels = rng.standard_normal((4, 9)), rng.random((6, 9)), rng.integers(0, 4, 6)
    raised = np.exp(pixels @ matrix.T)
    gradient = (raised / raised.sum(axis=1, keepdims=True) - np.eye(4)[labels]) @ matrix
    expected = np.clip(pixels + epsilon * np.sign(gradient), 0, 1)
    weights, wanted = torch.from_numpy(matrix), torch.from_numpy(labels)

    def loss(changed: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(changed @ weights.T, wanted, reduction="sum")

    images = torch.from_numpy(pixels)
    found = Attack.fgsm(Adversarial(epsilon=epsilon))(images, loss, generator())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert torch.equal(found, Attack(1, epsilon, epsilon, random_start=False)(images, loss, generator(1)))
    # A second step of PGD on the same classifier, whose gradient has the same formula at the new place.
    raised = np.exp(expected @ matrix.T)
    gradient = (raised / raised.sum(axis=1, keepdims=True) - np.eye(4)[labels]) @ matrix
    second = np.clip(expected + epsilon * np.sign(gradient), np.maximum(pixels - epsilon, 0), pixels + epsilon).clip(
        0, 1
    )
    twice = Attack(2, epsilon, epsilon, random_start=False)(images, loss, generator())
    np.testing.assert_allclose(twice.numpy(), second, atol=1e-12)


def test_a_network_under_attack_is_frozen_and_left_as_it_was() -> None:
    network = classifier().train()
    network[0].weight.requires_grad_(False)
    network[1].eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with frozen(network):
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    images, labels = images_and_labels(0)
    found = attacked(
        network,
        images,
        lambda logits: functional.cross_entropy(logits, labels),
        Attack(2, 0.1, 0.1),
        Range(0, 1),
        generator(),
    )
    assert not torch.equal(found, images)
    assert network.training and network[3].training and not network[1].training
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, *[True] * 5]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("black", "white"), [(0.0, 1.0), (-1.0, 255 / 128 - 1), (-3.0, 5.0)])
def test_epsilon_counts_from_black_to_white(black: float, white: float) -> None:
    network, pixels = classifier(), images_and_labels(4)[0]
    span, range_ = Range(black, white), Range(black, white)
    images = span.real(pixels)
    torch.testing.assert_close(span.pixels(images), pixels)
    found = attacked(network, images, lambda logits: logits.square().sum(), Attack(3, 0.05, 0.1), range_, generator())
    assert black - 1e-5 <= float(found.min()) and float(found.max()) <= white + 1e-5
    assert 0 < float((found - images).abs().max()) <= 0.1 * (white - black) + 1e-5


def test_the_range_of_a_data_set() -> None:
    data = load_dataset("digits")
    assert Range.of(data) == Range(0.0, 1.0)
    assert max(int(split.images.max()) for split in (data.train, data.test)) == data.white == 16


def test_changes_in_whole_steps() -> None:
    """The answers are those to images whose pixels are integers, no farther away than epsilon."""
    seen: list[torch.Tensor] = []

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = classifier(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach())
            return self.network(x)

    pixels, labels = images_and_labels(2)
    images = (pixels * 16).round() / 16
    for epsilon, most in ((0.125, 2), (0.1, 1), (0.05, 0)):
        network = Seen()
        right = robust_answers(network, images, labels, Attack(5, 0.05, epsilon), Range(0, 1), generator(), 1 / 16)
        steps = (seen[-1] - images) * 16
        assert torch.allclose(steps, steps.round(), atol=1e-4) and int(steps.abs().max().round()) == most
        with torch.no_grad():
            assert torch.equal(right, network.network.eval()(seen[-1]).argmax(1) == labels)


# Trainings


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def state_of(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / "model.pt", weights_only=True)
    return found


def test_the_loss_is_the_mean_of_both_by_the_weight(tmp_path: Path) -> None:
    """At a rate of nearly nothing the weights stay, so the losses of four weights lie on a line, and it rises."""
    found = []
    for weight in (0.25, 0.5, 0.75, 1.0):
        still = (f"adversarial.weight={weight}", "optimiser.lr=1e-30", "rewire=null", "epochs=1")
        found.append(train(TAPS, tmp_path / str(weight), overrides=(*SHORT, *still)).train_loss)
    steps = np.diff(found)
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-3) and steps[0] > 0


def test_without_a_weight_attacks_only_judge(tmp_path: Path) -> None:
    judged = train(TAPS, tmp_path / "judged", overrides=(*SHORT, "rewire=null", "adversarial.weight=0"))
    plain = train(TAPS, tmp_path / "plain", overrides=(*SHORT, "rewire=null", "adversarial=null"))
    ours, theirs = state_of(tmp_path / "judged"), state_of(tmp_path / "plain")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert judged.method == plain.method == "plain" and plain.pgd_accuracy is plain.fgsm_accuracy is None
    assert judged.pgd_accuracy is not None and "pgd_accuracy" not in log_of(tmp_path / "plain")[0]


def test_robust_accuracies_are_those_of_the_network_that_is_kept(tmp_path: Path) -> None:
    result = train(TAPS, tmp_path / "run", overrides=(*SHORT, "rewire=null"))
    assert result.method == "adversarial"
    last = log_of(tmp_path / "run")[-1]
    assert (last["fgsm_accuracy"], last["pgd_accuracy"]) == (result.fgsm_accuracy, result.pgd_accuracy)
    network, data = NetworkModule(digits("PS1_P9")), load_dataset("digits")
    network.load_state_dict(state_of(tmp_path / "run"))
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images))).float().requires_grad_()
    labels = torch.from_numpy(data.test.labels)
    functional.cross_entropy(network.eval()(images), labels, reduction="sum").backward()
    with torch.no_grad():
        changed = (images + 0.125 * images.grad.sign()).clamp(0, 1)
        right = float((network(changed).argmax(1) == labels).double().mean())
    assert right == pytest.approx(result.fgsm_accuracy, abs=2 / 360)  # sums in another order may turn a sign


REWIRED = {
    "irregular": (IRREGULAR, ("rewire.density=0.1",)),
    "channel": (IRREGULAR, ("rewire={granularity: channel, density: 0.4}",)),
    "taps": (TAPS, ("network.variant=PSD2_P8",)),
}


@pytest.mark.parametrize("granularity", REWIRED)
def test_the_density_is_kept_and_the_run_resumes(granularity: str, tmp_path: Path, monkeypatch: Any) -> None:
    """After every epoch; interrupted between steps and epochs: the same weights, supports and log, bit for bit."""
    config, overrides = REWIRED[granularity]
    overrides = (*SHORT, *overrides, "epochs=4", "checkpoint_steps=3", "ema=0.9", "keep=best", "optimiser.momentum=0.8")
    saved: list[dict[str, Any]] = []
    save = checkpoint.save

    def saving(path: Path, state: dict[str, Any]) -> None:
        if path.name == "checkpoint.pt":
            saved.append({"supports": state["supports"], "model": {k: v.clone() for k, v in state["model"].items()}})
        save(path, state)

    monkeypatch.setattr(checkpoint, "save", saving)
    whole = train(config, tmp_path / "whole", overrides=overrides)
    assert len(saved) == 8  # one within each epoch, one at its end
    counts, shapes = [], {name: saved[0]["model"][f"layers.{name}.conv.weight"].shape for name in LAYERS}
    for state in saved:
        masks = {name: make_support(spec, 3).mask(*shapes[name][:2]) for name, spec in state["supports"].items()}
        assert set(masks) == set(LAYERS)
        for name, mask in masks.items():
            assert not state["model"][f"layers.{name}.conv.weight"].numpy()[~mask].any()
            if granularity == "channel":
                assert np.array_equal(mask, np.broadcast_to(mask[:1, :, :1, :1], mask.shape))
        if granularity == "taps":
            tables = [make_support(spec, 3).taps for spec in state["supports"].values()]
            assert all([len(taps) for taps in variants] == [9, *[2] * 7] for variants in tables)
            counts.append(sum(int(mask.sum()) for mask in masks.values()))
        elif granularity == "channel":
            counts.append(sum(int(mask[0, :, 0, 0].sum()) for mask in masks.values()))
        else:
            counts.append(sum(int(mask.sum()) for mask in masks.values()))
    weights = {"irregular": sum(round(0.1 * math.prod(shapes[name])) for name in LAYERS)}
    weights["taps"] = complexity(apply_variant(digits(), "PSD2_P8")).total("weights") - 16 * 9 - 640
    weights["channel"] = round(0.4 * 16) + 2 * round(0.4 * 32)
    assert counts == [weights[granularity]] * 8
    log = log_of(tmp_path / "whole")
    assert log[0]["moved"] > 0 and log[-1]["moved"] == 0
    assert saved[0]["supports"] != saved[-1]["supports"] == saved[-2]["supports"]

    class Interrupted(Exception):
        pass

    steps, original = 0, Monitor.step

    def interrupting(self: Monitor, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps in (6, 11, 14):
            raise Interrupted
        original(self, *arguments)

    monkeypatch.setattr(Monitor, "step", interrupting)
    for _ in range(3):
        with pytest.raises(Interrupted):
            train(config, tmp_path / "parts", resume=True, overrides=overrides)
    parts = train(config, tmp_path / "parts", resume=True, overrides=overrides)
    again = train(config, tmp_path / "parts", resume=True, overrides=overrides)  # finished: nothing changes
    one, two = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert load_topology(tmp_path / "whole") == load_topology(tmp_path / "parts")
    for record, theirs in zip(log, log_of(tmp_path / "parts"), strict=True):
        assert record | {"seconds": 0} == theirs | {"seconds": 0}
    assert whole.pgd_accuracy == parts.pgd_accuracy == again.pgd_accuracy
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts")]
    for name, value in ends[0]["model"].items():
        assert torch.equal(value, ends[1]["model"][name])
    assert ends[0]["supports"] == ends[1]["supports"]


@pytest.mark.parametrize("granularity", REWIRED)
def test_a_rewired_network_is_quantised(granularity: str, tmp_path: Path) -> None:
    """Its supports are where training has left them, in the topology, the bundle and the weights."""
    config, overrides = REWIRED[granularity]
    run = tmp_path / "run"
    result = train(config, run, overrides=(*SHORT, *overrides, "data.validation=0"))
    assert result.method.startswith(f"DNR {granularity}")
    network = NetworkModule(load_topology(run))
    network.load_state_dict(state_of(run))
    assert all(torch.equal(value, state_of(run)[name]) for name, value in network.state_dict().items())
    assert nonzero_weights(network) == result.weights
    done = quantise(run, tmp_path / "b.yaml")
    assert done is not None and done.identical_images == 64 and done.fixed_accuracy > result.test_accuracy - 0.05
    bundle, data = Bundle.load(tmp_path / "b.yaml"), load_dataset("digits")
    assert golden.accuracy(bundle, data.integers(data.test.images), data.test.labels) == done.fixed_accuracy
    assert done.pgd_accuracy is not None and done.fgsm_accuracy is not None
    for name in LAYERS:
        layer, trained = bundle.network.layer(name), load_topology(run).layer(name)
        assert isinstance(layer, Conv) and isinstance(trained, Conv) and layer.support == trained.support
        support = layer.make_support()
        if granularity != "taps":
            assert isinstance(support, MaskSupport)
            continue
        assert isinstance(support, Support) and support.period == 8
        assert support.nonzeros == Support.parse("PSD2_P8", 3).nonzeros
        for o, i in np.ndindex(*bundle.weights[name].shape[:2]):  # all kernels of a residue class
            taps = set(np.flatnonzero(bundle.weights[name][o, i]).tolist())
            assert taps <= set(support.taps[(o + i + 1) % 8])
    assert bundle.notes["method"] == result.method


def test_quantisation_aware_training_is_of_attacked_images_and_fixed_supports(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(TAPS, run, overrides=(*SHORT, "data.validation=0", "epochs=2"))
    plan = qat_plan(load_config(TAPS))
    assert plan.rewire is None and plan.adversarial == load_config(TAPS).adversarial
    done = quantise(
        run, tmp_path / "b.yaml", weight_bits=4, activation_bits=4, qat=True, overrides=("quantise.qat_epochs=1",)
    )
    assert done is not None and done.qat_epochs == 1 and done.identical_images == 64
    supports = {conv.name: conv.support for conv in load_topology(run).layers if isinstance(conv, Conv)}
    assert {
        c.name: c.support for c in Bundle.load(tmp_path / "b.yaml").network.layers if isinstance(c, Conv)
    } == supports
    [folder] = run.glob("qat_w4a4_*")
    assert "pgd_accuracy" in log_of(folder)[0] and "moved" not in log_of(folder)[0]


def test_the_best_epoch_has_its_own_supports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last epochs are spoilt; the weights of the best lie where they lay then."""
    from pymodel.training.config import Schedule

    original = Schedule.factor

    def spoiling(self: Schedule, epoch: float, epochs: int) -> float:
        return original(self, epoch, epochs) * (30 if epoch > 3 else 1)

    monkeypatch.setattr(Schedule, "factor", spoiling)
    options = ("adversarial=null", "epochs=5", "schedule={name: constant}", "data.validation=300", "keep=best")
    result = train(IRREGULAR, tmp_path / "run", overrides=(*options, "optimiser={lr: 0.1, momentum: 0.5}"))
    assert result.kept_epoch < 5
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    topology = load_topology(tmp_path / "run")
    own = {name: topology.layer(name).support for name in LAYERS}
    assert own == state["best"][2] != state["supports"]
    network = NetworkModule(topology)
    network.load_state_dict(state_of(tmp_path / "run"))
    data = load_dataset("digits")
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images))).float()
    with torch.no_grad():
        right = float((network.eval()(images).argmax(1).numpy() == data.test.labels).mean())
    assert right == pytest.approx(result.test_accuracy)


MODEL = """
from torch import nn


def make():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(512, 10),
    )
"""


def test_a_module_of_the_users_own_is_attacked(tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(MODEL)
    network = f"network={{python: {tmp_path / 'my_model.py'}:make, variant: PS2_P6}}"
    options = (*SHORT, network, "rewire=null", "adversarial.epsilon=0.3")
    result = train(TAPS, tmp_path / "run", overrides=options)
    assert result.fgsm_accuracy is not None and result.pgd_accuracy is not None
    assert result.pgd_accuracy < result.test_accuracy
    done = quantise(tmp_path / "run", tmp_path / "b.yaml")
    assert done is not None and done.pgd_accuracy is not None and done.pgd_accuracy < done.fixed_accuracy


def test_adamw_rewires_too(tmp_path: Path) -> None:
    result = train(TAPS, tmp_path / "run", overrides=(*SHORT, "adversarial=null", "optimiser={name: adamw, lr: 0.01}"))
    assert result.method == "rewired taps" and log_of(tmp_path / "run")[0]["moved"] > 0


def test_a_sweep_has_robust_accuracies(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    options = (*SHORT, "data.validation=0", "epochs=1")
    sweep(TAPS, tmp_path / "taps", ("PS1_P9", "PSD1_P16"), results, options)
    both = sweep(PLAIN, tmp_path / "plain", ("PS1_P9",), results, ("epochs=1", "schedule.warmup_epochs=0"))
    assert both is not None
    rows = [(row.variant, row.method, row.pgd_accuracy is None) for row in both.results]
    assert rows == [("PS1_P9", "DNR taps", False), ("PSD1_P16", "DNR taps", False), ("PS1_P9", "plain", True)]
    for row in both.results:
        counts = complexity(apply_variant(digits(), row.variant))
        assert (row.macs, row.weights) == (
            counts.macs,
            counts.total("weights"),
        )  # what the support cost before it moved
    table = results.with_suffix(".md").read_text().splitlines()
    assert "| method |" in table[0] and "| FGSM | PGD | fixed-point PGD |" in table[0]
    assert len({line.count("|") for line in table}) == 1
    assert read_results(results) == list(both.results)
    known = ROOT / "docs" / "measurements" / "results" / "digits.json"  # of before there were such columns
    assert "method" not in markdown_table(tuple(read_results(known)))


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (
            TAPS,
            ("network.variant=dense",),
            "network.variant: must be the periodic support whose taps move .* got dense",
        ),
        (TAPS, ("rewire.density=0.1",), "rewire.density: must be left out with granularity: taps, got 0.1"),
        (TAPS, ("network.variant=pSC2",), "network.variant: must be a periodic support .* got pSC2"),
        (
            TAPS,
            ("network.variant=SVD@PSD1_P16",),
            "network.variant: must be a support with rewire, got the baseline SVD",
        ),
        (IRREGULAR, ("network.variant=PS1_P9",), "rewire.density, network.variant: must be .* got 0.05 and PS1_P9"),
        (IRREGULAR, ("rewire.density=null",), "rewire.density, network.variant: must be .* got none and dense"),
        (IRREGULAR, ("rewire.density=0",), "rewire.density"),
        (IRREGULAR, ("rewire.density=1.1",), "rewire.density"),
        (IRREGULAR, ("rewire.prune_rate=1",), "rewire.prune_rate"),
        (IRREGULAR, ("rewire.granularity=kernels",), "rewire.granularity"),
        (
            IRREGULAR,
            ("optimiser={momentum: 0, nesterov: false}",),
            "optimiser.momentum: must be more than 0 with rewire",
        ),
        (IRREGULAR, ("kernels=sparse",), "kernels: must be auto or dense with rewire"),
        (IRREGULAR, ("network={python: x.py:Net}",), "rewire: must be left out with network.python"),
        (IRREGULAR, ("adversarial.steps=0",), "adversarial.steps"),
        (IRREGULAR, ("adversarial.steps=1.5",), "adversarial.steps"),
        (IRREGULAR, ("adversarial.step=0",), "adversarial.step"),
        (IRREGULAR, ("adversarial.epsilon=.nan",), "adversarial.epsilon"),
        (IRREGULAR, ("adversarial.epsilon=2",), "adversarial.epsilon"),
        (IRREGULAR, ("adversarial.weight=-0.1",), "adversarial.weight"),
        (IRREGULAR, ("adversarial.size=1",), "adversarial.size"),
    ],
)
def test_wrong_keys_are_refused(config: Path, overrides: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        train(config, tmp_path / "run", overrides=(*SHORT, *overrides))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_another_rewiring_is_no_resumption(tmp_path: Path) -> None:
    train(TAPS, tmp_path / "run", overrides=(*SHORT, "adversarial=null", "epochs=1"))
    with pytest.raises(ConfigError, match="made by another configuration"):
        train(TAPS, tmp_path / "run", True, (*SHORT, "adversarial=null", "epochs=1", "rewire.prune_rate=0.4"))
    topology = json.loads((tmp_path / "run" / "network.json").read_text())
    topology["layers"][1]["stride"] = 2
    (tmp_path / "run" / "network.json").write_text(json.dumps(topology))
    with pytest.raises(ConfigError, match="checkpoint.pt|network.json"):
        train(TAPS, tmp_path / "run", True, (*SHORT, "adversarial=null", "epochs=1"))


@pytest.mark.slow
def test_two_processes_rewire_alike(tmp_path: Path) -> None:
    """What lies in the main process's checkpoint is what both have: its weights are zero off its masks to the end."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [word for one in (*SHORT, "data.validation=0") for word in ("--set", one)]
    done = subprocess.run(
        [*launcher, "-m", "pymodel.training", "train", str(TAPS), "--out", str(tmp_path / "run"), *options],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test_accuracy"] > 0.3
    assert log_of(tmp_path / "run")[0]["moved"] > 0
    network, weights = NetworkModule(load_topology(tmp_path / "run")), state_of(tmp_path / "run")
    network.load_state_dict(weights)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def taps_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A short training whose taps have moved, quantised."""
    folder = tmp_path_factory.mktemp("taps")
    train(TAPS, folder / "run", overrides=(*SHORT, "data.validation=0", "adversarial=null", "epochs=4"))
    assert sum(record["moved"] for record in log_of(folder / "run")) > 0
    quantise(folder / "run", folder / "b.yaml")
    return Bundle.load(folder / "b.yaml")


def run_exactly(bundle: Bundle, folder: Path, psconv: Any, **settings: Any) -> None:
    """Golden model, C++ and RTL give the same integers."""
    bundle.save(folder / "b.yaml")
    config = {"psconv": 1, "bundle": "b.yaml", **settings}
    (folder / "run.yaml").write_text(yaml_text(config, 110))
    code, _, error = psconv("run", str(folder / "run.yaml"), "--out", str(folder / "out"))
    assert code == 0, error
    for step in ("csim", "cosim"):
        code, said, error = psconv("compare", str(folder / "out" / "golden"), str(folder / "out" / step), "--json")
        assert code == 0 and json.loads(said), error


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_layer_rewired_on_taps_runs_as_rtl(taps_bundle: Bundle, tmp_path: Path, psconv: Any) -> None:
    """One trained layer as a network of its own."""
    layer = taps_bundle.network.layer("conv2")
    assert isinstance(layer, Conv) and isinstance(layer.support, dict) and "taps" in layer.support
    conv = Conv(**{**layer.model_dump(), "input": "input"})
    source = InputSpec(channels=16, height=4, width=3)
    formats = {"input": taps_bundle.formats["conv1"], "conv2": taps_bundle.formats["conv2"]}
    single = Bundle(
        network=Network(name="single", input=source, layers=[conv], output="conv2"),
        formats=formats,
        weight_formats={"conv2": taps_bundle.weight_formats["conv2"]},
        weights={"conv2": taps_bundle.weights["conv2"]},
        biases={"conv2": taps_bundle.biases["conv2"]},
        scales={},
    )
    stalls = {"images": 2, "input": 0.3, "output": 0.3}
    run_exactly(single, tmp_path, psconv, images={"count": 3}, stalls=stalls)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_network_rewired_on_taps_runs_as_rtl(taps_bundle: Bundle, tmp_path: Path, psconv: Any) -> None:
    supports = [conv.support for conv in taps_bundle.network.layers if isinstance(conv, Conv)]
    assert any(isinstance(support, dict) and "taps" in support for support in supports)
    images = {"source": "digits", "count": 2}
    run_exactly(taps_bundle, tmp_path, psconv, top="network", images=images)
