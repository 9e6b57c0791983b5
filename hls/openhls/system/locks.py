"""Locks, so that two processes do not write the same files.

The kernel frees a lock when the process that holds it ends, whatever the way.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path


class InUse(OSError):
    """Another process writes there; `strerror` says which one, and since when."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


@contextmanager
def locked(folder: Path, name: str = "", *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, or that of what is called `name` in it: no other process gets it meanwhile.

    The folder is made if it is missing, and removed again where nothing was written to it. wait: until the lock is
    free. Raises InUse where it is not.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    file = folder / f".{name}.lock" if name else folder / ".lock"
    descriptor = _acquired(file, folder / name, wait)
    try:
        holder = {"pid": os.getpid(), "command": _command(), "since": datetime.now().strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # something is in it
            for one in made:
                one.rmdir()


def _acquired(file: Path, subject: Path, wait: bool) -> int:
    """The descriptor of the locked file, which is the one that has the name: its last holder may have removed it."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # its last holder has just removed the folder as well
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is(file, descriptor):
                return descriptor
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            advice = "wait for it, end it, or choose another place"
            raise InUse(errno.EBUSY, f"in use by {holder}; {advice}", str(subject)) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1 << 16, 0))
        return f"process {holder['pid']} ({holder['command']}) since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has the lock, and has not yet said so
        return "another process"


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
