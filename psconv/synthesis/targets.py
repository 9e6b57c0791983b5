"""The devices of constraints/: what a run needs to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from openhls import known_targets as delay_models
from pydantic import Field, field_validator

from psconv.common.places import CONSTRAINTS
from psconv.synthesis.cells import family_of
from pymodel.common.bounds import BUDGET, CLOCK_NS, MULTIPLIER_BITS
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import DEVICE, read_kind


class Budget(Strict):
    """What the device has; BRAM in units of 36 kbit."""

    LUT: int = BUDGET.field(description="look-up tables")
    FF: int = BUDGET.field(description="flip-flops")
    DSP: int = BUDGET.field(description="multiplier blocks")
    BRAM: int = BUDGET.field(description="block RAMs of 36 kbit")
    URAM: int = BUDGET.field(description="UltraRAMs of 288 kbit")


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
    nextpnr: str | None = Field(None, description="device options of nextpnr-ecp5; none: no place and route")
    bambu: str = Field(description="device of PandA Bambu's library with the nearest delays (--device-name)")
    constraints: str = Field(description="clock constraint for the vendor's tool, beside the YAML file")
    budgets: Budget

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
