"""Where the ports of a board's top lie; each family has its own file of constraints for nextpnr."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psconv.synthesis.targets import Board


@dataclass(frozen=True)
class Pin:
    """A port of the top on a pin of the package. io: its I/O standard. pull: up, down or nothing."""

    port: str
    site: str
    io: str
    pull: str = "NONE"


def pins(board: Board) -> Iterator[Pin]:
    """Ports as psconv/boards/rtl/board.sv.j2 has them."""
    yield Pin("clk", board.clock.pin, board.io)
    yield Pin("rx", board.uart.rx, board.io, "UP")  # a cable that is not there sends nothing
    yield Pin("tx", board.uart.tx, board.io)
    if board.reset:
        pull = "UP" if board.reset.active_low else "DOWN"
        yield Pin("button", board.reset.pin, board.reset.io or board.io, pull)
    for at, site in enumerate(board.leds.pins):
        yield Pin(f"led[{at}]" if len(board.leds.pins) > 1 else "led", site, board.leds.io or board.io)
    for site in board.tied:
        yield Pin(f"tied_{site}", site, board.io)
