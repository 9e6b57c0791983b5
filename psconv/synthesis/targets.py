"""The devices of constraints/: what a run needs to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from openhls import known_targets as delay_models
from pydantic import Field, field_validator

from psconv.common.places import CONSTRAINTS
from psconv.synthesis.cells import family_of
from pymodel.common.bounds import BAUD, BOARD_MHZ, BUDGET, CLOCK_NS, MULTIPLIER_BITS
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import DEVICE, read_kind


class Budget(Strict):
    """What the device has; BRAM in units of 36 kbit."""

    LUT: int = BUDGET.field(description="look-up tables")
    FF: int = BUDGET.field(description="flip-flops")
    DSP: int = BUDGET.field(description="multiplier blocks")
    BRAM: int = BUDGET.field(description="block RAMs of 36 kbit")
    URAM: int = BUDGET.field(description="UltraRAMs of 288 kbit")


class ClockPin(Strict):
    """Where a board's clock comes in."""

    pin: str = Field(description="pin of the package")
    mhz: float = BOARD_MHZ.field(description="frequency of the board's oscillator")


class SerialPins(Strict):
    """The serial line to the host, as the FPGA sees it."""

    rx: str = Field(description="pin by which the FPGA receives")
    tx: str = Field(description="pin by which it sends")


class ButtonPin(Strict):
    """A button that resets the design."""

    pin: str = Field(description="pin of the package")
    active_low: bool = Field(description="whether the pin is low while the button is held")
    io: str | None = Field(None, description="I/O standard of the pin; none: the board's")


class LedPins(Strict):
    """LEDs: alive, busy, last answer an error, an image since the reset; further ones stay dark."""

    pins: list[str] = Field([], description="pins of the package, the first LED first; may be fewer than four")
    active_low: bool = Field(False, description="whether an LED shines while its pin is low")
    io: str | None = Field(None, description="I/O standard of the pins; none: the board's")


class Board(Strict):
    """What lies around the device on a board: what its schematic says, for `psconv bitstream`."""

    source: str = Field(description="the public documents that the pins are taken from")
    io: str = Field(description="I/O standard of the pins")
    clock: ClockPin
    uart: SerialPins
    baud: int = BAUD.field(description="rate of the serial line unless told otherwise")
    reset: ButtonPin | None = Field(None, description="none: reset at power-on alone")
    leds: LedPins = LedPins()
    tied: dict[str, Literal[0, 1]] = Field({}, description="pins that have to be held at a level")
    loader: str = Field(description="the board's name in openFPGALoader (--board)")


class Target(Strict):
    """A device of constraints/NAME.yaml."""

    name: str = Field(description="as the file is called")
    description: str = Field(description="the device in words, for reports")
    family: str = Field(description="of the vendor")
    part: str = Field(description="the device, as the vendor's tool names it")
    package: str = Field(description="its package")
    speed_grade: str = Field(description="its speed grade")
    clock_ns: float = CLOCK_NS.field(description="clock period that a run takes unless told otherwise")
    multiplier: list[Annotated[int, MULTIPLIER_BITS.field()]] = Field(
        min_length=2, max_length=2, description="bits of the two operands, signed, of its multipliers"
    )
    openhls: str = Field(description="delay model of the open HLS flow")
    yosys: str = Field(pattern="^synth_", description="yosys's synthesis command without -top")
    nextpnr: str | None = Field(None, description="device options of nextpnr; none: no place and route")
    bambu: str | None = Field(
        None, description="device of PandA Bambu's library with the nearest delays (--device-name); none: it has none"
    )
    constraints: str = Field(description="clock constraint for the vendor's tool, beside the YAML file")
    budgets: Budget
    board: Board | None = Field(None, description="what `psconv bitstream` needs; none: the device without a board")

    @field_validator("yosys")
    @classmethod
    def _known_cells(cls, command: str) -> str:
        family_of(command)
        return command

    @field_validator("openhls")
    @classmethod
    def _known_delays(cls, name: str) -> str:
        if name not in delay_models():
            raise ValueError(f"must be one of {', '.join(delay_models())}, got {name!r}")
        return name


def lacking(used: Mapping[str, float], budget: Mapping[str, int]) -> list[str]:
    """The resources of which more is used than the device has."""
    return [kind for kind, amount in budget.items() if used[kind] > amount]


def verdict(used: Mapping[str, float], budget: Mapping[str, int]) -> str:
    """Whether that fits a device, and because of what it does not."""
    short = [f"{kind} {used[kind]:,.10g} of {budget[kind]:,}" for kind in lacking(used, budget)]
    return f"no, because of {', '.join(short)}" if short else "yes"


def known_targets() -> list[str]:
    """Names of the devices of constraints/."""
    return sorted(path.stem for path in CONSTRAINTS.glob("*.yaml"))


def load_target(name: str) -> Target:
    """The device called `name`. Raises ConfigError that lists the known ones."""
    if name not in known_targets():
        raise ConfigError(f"target: must be one of {', '.join(known_targets())}, got {name!r}")
    path = CONSTRAINTS / f"{name}.yaml"
    target = validated(Target, read_kind(path, DEVICE), str(path))
    if target.name != name:
        raise ConfigError(f"{path}: name: must be {name!r}, as the file is called, got {target.name!r}")
    return target


def known_boards() -> list[str]:
    """Names of the devices of constraints/ that have a board."""
    return [name for name in known_targets() if load_target(name).board is not None]


def load_board(name: str) -> tuple[Target, Board]:
    """The device called `name` and its board. Raises ConfigError that lists those that have one."""
    target = load_target(name) if name in known_targets() else None
    if target is None or target.board is None:
        raise ConfigError(f"--board: must be one of {', '.join(known_boards())}, got {name!r}")
    return target, target.board
