"""Registers that always hold the same value become one.

LLVM keeps a variable of a loop nest as one phi per loop header, all of them given the same value by every iteration.
"""

from __future__ import annotations

from openhls.graph.nodes import Node, Process
from openhls.middle.mlir import Session, canonicalise


def merge_registers(process: Process, session: Session) -> Process:
    """The canonical process without duplicate registers.

    Two registers with the same next value hold the same from the first iteration on; before it they do if their initial
    values agree, and a register without one may start with the other's. Fewer registers can make next values equal that
    were not: repeated until nothing changes.
    """
    process = canonicalise(process, session)
    while twins := _twins(process):
        for node in process.topological():
            node.args = [twins.get(arg, arg) for arg in node.args]
        process.regs = [reg for reg in process.regs if reg not in twins]
        if process.run_ends is not None:
            process.run_ends = twins.get(process.run_ends, process.run_ends)
        process = canonicalise(process, session)
    return process


def _twins(process: Process) -> dict[Node, Node]:
    """Each superfluous register and the one that stands for it. Those with an initial value come first."""
    first: dict[tuple[Node, int], list[Node]] = {}
    twins: dict[Node, Node] = {}
    for reg in sorted(process.regs, key=lambda reg: reg.attrs["init"] is None):
        others = first.setdefault((reg.args[0], reg.width), [])
        same = next((o for o in others if reg.attrs["init"] in (None, o.attrs["init"])), None)
        if same is not None and same is not reg:
            twins[reg] = same
        else:
            others.append(reg)
    return twins
