"""Registers of an ECP5's multipliers and block RAMs, which yosys leaves unused: a pass between yosys and nextpnr.

yosys maps a product onto MULT18X18D and a memory onto DP16KD without the registers that these blocks have, whatever
flip-flops stand around them in the RTL. This pass works on the flattened netlist that yosys wrote and moves such
flip-flops into the block:

* in front of both operands of a multiplier (nextpnr times one registered operand as none), and behind its product;
* behind the data of a block RAM's read port (its own output latch is there already: this makes a second cycle).

A flip-flop may move if the block's register does the same at every clock edge: the same clock and enable, no set or
reset, and a start at zero. It moves backwards over nothing and forwards over nothing, so no other net changes. Behind a
block it must be the only load of its bit. In front of a multiplier it may feed several, and each gets a copy; if it
feeds anything else it stays, and so does the other operand's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from psconv.synthesis.yosys_json import Bit, Cell, Module

Pin = tuple[str, str]  # cell, port
OPERAND_BITS, PRODUCT_BITS, READ_BITS = 18, 36, 18
_ZERO = ("0", "x")  # of an operand: what a register that starts at zero may hold for ever


@dataclass(frozen=True)
class _Control:
    """What moves a flip-flop: its clock net and its enable ("1": always)."""

    clock: Bit
    enable: Bit


class _Netlist:
    """A flattened module: the flip-flops that may move, and the loads of each net."""

    def __init__(self, module: Module) -> None:
        self.cells = module["cells"]
        self.loads: dict[Bit, list[Pin]] = defaultdict(list)
        self.register: dict[Bit, str] = {}  # by output net
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    for bit in bits:
                        self.loads[bit].append((name, port))
            if cell["type"] == "TRELLIS_FF" and _plain(cell):
                self.register[cell["connections"]["Q"][0]] = name
        for pins in module["ports"].values():
            if pins["direction"] != "input":
                for bit in pins["bits"]:
                    self.loads[bit].append(("", "port"))

    def of_type(self, kind: str) -> list[str]:
        return [name for name, cell in self.cells.items() if cell["type"] == kind]

    def bit(self, cell: str, port: str) -> Bit:
        """What is connected to a port of one bit; "x" where nothing is."""
        bits = self.cells[cell]["connections"].get(port)
        return bits[0] if bits else "x"

    def control(self, register: str) -> _Control:
        always = self.cells[register]["parameters"]["CEMUX"].strip() == "1"
        return _Control(self.bit(register, "CLK"), "1" if always else self.bit(register, "CE"))


def _plain(cell: Cell) -> bool:
    """Whether a flip-flop starts at zero, is never set or reset, and takes DI at the rising edge."""
    parameters, connections = cell["parameters"], cell["connections"]
    return (
        parameters.get("REGSET") == "RESET"
        and parameters.get("GSR") == "DISABLED"
        and parameters.get("CLKMUX") == "CLK"
        and connections.get("LSR") == ["0"]
        and parameters.get("LSRMUX") == "LSR"
        and parameters.get("CEMUX", "").strip() in ("1", "CE")
        and "M" not in connections
        and "keep" not in cell["attributes"]
    )


def use_registers(module: Module) -> dict[str, int]:
    """Move flip-flops into the blocks of a flattened module, in place.

    module: an entry of "modules" of yosys's JSON after synth_ecp5. Returns how many multipliers have input and how many
    have output registers afterwards, how many block RAM ports have, and by how many flip-flops there are fewer.
    """
    before = len(_Netlist(module).of_type("TRELLIS_FF"))
    front = _operands(_Netlist(module))
    netlist = _Netlist(module)
    behind = sum(_product(netlist, name) for name in netlist.of_type("MULT18X18D"))
    ports = sum(_read_ports(netlist, name) for name in netlist.of_type("DP16KD"))
    after = len(netlist.of_type("TRELLIS_FF"))
    return {
        "multiplier_inputs": front,
        "multiplier_outputs": behind,
        "block_ram_outputs": ports,
        "flip_flops_saved": before - after,
    }


# -- behind a block --


def _followers(netlist: _Netlist, block: str, ports: Iterable[str]) -> tuple[dict[str, str], _Control] | None:
    """The flip-flop behind each output that is used, by port, if it is the only load and all are controlled alike."""
    found: dict[str, str] = {}
    for port in ports:
        loads = netlist.loads[netlist.bit(block, port)]
        if not loads:
            continue
        [(cell, pin), *others] = loads
        if others or pin != "DI" or netlist.register.get(netlist.bit(cell, "Q")) != cell:
            return None
        found[port] = cell
    controls = {netlist.control(cell) for cell in found.values()}
    return (found, controls.pop()) if len(controls) == 1 else None


def _absorb(netlist: _Netlist, block: str, found: dict[str, str]) -> None:
    """The block's outputs drive what the flip-flops behind them drove."""
    for port, register in found.items():
        output = netlist.cells.pop(register)["connections"]["Q"]
        netlist.cells[block]["connections"][port] = output
        del netlist.register[output[0]]


def _product(netlist: _Netlist, name: str) -> bool:
    following = _followers(netlist, name, [f"P{k}" for k in range(PRODUCT_BITS)])
    if following is None or netlist.bit(name, "CLK0") not in ("x", following[1].clock):
        return False
    _switch_on(netlist.cells[name], "OUTPUT", 2, following[1])
    _absorb(netlist, name, following[0])
    return True


def _read_ports(netlist: _Netlist, name: str) -> int:
    """Output registers of a block RAM's ports; with 36 bits its one read port, B, has the outputs of both."""
    parameters = netlist.cells[name]["parameters"]
    halves = {side: [f"DO{side}{k}" for k in range(READ_BITS)] for side in "AB"}
    paired = int(parameters["DATA_WIDTH_A"], 2) == 2 * READ_BITS
    count = 0
    for side, outputs in ({"B": halves["A"] + halves["B"]} if paired else halves).items():
        following = _followers(netlist, name, outputs)
        fits = (
            following is not None
            and following[1] == _Control(netlist.bit(name, f"CLK{side}"), "1")
            and parameters[f"CLK{side}MUX"] == f"CLK{side}"
            and parameters[f"REGMODE_{side}"] == "NOREG"
            and [netlist.bit(name, f"{pin}{side}") for pin in ("CE", "OCE", "RST")] == ["1", "1", "0"]
        )
        if following is not None and fits:
            parameters |= {f"REGMODE_{half}": "OUTREG" for half in ("AB" if paired else side)}
            _absorb(netlist, name, following[0])
            count += 1
    return count


# -- in front of a multiplier --


def _operands(netlist: _Netlist) -> int:
    """Input registers of every multiplier that can have both. A flip-flop may feed several, if all of them can."""
    chosen = netlist.of_type("MULT18X18D")
    while True:
        pins = {(name, f"{side}{k}") for name in chosen for side in "AB" for k in range(OPERAND_BITS)}
        kept = [name for name in chosen if _both(netlist, name, pins) is not None]
        if kept == chosen:
            break
        chosen = kept
    controls = {name: both for name in chosen if (both := _both(netlist, name, pins)) is not None}
    taken = set()
    for name in chosen:
        cell = netlist.cells[name]
        for number, (side, control) in enumerate(controls[name].items()):
            _switch_on(cell, f"INPUT{side}", number, control)
            for k in range(OPERAND_BITS):
                bit = netlist.bit(name, f"{side}{k}")
                if isinstance(bit, int):
                    taken.add(netlist.register[bit])
                    cell["connections"][f"{side}{k}"] = netlist.cells[netlist.register[bit]]["connections"]["DI"]
    for register in taken:
        del netlist.cells[register]
    return len(chosen)


def _both(netlist: _Netlist, name: str, pins: set[Pin]) -> dict[str, _Control] | None:
    """How the flip-flops in front of both operands are controlled, if they feed nothing but `pins`."""
    found: dict[str, _Control] = {}
    for side in "AB":
        controls = set()
        for k in range(OPERAND_BITS):
            bit = netlist.bit(name, f"{side}{k}")
            if bit in _ZERO:
                continue
            register = netlist.register.get(bit)
            if register is None or not pins.issuperset(netlist.loads[bit]):
                return None
            controls.add(netlist.control(register))
        if len(controls) != 1 or netlist.bit(name, f"SIGNED{side}") not in ("0", "1"):
            return None
        found[side] = controls.pop()
    return found if len({control.clock for control in found.values()}) == 1 else None


def _switch_on(cell: Cell, register: str, number: int, control: _Control) -> None:
    """Use a register of a multiplier, with the enable CE`number`; reset never, not even with the rest of the device."""
    cell["parameters"] |= {
        "GSR": "DISABLED",
        f"REG_{register}_CLK": "CLK0",
        f"REG_{register}_CE": f"CE{number}",
        f"REG_{register}_RST": "RST0",
    }
    for port, bit in (("CLK0", control.clock), (f"CE{number}", control.enable), ("RST0", "0")):
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
