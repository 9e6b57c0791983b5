"""Registers moved into an ECP5's multipliers and block RAMs: which, and that nothing behaves differently afterwards."""

import copy
import json
import random

import pytest

from psconv.synthesis.ecp5_registers import use_registers
from psconv.synthesis.yowasp import read_sources, yosys
from tests.helpers.places import RTL

SOURCE = RTL / "blocks.sv"


class Simulation:
    """A netlist of yosys for the ECP5, cycle by cycle, from the cells' published behaviour.

    A block RAM is a fixed function of its address here: which word it holds where is not in question.
    """

    def __init__(self, module):
        self.module, self.cells = module, module["cells"]
        self.clocked = {}  # what a clocked output holds: (cell, port) -> bit
        self.latched = {}  # other registers in blocks: (cell, register) -> bits
        for name, cell in self.cells.items():
            if cell["type"] == "TRELLIS_FF":
                self.clocked[name, "Q"] = int(cell["parameters"]["REGSET"] == "SET")
        self.driver = {
            bit: (name, port, k)
            for name, cell in self.cells.items()
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "output"
            for k, bit in enumerate(bits)
        }

    def value(self, bit):
        """A net's value in this cycle."""
        if isinstance(bit, str):
            return int(bit == "1")
        if bit not in self.now:
            name, port, _ = self.driver[bit]
            self.now[bit] = getattr(self, f"_{self.cells[name]['type']}")(name, self.cells[name], port)
        return self.now[bit]

    def pin(self, cell, port):
        return self.value(cell["connections"][port][0]) if cell["connections"].get(port) else 0

    def word(self, cell, prefix, count):
        return sum(self.pin(cell, f"{prefix}{k}") << k for k in range(count))

    def _TRELLIS_FF(self, name, cell, port):
        return self.clocked[name, "Q"]

    def _LUT4(self, name, cell, port):
        index = sum(self.pin(cell, p) << k for k, p in enumerate("ABCD"))
        return int(cell["parameters"]["INIT"][::-1][index])

    def _CCU2C(self, name, cell, port):
        carry = self.pin(cell, "CIN")
        for k in "01":
            inputs = sum(self.pin(cell, f"{p}{k}") << n for n, p in enumerate("ABCD"))
            table = cell["parameters"][f"INIT{k}"][::-1]
            four, two = int(table[inputs]), int(table[inputs & 3])
            if port == f"S{k}":
                return four ^ carry
            carry = carry if four else two
        return carry

    def _MULT18X18D(self, name, cell, port):
        if cell["parameters"].get("REG_OUTPUT_CLK") == "CLK0":
            return self.latched.get((name, "P"), 0) >> int(port[1:]) & 1
        return self._product(name, cell) >> int(port[1:]) & 1

    def _product(self, name, cell):
        sides = []
        for side in "AB":
            registered = cell["parameters"].get(f"REG_INPUT{side}_CLK") == "CLK0"
            word = self.latched.get((name, side), 0) if registered else self.word(cell, side, 18)
            signed = self.pin(cell, f"SIGNED{side}")
            sides.append(word - (1 << 18) if signed and word >> 17 else word)
        return sides[0] * sides[1] & (1 << 36) - 1

    def _DP16KD(self, name, cell, port):
        registered = cell["parameters"][f"REGMODE_{port[2]}"] == "OUTREG"
        return self._read(port, self.latched.get((name, "second" if registered else "first"), 0))

    def _read(self, port, seed):
        return random.Random(f"{port} {seed}").getrandbits(1) if seed else 0

    def step(self, inputs):
        """One cycle: outputs for these inputs, then the clock edge."""
        self.now = {}
        ports = self.module["ports"]
        for name, port in ports.items():
            if port["direction"] == "input":
                self.now |= {bit: inputs[name] >> k & 1 for k, bit in enumerate(port["bits"])}
        outputs = {
            name: [self.value(bit) for bit in port["bits"]]
            for name, port in ports.items()
            if port["direction"] == "output"
        }
        clocked, latched = dict(self.clocked), dict(self.latched)
        for name, cell in self.cells.items():
            parameters = cell["parameters"]
            if cell["type"] == "TRELLIS_FF":
                if parameters["CEMUX"].strip() == "1" or self.pin(cell, "CE"):
                    clocked[name, "Q"] = self.pin(cell, "DI")
                if self.pin(cell, "LSR"):
                    clocked[name, "Q"] = int(parameters["REGSET"] == "SET")
            elif cell["type"] == "MULT18X18D":
                for side, register in (("A", "INPUTA"), ("B", "INPUTB"), ("P", "OUTPUT")):
                    if parameters.get(f"REG_{register}_CLK") == "CLK0" and self.pin(
                        cell, parameters[f"REG_{register}_CE"]
                    ):
                        latched[name, side] = self._product(name, cell) if side == "P" else self.word(cell, side, 18)
            elif cell["type"] == "DP16KD":
                latched[name, "second"] = self.latched.get((name, "first"), 0)
                latched[name, "first"] = 1 + self.word(cell, "ADB", 14)
        self.clocked, self.latched = clocked, latched
        return outputs


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    yosys(f"{read_sources([SOURCE], folder)}; synth_ecp5 -noiopad -top blocks -json design.json", folder)
    return json.loads((folder / "design.json").read_text())["modules"]["blocks"]


def _block(module, kind, name):
    [found] = [c for n, c in module["cells"].items() if c["type"] == kind and n.startswith(name)]
    return found["parameters"]


def test_registers_move_where_they_may_and_nowhere_else(netlist):
    module = copy.deepcopy(netlist)
    moved = use_registers(module)
    expected = {  # product: input registers, output register
        "plain": (True, True),
        "enabled": (True, True),
        "first": (True, True),
        "second": (True, True),
        "late": (True, False),  # its output starts at 5
        "lone": (False, True),
        "out_of": (False, True),  # an operand is an output as well
        "halves": (False, True),  # two enables in one operand
        "reset": (False, False),
    }
    for name, (front, behind) in expected.items():
        parameters = _block(module, "MULT18X18D", name)
        found = [parameters.get(f"REG_{r}_CLK") == "CLK0" for r in ("INPUTA", "INPUTB", "OUTPUT")]
        assert found == [front, front, behind], name
    for name, registered in (("u_word", True), ("u_held", False), ("u_two", False)):
        parameters = _block(module, "DP16KD", name)
        assert {parameters["REGMODE_A"], parameters["REGMODE_B"]} == {"OUTREG" if registered else "NOREG"}
    flops = [sum(c["type"] == "TRELLIS_FF" for c in m["cells"].values()) for m in (netlist, module)]
    assert moved == {
        "multiplier_inputs": sum(front for front, _ in expected.values()),
        "multiplier_outputs": sum(behind for _, behind in expected.values()),
        "block_ram_outputs": 1,
        "flip_flops_saved": flops[0] - flops[1],
    }
    # Inputs: 5 products of two operands, one of these shared; outputs: 7 products; a word of the ROM.
    assert moved["flip_flops_saved"] == 9 * (2 * 5 - 1) + 18 * 7 + 36


def test_nothing_behaves_differently(netlist):
    module = copy.deepcopy(netlist)
    use_registers(module)
    before, after = Simulation(netlist), Simulation(module)
    rng = random.Random(7)
    widths = {name: len(p["bits"]) for name, p in netlist["ports"].items() if p["direction"] == "input"}
    seen = set()
    for _ in range(60):
        inputs = {name: rng.getrandbits(width) for name, width in widths.items()} | {"rst": rng.random() < 0.1}
        outputs = before.step(inputs)
        assert after.step(inputs) == outputs
        seen.add(tuple(outputs["plain"]))
    assert len(seen) > 50


def test_the_simulation_would_see_a_wrong_move(netlist):
    """A register more, and an enable that is ignored, are both found."""
    for name, parameter, value in (("lone", "REG_INPUTA_CLK", "CLK0"), ("enabled", "REG_OUTPUT_CE", "CE3")):
        module = copy.deepcopy(netlist)
        use_registers(module)
        parameters = _block(module, "MULT18X18D", name)
        parameters |= {parameter: value, "REG_INPUTA_CE": "CE2"}
        before, after = Simulation(netlist), Simulation(module)
        rng = random.Random(1)
        widths = {n: len(p["bits"]) for n, p in netlist["ports"].items() if p["direction"] == "input"}
        steps = [{n: rng.getrandbits(w) for n, w in widths.items()} | {"rst": 0} for _ in range(30)]
        assert any(before.step(inputs) != after.step(inputs) for inputs in steps)


def test_a_kept_register_stays(netlist):
    module = copy.deepcopy(netlist)
    for cell in module["cells"].values():
        if cell["type"] == "TRELLIS_FF":
            cell["attributes"]["keep"] = "1"
    assert set(use_registers(module).values()) == {0}
