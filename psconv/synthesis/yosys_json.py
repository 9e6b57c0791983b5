"""What yosys's command write_json writes, as far as this package reads it.

https://yosyshq.readthedocs.io/projects/yosys/en/latest/cmd/write_json.html
"""

from __future__ import annotations

from typing import TypedDict

Bit = int | str  # the number of a net, or "0", "1", "x"


class Cell(TypedDict):
    """A cell. connections: the bits at each port, the lowest first; parameters: numbers as texts of binary digits."""

    type: str
    parameters: dict[str, str]
    attributes: dict[str, str]
    port_directions: dict[str, str]
    connections: dict[str, list[Bit]]


class Port(TypedDict):
    """A port of a module. direction: input, output or inout."""

    direction: str
    bits: list[Bit]


class Net(TypedDict):
    """A net of a module. hide_name: 1 where yosys made the name up."""

    hide_name: int
    bits: list[Bit]
    attributes: dict[str, str]


class Module(TypedDict):
    """A module; its cells, its ports and its nets by their names."""

    ports: dict[str, Port]
    cells: dict[str, Cell]
    netnames: dict[str, Net]


class Design(TypedDict):
    """All that was written: modules by their names."""

    modules: dict[str, Module]
