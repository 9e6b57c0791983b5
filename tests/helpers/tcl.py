"""Runs a script of an HLS tool under a real Tcl interpreter in which the tool's commands only record their calls."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

MARK, SEPARATOR = "call:", "\x1f"

# `exit` ends the interpreter as it would end the tool; any other unknown command is Tcl's own error.
_PRELUDE = """\
rename exit leave
proc record {{args}} {{ puts "{mark}[join $args {separator}]" }}
foreach name {{{names}}} {{ proc $name args "record $name {{*}}\\$args" }}
proc exit args {{ record exit {{*}}$args; leave }}
source {script}
"""


def interpreter() -> list[str] | None:
    """A command that runs a Tcl file: tclsh, or the interpreter inside tkinter, which needs no display."""
    if tclsh := shutil.which("tclsh"):
        return [tclsh]
    if importlib.util.find_spec("_tkinter"):
        return [sys.executable, "-c", "import sys, tkinter; tkinter.Tcl().evalfile(sys.argv[1])"]
    return None


def calls(script: Path, names: Iterable[str], folder: Path) -> list[list[str]]:
    """The tool's commands that a script called, in order, each with its arguments. Raises AssertionError for a script
    that fails."""
    command = interpreter()
    assert command is not None
    text = _PRELUDE.format(mark=MARK, separator=SEPARATOR, names=" ".join(names), script="{" + str(script) + "}")
    recorder = folder / "record.tcl"
    recorder.write_text(text)
    done = subprocess.run([*command, str(recorder)], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    lines = [line.removeprefix(MARK) for line in done.stdout.splitlines() if line.startswith(MARK)]
    return [line.split(SEPARATOR) for line in lines]
