"""Runs a child process while its log grows, and finds the useful lines in it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from openhls.system import children

_LOOK_SECONDS = 1.0


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: IO[str],
    look: Callable[[], None] | None = None,
) -> int:
    """Exit status of a command in `folder`, its output in `log`. Calls `look` each second."""
    with children.started(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT) as process:
        while True:
            try:
                return int(process.wait(_LOOK_SECONDS if look else None))
            except subprocess.TimeoutExpired:
                if look:
                    look()


def log_tail(log: str, lines: int = 15) -> str:
    """The lines that name an error if there are any, else the last ones."""
    everything = [line.rstrip() for line in log.splitlines() if line.strip()]
    errors = [line for line in everything if re.search(r"%Fatal|[Ee]rror", line)]
    return "\n".join((errors or everything)[-lines:])
