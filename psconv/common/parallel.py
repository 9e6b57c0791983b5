"""Work in worker processes, one on each core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from typing import TypeVar, TypeVarTuple

from openhls.system.pool import pool

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


def in_workers(
    function: Callable[[*Arguments], Result],
    calls: Sequence[tuple[*Arguments]],
    done: Callable[[int], None] = lambda at: None,
) -> list[Result]:
    """Results of `function(*call)` for each call, in their order; `done` is told the number of each that has ended.

    Raises the first exception of a call; the other workers are ended then.
    """
    if not calls:
        return []
    results: dict[int, Result] = {}
    with pool(min(len(calls), os.cpu_count() or 1)) as executor:
        futures = {executor.submit(function, *call): at for at, call in enumerate(calls)}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            done(futures[future])
    return [results[at] for at in range(len(calls))]
