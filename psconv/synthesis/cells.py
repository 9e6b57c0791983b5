"""What the cells of yosys's libraries count as, for the families of devices of which they are known.

A family is one of yosys's synthesis commands with its option -family. Of each that is listed here every cell that the
command can build has a rule, so that nothing is left out of a sum; the other families are refused by name.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# BRAM in units of 36 kbit. LUT counts every look-up table, those used as memory (LUTRAM), as shift registers (SRL) and
# in carry chains included. URAM are a family's largest blocks: UltraRAM, the Nexus' LRAM, the iCE40's SPRAM.
KINDS = ("LUT", "FF", "DSP", "BRAM", "URAM", "LUTRAM", "SRL", "CARRY", "MUXF")
Weights = Mapping[str, Mapping[str, float]]

_LUT, _FF, _DSP, _CARRY, _MUXF = ({kind: 1} for kind in ("LUT", "FF", "DSP", "CARRY", "MUXF"))
_HALF_BLOCK = {"BRAM": 0.5}
_FREE: dict[str, dict[str, float]] = dict.fromkeys(("$scopeinfo", "GND", "VCC", "BUFG"), {})  # constants, clocks


def _lutram(luts: int) -> dict[str, float]:
    return {"LUT": luts, "LUTRAM": luts}


_XILINX: Weights = {
    **_FREE,
    **dict.fromkeys(("IBUF", "OBUF", "OBUFT", "IOBUF"), {}),
    **{f"LUT{n}": _LUT for n in range(1, 7)},
    "INV": _LUT,
    **{f"FD{kind}E{edge}": _FF for kind in "RSCP" for edge in ("", "_1")},
    **dict.fromkeys(("LDCE", "LDPE"), _FF),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), _DSP),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), {"BRAM": 1}),
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), _HALF_BLOCK),
    "URAM288": {"URAM": 1},
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E"), {"LUT": 1, "SRL": 1}),
    **dict.fromkeys(("RAM32X1S", "RAM64X1S"), _lutram(1)),
    **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), _lutram(2)),
    **dict.fromkeys(("RAM128X1D", "RAM256X1S", "RAM32M", "RAM64M"), _lutram(4)),
    **dict.fromkeys(("RAM256X1D", "RAM512X1S", "RAM32M16", "RAM64M8", "RAM32X16DR8", "RAM64X8SW"), _lutram(8)),
    **dict.fromkeys(("CARRY4", "CARRY8"), _CARRY),
    **dict.fromkeys(("MUXF7", "MUXF8", "MUXF9"), _MUXF),
}
_LATTICE_PADS: Weights = dict.fromkeys(("IB", "OB", "OBZ", "BB", "VHI", "VLO"), {})
_ECP5: Weights = {
    **_FREE,
    **_LATTICE_PADS,
    "LUT4": _LUT,
    "CCU2C": {"LUT": 2, "CARRY": 1},
    "TRELLIS_DPR16X4": _lutram(6),  # 4 as memory, 2 that carry the write address and data
    "TRELLIS_FF": _FF,
    "MULT18X18D": _DSP,
    "DP16KD": _HALF_BLOCK,
    "EHXPLLL": {},
    **dict.fromkeys(("PFUMX", "L6MUX21"), _MUXF),
}
# DSP in multipliers of 18 x 18.
_NEXUS: Weights = {
    **_FREE,
    **_LATTICE_PADS,
    **dict.fromkeys(("LUT4", "INV"), _LUT),
    "WIDEFN9": {"LUT": 2, "MUXF": 1},
    "CCU2": {"LUT": 2, "CARRY": 1},
    "DPR16X4": _lutram(6),
    **{f"FD1P3{kind}X": _FF for kind in "BDIJ"},
    "MULT9X9": {"DSP": 0.5},
    **dict.fromkeys(("MULT18X18", "MULTADDSUB18X18", "MULTPREADD18X18"), _DSP),
    **dict.fromkeys(("MULT18X36", "MULTADDSUB9X9WIDE"), {"DSP": 2}),
    "MULT36X36": {"DSP": 4},
    **dict.fromkeys(("DP16K", "PDP16K", "PDPSC16K"), _HALF_BLOCK),
    "DPSC512K": {"URAM": 1},
}
_GOWIN: Weights = {
    **_FREE,
    **dict.fromkeys(("IBUF", "OBUF", "TBUF", "IOBUF", "rPLL"), {}),
    **{f"LUT{n}": _LUT for n in range(1, 5)},
    "ALU": {"LUT": 1, "CARRY": 1},
    **{f"MUX2_LUT{n}": _MUXF for n in range(5, 9)},
    **{f"DFF{edge}{kind}{enable}": _FF for edge in ("", "N") for kind in ("", *"RSCP") for enable in ("", "E")},
    **{f"DL{edge}{kind}{enable}": _FF for edge in ("", "N") for kind in ("", *"CP") for enable in ("", "E")},
    **{f"RAM16SDP{bits}": _lutram(6) for bits in (1, 2, 4)},  # of a unit's 8; the other 2 remain
    "MULT9X9": {"DSP": 0.5},
    "MULT18X18": _DSP,
    "MULT36X36": {"DSP": 4},
    **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B"), _HALF_BLOCK),
}
_ICE40: Weights = {
    **_FREE,
    **dict.fromkeys(("SB_IO", "SB_GB", "SB_GB_IO"), {}),
    "SB_LUT4": _LUT,
    "SB_CARRY": _CARRY,  # beside a LUT that is counted
    **{
        f"SB_DFF{edge}{enable}{kind}": _FF
        for edge in ("", "N")
        for enable in ("", "E")
        for kind in ("", "R", "S", "SR", "SS")
    },
    "SB_MAC16": _DSP,
    **{f"SB_RAM40_4K{edges}": {"BRAM": 1 / 9} for edges in ("", "NR", "NW", "NRNW")},
    "SB_SPRAM256KA": {"URAM": 1},
}


@dataclass(frozen=True)
class Family:
    """Devices whose cells have rules.

    flattens: the command does unless told -noflatten; else it does on -flatten. chains: an adder is a carry chain of
    one LUT a bit, and a tree of adders is several, as the vendor's tool builds them.
    """

    weights: Weights
    flattens: bool = True
    logic_cells: bool = False  # LUTs of up to six inputs, of which two may share a site
    chains: bool = False


# Of each command the -family that it takes unless told otherwise, and those with rules.
_SYNTHESIS: Mapping[str, tuple[str, Mapping[str, Family]]] = {
    "synth_xilinx": (
        "xc7",
        dict.fromkeys(("xc7", "xcu", "xcup"), Family(_XILINX, flattens=False, logic_cells=True, chains=True)),
    ),
    "synth_ecp5": ("ecp5", {"ecp5": Family(_ECP5)}),
    "synth_nexus": ("lifcl", dict.fromkeys(("lifcl", "lfd2nx"), Family(_NEXUS))),
    "synth_lattice": ("", {"ecp5": Family(_ECP5), **dict.fromkeys(("lifcl", "lfd2nx"), Family(_NEXUS))}),
    "synth_gowin": ("gw1n", dict.fromkeys(("gw1n", "gw2a", "gw5a"), Family(_GOWIN))),
    "synth_ice40": ("", {"": Family(_ICE40)}),
}


def family_of(command: str) -> Family:
    """The family that a synthesis command of yosys, with its options, is for.

    Raises ValueError, which lists the known ones, for one whose cells have no rules.
    """
    name, *options = shlex.split(command)
    default, families = _SYNTHESIS.get(name, ("", {}))
    chosen = options[options.index("-family") + 1] if "-family" in options[:-1] else default
    if chosen not in families:
        known = ", ".join(
            f"{tool} -family {one}".removesuffix(" -family ")
            for tool, (_, those) in _SYNTHESIS.items()
            for one in those
        )
        asked = f"{name} -family {chosen}" if chosen else name
        raise ValueError(f"must be a command whose cells can be counted ({known}), got '{asked}'")
    return families[chosen]


def kept_apart(command: str) -> str:
    """The command such that it keeps the modules of a design apart."""
    words = [word for word in shlex.split(command) if word not in ("-flatten", "-noflatten")]
    return shlex.join([*words, *(["-noflatten"] if family_of(command).flattens else [])])
