"""Work in worker processes, one on each core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from typing import Any

from openhls.system.pool import pool


def in_workers(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], done: Callable[[int], None] = lambda at: None
) -> list[Any]:
    """Results of `function(*call)` for each call, in their order; `done` is told the number of each that has ended.

    Raises the first exception of a call; the other workers are ended then.
    """
    if not calls:
        return []
    results: list[Any] = [None] * len(calls)
    with pool(min(len(calls), os.cpu_count() or 1)) as executor:
        futures = {executor.submit(function, *call): at for at, call in enumerate(calls)}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            done(futures[future])
    return results
