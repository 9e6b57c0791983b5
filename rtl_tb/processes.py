"""Child processes that never outlive this one, and the useful lines of their logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable

_LOOK_SECONDS = 1.0


def wait(process: subprocess.Popen, look: Callable[[], None] | None = None) -> int:
    """Exit status; an interrupt of any kind takes the whole process group with it. Calls `look` each second."""
    try:
        while True:
            try:
                return process.wait(_LOOK_SECONDS if look else None)
            except subprocess.TimeoutExpired:
                look()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def log_tail(log: str, lines: int = 15) -> str:
    """The lines that name an error if there are any, else the last ones."""
    everything = [line.rstrip() for line in log.splitlines() if line.strip()]
    errors = [line for line in everything if re.search(r"%Fatal|[Ee]rror", line)]
    return "\n".join((errors or everything)[-lines:])
