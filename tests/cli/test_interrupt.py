"""Ctrl-C while a command still imports what it needs: no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT


@pytest.mark.parametrize(("command", "package"), [("psconv", "typer"), ("openhls", "llvmlite")])
def test_an_interrupt_while_importing_ends_in_a_word(command: str, package: str, tmp_path: Path) -> None:
    """A package in the place of a real one is interrupted when it is imported."""
    (tmp_path / f"{package}.py").write_text("raise KeyboardInterrupt\n")
    places = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "hls")])
    run = [sys.executable, "-m", command, "--version"]
    done = subprocess.run(
        run, env=os.environ | {"PYTHONPATH": places}, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
