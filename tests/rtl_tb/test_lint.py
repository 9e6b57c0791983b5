"""Each component of the bench elaborates alone, and Verilator has nothing to say about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rtl_tb import build
from rtl_tb.harness import components

PACKAGE, *MODULES = components()
# A component reads some fields of a word, and a random bit is made of some of a state's bits.
WARNINGS = ("-Wall", "-Wno-UNUSEDSIGNAL")


def lint(path: Path) -> str:
    """What Verilator says about a module that is called as its file."""
    options = ["--lint-only", "--timing", "--timescale", "1ns/1ps", *WARNINGS, "--top-module", path.stem]
    command = [build.verilator(), *options, str(PACKAGE), *(str(one) for one in MODULES if one.stem != path.stem)]
    done = subprocess.run([*command, str(path)], env=build.tool_environment(), capture_output=True, text=True)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_component_has_no_warning(path: Path) -> None:
    assert lint(path) == ""


def test_a_warning_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "axis_sink.sv"
    text = next(one for one in MODULES if one.stem == "axis_sink").read_text()
    path.write_text(text.replace("endmodule", "  logic [7:0] wide;\n  assign wide = 9'h100;\nendmodule"))
    assert "%Warning-WIDTHTRUNC" in lint(path)
