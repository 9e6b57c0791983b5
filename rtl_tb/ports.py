"""The ports of a design: ports.json, and how the HLS tools name them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from pymodel.common.errors import ConfigError, Strict, validated

REQUIRED = ("TDATA", "TVALID", "TREADY")
OPTIONAL = ("TLAST", "TKEEP", "TSTRB")

Direction = Literal["in", "out"]


class Signal(Strict):
    """One port of the design: its Verilog name and its width in bits."""

    name: str = Field(min_length=1)
    width: int = Field(ge=1)


class Reset(Strict):
    name: str = Field(min_length=1)
    active_low: bool


class Stream(Strict):
    """One AXI4-Stream interface. `direction` is seen from the design: "in" is what the bench drives."""

    name: str = Field(min_length=1)
    direction: Direction
    signals: dict[str, Signal]

    @model_validator(mode="after")
    def _complete(self) -> Stream:
        missing = [role for role in REQUIRED if role not in self.signals]
        unknown = [role for role in self.signals if role not in REQUIRED + OPTIONAL]
        if missing or unknown:
            raise ValueError(
                f"stream '{self.name}': signals must be {', '.join(REQUIRED)} and any of {', '.join(OPTIONAL)},"
                f" got unknown {unknown or 'none'}, missing {missing or 'none'}"
            )
        if self.signals["TDATA"].width % 8:
            raise ValueError(f"stream '{self.name}': TDATA must be whole bytes, got {self.signals['TDATA'].width} bits")
        for role, width in self._widths().items():
            if role in self.signals and self.signals[role].width != width:
                raise ValueError(
                    f"stream '{self.name}': {role} must be {width} bits wide, got {self.signals[role].width}"
                )
        return self

    @property
    def bytes(self) -> int:
        """Bytes of one beat."""
        return self.signals["TDATA"].width // 8

    def _widths(self) -> dict[str, int]:
        return {"TVALID": 1, "TREADY": 1, "TLAST": 1, "TKEEP": self.bytes, "TSTRB": self.bytes}


class Ports(Strict):
    """ports.json: top module, clock, reset, and any number of streams."""

    version: Literal[1] = 1
    top: str = Field(min_length=1)
    clock: str = Field(min_length=1)
    reset: Reset
    streams: list[Stream] = Field(min_length=1)
    tie: dict[str, int] = Field(default_factory=dict, description="other inputs, held at a constant")

    def stream(self, direction: Direction, others: Collection[str] = ()) -> Stream:
        """The only stream of that direction other than `others`. Raises ConfigError when there are none or several."""
        found = [stream for stream in self.streams if stream.direction == direction and stream.name not in others]
        if len(found) != 1:
            names = ", ".join(stream.name for stream in found) or "none"
            aside = f" other than {', '.join(others)}" if others else ""
            raise ConfigError(
                f"ports of {self.top}: must have one stream of direction '{direction}'{aside}, got {names}"
            )
        return found[0]

    def named(self, name: str, direction: Direction) -> Stream:
        """The stream of that name and direction. Raises ConfigError when there is none."""
        found = [stream for stream in self.streams if stream.direction == direction]
        for stream in found:
            if stream.name == name:
                return stream
        names = ", ".join(stream.name for stream in found) or "none"
        raise ConfigError(
            f"ports of {self.top}: stream of direction '{direction}' must be one of {names}, got '{name}'"
        )


def parse_ports(data: object, source: str = "ports") -> Ports:
    """Ports from the contents of ports.json. Raises ConfigError."""
    return validated(Ports, data, source)


def load_ports(path: Path) -> Ports:
    """Ports from a ports.json file. Raises ConfigError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    return parse_ports(data, str(path))


class VerilogPort(NamedTuple):
    """A port as elaborated: `direction` is "input" or "output"."""

    name: str
    direction: str
    width: int


@dataclass(frozen=True)
class Naming:
    """How one HLS tool names clock, reset and streams.

    `prefixes` are what may stand before a stream's name, the first that fits; `tie` gives inputs that are held.
    """

    clock: str
    reset: Reset
    prefixes: Mapping[Direction, tuple[str, ...]]
    tie: Mapping[str, int]

    def signals(self, stream: str, direction: Direction, ports: Mapping[str, VerilogPort]) -> dict[str, str]:
        """The stream's signals by role: with the first prefix whose required ones are all there, else the first."""
        named = [
            {role: f"{prefix}{stream}_{role}" for role in REQUIRED + OPTIONAL} for prefix in self.prefixes[direction]
        ]
        return next((names for names in named if all(names[role] in ports for role in REQUIRED)), named[0])


_PLAIN: Mapping[Direction, tuple[str, ...]] = {"in": ("",), "out": ("",)}

# ap_ctrl_none needs no ap_start; a top kept on ap_ctrl_hs runs for ever with it tied high, as Bambu's with
# start_port. Bambu's releases before 2024.10 put s_axis_ and m_axis_ before the names of streams.
NAMINGS: Mapping[str, Naming] = {
    "open": Naming("ap_clk", Reset(name="ap_rst_n", active_low=True), _PLAIN, {}),
    "vitis": Naming("ap_clk", Reset(name="ap_rst_n", active_low=True), _PLAIN, {"ap_start": 1}),
    "bambu": Naming(
        "clock",
        Reset(name="reset", active_low=True),
        {"in": ("", "s_axis_"), "out": ("", "m_axis_")},
        {"start_port": 1},
    ),
}


def vendor_ports(tool: str, top: str, streams: Mapping[str, Direction], elaborated: Iterable[VerilogPort]) -> Ports:
    """Ports of the RTL of an HLS tool, from the port list of its top module.

    `streams` gives the C++ names of the streams. Raises ConfigError when the tool is unknown or a stream's
    ports are not there.
    """
    if tool not in NAMINGS:
        raise ConfigError(f"tool: must be one of {', '.join(NAMINGS)}, got {tool!r}")
    naming, ports = NAMINGS[tool], {port.name: port for port in elaborated}
    for name in (naming.clock, naming.reset.name):
        if name not in ports:
            raise ConfigError(f"{top}: no port '{name}', as {tool} would name it; ports: {', '.join(ports)}")
    described = []
    for stream, direction in streams.items():
        names = naming.signals(stream, direction, ports)
        missing = [names[role] for role in REQUIRED if names[role] not in ports]
        if missing:
            raise ConfigError(f"{top}: no port {', '.join(missing)}, as {tool} would name stream '{stream}'")
        signals = {role: {"name": name, "width": ports[name].width} for role, name in names.items() if name in ports}
        described.append({"name": stream, "direction": direction, "signals": signals})
    tie = {name: value for name, value in naming.tie.items() if name in ports}
    return parse_ports(
        {"top": top, "clock": naming.clock, "reset": naming.reset, "streams": described, "tie": tie}, top
    )
