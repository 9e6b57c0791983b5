"""The frame of the campaigns: outcomes of every sort, logs, faults made small, hunts that go on."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from pymodel.common.errors import ConfigError
from scripts import hunt
from scripts.hunt import runner
from scripts.hunt.campaign import Campaign, Declined, Fault
from scripts.hunt.judge import judge
from scripts.hunt.log import Log
from tests.helpers.places import FOUND


class Numbers(Campaign):
    """Numbers from 0 to 99, of which some are met with each of the outcomes."""

    name, help, aim, seconds = "numbers", "numbers", 5, 0.5
    slow = 0.0

    def draw(self, rng: np.random.Generator) -> dict:
        return {"number": int(rng.integers(100))}

    def check(self, case: dict, folder: Path) -> None:
        assert folder.is_dir() and not list(folder.iterdir())
        (folder / "scratch").write_text("x")
        print("noise")
        number = case["number"]
        time.sleep(self.slow)
        if number >= 90:
            raise Fault("wrong", f"{number} is too large")
        if number in (80, 81):
            raise Declined("number 80")
        if number == 70:
            time.sleep(1000)
        while number == 73:  # busy for ever
            pass
        if number == 71:
            os._exit(3)
        if number == 72:
            raise KeyError("seventy-two")

    def smaller(self, case: dict):
        yield {"number": case["number"] // 2}
        yield {"number": case["number"] - 1}


class Prepared(Numbers):
    """Numbers that share what takes longer than a case may."""

    def prepare(self) -> None:
        ends = time.process_time() + 2 * self.seconds
        while time.process_time() < ends:
            pass
        Path("prepared").touch()

    def check(self, case: dict, folder: Path) -> None:
        assert Path("prepared").exists()


def run(tmp_path: Path, seed: int = 1, cases: int = 60, jobs: int = 2) -> tuple[Log, list[str]]:
    said: list[str] = []
    return runner.hunt(Numbers(), runner.Hunt(seed, cases, None, jobs, tmp_path), said.append), said


def test_a_hunt_finds_writes_and_repeats_faults(tmp_path):
    log, said = run(tmp_path)
    numbers = {at: runner.drawn(Numbers(), 1, at)["number"] for at in range(60)}
    large = [at for at, number in numbers.items() if number >= 90]
    assert large and sorted(outcome.index for outcome in log.faults() if outcome.verdict == "wrong") == large
    assert log.row()["cases"] == 60
    for at in large:
        path = tmp_path / "faults" / f"numbers_1_{at}.json"
        record = json.loads(path.read_text())
        assert record["case"] == {"number": 90} and record["text"] == "90 is too large"
        assert any(str(path) in line for line in said)
        outcome = runner.repeat(Numbers(), runner.read_case(path)[1], tmp_path)
        assert outcome.verdict == "wrong"
    assert not list((tmp_path / "work").rglob("scratch"))


@pytest.mark.parametrize(
    "number, verdict, text",
    [
        (5, "good", ""),
        (80, "declined", "number 80"),
        (70, "hang", ", 0 s of processors"),
        (73, "hang", "no end after"),
        (72, "traceback", "seventy-two"),
        (71, "traceback", "died"),
        (99, "wrong", "99 is too large"),
    ],
)
def test_every_outcome(tmp_path, number, verdict, text):
    outcome = runner.repeat(Numbers(), {"number": number}, tmp_path)
    assert outcome.verdict == verdict and text in outcome.text


def test_a_case_that_others_keep_from_the_processors_is_no_hang(tmp_path):
    """Four times the limit by the clock, and next to nothing of the processors."""
    slow = Numbers()
    slow.slow = 4 * slow.seconds
    assert runner.repeat(slow, {"number": 5}, tmp_path).verdict == "good"


def test_what_all_cases_share_counts_in_the_time_of_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = runner.hunt(Prepared(), runner.Hunt(1, 2, None, 1, tmp_path), lambda text: None)
    assert [outcome.verdict for outcome in log.outcomes.values()] == ["good", "good"]


def test_a_hunt_goes_on_where_it_was_stopped(tmp_path):
    first, _ = run(tmp_path, cases=10)
    with first.path.open("a") as file:
        file.write('{"index": 10, "verd')  # what a kill leaves
    second, _ = run(tmp_path, cases=25)
    whole, _ = run(tmp_path / "other", cases=25, jobs=1)
    verdicts = [{at: outcome.verdict for at, outcome in log.outcomes.items()} for log in (second, whole)]
    assert verdicts[0] == verdicts[1] and set(verdicts[0]) == set(range(25))
    assert all(second.outcomes[at] == outcome for at, outcome in first.outcomes.items())


def test_outcomes_of_another_program_are_dropped(tmp_path, monkeypatch):
    run(tmp_path, cases=5)
    monkeypatch.setattr(runner, "program_key", lambda: "another")
    log, said = run(tmp_path, cases=3)
    assert set(log.outcomes) == {0, 1, 2} and "changed" in said[0]


def test_a_log_that_is_none(tmp_path):
    (tmp_path / "numbers_1.jsonl").write_text("[1, 2]\n")
    with pytest.raises(ConfigError, match=r"numbers_1\.jsonl: is no log"):
        run(tmp_path)


def test_time_is_kept(tmp_path):
    slow = Numbers()
    slow.slow = 0.1
    start = time.monotonic()
    log = runner.hunt(slow, runner.Hunt(3, None, 1 / 60, 2, tmp_path), lambda text: None)
    assert log.outcomes and time.monotonic() - start < 30


def test_what_a_case_starts_ends_with_it(tmp_path):
    class Starts(Numbers):
        def check(self, case: dict, folder: Path) -> None:
            subprocess.run(["sleep", "1234"], check=False)

    outcome = runner.repeat(Starts(), {"number": 0}, tmp_path)
    assert outcome.verdict == "hang"
    commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 1234" not in commands


def test_the_command_knows_the_campaigns(on_repository, tmp_path):
    code, _, err = on_repository("hunt", "rabbits")
    assert code == 2 and "rabbits" in err and "hunt: must be one of" in err
    code, _, err = on_repository("hunt", "--case", str(tmp_path / "none.json"))
    assert code == 2 and "none.json" in err


@pytest.mark.parametrize("name", hunt.CAMPAIGNS)
def test_a_campaign_is_what_the_frame_expects(name):
    campaign = runner.load(name)
    assert campaign.name == name and campaign.help and campaign.aim > 0 and campaign.seconds > 0
    for index in range(5):
        case = runner.drawn(campaign, 7, index)
        assert json.loads(json.dumps(case)) == case == runner.drawn(campaign, 7, index)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_what_a_campaign_has_found_stays_mended(path, tmp_path):
    name, case = runner.read_case(path)
    outcome = judge(runner.load(name), case, tmp_path / "case")
    assert outcome.verdict == "good", outcome.text
