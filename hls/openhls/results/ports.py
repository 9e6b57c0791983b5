"""ports.json: the pins of a compiled design."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openhls.results import records

VERSION = 1


@dataclass(frozen=True)
class Signal:
    """A pin: its name in the RTL and its bits."""

    name: str
    width: int


@dataclass(frozen=True)
class PortStream:
    """An AXI4-Stream port; `direction` as the design sees it.

    `signals`: TDATA, whole bytes wide, TVALID, TREADY, then the side channels there are (TKEEP, TSTRB, TLAST, ...).
    """

    name: str
    direction: Literal["in", "out"]
    signals: dict[str, Signal]

    @property
    def payload(self) -> list[Signal]:
        """The signals of a beat, all but the handshake, in the order of a word's fields."""
        return [signal for kind, signal in self.signals.items() if kind not in ("TVALID", "TREADY")]


@dataclass(frozen=True)
class Reset:
    """The reset pin, synchronous."""

    name: str
    active_low: bool


@dataclass(frozen=True)
class Ports:
    """The pins of a design: its top module, clock, reset, and streams in the order of the top's arguments."""

    top: str
    clock: str
    reset: Reset
    streams: tuple[PortStream, ...]

    def to_json(self) -> str:
        """The text of ports.json."""
        return records.dumped(self, VERSION)

    @classmethod
    def from_json(cls, text: str, source: str = "ports.json") -> Ports:
        """The ports of such a text. Raises HlsError that names source and key of what is wrong."""
        return records.record(cls, records.parsed(text, source, VERSION), source)

    @classmethod
    def load(cls, path: Path) -> Ports:
        """The ports of a file. Raises HlsError as `from_json`, and where it cannot be read."""
        return cls.from_json(records.read(path), str(path))
