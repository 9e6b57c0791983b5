"""Wrong inputs of the commands for boards: one clear message each, exit 2, nothing half written."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from psconv.boards.flash import loader
from psconv.boards.record import FILE, Record
from pymodel.common.records import write_npz
from tests.helpers.networks import DIGITS
from tests.helpers.places import EXAMPLES

NETWORK = EXAMPLES / "digits" / "network.yaml"
RECORD = Record(
    board="ulx3s_85f",
    loader="ulx3s",
    bitstream="board.bit",
    network="digits",
    identity="00" * 8,
    baud=3_000_000,
    mhz=100,
    requested_mhz=100,
    fmax_mhz=101,
    seed=1,
    folds={},
    multipliers=82,
    cycles=5000,
    frames_per_second=20_000,
    link_frames_per_second=3_000,
    cells={},
    utilisation={},
    critical_path_ns=9,
    critical_path=[],
    seconds={},
)


def refused(psconv, *arguments: str) -> str:
    code, out, err = psconv(*arguments)
    assert code == 2 and not out and len(err.strip().splitlines()) == 1, err
    return err.strip()


def configuration(tmp_path, **content) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"psconv": 1, "top": "network", **content}))
    return str(path)


def test_boards(psconv, tmp_path) -> None:
    for name in ("nexys", "zcu104"):
        said = refused(psconv, "bitstream", str(NETWORK), "--board", name, "--out", str(tmp_path))
        assert said.startswith("error: --board: must be one of colorlight_i5, orangecrab, tang_primer_20k,")
        assert f"'{name}'" in said
    assert not (tmp_path / "board").exists() and not (tmp_path / "synth").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--clock", "1", "--clock: must be at least 2.401 ns (the fastest process by openhls' delay model of"),
        ("--clock", "900", "--clock: must be at most 80 ns, the PLL's slowest, got 900 ns"),
        ("--clock", "0", "--clock: must be more than 0.5 to 1,000 ns, got 0.0"),
        ("--baud", "300", "--baud: must be 9,600 to 12,000,000 bit/s, got 300"),
        ("--baud", "12000000", "--baud: must be at most 1,562,500 at 12.5 MHz, got 12,000,000"),
    ],
)
def test_clocks_and_rates(psconv, tmp_path, option: str, value: str, message: str) -> None:
    more = ["--clock", "80"] if option == "--baud" else []
    said = refused(
        psconv, "bitstream", str(NETWORK), "--board", "ulx3s_85f", "--out", str(tmp_path), option, value, *more
    )
    assert message in said
    assert not (tmp_path / "board").exists() and not (tmp_path / "synth").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bundle": str(DIGITS), "weights": "streamed"}, "weights: must be rom or loaded on a board"),
        (
            {"network": {"name": "vgg16", "dataset": "cifar10", "variant": "PSD1_P16"}},
            "--board colorlight_i5: the network is too large for LFE5U-25F: its weights have",
        ),
        ({"network": {"name": "resnet18", "dataset": "nowhere"}}, "network: "),
        ({"bundle": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
    ],
)
def test_networks(psconv, tmp_path, content: dict, message: str) -> None:
    config = configuration(tmp_path, **content)
    said = refused(psconv, "bitstream", config, "--board", "colorlight_i5", "--out", str(tmp_path / "out"))
    assert message in said
    assert not (tmp_path / "out" / "board").exists() and not (tmp_path / "out" / "synth").exists()


def test_one_layer_is_no_network(psconv, tmp_path) -> None:
    layer = str(EXAMPLES / "layers" / "dense.yaml")
    said = refused(psconv, "bitstream", layer, "--board", "ulx3s_85f", "--out", str(tmp_path))
    assert "layer: must be left out, a board has a whole network" in said


def test_flash(psconv, tmp_path) -> None:
    said = refused(psconv, "flash", str(tmp_path))
    assert f"must be the folder `board` in the --out of psconv bitstream; no {FILE} there" in said
    RECORD.save(tmp_path)
    assert Record.load(tmp_path) == RECORD
    damaged = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(damaged | {"baud": "fast"}))
    assert "baud: must be a valid integer" in refused(psconv, "flash", str(tmp_path))


def test_flash_calls_the_loader(psconv, tmp_path, monkeypatch) -> None:
    """A loader that writes down what it is given, and one that fails."""
    RECORD.save(tmp_path)
    program = tmp_path / "bin" / "openFPGALoader"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    program.chmod(0o755)
    assert loader() == program
    assert psconv("flash", str(tmp_path), "--permanent", "--json")[0] == 0
    assert (tmp_path / "said").read_text() == f"--board ulx3s --write-flash {tmp_path}/board.bit\n"
    program.write_text("#!/bin/sh\necho no device >&2\nexit 1\n")
    assert refused(psconv, "flash", str(tmp_path)).endswith("failed with 1: no device")
    program.write_text("#!/bin/sh\necho error while loading shared libraries: libusb >&2\nexit 127\n")
    code, _, err = psconv("flash", str(tmp_path))
    assert code == 3 and "libusb" in err and "pip install 'psconv[board]'" in err


def test_classify(psconv, tmp_path) -> None:
    bundle = ("--bundle", str(DIGITS), "--port", str(tmp_path / "nowhere"))
    write_npz(tmp_path / "wrong.npz", images=np.zeros((3, 1, 9, 8), np.int8))
    write_npz(tmp_path / "none.npz", pictures=np.zeros(3))
    write_npz(tmp_path / "labels.npz", images=np.zeros((3, 1, 8, 8), np.int8), labels=np.zeros(4, int))
    for images, message in (
        ("digits", f"--port: {tmp_path}/nowhere: No such file or directory; there are: "),
        ("picture.png", "IMAGES: must be an .npz file or one of cifar10, digits,"),
        (str(tmp_path / "wrong.npz"), "images: shape must be [n, 1, 8, 8], got [3, 1, 9, 8]"),
        (str(tmp_path / "none.npz"), "must hold an array 'images', got pictures"),
        (str(tmp_path / "labels.npz"), "labels: must be integers [3], got int64 [4]"),
    ):
        assert message in refused(psconv, "classify", images, *bundle), images
