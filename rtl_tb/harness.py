"""The SystemVerilog around a design: a generated top with the components of rtl_tb/sv."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from pymodel.common.errors import ConfigError
from rtl_tb import records
from rtl_tb.ports import Ports

TOP = "rtl_tb_top"
_FOLDER = Path(__file__).parent / "sv"
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
)


def components() -> list[Path]:
    """The SystemVerilog files that the top needs, packages first."""
    return sorted(_FOLDER.glob("*.sv"), key=lambda path: (path.stem != "bench_random", path.name))


def render_top(ports: Ports, probes: Mapping[str, int], levels: Sequence[str] = ()) -> str:
    """SystemVerilog of the top. probes: bytes of a word of each inner stream that is to be recorded.

    levels: streams with a FIFO in the design, whose words are counted: what comes in and has not gone out.

    Raises ConfigError: no input stream, no output stream.
    """
    for direction, what in (("in", "an input stream"), ("out", "an output stream")):
        if not any(stream.direction == direction for stream in ports.streams):
            raise ConfigError(f"ports of {ports.top}: must have {what}, got none")
    return _templates.get_template("bench_top.sv.j2").render(
        top=TOP, ports=ports, probes=dict(probes), levels=levels, records=records
    )


def check_probes(rtl: Sequence[Path], top: str, probes: Mapping[str, int]) -> None:
    """Raises ConfigError for a probed stream without nets in module `top` (docs/reference/interfaces.md, "Probes")."""
    if not probes:
        return
    text = "\n".join(path.read_text(encoding="utf-8") for path in rtl)
    module = re.search(rf"^\s*module\s+{re.escape(top)}\b.*?^\s*endmodule", text, re.MULTILINE | re.DOTALL)
    streams = set(re.findall(r"(?<![.\w])(\w+)_push_data\b", module[0])) if module else set()
    for name in probes:
        if name not in streams:
            raise ConfigError(
                f"probes: module {top} has no nets {name}_push and {name}_push_data;"
                f" streams with such nets: {', '.join(sorted(streams)) or 'none'}"
            )
