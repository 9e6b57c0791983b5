"""Standard output as a program's own: nothing but what the program itself prints."""

from __future__ import annotations

import os
import sys


def own_stdout() -> None:
    """From now on what native libraries and tools print on standard output goes to standard error.

    HiGHS prints some lines whatever it is told; they would stand in the middle of a JSON result. Where one of the two
    streams is closed everything stays as it is.
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
