"""Work in worker processes, one on each core, which an interrupt of any kind ends with all that they started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from openhls.workers import abandon


def in_workers(
    function: Callable[..., Any], calls: Sequence[tuple], done: Callable[[int], None] = lambda at: None
) -> list[Any]:
    """Results of `function(*call)` for each call, in their order; `done` is told the number of each that has ended.

    Raises the first exception of a call; the other workers are ended then.
    """
    if not calls:
        return []
    count = min(len(calls), os.cpu_count() or 1)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        futures = {pool.submit(function, *call): at for at, call in enumerate(calls)}
        results: list[Any] = [None] * len(calls)
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                done(futures[future])
        except BaseException:
            abandon(pool)
            raise
    return results


def _quiet() -> None:
    """Ctrl-C is the parent's, which ends the workers; a worker's own children go with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
