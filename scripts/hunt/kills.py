"""Commands killed at any moment: nothing runs on, nothing half written counts as whole, and they can be run again.

A case is a command on a small input, in a new folder or in one where it has run before (a command of the flow on other
inputs), ended by a signal after a part of the time that it takes undisturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pymodel.common.records import read_yaml
from scripts.hunt.campaign import Campaign, Case, Fault
from scripts.hunt.processes import VARIABLE, left, signals_heard
from scripts.places import ROOT

_DIGITS = ROOT / "examples" / "digits"
SIGNALS = {
    "SIGKILL": -signal.SIGKILL,
    "SIGTERM": 128 + signal.SIGTERM,
    "SIGINT": 128 + signal.SIGINT,
    "SIGHUP": 128 + signal.SIGHUP,
}
# Until main() has taken over, a signal does to Python what it does to any process.
_EARLY = {-signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT, 1}
QUIET_SECONDS = 2.0  # after which nothing may be running any more, where a core is free for each process
_LAYERS: tuple[dict[str, Any], ...] = (
    {"in_channels": 1, "out_channels": 2, "height": 2, "width": 2, "kernel": 1, "padding": 0},
    {"in_channels": 4, "out_channels": 4, "height": 3, "width": 3, "support": "PS4_P4"},
)
# Commands on a layer's configuration; each runs the steps before it.
_FLOW = ("golden", "csim", "synth", "cosim", "run")
COMMANDS = (*_FLOW, "explore", "pack-weights", "train", "quantize", "quantize --qat")
_SHARES = (0.08, 0.12, 0.16, 0.1, 0.14, 0.1, 0.08, 0.1, 0.06, 0.06)
_TRAINING = (
    "epochs=2",
    "schedule.warmup_epochs=0",
    "checkpoint_steps=5",
    "quantise.qat_epochs=1",
    "quantise.calibration_images=50",
)
# What may differ from one run to the next of the same inputs: times, places, dates.
_CHANGING = {"seconds", "simulation", "cycles_per_second", "provenance", "title", "file", "run_dir", "bundle"}


@dataclass(frozen=True)
class Undisturbed:
    """A folder in which a command has ended by itself, and how long it took."""

    folder: Path
    seconds: float


class Kills(Campaign):
    """The campaign. Undisturbed runs are kept for the cases that come after in the same process."""

    name = "kills"
    help = "commands killed at random moments: processes, files, and the same command again against an undisturbed one"
    aim = 200
    seconds = 300.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int, int], Undisturbed] = {}

    def draw(self, rng: np.random.Generator) -> Case:
        return {
            "command": str(rng.choice(COMMANDS, p=_SHARES)),
            "layer": int(rng.integers(len(_LAYERS))),
            "used": bool(rng.integers(2)),
            "signal": str(rng.choice(list(SIGNALS))),
            "moment": round(float(rng.uniform(0.02, 1.05)), 3),
        }

    def check(self, case: Case, folder: Path) -> None:
        undisturbed = self.undisturbed(case, 0, folder)
        if case["used"]:
            others = 1 if case["command"] in _FLOW else 0
            shutil.copytree(self.undisturbed(case, others, folder).folder, folder, dirs_exist_ok=True, symlinks=True)
        _prepare(case, 0, folder)
        _kill(case, folder, undisturbed.seconds * case["moment"])
        _check_whole(folder / "out")
        status, text = _run(case, folder, again=True)
        if status:
            raise Fault("refused", f"the same command again ends with {status}: {text[-800:]}")
        right, found = _contents(undisturbed.folder / "out"), _contents(folder / "out")
        if case["used"]:  # what other inputs have left is not this command's
            found = {name: content for name, content in found.items() if name in right}
        if wrong := sorted(name for name in right.keys() | found.keys() if right.get(name) != found.get(name)):
            raise Fault("wrong", f"other files than of an undisturbed run: {', '.join(wrong)}")
        if rest := sorted(str(path) for name in (".*.partial*", "*.lock") for path in (folder / "out").rglob(name)):
            raise Fault("wrong", f"left behind: {', '.join(rest)}")

    def smaller(self, case: Case) -> Iterator[Case]:
        if case["used"]:
            yield case | {"used": False}
        if case["layer"]:
            yield case | {"layer": 0}
        if case["command"] in _FLOW[1:]:
            yield case | {"command": _FLOW[_FLOW.index(case["command"]) - 1]}
        if case["moment"] != round(case["moment"], 1):
            yield case | {"moment": round(case["moment"], 1)}

    def undisturbed(self, case: Case, inputs: int, folder: Path) -> Undisturbed:
        """The command on the case's inputs (0), or on the others that a used folder has seen (1)."""
        key = case["command"], case["layer"], inputs
        if key not in self.kept or not self.kept[key].folder.exists():
            place = folder.parent / f"{folder.name}_undisturbed" / "_".join(map(str, key)).replace(" ", "")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            _prepare(case, inputs, place)
            start = time.monotonic()
            status, text = _run(case, place)
            if status:
                raise Fault("refused", f"undisturbed, it ends with {status}: {text[-800:]}")
            self.kept[key] = Undisturbed(place, time.monotonic() - start)
        return self.kept[key]


def _prepare(case: Case, inputs: int, folder: Path) -> None:
    """Writes what the command reads; `inputs` 1 are others than 0."""
    command = case["command"]
    if command in _FLOW:
        content: dict[str, Any] = {
            "psconv": 1,
            "layer": _LAYERS[case["layer"]],
            "images": {"count": 2},
            "seed": inputs,
            "stalls": {"images": 1, "input": 0.2, "output": 0.2},
        }
    elif command == "pack-weights":
        content = read_yaml(_DIGITS / "loaded.yaml")
    elif command == "explore":
        content = read_yaml(_DIGITS / "network.yaml")
    else:
        content = read_yaml(_DIGITS / "train.yaml") | {"seed": case["layer"]}
    if "bundle" in content:
        content["bundle"] = os.path.relpath(_DIGITS / content["bundle"], folder.resolve())
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    if command.startswith("quantize") and not (folder / "trained").exists():
        status, text = _call(["train", "config.yaml", "--out", "trained", *_sets()], folder)
        if status:
            raise Fault("refused", f"the training to quantise ends with {status}: {text[-800:]}")


def _sets() -> list[str]:
    return [part for each in _TRAINING for part in ("--set", each)]


def _command(case: Case, again: bool) -> list[str]:
    command, config = case["command"], "config.yaml"
    resume = ["--resume"] if again or case["used"] else []
    if command in _FLOW:
        return [command, config, "--out", "out"]
    if command == "explore":
        return ["explore", config, "--budget", "DSP=300", "--points", "2", "--out", "out"]
    if command == "pack-weights":
        return ["pack-weights", config, "--out", "out/weights.bin"]
    if command == "train":
        return ["train", config, "--out", "out", *_sets(), *resume]
    qat = ["--qat"] if command.endswith("--qat") else []
    return ["quantize", "trained", "--out", "out/bundle.yaml", "--weight-bits", str(4 + case["layer"]), *qat, *resume]


def environment(folder: Path, mark: str) -> dict[str, str]:
    """Variables of a command in `folder`: its temporary files there, and `mark`, by which what it starts is found."""
    (folder / "tmp").mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "hls"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"TMPDIR": str(folder.resolve() / "tmp"), VARIABLE: mark, "PYTHONPATH": path}


def started(arguments: list[str], folder: Path, mark: str) -> subprocess.Popen[str]:
    """`psconv` with `arguments`, in `folder`; all that it says comes by one pipe."""
    with signals_heard():
        return subprocess.Popen(
            [sys.executable, "-m", "psconv", *arguments],
            cwd=folder,
            env=environment(folder, mark),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _call(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and output of a command that nobody disturbs."""
    process = started(arguments, folder, str(folder))
    text, _ = process.communicate()
    return process.returncode, text


def _run(case: Case, folder: Path, again: bool = False) -> tuple[int, str]:
    return _call(_command(case, again), folder)


def _kill(case: Case, folder: Path, seconds: float) -> None:
    """Starts the command, ends it after so many seconds, and looks at what is left of it."""
    mark = f"{folder}:{time.monotonic_ns()}"
    process = started(_command(case, again=False), folder, mark)
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.Signals[case["signal"]])
        seconds = QUIET_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        still = left(mark, seconds)
        for number in still:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        text, _ = process.communicate()
        if still:
            commands = "; ".join(still.values())
            raise Fault("wrong", f"still running after {seconds:.1f} s: {commands}"[:800]) from None
    status, right = process.returncode, SIGNALS[case["signal"]]
    early = status in _EARLY and " in main\n" not in text
    if status not in (0, right) and not early:
        raise Fault("traceback" if "Traceback" in text else "wrong", f"exit {status} for {right}: {text[-800:]}")
    if "Traceback" in text and not early:
        raise Fault("traceback", text[-800:])


def _check_whole(out: Path) -> None:
    """Every file that has its name is whole; what is in build/ belongs to the step that writes it."""
    for path in sorted(out.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or path.relative_to(out).parts[0] == "build":
            continue
        if any(part.startswith(".") for part in path.relative_to(out).parts):
            continue
        try:
            _content(path)
        except Exception as error:
            raise Fault("wrong", f"half written: {path.relative_to(out)}: {error}") from error


def _contents(out: Path) -> dict[str, Any]:
    """What a command has made: the content of every file, less what differs from one run to the next."""
    return {
        path.relative_to(out).as_posix(): _content(path)
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and path.relative_to(out).parts[0] != "build"
        and not path.name.startswith(".")
        and path.suffix not in (".md", ".html", ".svg")
    }


def _content(path: Path) -> Any:
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        return [_lasting(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".yaml":
        return _lasting(read_yaml(path))
    if path.name == "checkpoint.pt":  # holds seconds
        return path.stat().st_size > 0
    return path.read_bytes()


def _lasting(value: Any) -> Any:
    """A JSON value without times and places."""
    if isinstance(value, dict):
        return {key: _lasting(item) for key, item in value.items() if key not in _CHANGING}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


CAMPAIGN = Kills()
