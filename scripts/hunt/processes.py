"""Which processes a command has started, however far down, found by a variable of the environment (Linux)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "PSCONV_MARK"


@contextmanager
def signals_heard() -> Iterator[None]:
    """A process that starts meanwhile hears what this one ignores, as under nohup or in a shell's background."""
    ignored = [one for one in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, signal.SIG_DFL)
    try:
        yield
    finally:
        for one in ignored:
            signal.signal(one, signal.SIG_IGN)


def running(mark: str) -> dict[int, str]:
    """Command lines of the processes in whose environment VARIABLE is `mark`, by process number."""
    entry = f"{VARIABLE}={mark}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if entry in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # of another user, or gone
            continue
    return found


def left(mark: str, seconds: float, but: int | None = None) -> dict[int, str]:
    """The processes that are still running after so many seconds, `but` one."""
    end = time.monotonic() + seconds
    while (found := running(mark)).keys() - {but} and time.monotonic() < end:
        time.sleep(0.05)
    return {number: command for number, command in found.items() if number != but}


def processor_seconds(group: int) -> float:
    """What the living processes of a process group, and those that they have waited for, have taken of processors.

    0 where there is no /proc.
    """
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")
