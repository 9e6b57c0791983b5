"""Runs campaigns: draws cases from a seed, has them judged side by side, makes faults small, keeps a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from psconv.common.fresh import content_key
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json, write_json
from scripts.hunt import CAMPAIGNS
from scripts.hunt.campaign import Campaign, Case
from scripts.hunt.judge import Worker, drawn
from scripts.hunt.log import FAULTS, Log, Outcome
from scripts.places import ROOT

T = TypeVar("T")

_LOOK_SECONDS = 0.02
_SMALLER_SECONDS = 120.0  # that making a fault small may take, beside the case that is at work

# What is hunted: a change of any of these makes the outcomes of before worthless.
_PROGRAM = ("hls", "pymodel", "psconv", "rtl_tb", "scripts", "constraints", "requirements.lock")


@dataclass(frozen=True)
class Hunt:
    """How much: cases, or minutes, whichever is reached first; None: no such limit. jobs: cases side by side."""

    seed: int
    cases: int | None
    minutes: float | None
    jobs: int
    out: Path


def load(name: str) -> Campaign:
    """A campaign by its name. Raises ConfigError: unknown, a package of the tests that is missing."""
    if name not in CAMPAIGNS:
        raise ConfigError(f"hunt: must be one of {', '.join(CAMPAIGNS)}, all, got {name!r}")
    module, attribute = CAMPAIGNS[name].split(":")
    try:
        campaign: Campaign = getattr(import_module(f"{__package__}.{module}"), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"hunt {name}: the package {error.name} is missing: pip install -c requirements.lock -e '.[test,train]'"
        ) from error
    return campaign


def hunt(campaign: Campaign, request: Hunt, say: Callable[[str], None]) -> Log:
    """Judges the cases 0, 1, ... of the seed that the log does not have, and writes the smallest form of each fault.

    say: is told every fault when it is found, and how far the hunt is.
    """
    log = Log(request.out, campaign.name, request.seed, program_key())
    if log.stale:
        say(f"{campaign.name}: the program has changed since {log.stale} cases were judged: they are judged again")
    start, told = time.monotonic(), time.monotonic()
    _apart(campaign.prepare)
    # The workers live in a folder of this hunt, so that two hunts in one folder do not meet.
    workers = [
        Worker(campaign, request.out / "work" / f"{campaign.name}_{request.seed}", at) for at in range(request.jobs)
    ]
    indices, busy = _indices(log, request), set()
    try:
        while True:
            late = request.minutes is not None and time.monotonic() - start > 60 * request.minutes
            for worker in workers:
                if worker.number not in busy and not late and (index := next(indices, None)) is not None:
                    worker.give(request.seed, index)
                    busy.add(worker.number)
            if not busy:
                return log
            for worker in workers:
                if worker.number in busy and (outcome := worker.take()):
                    busy.discard(worker.number)
                    log.add(outcome)
                    if outcome.verdict in FAULTS:
                        say(_fault(campaign, request, worker, outcome))
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"{campaign.name}: {len(log.outcomes)} cases, {len(log.faults())} faults")
            time.sleep(_LOOK_SECONDS)
    finally:
        for worker in workers:
            worker.end()


def repeat(campaign: Campaign, case: Case, out: Path) -> Outcome:
    """Judges one case, in a process of its own."""
    worker = Worker(campaign, out / "work" / "repeat", 0)
    try:
        return _judged(worker, case)
    finally:
        worker.end()


def read_case(path: Path) -> tuple[str, Case]:
    """Campaign and case of a file that a hunt has written. Raises ConfigError: no such file, of another form."""
    try:
        data = read_json(path)
        return data["campaign"], data["case"]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: is no case of a hunt: {error}") from error


def program_key() -> str:
    """A hash of everything that is hunted."""
    files = [
        file
        for part in _PROGRAM
        for file in (
            [ROOT / part]
            if (ROOT / part).is_file()
            else sorted(f for f in (ROOT / part).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
        )
    ]
    return content_key([str(file.relative_to(ROOT)) for file in files], *files)


def _indices(log: Log, request: Hunt) -> Iterator[int]:
    return (
        index for index in (range(request.cases) if request.cases is not None else count()) if index not in log.outcomes
    )


def _fault(campaign: Campaign, request: Hunt, worker: Worker, outcome: Outcome) -> str:
    """Makes the case of a fault small, writes it, and says how to repeat it."""
    case, least = _apart(drawn, campaign, request.seed, outcome.index), outcome
    if outcome.verdict != "hang":
        case, least = _smallest(campaign, worker, case, outcome)
    path = request.out / "faults" / f"{campaign.name}_{request.seed}_{outcome.index}.json"
    write_json(
        path,
        {
            "campaign": campaign.name,
            "seed": request.seed,
            "index": outcome.index,
            "verdict": least.verdict,
            "text": least.text,
            "case": case,
        },
    )
    return f"{campaign.name} {outcome.index}: {least.verdict}: {least.text}\n  python -m scripts hunt --case {path}"


def _apart(function: Callable[..., T], *args: Any) -> T:
    """Its result, from a process that ends: this one stays without threads, for those that are forked from it."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(function, *args).result()


def _smallest(campaign: Campaign, worker: Worker, case: Case, outcome: Outcome) -> tuple[Case, Outcome]:
    """The smallest case found that has a fault of the same verdict, with its outcome."""
    ends = time.monotonic() + _SMALLER_SECONDS
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in campaign.smaller(case):
            if time.monotonic() > ends:
                return case, outcome
            found = _judged(worker, candidate)
            if found.verdict == outcome.verdict:
                case, outcome, shrunk = candidate, found, True
                break
    return case, outcome


def _judged(worker: Worker, case: Case) -> Outcome:
    worker.give(0, 0, case)
    while (outcome := worker.take()) is None:
        time.sleep(_LOOK_SECONDS)
    return outcome
