"""Signs of life of commands."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from psconv.cli import show
from tests.helpers.places import ROOT


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(show.time, "monotonic", lambda: now)
    with show.status(Console(file=io.StringIO()), "explore") as tell:
        for now in (101.0, 102.5, 103.0, 112.0, 113.0):
            tell(f"{now:g} of [many]")
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == ["explore: 102.5 of [many]", "explore: 113 of [many]"]


def test_a_terminal_gets_a_spinner_with_what_was_told_last() -> None:
    screen = io.StringIO()
    with show.status(Console(file=screen, force_terminal=True, width=80), "explore") as tell:
        tell("3 of [17]")
    assert "explore: 3 of [17]" in screen.getvalue()


NATIVE = """    os.system('echo a tool')
    os.write(1, b'native\\n')
"""


@pytest.mark.parametrize(
    ("native", "closed", "out", "err"),
    [(NATIVE, "", "{}\n", "a tool\nnative\n"), ("", "2>&-", "{}\n", ""), ("", ">&-", "", "")],
    ids=["both open", "standard error closed", "standard output closed"],
)
def test_what_a_native_library_prints_is_no_part_of_standard_output(
    native: str, closed: str, out: str, err: str, tmp_path: Path
) -> None:
    """HiGHS wrote lines before a JSON result. With a stream closed a command still ends as it does."""
    program = (
        "import os, typer\nfrom psconv import cli\napp = typer.Typer()\n"
        f"@app.command()\ndef command():\n{native}    print('{{}}')\ncli.main(app)\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' program.py {closed}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hls")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, out, err)


def test_a_library_is_silent_for_a_while(tmp_path: Path) -> None:
    """C's printf, which has a buffer of its own; what comes before and after is there, also where it raises."""
    program = (
        "import ctypes\n"
        "from pymodel.common.output import libraries_silent\n"
        "printf = ctypes.CDLL(None).printf\n"
        "printf(b'before\\n'); print('ours')\n"
        "try:\n"
        "    with libraries_silent():\n"
        "        printf(b'meanwhile\\n')\n"
        "        raise ValueError\n"
        "except ValueError:\n"
        "    printf(b'after\\n')\n"
    )
    for closed, expected in (("", {"ours", "before", "after"}), (">&-", set())):
        done = subprocess.run(
            ["sh", "-c", f"exec '{sys.executable}' -c \"$PROGRAM\" {closed}"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PROGRAM": program},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, set(done.stdout.split()), done.stderr) == (0, expected, "")
