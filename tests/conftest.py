"""Fixtures that several test files use."""

from __future__ import annotations

import pytest

from psconv import cli
from scripts import __main__ as repository


@pytest.fixture
def psconv(monkeypatch, capsys):
    """Runs the command line in this process: exit code, standard output, standard error."""

    return _in_process("psconv", cli.app, monkeypatch, capsys)


@pytest.fixture
def on_repository(monkeypatch, capsys):
    """Runs `python -m scripts` likewise."""
    return _in_process("scripts", repository.app, monkeypatch, capsys)


def _in_process(name, commands, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [name, *arguments])
        with pytest.raises(SystemExit) as leave:
            cli.main(commands)
        captured = capsys.readouterr()
        return leave.value.code, captured.out, captured.err

    return run
