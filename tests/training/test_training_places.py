"""Where trainings lie: one at a time in a folder, each choice of bits in its own, nothing begun that cannot end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

torch = pytest.importorskip("torch")

from openhls.system.locks import InUse, locked  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.training.quantise import quantise  # noqa: E402
from pymodel.training.sweep import sweep  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)
DIGITS = ROOT / "examples" / "digits" / "train.yaml"
SHORT = ("epochs=1", "schedule.warmup_epochs=0", "quantise.qat_epochs=1", "quantise.calibration_images=50")
QAT = SHORT[2:]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places") / "run"
    train(DIGITS, folder, overrides=SHORT)
    return folder


def test_a_second_training_in_a_folder_is_refused(tmp_path: Path, psconv) -> None:
    with locked(tmp_path / "run"), pytest.raises(InUse, match=f"in use by process {os.getpid()} "):
        train(DIGITS, tmp_path / "run", overrides=SHORT)
    with locked(tmp_path / "run"):
        code, _, err = psconv("train", str(DIGITS), "--out", str(tmp_path / "run"))
        assert code == 2 and f"{tmp_path / 'run'}: in use by process {os.getpid()}" in err
        done = subprocess.run(
            [sys.executable, "-m", "pymodel.training", "train", str(DIGITS), "--out", str(tmp_path / "run")],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and done.stderr.startswith(f"error: {tmp_path / 'run'}: in use by process ")
    assert not list(tmp_path.iterdir())


def test_a_second_quantisation_to_a_bundle_is_refused(run: Path, tmp_path: Path) -> None:
    with locked(tmp_path, "b.yaml"):
        with pytest.raises(InUse, match="b.yaml: in use by"):
            quantise(run, tmp_path / "b.yaml", overrides=QAT)
        quantise(run, tmp_path / "other.yaml", overrides=QAT)


def test_quantisation_aware_trainings_of_other_bits_lie_side_by_side(run: Path, tmp_path: Path) -> None:
    for bits, options in ((4, QAT), (3, QAT), (4, (*QAT, "quantise.qat_lr=0.003"))):
        quantise(run, tmp_path / "b.yaml", weight_bits=bits, qat=True, overrides=options)
        assert {form.bits for form in Bundle.load(tmp_path / "b.yaml").weight_formats.values()} == {bits}
    assert sorted(path.name.rpartition("_")[0] for path in run.glob("qat*")) == ["qat_w3a8", "qat_w4a8", "qat_w4a8"]
    with pytest.raises(ConfigError, match=r"qat_w4a8_\w+: holds a training; resume it \(--resume\), remove it"):
        quantise(run, tmp_path / "again.yaml", weight_bits=4, qat=True, overrides=QAT)
    quantise(run, tmp_path / "again.yaml", weight_bits=4, qat=True, overrides=options, resume=True)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_name_that_cannot_be_is_said_before_anything_is_trained(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.yaml"):
        quantise(run, tmp_path / "b.yml", weight_bits=2, qat=True, overrides=QAT)
    assert not list(run.glob("qat_w2*"))


@pytest.mark.parametrize("wrong", ["PSD3_P4", "SVD@nonsense", "Magic@PSD1_P16", "SynFlow@PSD1_P16@SVD"])
def test_a_sweep_looks_at_all_variants_first(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=wrong.rpartition("@")[2] if wrong.count("@") < 2 else "SynFlow"):
        sweep(DIGITS, tmp_path / "runs", ("PSD1_P16", wrong), tmp_path / "r.json", SHORT)
    assert not list(tmp_path.iterdir())


def test_a_sweep_looks_at_all_folders_first(tmp_path: Path) -> None:
    train(DIGITS, tmp_path / "runs" / "dense", overrides=(*SHORT, "network.variant=dense"))
    with pytest.raises(ConfigError, match="dense/checkpoint.pt: was made by another configuration"):
        sweep(DIGITS, tmp_path / "runs", ("PSD1_P16", "dense"), tmp_path / "r.json", (*SHORT, "seed=9"))
    assert not (tmp_path / "runs" / "PSD1_P16").exists()
    with locked(tmp_path, "r.json"), pytest.raises(InUse, match=r"r\.json: in use"):
        sweep(DIGITS, tmp_path / "runs", ("dense",), tmp_path / "r.json", SHORT)


@pytest.mark.slow
def test_the_processes_of_torchrun_write_one_bundle(run: Path, tmp_path: Path) -> None:
    """Under a lock that all but the first would find taken."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--qat", "--weight-bits", "5", *(part for override in QAT for part in ("--set", override))]
    done = subprocess.run(
        [*launcher, "-m", "pymodel.training", "quantize", str(run), "--out", str(tmp_path / "b.yaml"), *options],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"fixed_accuracy"') == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.npz", "b.yaml"]
    assert {form.bits for form in Bundle.load(tmp_path / "b.yaml").weight_formats.values()} == {5}
