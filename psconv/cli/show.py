"""What commands print, and the folder that a command has for itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from openhls.system.locks import locked
from rich.console import Console
from rich.text import Text

from psconv.common import tables
from psconv.common.tables import Row
from pymodel.common.records import json_text

FIRST_SECONDS, LINE_SECONDS = 2.0, 10.0  # of a command without a terminal that says how far it is

kept = ExitStack()  # locks, until the command has ended


def keep(folder: Path) -> None:
    """Nobody else writes in `folder` until this command has ended. Raises InUse, which says who does."""
    kept.enter_context(locked(folder))


def console(stderr: bool = False) -> Console:
    """Standard output, or standard error; a pipe gets lines of 120 columns. Brackets, in a name say, are brackets."""
    console = Console(stderr=stderr, markup=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, markup=False, emoji=False, width=120)


@contextmanager
def status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """A sign of life while something is done; what it yields is told how far that is.

    On a terminal a spinner with what was told last; elsewhere a line on standard error, after FIRST_SECONDS and then at
    most one in LINE_SECONDS.
    """
    if console.is_terminal:
        # rich takes brackets in a status for markup whatever its console says.
        with console.status(Text(text)) as spinner:
            yield lambda more: spinner.update(Text(f"{text}: {more}"))
        return
    next_line = time.monotonic() + FIRST_SECONDS

    def tell(more: str) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            print(f"{text}: {more}", file=sys.stderr, flush=True)
            next_line = time.monotonic() + LINE_SECONDS

    yield tell


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
