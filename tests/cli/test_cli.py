"""The command line: exit codes, JSON beside every table, help for every command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer

from psconv import __version__, cli
from tests.helpers.places import ROOT

EXAMPLE = str(ROOT / "examples" / "layers" / "cout1.yaml")


@pytest.fixture
def folders(tmp_path):
    """Outputs of two runs that differ in one element of three."""
    for name, y in (("a", [[[[1, 2, 3]]]]), ("b", [[[[1, 2, 5]]]])):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "conv.npz", y=np.array(y, np.int8))
    return str(tmp_path / "a"), str(tmp_path / "b")


COMMANDS = [
    "init",
    "run",
    "golden",
    "csim",
    "synth",
    "cosim",
    "report",
    "resources",
    "compare",
    "complexity",
    "energy",
    "train",
    "quantize",
    "sweep",
    "explore",
    "fits",
    "frontier",
    "pack-weights",
    "board",
    "bitstream",
    "flash",
    "classify",
    "import",
    "export",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, psconv):
    code, out, _ = psconv(command, "--help")
    assert code == 0
    assert "Usage" in out and ("--out" in out or "--json" in out)


def test_no_command_is_left_out():
    assert set(typer.main.get_command(cli.app).commands) == set(COMMANDS)


def test_the_version_is_told(psconv):
    assert psconv("--version") == (0, f"psconv {__version__}\n", "")


@pytest.mark.parametrize("command", ["bench", "hunt"])
def test_every_command_on_the_repository_explains_itself(command, on_repository):
    code, out, _ = on_repository(command, "--help")
    assert code == 0 and "Usage" in out and "--out" in out and "--json" in out
    code, _, err = on_repository(command, "nonsense")
    assert code == 2 and "Traceback" not in err and ("golden" in err or "layers" in err)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nonsense"], "nonsense"),
        (["run"], "CONFIG"),
        (["run", EXAMPLE, "--nonsense"], "--nonsense"),
        (["synth", EXAMPLE, "--hls", "nonsense"], "--hls: must be one of open, vitis, bambu, got 'nonsense'"),
        (["complexity", "--network", "nonsense"], "resnet18"),
        (["complexity", "--variant", "PSD3_P4"], "PSD3_P4"),
        (["energy", "--multipliers", "0"], "multipliers"),
        (["compare", "none", "none"], "none"),
    ],
)
def test_wrong_use_exits_with_2(arguments, words, psconv):
    code, _, err = psconv(*arguments)
    assert code == 2
    assert words in err and "Traceback" not in err


@pytest.mark.parametrize("command", [["golden", EXAMPLE], ["run", EXAMPLE]])
def test_an_out_that_cannot_be_is_named(command, tmp_path, psconv):
    (tmp_path / "file").write_text("in the way")
    code, _, err = psconv(*command, "--out", str(tmp_path / "file" / "out"))
    assert code == 2 and "Traceback" not in err
    assert str(tmp_path / "file") in err and "Not a directory" in err


def test_compare_equal_exits_with_0(folders, psconv):
    code, out, _ = psconv("compare", folders[0], folders[0])
    assert code == 0 and "equal" in out


def test_compare_names_the_place_and_exits_with_1(folders, psconv):
    code, out, _ = psconv("compare", *folders)
    assert code == 1
    assert "image 0, channel 0, row 0, column 2: 3 against 5" in out


def test_compare_as_json(folders, psconv):
    code, out, _ = psconv("compare", *folders, "--json")
    result = json.loads(out)
    assert code == 1 and not result["equal"]
    assert result["layers"][0]["differing"] == 1 and result["layers"][0]["histogram"] == {"2": 1}


def test_complexity_as_json_has_the_papers_reductions(psconv):
    code, out, _ = psconv("complexity", "--variant", "PSD1_P16", "--json")
    reduction = json.loads(out)["variants"]["PSD1_P16"]["reduction"]
    assert code == 0
    assert round(100 * (1 - 1 / reduction["weights"])) == 82 and round(reduction["macs"], 1) == 5.6


@pytest.mark.parametrize("option", ["--layers", "--storage"])
def test_complexity_tables(option, psconv):
    code, out, _ = psconv("complexity", "--network", "digits", "--dataset", "digits", "--variant", "PSD1_P16", option)
    assert code == 0 and ("conv2" in out or "periodic" in out)


def test_energy_as_json(psconv):
    code, out, _ = psconv("energy", "--network", "vgg16", "--variant", "PSD1_P16", "--json")
    by_format = {row["format"]: row for row in json.loads(out)}
    assert code == 0
    assert by_format["periodic"]["total_uJ"] < by_format["per_weight"]["total_uJ"]


def test_golden_writes_its_outputs(tmp_path, psconv):
    code, out, _ = psconv("golden", EXAMPLE, "--out", str(tmp_path), "--json")
    [row] = json.loads(out)
    with np.load(tmp_path / "golden" / "layer.npz") as arrays:
        assert arrays["x"].shape == (2, 16, 6, 6) and arrays["y"].shape == (2, 1, 6, 6)
        assert row["highest"] == arrays["y"].max()
    assert code == 0
    assert json.loads((tmp_path / "config.json").read_text())["layer"]["support"] == "PSD1_P8"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_all_that_it_has_started(tmp_path, number, status):
    mark = f"PSCONV_TEST_MARK={tmp_path}".encode()

    def running() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # of another user, or gone
                continue
        return found

    def wait_until(condition) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, running()
            time.sleep(0.1)

    run = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "psconv",
            "run",
            str(ROOT / "examples" / "digits" / "run.yaml"),
            "--out",
            str(tmp_path / "out"),
        ],
        cwd=ROOT,
        env=os.environ | {"PSCONV_TEST_MARK": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any("ziglang" in command for command in running()))  # what a worker has started
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == status and "Traceback" not in said
    wait_until(lambda: not running())
