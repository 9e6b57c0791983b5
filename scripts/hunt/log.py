"""What a campaign has judged so far: a line for each case, so that a hunt goes on where it was stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pymodel.common.errors import ConfigError

GOOD, DECLINED = "good", "declined"
FAULTS = ("wrong", "refused", "hang", "traceback")


@dataclass(frozen=True)
class Outcome:
    """What became of a case. verdict: good, declined, or a fault's; text: the reason, the fault."""

    index: int
    verdict: str
    seconds: float
    text: str = ""


class Log:
    """The outcomes of one campaign and seed, as FOLDER/NAME_SEED.jsonl: a line of what was hunted, then the cases.

    key: a hash of the program that is hunted. Outcomes under another key are of another program: they are dropped.
    Raises ConfigError: a file that is no such log.
    """

    def __init__(self, folder: Path, name: str, seed: int, key: str) -> None:
        self.path = folder / f"{name}_{seed}.jsonl"
        self.stale = 0  # outcomes that were dropped
        self._head = {"campaign": name, "seed": seed, "program": key}
        self.outcomes = {outcome.index: outcome for outcome in self._read()}
        folder.mkdir(parents=True, exist_ok=True)
        lines = [self._head, *map(asdict, self.outcomes.values())]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def _read(self) -> Iterator[Outcome]:
        if not self.path.exists():
            return
        # A kill may leave half a line at the end, which is the line of no case.
        text = self.path.read_text(encoding="utf-8")
        head, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        try:
            found, outcomes = json.loads(head), [Outcome(**json.loads(line)) for line in lines]
            same = found["program"] == self._head["program"]
        except (ValueError, TypeError, KeyError) as error:
            problem = f"{self.path}: is no log of a hunt ({error}): remove it, or give another --out"
            raise ConfigError(problem) from error
        if same:
            yield from outcomes
        else:
            self.stale = len(outcomes)

    def add(self, outcome: Outcome) -> None:
        """Keeps an outcome: a kill loses none (it is not synced, which costs more than a quick case)."""
        self.outcomes[outcome.index] = outcome
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    def faults(self) -> list[Outcome]:
        """The outcomes that are faults."""
        return [outcome for outcome in self.outcomes.values() if outcome.verdict in FAULTS]

    def row(self) -> dict[str, Any]:
        """The counts, as a row of a table."""
        counts = Counter(outcome.verdict for outcome in self.outcomes.values())
        seconds = sum(outcome.seconds for outcome in self.outcomes.values())
        return {
            "campaign": self._head["campaign"],
            "seed": self._head["seed"],
            "cases": len(self.outcomes),
            **{verdict: counts[verdict] for verdict in (GOOD, DECLINED, *FAULTS)},
            "seconds": round(seconds, 1),
        }

    def reasons(self) -> Counter[str]:
        """Why cases were declined, and how many."""
        return Counter(outcome.text for outcome in self.outcomes.values() if outcome.verdict == DECLINED)
