"""A critical path of nextpnr in words: what each step goes through, and the C++ lines it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psconv.synthesis.source_lines import SourceLines

# What a cell of yosys's netlist is on a path.
_ELEMENTS = {
    "TRELLIS_FF": "register",
    "LUT4": "logic",
    "PFUMX": "logic",
    "L6MUX21": "logic",
    "CCU2C": "carry chain",
    "TRELLIS_DPR16X4": "distributed RAM",
    "MULT18X18D": "multiplier",
    "DP16KD": "block RAM",
}


def described(path: Sequence[Mapping[str, Any]], module: Mapping[str, Any], lines: SourceLines) -> list[dict[str, Any]]:
    """The steps of a path of nextpnr's report; module: the netlist it was given.

    Returns [{"kind", "element", "delay_ns", "from", "to", "source"}]: kind is nextpnr's (clk-to-q, routing, logic,
    setup), element what the delay is spent in, source the C++ lines of that cell or net; one that has none belongs to
    what drives it (nextpnr adds cells of its own to carry chains), None at the start of a path.
    """
    steps: list[dict[str, Any]] = []
    for step in path:
        routed = step["type"] == "routing"
        cell = step["from" if routed else "to"]["cell"]
        kind = module["cells"].get(cell.partition("$")[0], {}).get("type")
        steps.append(
            {
                "kind": step["type"],
                "element": "routing"
                if routed
                else _ELEMENTS.get(kind) or ("carry chain" if "CCU2" in cell else "logic"),
                "delay_ns": round(step["delay"], 3),
                "from": f"{step['from']['cell']}.{step['from']['port']}",
                "to": f"{step['to']['cell']}.{step['to']['port']}",
                "source": lines.of(cell) or lines.of(step.get("net", "")) or (steps[-1]["source"] if steps else None),
            }
        )
    return steps


def shares(steps: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Nanoseconds of a path by element, the most first."""
    total: dict[str, float] = {}
    for step in steps:
        total[step["element"]] = total.get(step["element"], 0.0) + step["delay_ns"]
    return {k: round(v, 3) for k, v in sorted(total.items(), key=lambda item: -item[1]) if v > 0}


def in_lines(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A path by C++ lines: steps in a row with the same ones added up, [{"source", "through", "delay_ns"}].

    through: the elements in their order. A routed net belongs to the line of the cell that drives it.
    """
    found: list[dict[str, Any]] = []
    for step in steps:
        if step["delay_ns"] == 0:
            continue
        if not found or found[-1]["source"] != step["source"]:
            found.append({"source": step["source"], "through": [], "delay_ns": 0.0})
        if step["element"] not in found[-1]["through"][-1:]:
            found[-1]["through"].append(step["element"])
        found[-1]["delay_ns"] = round(found[-1]["delay_ns"] + step["delay_ns"], 3)
    return found


def sentence(parts: Sequence[Mapping[str, Any]]) -> str:
    """`in_lines` as one line: "pe.hpp:57 1.2 ns (register, routing) > pe.hpp:41 0.9 ns (carry chain)"."""
    return " > ".join(
        f"{part['source'] or 'no C++ line'} {part['delay_ns']:.2f} ns ({', '.join(part['through'])})" for part in parts
    )
