"""Signs of life of commands."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from psconv.cli import show


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
