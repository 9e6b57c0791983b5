"""Looks at the graph after each pass: checks it, and keeps its text where somebody wants to read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from openhls.common.errors import HlsError
from openhls.graph.nodes import Node, Process
from openhls.graph.text import text
from openhls.graph.verify import verify

# In their order. "lookahead" and "tables" come once more, or not at all, where the other way is the better one.
PASSES = ("import", "merge", "narrow", "lookahead", "tables", "schedule")
ALL = "all"


def passes_of(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """The passes that `--print-after` names: one, several, or "all". Raises HlsError where there is no such pass."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in (*PASSES, ALL):
            raise HlsError(f"no pass '{name}'", hint=f"passes: {', '.join(PASSES)}; or {ALL}")
    return PASSES if ALL in names else tuple(name for name in PASSES if name in names)


class Watch:
    """`dumps`: the text of the graph after each of the wanted passes, under a line that names process and pass."""

    def __init__(self, wanted: Collection[str] = (), widths: Mapping[str, int] | None = None):
        """widths: bits of the streams' words, by name; None: not known."""
        self.wanted, self.widths = wanted, widths
        self.dumps: list[str] = []

    def after(self, name: str, process: Process, stage: Mapping[Node, int] | None = None) -> Process:
        """The process, which has come out of a pass. Raises InternalError where no graph may be as it is."""
        verify(process, name, self.widths)
        if name in self.wanted:
            self.dumps.append(f"; after {name}\n{text(process, stage)}")
        return process
