"""Builds the processes of a design side by side, each in whichever worker is free; the result does not depend on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed

from openhls.driver.build import Built, Job, build
from openhls.driver.cache import Cache
from openhls.system.pool import pool

_WORTH_A_WORKER = 8  # processes: a worker takes as long to start as a few of them take to build


def build_all(
    jobs: Sequence[Job],
    workers: int | None = None,
    cache: Cache | None = None,
    done: Callable[[int, int], None] = lambda now, all: None,
) -> list[Built]:
    """Build every job that is not in the cache.

    Args:
        workers: operating system processes; None: as many as there are cores, but no more than are worth starting.
            They are spawned, so a script that calls this with more than one needs `if __name__ == "__main__":`.
        cache: is looked up, and takes what was built.
        done: is told how many of how many are built.
    Returns:
        The results in the order of the jobs.
    Raises:
        HlsError: that of the first job that has one.
    """
    found = [cache.get(job) if cache else None for job in jobs]
    missing = [k for k, built in enumerate(found) if built is None]
    if workers is None:
        workers = min(len(os.sched_getaffinity(0)), len(missing) // _WORTH_A_WORKER)
    todo = [jobs[k] for k in missing]
    count = len(jobs) - len(todo)
    done(count, len(jobs))

    def told(built: Built) -> Built:
        nonlocal count
        count += 1
        done(count, len(jobs))
        return built

    made = in_parallel(todo, workers, told) if workers > 1 and len(todo) > 1 else map(told, map(build, todo))
    for k, built in zip(missing, made, strict=True):
        found[k] = built
        if cache:
            cache.put(jobs[k], built)
    return [built for built in found if built is not None]


def in_parallel(jobs: Sequence[Job], workers: int, told: Callable[[Built], object]) -> list[Built]:
    """The longest first. told: is given each as it ends."""
    with pool(min(workers, len(jobs))) as executor:
        order = sorted(range(len(jobs)), key=lambda k: -len(jobs[k].source.text))
        futures = {k: executor.submit(build, jobs[k]) for k in order}
        for future in as_completed(futures.values()):
            if future.exception() is None:
                told(future.result())
        return [futures[k].result() for k in range(len(jobs))]
