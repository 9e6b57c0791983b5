"""Fixtures that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest

from psconv import cli


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder for what all simulations of openhls' tests have in common."""
    return tmp_path_factory.mktemp("verilator")


@pytest.fixture
def psconv(monkeypatch, capsys):
    """Runs the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["psconv", *arguments])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        captured = capsys.readouterr()
        return leave.value.code, captured.out, captured.err

    return run
