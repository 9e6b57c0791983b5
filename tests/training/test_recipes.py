"""What recipes compute: formulas on paper, PyTorch's own schedule, and runs that are judged by images held back."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.places import ROOT

torch = pytest.importorskip("torch")

from rich.console import Console  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.datasets.splits import Split, load_dataset  # noqa: E402
from pymodel.network.topology import Network  # noqa: E402
from pymodel.network.zoo import digits, make_network  # noqa: E402
from pymodel.nn import periodic  # noqa: E402
from pymodel.nn.build import NetworkModule  # noqa: E402
from pymodel.nn.native.build import KERNEL  # noqa: E402
from pymodel.training import monitor, precision  # noqa: E402
from pymodel.training.augment import ERASED_AREA, blank_rectangles, blank_squares  # noqa: E402
from pymodel.training.config import Schedule  # noqa: E402
from pymodel.training.monitor import Monitor  # noqa: E402
from pymodel.training.network import Trainable  # noqa: E402
from pymodel.training.quantise import quantise  # noqa: E402
from pymodel.training.recipes import Average, digest, distillation, held_back, mixed  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)
DIGITS = ROOT / "examples" / "digits" / "train.yaml"
SHORT = ("epochs=2", "schedule.warmup_epochs=0")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Formulas


def test_mixup() -> None:
    images, shares = torch.randn(6, 2, 3, 3), []
    for seed in range(400):
        made, partner, share = mixed(images, 0.4, generator(seed))
        assert torch.equal(made, share * images + (1 - share) * images[partner])
        assert sorted(partner.tolist()) == list(range(6))
        shares.append(share)
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), rel=0.2)
    again = mixed(images, 0.4, generator(3))
    assert again[2] == mixed(images, 0.4, generator(3))[2]


def test_distillation() -> None:
    student, teacher, temperature = torch.randn(5, 4).double(), torch.randn(5, 4).double(), 3.0

    def soft(logits: torch.Tensor) -> np.ndarray:
        raised = np.exp(logits.numpy() / temperature)
        return raised / raised.sum(axis=1, keepdims=True)

    p, q = soft(teacher), soft(student)
    expected = (p * np.log(p / q)).sum(axis=1).mean() * temperature**2
    assert distillation(student, teacher, temperature).item() == pytest.approx(expected)
    assert distillation(teacher, teacher + 5, temperature).item() == pytest.approx(0, abs=1e-12)


def test_moving_average() -> None:
    network, values = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), []
    average, expected = Average(network, 0.6), None
    for step in range(1, 8):
        with torch.no_grad():
            network[0].weight.copy_(torch.randn(2, 1, 1, 1))
        network(torch.randn(3, 1, 2, 2))  # moves the statistics
        before = average.values["0.weight"].clone() if expected is None else expected
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * before + (1 - decay) * network[0].weight.detach()
        values.append(network[0].weight.detach().clone())
        average.update()
        torch.testing.assert_close(average.values["0.weight"], expected)
    with average.instead():
        torch.testing.assert_close(network[0].weight.detach(), expected)
        assert not torch.equal(network[1].running_mean, average.values["1.running_mean"] + 1)
    assert torch.equal(network[0].weight, values[-1])
    assert average.values["1.num_batches_tracked"] == 7


def test_an_average_stays_zero_off_the_support() -> None:
    network = NetworkModule(digits("PSD1_P16"))
    average = Average(network, 0.9)
    for parameter in network.parameters():
        parameter.data.mul_(2)
    average.update()
    conv = network.conv("conv2")
    assert not average.values["layers.conv2.conv.weight"][conv.pruned].any()


@pytest.mark.parametrize("count", [0, 1, 10, 37])
def test_images_held_back(count: int) -> None:
    split = Split(np.arange(40 * 4, dtype=np.uint8).reshape(40, 1, 2, 2), np.arange(40))
    kept, back = held_back(split, count, seed=5)
    assert len(back) == count and sorted([*kept.labels, *back.labels]) == list(range(40))
    for part in (kept, back):
        assert np.array_equal(part.images, split.images[part.labels]) and np.all(np.diff(part.labels) > 0)
    assert np.array_equal(held_back(split, count, seed=5)[1].labels, back.labels)
    if 0 < count < 37:
        assert not np.array_equal(held_back(split, count, seed=6)[1].labels, back.labels)


def blanked_boxes(images: torch.Tensor, value: int) -> list[tuple[int, int, int, int] | None]:
    """(first row, first column, rows, columns) of what is `value` in each image, which must be a whole rectangle."""
    boxes: list[tuple[int, int, int, int] | None] = []
    for image in images:
        blank = (image == value).all(dim=0)
        rows, columns = (torch.nonzero(blank.any(dim=axis)).flatten() for axis in (1, 0))
        if not len(rows):
            boxes.append(None)
            continue
        box = (int(rows[0]), int(columns[0]), len(rows), len(columns))
        assert int(blank.sum()) == box[2] * box[3]
        boxes.append(box)
    return boxes


def test_cutout() -> None:
    images = torch.full((500, 2, 9, 7), 3, dtype=torch.uint8)
    boxes = blanked_boxes(blank_squares(images, 4, 128, generator(0)), 128)
    assert (images == 3).all()
    whole = [box for box in boxes if box and box[2:] == (4, 4)]
    assert len(whole) > 100 and len({box[:2] for box in whole}) == 6 * 4  # every place
    for box in boxes:
        assert box is not None  # the square is around a pixel of the image
        top, left, rows, columns = box
        assert rows == 4 or top == 0 or top + rows == 9
        assert columns == 4 or left == 0 or left + columns == 7


def test_random_erasing() -> None:
    images = torch.full((2000, 1, 32, 32), 3, dtype=torch.uint8)
    boxes = blanked_boxes(blank_rectangles(images, 0.25, 0, generator(0)), 0)
    erased = [box for box in boxes if box]
    assert len(erased) == pytest.approx(500, abs=80)
    areas = [rows * columns / 1024 for _, _, rows, columns in erased]
    assert 0.5 * ERASED_AREA[0] < min(areas) and max(areas) < 1.1 * ERASED_AREA[1]
    assert np.mean(areas) == pytest.approx(np.mean(ERASED_AREA), rel=0.1)
    assert min(box[0] for box in erased) == 0 and max(box[0] + box[2] for box in erased) == 32
    ratios = np.log([rows / columns for _, _, rows, columns in erased])
    assert np.mean(ratios) == pytest.approx(0, abs=0.12) and np.abs(ratios).max() < math.log(1 / 0.3) + 0.35
    assert torch.equal(blank_rectangles(images, 0.0, 0, generator(0)), images)


def test_one_cycle_is_that_of_torch() -> None:
    steps, peak = 40, 0.25
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2.0, total_steps=steps + 1, pct_start=peak)
    schedule = Schedule(name="one_cycle", peak=peak)
    # PyTorch's way up ends a step early: pct_start * total_steps - 1.
    up = peak * (steps + 1) - 1
    for step in range(steps + 1):
        progress = step / up * peak if step <= up else peak + (step - up) / (steps - up) * (1 - peak)
        assert 2.0 * schedule.factor(progress * 3, 3) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        if step < steps:
            theirs.step()


# Runs


def log_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(DIGITS, folder, overrides=(*SHORT, "network.variant=dense"))
    return folder


def test_a_resumed_recipe_is_the_undisturbed_one(teacher: Path, tmp_path: Path, monkeypatch) -> None:
    """All of it at once: whatever state a recipe has is in the checkpoint."""
    recipe = (
        *("epochs=2", "schedule={name: one_cycle}", "mixup=0.3", "ema=0.95", "keep=best", "data.validation=200"),
        *("data.augment={crop: 1, cutout: 3, erase: 0.5}", f"distil={{teacher: {teacher}, weight: 0.5}}"),
        "checkpoint_steps=3",
    )
    whole = train(DIGITS, tmp_path / "whole", overrides=recipe)

    class Interrupted(Exception):
        pass

    steps, original = 0, Monitor.step

    def interrupting(self: Monitor, *arguments: object) -> None:
        nonlocal steps
        steps += 1
        if steps in (8, 25):
            raise Interrupted
        original(self, *arguments)

    monkeypatch.setattr(Monitor, "step", interrupting)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(DIGITS, tmp_path / "parts", resume=True, overrides=recipe)
    parts = train(DIGITS, tmp_path / "parts", resume=True, overrides=recipe)
    one, two = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (whole.kept_epoch, whole.validation_accuracy) == (parts.kept_epoch, parts.validation_accuracy)


def test_the_best_epoch_by_images_held_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last epoch is spoilt by a rate that is far too large; the test set has no say."""
    plain = ("schedule={name: constant}", "optimiser={lr: 0.5, momentum: 0, nesterov: false}")
    original = Schedule.factor

    def spoiling(self: Schedule, epoch: float, epochs: int) -> float:
        return original(self, epoch, epochs) * (10 if epoch > 3 else 1)

    monkeypatch.setattr(Schedule, "factor", spoiling)
    result = train(DIGITS, tmp_path / "run", overrides=("epochs=4", "keep=best", "data.validation=300", *plain))
    log = log_of(tmp_path / "run")
    accuracies = [record["validation_accuracy"] for record in log]
    assert result.kept_epoch == accuracies.index(max(accuracies)) + 1 < 4
    assert result.validation_accuracy == max(accuracies)
    kept = log[result.kept_epoch - 1]
    assert result.test_accuracy == kept["test_accuracy"] > log[-1]["test_accuracy"]
    network = NetworkModule(digits("PSD1_P16"))
    network.load_state_dict(torch.load(tmp_path / "run" / "model.pt", weights_only=True))
    data = load_dataset("digits")
    images = torch.from_numpy(data.input_format.real(data.integers(data.test.images))).float()
    with torch.no_grad():
        right = (network.eval()(images).argmax(1).numpy() == data.test.labels).mean()
    assert right == pytest.approx(result.test_accuracy)


def test_the_average_is_what_is_kept_and_judged(tmp_path: Path) -> None:
    plain = train(DIGITS, tmp_path / "plain", overrides=SHORT)
    mean = train(DIGITS, tmp_path / "mean", overrides=(*SHORT, "ema=0.9"))
    assert mean.train_loss == plain.train_loss  # the same steps
    state = torch.load(tmp_path / "mean" / "checkpoint.pt", weights_only=True)
    kept = torch.load(tmp_path / "mean" / "model.pt", weights_only=True)
    assert state["average"][0] == 2 * (1437 // 64)
    assert all(torch.equal(kept[name], state["average"][1][name]) for name in kept)
    assert any(not torch.equal(kept[name], state["model"][name]) for name in kept)


def test_a_teacher_alone_teaches(teacher: Path, tmp_path: Path) -> None:
    """With weight 1 labels have no part in the loss, and yet the network learns what the teacher knows."""
    alone = (f"distil={{teacher: {teacher}, weight: 1.0, temperature: 2}}", "label_smoothing=0", "epochs=4")
    result = train(DIGITS, tmp_path / "run", overrides=alone)
    assert result.test_accuracy > 0.9
    first, last = log_of(tmp_path / "run")[0], log_of(tmp_path / "run")[-1]
    assert last["train_loss"] < first["train_loss"] / 2


def test_quantisation_aware_training_with_the_float_network_as_teacher(teacher: Path, tmp_path: Path) -> None:
    options = ("quantise.distil={weight: 0.8}", "quantise.qat_epochs=2", "quantise.per_channel=true")
    result = quantise(teacher, tmp_path / "a.yaml", weight_bits=4, activation_bits=4, qat=True, overrides=options)
    without = quantise(teacher, tmp_path / "b.yaml", weight_bits=4, activation_bits=4, qat=True, overrides=options[1:])
    assert result is not None and without is not None and result.identical_images == without.identical_images == 64
    folders = sorted(teacher.glob("qat_w4a4_*"))
    assert len(folders) == 2
    digests = {torch.load(folder / "checkpoint.pt", weights_only=True)["teacher"] for folder in folders}
    network = NetworkModule(digits("dense"))
    network.load_state_dict(torch.load(teacher / "model.pt", weights_only=True))
    assert digests == {"", digest(network)}
    assert result.fixed_accuracy > 0.8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("keep=best",), "data.validation: must be 1 or more with keep: best"),
        (("data.validation=1437",), "at most the 0 training images"),
        (("schedule={name: one_cycle, warmup_epochs: 1}",), "schedule.warmup_epochs: must be 0 with one_cycle"),
        (("schedule={name: one_cycle, peak: 1}",), "schedule.peak: must be below 1"),
        (("distil={weight: 0.5}",), "distil.teacher: must be the folder of a finished training, got none"),
        (("distil={teacher: nowhere}",), "nowhere"),
        (("mixup=-1",), "mixup"),
        (("data.augment.erase=1.5",), "data.augment.erase"),
    ],
)
def test_wrong_recipes_are_refused(overrides: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(DIGITS, tmp_path / "run", overrides=(*SHORT, *overrides))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_more_images_held_back_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data.validation"):
        train(DIGITS, tmp_path / "run", overrides=(*SHORT, "data.validation=1438"))


def test_a_teacher_of_other_images(tmp_path: Path) -> None:
    folder = tmp_path / "teacher"
    folder.mkdir()
    network = make_network("resnet8", "cifar10")
    (folder / "network.json").write_text(json.dumps(network.spec()))
    torch.save(NetworkModule(network).state_dict(), folder / "model.pt")
    with pytest.raises(ConfigError, match=r"distil.teacher: must be a network of images \[1, 8, 8\] and 10 classes"):
        train(DIGITS, tmp_path / "run", overrides=(*SHORT, f"distil.teacher={folder}"))


def test_another_teacher_is_no_resumption(teacher: Path, tmp_path: Path) -> None:
    options = ("epochs=1", "schedule.warmup_epochs=0")
    train(DIGITS, tmp_path / "run", overrides=(*options, f"distil.teacher={teacher}"))
    other = tmp_path / "other"
    train(DIGITS, other, overrides=(*options, "network.variant=dense"))
    with pytest.raises(ConfigError, match="was made with another teacher"):
        train(DIGITS, tmp_path / "run", resume=True, overrides=(*options, f"distil.teacher={other}"))


# Kernels and precision


def test_kernels_are_chosen_by_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = train(DIGITS, tmp_path / "dense", overrides=(*SHORT, "kernels=dense"))
    try:
        sparse = train(DIGITS, tmp_path / "sparse", overrides=(*SHORT, "kernels=sparse"))
        assert sparse.train_loss == pytest.approx(dense.train_loss, rel=0.05) and sparse.train_loss != dense.train_loss
        monkeypatch.setenv(KERNEL.switch, "off")
        with pytest.raises(ConfigError, match="kernels: must be auto or dense without a compiled kernel"):
            train(DIGITS, tmp_path / "none", overrides=(*SHORT, "kernels=sparse"))
    finally:
        periodic.use("auto")


def subject_of(network: Network) -> Trainable:
    return Trainable(NetworkModule(network), network, "PSD1_P16")


def test_precision_is_found_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, large = torch.device("cpu"), subject_of(make_network("resnet8", "cifar10", "PSD1_P16"))
    before = {name: value.clone() for name, value in large.module.state_dict().items()}
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: False)
    assert precision.find(large, cpu) == precision.Found(
        "float32", "float32: this processor has no instructions for bfloat16"
    )
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: True)
    assert precision.find(subject_of(digits()), cpu).why == "float32: the network is small"
    found = precision.find(large, cpu)  # whichever it is here, by real steps
    assert found.why.startswith(f"{found.precision}: a step takes ")
    assert all(torch.equal(value, before[name]) for name, value in large.module.state_dict().items())
    for half, expected in ((0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32")):
        monkeypatch.setattr(precision, "step_times", lambda subject, half=half: (1.0, half))
        assert precision.find(large, cpu).precision == expected


def test_the_precision_found_is_that_of_the_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find", lambda *_: precision.Found("bfloat16", "bfloat16: a test"))
    options = ("epochs=2", "schedule.warmup_epochs=0")

    class Interrupted(Exception):
        pass

    def interrupting(self: Monitor, *_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(Monitor, "epoch", lambda *_: None)
    assert train(DIGITS, tmp_path / "whole", overrides=options).precision == "bfloat16"
    with monkeypatch.context() as patch:
        patch.setattr("pymodel.training.train.Trainer._finish", interrupting)
        with pytest.raises(Interrupted):
            train(DIGITS, tmp_path / "parts", overrides=options)
    monkeypatch.setattr(precision, "find", lambda *_: precision.Found("float32", "float32: a test"))
    assert train(DIGITS, tmp_path / "parts", resume=True, overrides=options).precision == "bfloat16"


def test_progress_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line at least every minute, with loss, accuracy, speed and the time left; at once in the file."""
    out, now = io.StringIO(), [0.0]
    flushed = []
    monkeypatch.setattr(out, "flush", lambda: flushed.append(out.getvalue()))
    monkeypatch.setattr(monitor, "Console", lambda **options: Console(file=out, **{**options, "stderr": False}))
    monkeypatch.setattr(monitor.time, "monotonic", lambda: now[0])
    with Monitor("title", 1000, batch=50, enabled=True) as shown:
        shown.say("precision float32: a test")
        shown.advance(100)
        for step in range(1, 91):
            now[0] += 2.0
            shown.step(lambda step=step: [step * 25.0, step * 10.0, step * 50.0], 0.1)
    lines = out.getvalue().splitlines()
    assert lines[0] == "precision float32: a test"
    assert len(lines) - 1 == pytest.approx(180 / monitor.LINE_SECONDS, abs=1) and monitor.LINE_SECONDS <= 60
    assert lines[1] == "step 116/1000  loss 0.5000  accuracy 20.00%  25.0 images/s  0:29:28 left"
    assert flushed[-1].splitlines() == lines


def test_losses_of_labels_that_are_mixed_and_smoothed_are_those_of_soft_labels() -> None:
    """Cross entropy of mixed labels is the mixture of cross entropies, label smoothing included."""
    logits, labels, partner, share, smooth = torch.randn(6, 4), torch.arange(6) % 4, torch.randperm(6), 0.3, 0.1
    soft = share * functional.one_hot(labels, 4) + (1 - share) * functional.one_hot(labels[partner], 4)
    soft = (1 - smooth) * soft + smooth / 4
    parts = ((labels, share), (labels[partner], 1 - share))
    mixture = sum(part * functional.cross_entropy(logits, wanted, label_smoothing=smooth) for wanted, part in parts)
    torch.testing.assert_close(mixture, -(soft * functional.log_softmax(logits, 1)).sum(1).mean())
