"""What differs between FPGA families from a board's SystemVerilog to its bitstream: one module, one `Family` each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from psconv.boards import ecp5, gowin
from psconv.boards.family import Family
from psconv.synthesis.targets import Target
from psconv.vendor.tools import ToolMissing
from pymodel.common.errors import ConfigError

# By the key `family` of a device.
FAMILIES: Mapping[str, Family] = {"ecp5": ecp5.FAMILY, "gw2a": gowin.FAMILY}


def family_of(target: Target) -> Family:
    """The family of a device. Raises ConfigError that lists those that have one."""
    if target.family not in FAMILIES:
        raise ConfigError(
            f"constraints/{target.name}.yaml: family: must be one of {', '.join(FAMILIES)} for a board, "
            f"got {target.family!r}"
        )
    return FAMILIES[target.family]


def check_installed(target: Target) -> None:
    """Raises ToolMissing that names the packages without which there is no bitstream of the device."""
    needs = family_of(target).needs
    if missing := [package for module, package in needs.items() if find_spec(module) is None]:
        raise ToolMissing(
            f"--board {target.name}: {' and '.join(missing)} must be installed for {target.part}: "
            "pip install 'psconv[board]'"
        )
