"""Child processes: none outlives this one, however it ends, and none sees variables that were set for other tools.

A child joins the process group of a guard, a shell that waits for the end of a pipe of which this process holds the
other side. The kernel closes it when this process ends, SIGKILL included; the guard then kills its group, and with it
whatever the child has started in turn.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_GUARD = ("/bin/sh", "-c", 'trap "" HUP INT TERM; read -r _; kill -KILL 0')

# What a tool may see of the environment. Anything else could change what it makes: CPATH is read by every C++
# compiler, each name of a makefile's variables (OPT, CXXFLAGS, LDFLAGS) by make, COCOTB_... by a simulation.
_PASSED = frozenset(
    {
        "HOME",
        "LANG",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "TEMP",
        "TMP",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "YOWASP_CACHE_DIR",
        "ZIG_GLOBAL_CACHE_DIR",
    }
)
_PASSED_PREFIX = "PSCONV_"


def environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a tool, which speaks English: a few variables of this process, and `further`."""
    passed = {key: value for key, value in os.environ.items() if key in _PASSED or key.startswith(_PASSED_PREFIX)}
    return passed | {"LC_ALL": "C"} | dict(further or {})


@contextmanager
def guarded() -> Iterator[int]:
    """A process group for children; whatever is in it is killed on leaving, or when this process ends."""
    guard = subprocess.Popen(
        _GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", process_group=0
    )
    try:
        yield guard.pid
    finally:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()


@contextmanager
def started(command: Sequence[str | os.PathLike[str]], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A child in a guarded group; on leaving it has ended, and all that it started.

    options: of subprocess.Popen; unless they say otherwise it has nothing to read.
    """
    with guarded() as group:
        child = subprocess.Popen(command, process_group=group, **{"stdin": subprocess.DEVNULL, **options})
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        finally:
            child.wait()


def run(
    command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a tool to its end in `environment(env)` and keeps what it prints; bytes that are no UTF-8 are kept, too."""
    with started(
        command,
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
    ) as child:
        out, err = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode, out, err)
