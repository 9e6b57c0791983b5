"""What commands print, and the folder that a command has for itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from openhls.system.locks import locked
from rich.console import Console
from rich.status import Status
from rich.text import Text

from psconv.common import tables
from psconv.common.tables import Row
from pymodel.common.records import json_text

kept = ExitStack()  # locks, until the command has ended


def keep(folder: Path) -> None:
    """Nobody else writes in `folder` until this command has ended. Raises InUse, which says who does."""
    kept.enter_context(locked(folder))


def console(stderr: bool = False) -> Console:
    """Standard output, or standard error; a pipe gets lines of 120 columns. Brackets, in a name say, are brackets."""
    console = Console(stderr=stderr, markup=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, markup=False, emoji=False, width=120)


def status(console: Console, text: str) -> Status:
    """rich takes brackets in a status for markup whatever its console says."""
    return console.status(Text(text))


def table(title: str, rows: list[Row], console: Console, as_json: bool) -> None:
    """One definition of rows for people and for machines."""
    if as_json:
        print(json_text(rows))
        return
    for table in tables.terminal(title, rows, console.width):
        console.print(table)


def result(title: str, result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json_text(result))
        return
    rows = [{"result": key, "value": json_text(value, indent=None)} for key, value in result.items()]
    table(title, rows, console(), False)
