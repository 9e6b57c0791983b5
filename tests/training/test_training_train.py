"""Training runs: repeatable, resumable, and honest about wrong input."""

import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.places import ROOT

torch = pytest.importorskip("torch")

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.counts.complexity import complexity  # noqa: E402
from pymodel.datasets.splits import load_dataset  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.supports import PAPER_VARIANTS  # noqa: E402
from pymodel.network.zoo import NETWORKS, make_network  # noqa: E402
from pymodel.nn.baselines import initialised  # noqa: E402
from pymodel.nn.build import NetworkModule, nonzero_weights  # noqa: E402
from pymodel.training.augment import augment  # noqa: E402
from pymodel.training.config import NetworkChoice, Schedule, load_config  # noqa: E402
from pymodel.training.network import dense_network  # noqa: E402
from pymodel.training.quantise import quantise  # noqa: E402
from pymodel.training.sweep import sweep  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)
DIGITS = ROOT / "examples" / "digits" / "train.yaml"
CIFAR10 = sorted((ROOT / "examples" / "cifar10").glob("*.yaml"))


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "model.pt", weights_only=True)


def assert_same_weights(left: Path, right: Path) -> None:
    first, second = final_weights(left), final_weights(right)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed training of three epochs."""
    folder = tmp_path_factory.mktemp("short") / "run"
    train(DIGITS, folder, overrides=("epochs=3",))
    return folder


def test_a_run_leaves_its_files(short_run: Path) -> None:
    log = [json.loads(line) for line in (short_run / "log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3]
    assert log[-1]["train_loss"] < log[0]["train_loss"]
    result = json.loads((short_run / "result.json").read_text())
    assert result["test_accuracy"] == log[-1]["test_accuracy"] > 0.5
    assert (short_run / "training.svg").read_text().count("<svg") == 1
    assert not list(short_run.glob("*.partial*"))


class _Interrupted(Exception):
    pass


def test_resumed_in_the_middle_of_an_epoch(short_run: Path, tmp_path: Path, monkeypatch) -> None:
    """Interrupted between two steps, again and again: the same weights and the same log."""
    from pymodel.training.monitor import Monitor

    steps, original = 0, Monitor.step

    def interrupting(self: Monitor, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps in (9, 30, 44):  # the second run starts at step 8, the third at 24 of all
            raise _Interrupted
        original(self, *arguments)

    monkeypatch.setattr(Monitor, "step", interrupting)
    run, overrides = tmp_path / "run", ("epochs=3", "checkpoint_steps=4")
    for _ in range(3):
        with pytest.raises(_Interrupted):
            train(DIGITS, run, resume=True, overrides=overrides)
    train(DIGITS, run, resume=True, overrides=overrides)
    assert_same_weights(short_run, run)

    def without_time(folder: Path) -> list[dict]:
        lines = (folder / "log.jsonl").read_text().splitlines()
        return [{**json.loads(line), "seconds": 0} for line in lines]

    assert without_time(short_run) == without_time(run)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pymodel.training", *map(str, arguments)]


def kill_and_resume(run: Path, kills: int, epochs: int, seed: int) -> None:
    """Kill the training at random moments after its first step, then let it finish."""
    moment = random.Random(seed)
    options = ["--out", run, "--resume", "--set", f"epochs={epochs}", "--set", "checkpoint_steps=3"]
    survived = 0
    for _ in range(kills):
        process = subprocess.Popen(command("train", DIGITS, *options), stderr=subprocess.DEVNULL, cwd=ROOT)
        began = (run / "checkpoint.pt").stat().st_mtime_ns if (run / "checkpoint.pt").exists() else 0
        while process.poll() is None:  # until it has written a checkpoint of its own
            if (run / "checkpoint.pt").exists() and (run / "checkpoint.pt").stat().st_mtime_ns > began:
                break
            time.sleep(0.01)
        time.sleep(moment.uniform(0, 0.2))
        survived += process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert survived < kills, "no training was killed: it finished too early"
    subprocess.run(command("train", DIGITS, *options), check=True, capture_output=True, cwd=ROOT)


def test_killed_and_resumed(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    train(DIGITS, undisturbed, overrides=("epochs=6",))
    kill_and_resume(killed, kills=1, epochs=6, seed=1)
    assert_same_weights(undisturbed, killed)


@pytest.mark.slow
def test_killed_many_times_and_resumed(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    train(DIGITS, undisturbed, overrides=("epochs=20",))
    kill_and_resume(killed, kills=8, epochs=20, seed=2)
    assert_same_weights(undisturbed, killed)


def torchrun(run: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, "-m", "pymodel.training", "train", str(DIGITS), "--out", str(run), *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path: Path) -> None:
    done = torchrun(tmp_path / "run", "--set", "epochs=12")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test_accuracy"] > 0.95 and result["device"].startswith("2 x ")
    network = NetworkModule(make_network("digits", "digits", "PSD1_P16"))
    weights = final_weights(tmp_path / "run")
    network.load_state_dict(weights)
    for name, value in network.state_dict().items():  # loading cleared what was off the support: nothing
        assert torch.equal(value, weights[name])


def test_finished_and_foreign_runs(short_run: Path) -> None:
    before = final_weights(short_run)
    with pytest.raises(ConfigError, match="holds a training"):
        train(DIGITS, short_run, overrides=("epochs=3",))
    with pytest.raises(ConfigError, match="another configuration"):
        train(DIGITS, short_run, resume=True, overrides=("epochs=4",))
    again = train(DIGITS, short_run, resume=True, overrides=("epochs=3",))
    assert again.epochs == 3
    assert all(torch.equal(before[name], value) for name, value in final_weights(short_run).items())


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(ConfigError, match="checkpoint.pt.*damaged"):
        train(DIGITS, tmp_path, resume=True)


def test_quantised_run(short_run: Path, tmp_path: Path) -> None:
    result = quantise(short_run, tmp_path / "b.yaml", overrides=("quantise.calibration_images=200",))
    assert result.fixed_accuracy > result.float_accuracy - 0.03
    bundle, digits = Bundle.load(tmp_path / "b.yaml"), load_dataset("digits")
    assert golden.accuracy(bundle, digits.integers(digits.test.images), digits.test.labels) == result.fixed_accuracy
    assert bundle.notes["test_accuracy"] == pytest.approx(result.fixed_accuracy, abs=1e-6)
    first = (tmp_path / "b.npz").read_bytes()
    quantise(short_run, tmp_path / "b.yaml", overrides=("quantise.calibration_images=200",))
    assert first == (tmp_path / "b.npz").read_bytes()


def test_quantisation_aware_training_wins_back_what_three_bits_lose(short_run: Path, tmp_path: Path) -> None:
    plain = quantise(short_run, tmp_path / "plain.yaml", weight_bits=3, activation_bits=3)
    trained = quantise(
        short_run,
        tmp_path / "qat.yaml",
        weight_bits=3,
        activation_bits=3,
        qat=True,
        overrides=("quantise.qat_epochs=4",),
    )
    assert trained.fixed_accuracy > plain.fixed_accuracy + 0.05
    assert trained.identical_images == plain.identical_images == 64
    assert {form.bits for form in Bundle.load(tmp_path / "qat.yaml").weight_formats.values()} == {3}


def test_committed_bundle_holds_what_it_says() -> None:
    bundle, digits = Bundle.load(DIGITS.parent / "digits_PSD1_P16.yaml"), load_dataset("digits")
    accuracy = golden.accuracy(bundle, digits.integers(digits.test.images), digits.test.labels)
    assert accuracy >= 0.97
    assert bundle.notes["test_accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_sweep_makes_one_table(tmp_path: Path) -> None:
    results = tmp_path / "results" / "digits.json"
    options = ("epochs=1", "schedule.warmup_epochs=0")
    sweep(DIGITS, tmp_path / "runs", ("PSD1_P16", "dense"), results, options)
    once_more = sweep(DIGITS, tmp_path / "runs", ("PSD1_P16",), results, options)
    assert [result.variant for result in once_more.results] == ["PSD1_P16", "dense"]
    for result in once_more.results:
        counts = complexity(make_network("digits", "digits", result.variant))
        assert (result.macs, result.weights) == (counts.macs, counts.total("weights"))
    assert results.with_suffix(".md").read_text() == once_more.table
    assert results.with_suffix(".svg").exists()
    results.write_text('[{"variant": 3}]')
    with pytest.raises(ConfigError, match="digits.json"):
        sweep(DIGITS, tmp_path / "runs", ("dense",), results, options)


@pytest.mark.parametrize("path", [DIGITS, *CIFAR10], ids=lambda path: path.stem)
def test_example_configurations_are_valid(path: Path) -> None:
    assert load_config(path).name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epoch=3", "epoch"),
        ("optimiser.lrr=3", "optimiser.lrr"),
        ("optimiser.lr=0", "optimiser.lr"),
        ("optimiser.name=adam", "optimiser.name"),
        ("quantise.weight_bits=9", "quantise.weight_bits"),
        ("schedule.warmup_epochs=40", "warmup_epochs"),
        ("schedule.milestones=[1]", "milestones"),
        ("network.width.x=1", "network.width.x=1|width"),
        ("epochs", "KEY=VALUE"),
        ("epochs=[", "YAML"),
        ("batch_size=2000", "batch_size"),
        ("network.name=lenet", "lenet"),
        ("network.width=8", "network: width"),
        ("network.variant=PSD3_P16", "PSD3_P16"),
        ("network.name=resnet18", "digits"),
    ],
)
def test_wrong_configurations_are_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(DIGITS, tmp_path / "run", overrides=(override,))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device: cuda: PyTorch finds no GPU"):
        train(DIGITS, tmp_path, overrides=("device=cuda",))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision(precision: str, tmp_path: Path) -> None:
    result = train(DIGITS, tmp_path, overrides=(f"precision={precision}", "epochs=2", "schedule.warmup_epochs=0"))
    assert result.test_accuracy > 0.5
    assert all(value.dtype != getattr(torch, precision) for value in final_weights(tmp_path).values())


@pytest.mark.slow
def test_compiled_training_is_the_same_training(tmp_path: Path) -> None:
    options = ("epochs=1", "schedule.warmup_epochs=0.5")
    plain = train(DIGITS, tmp_path / "plain", overrides=options)
    compiled = train(DIGITS, tmp_path / "compiled", overrides=(*options, "compile=true"))
    assert compiled.train_loss == pytest.approx(plain.train_loss, rel=1e-2)
    assert list(final_weights(tmp_path / "plain")) == list(final_weights(tmp_path / "compiled"))


def test_divergence_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="optimiser.lr.*diverged"):
        train(DIGITS, tmp_path / "run", overrides=("optimiser.lr=1.0e+30", "epochs=3"))


@pytest.mark.parametrize("step", [0, 3, 21])
def test_divergence_in_any_step_ends_the_training(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that overflow in one step of the last epoch, also in its last, whose loss was still finite."""
    rates = itertools.count()

    def rate(self: Schedule, epoch: float, epochs: int) -> float:
        return 3e36 if next(rates) == 22 + step else 0.05

    monkeypatch.setattr(Schedule, "factor", rate)
    options = (
        "epochs=2",
        "optimiser.lr=100",
        "schedule.warmup_epochs=0",
        "optimiser.momentum=0",
        "optimiser.nesterov=false",
    )
    with pytest.raises(ConfigError, match=r"optimiser.lr: 100.0: training diverged in epoch 2, step \d+ of 22") as e:
        train(DIGITS, tmp_path, overrides=options)
    assert int(re.search(r"step (\d+)", str(e.value))[1]) in (step + 1, step + 2)
    assert not (tmp_path / "model.pt").exists() and not (tmp_path / "result.json").exists()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(value.isfinite().all() for value in state["model"].values())  # of the epoch before

    def no_number(name: str) -> None:
        raise AssertionError(name)

    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        assert json.loads(line, parse_constant=no_number)["epoch"] == 1


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "+1e-03", ".1e-2", "0.001"])
def test_a_rate_with_an_exponent_is_a_number(text: str, tmp_path: Path) -> None:
    assert load_config(DIGITS, (f"optimiser.lr={text}",)).optimiser.lr == 0.001
    content = re.sub(r"lr: [^,}]+", f"lr: {text}", DIGITS.read_text())
    (tmp_path / "train.yaml").write_text(content)
    assert load_config(tmp_path / "train.yaml").optimiser.lr == 0.001


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        "seed=4294967296",
        "seed=1.5",
        "optimiser.lr=.nan",
        "optimiser.lr=.inf",
        "epochs=0",
        "epochs=10000000",
        "batch_size=-1",
        "threads=0",
        "label_smoothing=1",
        "optimiser.momentum=.nan",
        "optimiser.weight_decay=-1",
        "data.augment.crop=100000",
        "network.width=0",
        "quantise.calibration_images=0",
    ],
)
def test_numbers_have_bounds(override: str) -> None:
    with pytest.raises(ConfigError, match=f"train.yaml.*{override.partition('=')[0]}"):
        load_config(DIGITS, (override,))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (math.nan, "model.pt: conv2.conv.weight: 1 of 4608 values are NaN or infinite"),
        (math.inf, "model.pt: conv2.conv.weight: 1 of 4608 values are NaN or infinite"),
        (1e30, "layer conv2: outputs reach 1.*e[+]3"),
    ],
)
def test_weights_that_are_no_numbers_are_not_quantised(
    damage: float, message: str, short_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    state = torch.load(run / "model.pt", weights_only=True)
    [name] = [key for key in state if "conv2" in key and key.endswith("weight") and state[key].dim() == 4]
    state[name][tuple(state[name].nonzero()[0])] = damage
    torch.save(state, run / "model.pt")
    with pytest.raises(ConfigError, match=message.replace("conv2.conv.weight", re.escape(name))):
        quantise(run, tmp_path / "b.yaml")
    assert not (tmp_path / "b.yaml").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other", "list"])
@pytest.mark.parametrize("file", ["model.pt", "config.json", "network.json", "result.json"])
def test_damaged_files_of_a_training(damage: str, file: str, short_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    data = (run / file).read_bytes()
    other = (run / ("checkpoint.pt" if file == "model.pt" else "log.jsonl")).read_bytes()
    content = {"empty": b"", "cut": data[: len(data) // 2], "text": b"hello", "list": b"[1, 2]", "other": other}
    (run / file).write_bytes(content[damage])
    with pytest.raises(ConfigError, match=re.escape(str(run / file))):
        quantise(run, tmp_path / "b.yaml")


def test_command_line_errors_are_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        command("quantize", tmp_path / "nothing", "--out", tmp_path / "b.yaml"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "config.json" in done.stderr and done.stderr.count("\n") == 1


def test_schedules() -> None:
    steps = Schedule(name="multistep", warmup_epochs=2, milestones=[4, 6], gamma=0.1)
    assert [steps.factor(epoch, 8) for epoch in (1, 2, 3.9)] == [0.5, 1, 1]
    assert [steps.factor(epoch, 8) for epoch in (4, 6, 8)] == pytest.approx([0.1, 0.01, 0.01])
    cosine = Schedule(name="cosine", warmup_epochs=1)
    assert cosine.factor(0.25, 11) == 0.25
    assert [cosine.factor(epoch, 11) for epoch in (1, 6, 11)] == pytest.approx([1, 0.5, 0])
    assert cosine.factor(3.5, 11) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


@pytest.mark.parametrize(("crop", "flip"), [(0, False), (2, False), (0, True), (3, True)])
def test_augment_is_a_shift_and_a_mirror_image(crop: int, flip: bool) -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 2, 6, 9), np.uint8))
    result = augment(images, crop, flip, 7, torch.Generator().manual_seed(3))
    assert result.shape == images.shape and result.dtype == images.dtype
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (crop, crop), (crop, crop)), constant_values=7)
    seen = set()
    for number, image in enumerate(result.numpy()):
        shifts = itertools.product(range(2 * crop + 1), range(2 * crop + 1), (1, -1))
        matches = [
            (row, column, step)
            for row, column, step in shifts
            if np.array_equal(padded[number, :, row : row + 6, column : column + 9][..., ::step], image)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {step for _, _, step in seen} == ({1, -1} if flip else {1})
    assert len({position[:2] for position in seen}) > (1 if crop else 0)
    assert torch.equal(result, augment(images, crop, flip, 7, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("name", NETWORKS)
def test_modules_follow_the_topology(name: str) -> None:
    network = make_network(name, "digits" if name == "digits" else "cifar10", "PSD4_P8")
    module, shapes = NetworkModule(network).eval(), network.shapes()
    seen = {}
    with torch.no_grad():
        result = module(
            torch.randn(1, *network.input.shape), lambda layer, value: seen.update({layer: tuple(value.shape[1:])})
        )
    assert seen == shapes and result.shape == (1, 10)
    assert nonzero_weights(module) == complexity(network).total("weights")


@pytest.mark.parametrize("variant", PAPER_VARIANTS)
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_residual_networks_have_a_width(name: str, variant: str) -> None:
    """Twice the width: about four times the weights, in the same layers under the same supports."""
    standard, wide = (
        initialised(dense_network(NetworkChoice(name=name, width=width), _Cifar), variant, seed=0).network
        for width in (None, 32)
    )
    assert (standard.name, wide.name) == (name, f"{name}_w32")
    assert [layer.name for layer in standard.layers] == [layer.name for layer in wide.layers]
    assert wide.layer("s3b1_conv1").out_channels == 128
    if variant == "dense":
        # MLPerf Tiny's published figures; He et al. have 0.27 M weights with 20 layers, MACs counted by hand.
        assert complexity(standard).total("weights") == {"resnet8": 77_360, "resnet20": 270_896}[name]
        assert complexity(standard).total("macs") == {"resnet8": 12_501_632, "resnet20": 40_813_184}[name]
    ratio = complexity(wide).total("weights") / complexity(standard).total("weights")
    assert 3.2 < ratio <= 4
    module = NetworkModule(wide)
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_network_without_a_width() -> None:
    with pytest.raises(ConfigError, match="width: must be left out for vgg16, got 8; resnet8, resnet18, resnet20"):
        dense_network(NetworkChoice(name="vgg16", width=8), _Cifar)


def test_narrow_resnet() -> None:
    network = dense_network(NetworkChoice(name="resnet18", variant="PSD4_P8", width=16), _Cifar)
    assert network.layer("stem").out_channels == 16 and network.layer("s4b2_conv2").out_channels == 128
    sparse = initialised(network, "PSD4_P8", seed=0).network
    assert sparse.layer("s1b1_conv1").support == "PSD4_P8" and sparse.layer("stem").support == "dense"


class _Cifar:
    """What dense_network asks of a data set."""

    name = "cifar10"
    classes = tuple(range(10))
    shape = (3, 32, 32)
