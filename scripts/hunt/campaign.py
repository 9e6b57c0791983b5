"""What a campaign is: it draws inputs from a seed, judges each, and knows simpler inputs of the same sort."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

Verdict = Literal["wrong", "refused", "hang", "traceback"]
Case = dict[str, Any]


class Fault(Exception):
    """A case that was not met as it should be: what was seen, beside what would be right.

    verdict: "wrong" (other values, cycles or resources than the independent answer, with no message), "refused" (a
    right input refused, or called wrong), "hang" (no end in the time that it may take), "traceback" (an exception
    where a message is due).
    """

    def __init__(self, verdict: Verdict, text: str) -> None:
        super().__init__(text)
        self.verdict = verdict


class Declined(Exception):
    """A case that is refused with good reason; the reason is counted in the table."""


class Campaign(Protocol):
    """A sort of inputs. A case is a mapping that JSON holds, so that it can be printed and repeated from a file."""

    name: str  # as in `python -m scripts hunt NAME`
    help: str  # one line: what is compared with what
    aim: int  # cases that docs/measurements/hunt.md promises
    seconds: float  # of processors that one case may take before it is called a hang; ten times as many by the clock

    def prepare(self) -> None:
        """Compiles, once, what all cases share, so that it counts in the time of none. Here: there is nothing."""
        return

    def draw(self, rng: np.random.Generator) -> Case:
        """A random case; all that is random about it comes from `rng`."""

    def check(self, case: Case, folder: Path) -> None:
        """Returns where all is as it should be. `folder` is empty and this case's own; it is removed afterwards.

        Raises: Fault; Declined; any other exception is a fault of verdict "traceback".
        """

    def smaller(self, case: Case) -> Iterator[Case]:
        """Simpler cases that may show the same fault, the greatest steps first; none for the simplest."""
