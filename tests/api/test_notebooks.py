"""The notebooks of the examples run as they stand, in a folder of one's own, and are kept without what they printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.notebooks import code_cells
from tests.helpers.places import EXAMPLES, ROOT

pytest.importorskip("torch", reason="trains a network")
NOTEBOOKS = sorted(EXAMPLES.rglob("*.ipynb"))


def executed(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A notebook in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "hls"))), "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "tests.helpers.notebooks", path.name]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_has_no_outputs(path: Path) -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(path))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_own_network(tmp_path: Path, psconv) -> None:
    """From the module to the report; the numbers are looked at here, as the notebook's own program prints them."""
    folder = tmp_path / "mine"
    assert psconv("init", "own_network", str(folder))[0] == 0
    done = executed(folder / "own_network.ipynb", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    shown = done.stdout
    assert "support=PSD1_P16" in shown  # the converted module
    assert "conv1" in shown and "8 bits, 2^-" in shown  # the summary
    [before] = [line for line in shown.splitlines() if line.startswith("in floating point: ")]
    [after] = [line for line in shown.splitlines() if line.startswith("in fixed point: ")]
    assert float(before.split()[3].rstrip("%")) > 90 and float(after.split()[3].rstrip("%")) > 88
    assert "<table><tr><th>" in shown and "every output value is exact" in shown  # the result, as Jupyter shows it
    assert " cycles for 4 images, " in shown and "'DSP': " in shown
    assert (folder / "hardware" / "report" / "report.html").stat().st_size > 10_000
    modules = sorted(path.name for path in (folder / "hardware" / "synth" / "network" / "rtl").glob("*.sv"))
    assert modules and modules[0] in shown


def test_a_cell_that_fails_fails(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(
        '{"cells": [{"cell_type": "markdown", "source": ["x"]}, {"cell_type": "code", "source": ["a = 7\\n", "a"]},'
        ' {"cell_type": "code", "source": ["assert a == 8"]}]}'
    )
    done = executed(tmp_path / "n.ipynb", tmp_path)
    assert done.returncode == 1 and done.stdout == "7\n" and "cell 1" in done.stderr
