"""A critical path of nextpnr in words: what each step goes through, and the C++ lines it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from psconv.synthesis.source_lines import SourceLines
from psconv.synthesis.yosys_json import Module

# A step of a path. kind: nextpnr's (clk-to-q, routing, logic, setup); element: what the delay is spent in; from, to:
# cell and port; source: the C++ lines of that cell or net.
Step = TypedDict("Step", {"kind": str, "element": str, "delay_ns": float, "from": str, "to": str, "source": str | None})


class Part(TypedDict):
    """Steps in a row with the same C++ lines. through: their elements in order; delay_ns: of all of them."""

    source: str | None
    through: list[str]
    delay_ns: float


# What a cell of yosys's netlist is on a path: the ECP5's, and Gowin's.
_ELEMENTS = {
    "TRELLIS_FF": "register",
    "LUT4": "logic",
    "PFUMX": "logic",
    "L6MUX21": "logic",
    "CCU2C": "carry chain",
    "TRELLIS_DPR16X4": "distributed RAM",
    "MULT18X18D": "multiplier",
    "DP16KD": "block RAM",
    **{f"DFF{edge}{kind}{enable}": "register" for edge in ("", "N") for kind in ("", *"RSCP") for enable in ("", "E")},
    **dict.fromkeys((*(f"LUT{n}" for n in range(1, 4)), *(f"MUX2_LUT{n}" for n in range(5, 9))), "logic"),
    "ALU": "carry chain",
    **dict.fromkeys(("RAM16SDP1", "RAM16SDP2", "RAM16SDP4"), "distributed RAM"),
    **dict.fromkeys(("MULT9X9", "MULT18X18", "MULT36X36"), "multiplier"),
    **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B"), "block RAM"),
}


def described(path: Sequence[Mapping[str, Any]], module: Module, lines: SourceLines) -> list[Step]:
    """The steps of a path of nextpnr's report; module: the netlist it was given.

    A cell or net without C++ lines belongs to what drives it (nextpnr adds cells of its own to carry chains); at the
    start of a path its source is None.
    """
    steps: list[Step] = []
    for step in path:
        routed = step["type"] == "routing"
        cell = step["from" if routed else "to"]["cell"]
        known = module["cells"].get(cell.partition("$")[0])
        element = _ELEMENTS.get(known["type"]) if known else None
        steps.append(
            {
                "kind": step["type"],
                "element": "routing" if routed else element or ("carry chain" if "CCU2" in cell else "logic"),
                "delay_ns": round(step["delay"], 3),
                "from": f"{step['from']['cell']}.{step['from']['port']}",
                "to": f"{step['to']['cell']}.{step['to']['port']}",
                "source": lines.of(cell) or lines.of(step.get("net", "")) or (steps[-1]["source"] if steps else None),
            }
        )
    return steps


def shares(steps: Sequence[Step]) -> dict[str, float]:
    """Nanoseconds of a path by element, the most first."""
    total: dict[str, float] = {}
    for step in steps:
        total[step["element"]] = total.get(step["element"], 0.0) + step["delay_ns"]
    return {k: round(v, 3) for k, v in sorted(total.items(), key=lambda item: -item[1]) if v > 0}


def in_lines(steps: Sequence[Step]) -> list[Part]:
    """A path by C++ lines. A routed net belongs to the line of the cell that drives it."""
    found: list[Part] = []
    for step in steps:
        if step["delay_ns"] == 0:
            continue
        if not found or found[-1]["source"] != step["source"]:
            found.append({"source": step["source"], "through": [], "delay_ns": 0.0})
        if step["element"] not in found[-1]["through"][-1:]:
            found[-1]["through"].append(step["element"])
        found[-1]["delay_ns"] = round(found[-1]["delay_ns"] + step["delay_ns"], 3)
    return found


def sentence(parts: Sequence[Part]) -> str:
    """`in_lines` as one line: "pe.hpp:57 1.2 ns (register, routing) > pe.hpp:41 0.9 ns (carry chain)"."""
    return " > ".join(
        f"{part['source'] or 'no C++ line'} {part['delay_ns']:.2f} ns ({', '.join(part['through'])})" for part in parts
    )
