"""Worker processes, which an interrupt of any kind ends with all that they started, as does the end of this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from .children import guarded

_GRACE_SECONDS = 1.0  # to remove temporary folders in


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """An executor; where the body raises, its workers are ended at once, whatever they are at.

    They are spawned, not forked: CIRCT and LLVM must not share a state with this process.
    """
    with (
        guarded() as group,
        ProcessPoolExecutor(workers, get_context("spawn"), initializer=_join, initargs=(group,)) as executor,
    ):
        try:
            yield executor
        except BaseException:
            _abandon(executor)
            raise


def _join(group: int) -> None:
    """In a worker: Ctrl-C is the parent's, which ends the workers; a worker's own children go with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        os.setpgid(0, group)
    except OSError:  # the parent is gone already, and its guard
        os._exit(1)


def _abandon(executor: ProcessPoolExecutor) -> None:
    workers = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + _GRACE_SECONDS
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
        worker.kill()
