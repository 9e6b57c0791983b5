"""Standard output as a program's own: native libraries print there, too, past sys.stdout."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def own_stdout() -> None:
    """From now on what native libraries and tools print on standard output goes to standard error.

    It would stand in the middle of a JSON result. Where one of the two streams is closed everything stays as it is.
    """
    if sys.stdout is None or sys.stderr is None:
        return
    before = sys.stdout
    before.flush()
    try:
        ours = os.dup(before.fileno())
        os.dup2(sys.stderr.fileno(), before.fileno())
    except OSError:
        return
    sys.stdout = os.fdopen(
        ours, "w", encoding=before.encoding, errors=before.errors, buffering=1 if before.isatty() else -1
    )


@contextmanager
def libraries_silent() -> Iterator[None]:
    """What this process's native libraries print on standard output meanwhile goes nowhere.

    For those that print whatever they are told. What Python has printed before is there; where standard output is
    closed nothing changes.
    """
    _flush()
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush()  # C has a buffer of its own
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
