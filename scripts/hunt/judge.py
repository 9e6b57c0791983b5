"""Judges cases in a process of their own, which can be ended with all that it started."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from scripts.hunt.campaign import Campaign, Case, Declined, Fault
from scripts.hunt.log import DECLINED, GOOD, Outcome
from scripts.hunt.processes import processor_seconds

_LINES = 12  # of a traceback, the last ones
_PATIENCE = 10  # times the limit, by the clock: other processes may have the processors


def judge(campaign: Campaign, case: Case, folder: Path, index: int = 0) -> Outcome:
    """What becomes of a case, in this process, without a limit of time. `folder` is made and removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    verdict, text = GOOD, ""
    try:
        campaign.check(case, folder)
    except Declined as reason:
        verdict, text = DECLINED, str(reason)
    except Fault as fault:
        verdict, text = fault.verdict, str(fault)
    except Exception:
        verdict, text = "traceback", "\n".join(traceback.format_exc().splitlines()[-_LINES:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(index, verdict, round(time.monotonic() - start, 3), text)


def drawn(campaign: Campaign, seed: int, index: int) -> Case:
    """Case number `index` of a seed, whatever the machine and whatever was drawn before."""
    return campaign.draw(np.random.default_rng([seed, index]))


@dataclass
class Worker:
    """A process that judges one case after the other. A case that takes too long ends the process, which starts anew:
    longer than the campaign's limit on the processors, or many times as long by the clock.

    It draws its cases itself: what a campaign calls may start threads, which a process that is forked later would miss.
    number: of the worker, for its folder and for what its cases print.
    """

    campaign: Campaign
    folder: Path
    number: int
    _process: Any = None
    _pipe: Any = None
    _index: int = 0
    _begun: float = 0.0
    _spent: float = 0.0

    def give(self, seed: int, index: int, case: Case | None = None) -> None:
        """Starts to judge a case: this one, or number `index` of the seed."""
        if self._process is None:
            context = get_context("fork")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=self._work, args=(theirs,), daemon=False)
            self._process.start()
            theirs.close()
        self._index, self._begun = index, time.monotonic()
        self._spent = processor_seconds(self._process.pid)
        self._pipe.send((seed, index, case))

    def take(self) -> Outcome | None:
        """The outcome of the case at work, None as long as there is none."""
        try:
            if self._pipe.poll(0):
                outcome: Outcome = self._pipe.recv()
                return outcome
        except (EOFError, OSError):
            self.end()
            return Outcome(self._index, "traceback", 0.0, "the process that judged this case died")
        clock, limit = time.monotonic() - self._begun, self.campaign.seconds
        if clock < limit:
            return None
        spent = processor_seconds(self._process.pid) - self._spent
        if spent < limit and clock < _PATIENCE * limit:
            return None
        self.end()
        return Outcome(self._index, "hang", clock, f"no end after {clock:.0f} s, {spent:.0f} s of processors")

    def end(self) -> None:
        """Ends the process with all that it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()
        self._process = self._pipe = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def _scratch(self) -> Path:
        return self.folder / f"worker{self.number}"

    def _work(self, pipe: Any) -> None:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.folder.mkdir(parents=True, exist_ok=True)
        printed = os.open(self.folder / f"worker{self.number}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(printed, stream)
        if isinstance(sys.stdout, io.TextIOWrapper):  # else nothing buffers it
            sys.stdout.reconfigure(line_buffering=True)
        while True:
            try:
                seed, index, case = pipe.recv()
            except EOFError:
                os._exit(0)
            os.ftruncate(printed, 0)
            found = drawn(self.campaign, seed, index) if case is None else case
            pipe.send(judge(self.campaign, found, self._scratch, index))
