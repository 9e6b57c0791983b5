"""The clock of the engine on an ECP5-85F, speed grade 6, after place and route with several seeds, and what limits it.

Engines of one ResNet18 layer go through HLS, yosys and nextpnr (`generated`). For UltraScale+, which has no open place
and route, there is the delay model's estimate, and it is called that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from psconv.common.parallel import in_workers
from psconv.synthesis.critical_path import sentence
from psconv.synthesis.place_route import Placed
from scripts.benchmarks.frame import Table
from scripts.benchmarks.generated import BY_CHANNELS, CLOCK_NS, DENSE, PACKAGES, PERIODIC, generate

__all__ = ["PACKAGES", "run"]
AIM_MHZ = 150.0
CHANNELS, SIZE = 64, 32  # of the layer
ENGINES: dict[str, dict[str, Any]] = {
    "PSD1_P16, 24 lanes": PERIODIC,
    "PSD1_P16 fed by channels, 24 lanes": BY_CHANNELS,
    "PSD1_P16, 48 lanes of 4 bits by two": PERIODIC
    | {"in_bits": 4, "weight_bits": 4, "out_bits": 4, "To": 2, "packing": 2},
    "PSD1_P16 with R = 2, 48 lanes": PERIODIC | {"R": 2},
    "PSD1_P16 with R = 4, 96 lanes": PERIODIC | {"R": 4},
    "dense, 24 lanes": DENSE,
}
SEEDS: dict[str, tuple[int, ...]] = {
    "PSD1_P16, 24 lanes": (1, 2, 3, 4),
    "PSD1_P16 fed by channels, 24 lanes": (1, 2),
    "PSD1_P16, 48 lanes of 4 bits by two": (1, 2),
    "PSD1_P16 with R = 2, 48 lanes": (1, 2, 3),
    "PSD1_P16 with R = 4, 96 lanes": (1, 2, 3),
    "dense, 24 lanes": (1,),
}


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Place and route of the engines, their critical paths, and the estimate for UltraScale+."""
    names = list(ENGINES)
    prepared = in_workers(_prepare, [(name, folder) for name in names], lambda at: progress(f"{names[at]}: netlist"))
    calls = [(name, seed, folder) for name in names for seed in SEEDS[name]]
    routed = in_workers(_route, calls, lambda at: progress(f"{calls[at][0]}, seed {calls[at][1]}: routed"))
    found: dict[str, list[Placed]] = {name: [] for name in names}
    for (name, _, _), result in zip(calls, routed, strict=True):
        found[name].append(result)
    return [
        Table(
            "ECP5-85F, speed grade 6",
            [_row(name, *made, found[name]) for name, made in zip(names, prepared, strict=True)],
            (
                f"3x3 layer of {CHANNELS} to {CHANNELS} channels, {SIZE} x {SIZE} pixels,"
                f" scheduled for and routed at {CLOCK_NS['ulx3s_85f']} ns, or the next period that HLS takes (ns), out"
                f" of context. Slack of the median against {AIM_MHZ:g} MHz. LUT: TRELLIS_COMB, memories and carry"
                " chains included. Multiplier inputs, outputs, block RAM outputs: blocks whose registers are in use;"
                " flip-flops saved by it.",
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


def _prepare(name: str, folder: Path) -> tuple[float, dict[str, Any]]:
    """HLS and yosys: the period; which pipelines there are, and the registers that went into blocks."""
    engine = generate(CHANNELS, SIZE, ENGINES[name], "ulx3s_85f", folder)
    moved = engine.netlist()
    return engine.clock_ns, {"stages of pe": engine.pe_stages, **moved}


def _route(name: str, seed: int, folder: Path) -> Placed:
    return generate(CHANNELS, SIZE, ENGINES[name], "ulx3s_85f", folder).placed(seed)


def _row(name: str, clock_ns: float, counts: dict[str, Any], results: list[Placed]) -> dict[str, Any]:
    clocks = [result["fmax_mhz"] for result in results]
    best, used = max(results, key=lambda result: result["fmax_mhz"]), results[0]["used"]
    middle = median(clocks)
    return {
        "engine": name,
        "ns": clock_ns,
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


def _limit(name: str, result: Placed) -> dict[str, Any]:
    spent = result["critical_path_ns_by_element"]
    return {
        "engine": name,
        "seed": result["seed"],
        "MHz": result["fmax_mhz"],
        "ns by element": ", ".join(f"{element} {ns:.2f}" for element, ns in spent.items()),
        "critical path": sentence(result["critical_path_lines"]),
    }


def _estimate(name: str, folder: Path) -> dict[str, Any]:
    engine = generate(CHANNELS, SIZE, ENGINES[name], "zcu104", folder)
    return {
        "engine": name,
        "slowest process": engine.slowest["name"],
        "longest stage ns": engine.slowest["longest_stage_ns"],
        "estimated MHz": round(engine.estimated_mhz, 1),
        "stages of pe": engine.pe_stages,
    }
