"""Worker processes, which an interrupt of any kind ends with all that they started, as does the end of this process."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from openhls.system.children import guarded


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """An executor; where the body raises, its workers are killed, whatever they are at.

    They are spawned, not forked: CIRCT and LLVM must not share a state with this process. Their temporary files lie in
    a folder of this process, which removes what a worker that is killed cannot.
    """
    with (
        tempfile.TemporaryDirectory(prefix="workers_", ignore_cleanup_errors=True) as scratch,
        guarded() as group,
        ProcessPoolExecutor(workers, get_context("spawn"), initializer=_join, initargs=(group, scratch)) as executor,
    ):
        try:
            yield executor
        except BaseException:
            killed = list((executor._processes or {}).values())
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in killed:
                worker.kill()
            raise


def _join(group: int, scratch: str) -> None:
    """In a worker: Ctrl-C is the parent's, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = os.environ["TMPDIR"] = scratch
    try:
        os.setpgid(0, group)
    except OSError:  # the parent is gone already, and its guard
        os._exit(1)
