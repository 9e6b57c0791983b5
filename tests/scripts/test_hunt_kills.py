"""The campaign of kills: a small sample, and faults planted in what it starts are found."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.hunt import kills
from scripts.hunt.campaign import Fault

CASE = {"command": "golden", "layer": 0, "used": False, "signal": "SIGKILL", "moment": 0.9}
PLANTED = {
    "a process that stays": ("setsid sleep 103 > /dev/null & sleep 104", "still running"),
    "half a file": ("mkdir -p out/golden; printf PK > out/golden/layer.npz; exec sleep 104", "half written: golden"),
    "another exit status": ("trap 'exit 7' TERM; while true; do sleep 0.05; done", "exit 7 for 143"),
    "a traceback": ("trap 'echo Traceback in main; exit 7' TERM; while true; do sleep 0.05; done", "Traceback in main"),
}


def judged(campaign: kills.Kills, case: dict, tmp_path: Path) -> None:
    (tmp_path / "case").mkdir(exist_ok=True)
    campaign.check(case, tmp_path / "case")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_kill_is_survived(tmp_path):
    judged(kills.Kills(), CASE, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_what_the_campaign_ignores_its_commands_hear(tmp_path):
    """As under nohup, where a command that ran on by right was called a fault."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        judged(kills.Kills(), CASE | {"signal": "SIGHUP", "moment": 0.5}, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("planted", PLANTED)
def test_planted_faults_are_found(planted, tmp_path, monkeypatch):
    script, words = PLANTED[planted]

    def started(arguments: list[str], folder: Path, mark: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["sh", "-c", script],
            cwd=folder,
            env=kills.environment(folder, mark),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    monkeypatch.setattr(kills, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(kills, "started", started)
    monkeypatch.setattr(kills.Kills, "undisturbed", lambda *_: kills.Undisturbed(tmp_path, 0.5))
    with pytest.raises(Fault, match=words):
        judged(kills.Kills(), CASE | {"signal": "SIGTERM" if "trap" in script else "SIGKILL"}, tmp_path)


def test_other_results_are_found(tmp_path):
    """An undisturbed run of other inputs stands for the right one."""
    campaign = kills.Kills()
    campaign.kept["golden", 0, 0] = campaign.undisturbed(CASE, 1, tmp_path / "case")
    with pytest.raises(Fault, match="other files than of an undisturbed run: .*golden/layer.npz"):
        judged(campaign, CASE | {"moment": 0.1}, tmp_path)


def test_cases_are_drawn_from_the_seed():
    cases = [[kills.CAMPAIGN.draw(np.random.default_rng([3, index])) for index in range(200)] for _ in range(2)]
    assert cases[0] == cases[1]
    assert {case["command"] for case in cases[0]} == set(kills.COMMANDS)
    assert {case["signal"] for case in cases[0]} == set(kills.SIGNALS)
    for case in cases[0]:
        assert case not in list(kills.CAMPAIGN.smaller(case))
