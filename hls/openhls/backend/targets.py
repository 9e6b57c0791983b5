"""Delay models of the devices the scheduler knows.

The numbers are estimates of cell plus routing at a moderate utilisation: `xcup` from the UltraScale+ data sheets
(speed grade -1), `ecp5` from nextpnr's reports (speed grade 6). They decide where pipeline registers go, never what is
computed; place and route has the last word about the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

from openhls.common.errors import HlsError
from openhls.graph.nodes import Node

TABLE_BITS = 8  # a function of so few bits is a truth table, whatever it is made of


@dataclass(frozen=True)
class Target:
    """All delays in ns."""

    name: str
    lut: float  # one level of logic with its routing
    lut_inputs: int
    carry: float  # an adder: fixed part ...
    carry_bit: float  # ... and each bit of the carry chain
    overhead: float  # clock to output, setup, skew: what every stage pays
    fifo: float  # a FIFO's output register or an input port to the logic
    issue: float  # from a read's predicate through the issue decision to the clock enables
    distributed: float  # a distributed memory's registered output
    block: float  # a block memory's output without its output register
    setup: float  # in front of a memory's address and data pins and a FIFO's input
    operand_registers: bool  # whether a multiplier is slow without registers in front of both its operands
    ultra: bool = False  # has UltraRAM; without its output register it is about as fast as a block memory
    blocks: tuple[tuple[int, int], ...] = ()  # bits and words of a block memory's forms, the widest first; (): any
    block_registers: bool = False  # whether a block memory is slow without the register behind its output

    def delay(self, node: Node) -> float:
        """Delay of a combinational operation with at most two operands of an associative one."""
        inputs = sum(a.width for a in node.args if a.op != "const")
        if node.op == "table":
            return self._table(inputs)
        delay = self._operator(node)
        return delay if inputs > self.lut_inputs + 2 else min(delay, self._table(inputs))

    def read_setup(self, style: str, depth: int) -> float:
        """In front of a memory's address: a distributed one chooses among small memories before its register."""
        beyond = (depth - 1).bit_length() - self.lut_inputs
        levels = max(0, (beyond + 1) // 2) if style == "distributed" else 0
        return self.setup + levels * self.lut

    def column(self, depth: int) -> int | None:
        """Bits of the widest block memory that holds so many words; None: a tool does as well with the whole word.

        Of several blocks for the words of one address only one would answer: a multiplexer behind them, and no use of
        their output registers.
        """
        fitting = [bits for bits, words in self.blocks if depth <= words]
        return fitting[0] if fitting and fitting[0] < self.blocks[0][0] else None

    def _table(self, inputs: int) -> float:
        """A truth table: one look-up table, some and the multiplexers behind them, or two levels."""
        beyond = inputs - self.lut_inputs
        return self.lut * (1 if beyond <= 0 else 1.5 if beyond <= 2 else 2.2)

    def _operator(self, node: Node) -> float:
        op, width = node.op, max([node.width, *(a.width for a in node.args)])
        adder = self.carry + self.carry_bit * width
        if op in ("extract", "concat", "replicate", "const", "undef", "reg"):
            return 0.0
        if op in ("add", "sub"):
            return adder
        if op == "mux":
            return self.lut
        if op == "icmp":
            constant = any(a.op == "const" for a in node.args)
            if constant and width <= 2 * self.lut_inputs:
                return self.lut * (1 if width <= self.lut_inputs else 1.5)
            if node.attrs["pred"] in ("eq", "ne"):
                return self.lut * (1 if width <= self.lut_inputs // 2 else 2 if width <= 36 else 3)
            return adder
        if op in ("and", "or", "xor"):
            if op == "xor" and any(a.op == "const" for a in node.args):
                return 0.0  # an inverter is part of the LUT behind it
            return self.lut / 2 if node.width == 1 else self.lut  # two gates share a LUT
        if op == "parity":
            return self.lut * max(1, ceil(log(width, self.lut_inputs)))
        if op in ("shl", "shru", "shrs"):
            return self.lut * max(1.0, node.width.bit_length() / 2)
        if op == "mul":
            return adder * node.width / 2
        if op in ("divu", "divs", "modu", "mods"):
            return adder * node.width
        raise AssertionError(f"no delay for {node}")


TARGETS = {
    "xcup": Target(
        "xcup",
        lut=0.45,
        lut_inputs=6,
        carry=0.45,
        carry_bit=0.012,
        overhead=0.45,
        fifo=0.3,
        issue=0.9,
        distributed=0.0,
        block=1.2,
        setup=0.3,
        operand_registers=False,
        ultra=True,
    ),
    "ecp5": Target(
        "ecp5",
        lut=0.9,
        lut_inputs=4,
        carry=2.6,
        carry_bit=0.036,
        overhead=0.6,
        fifo=0.5,
        issue=1.8,
        distributed=0.0,
        block=5.2,
        setup=2.1,
        operand_registers=True,
        blocks=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
        block_registers=True,
    ),
}


def target(name: str) -> Target:
    """The target called `name`; HlsError lists the known ones."""
    if name not in TARGETS:
        raise HlsError(f"unknown target '{name}'", hint=f"known targets: {', '.join(TARGETS)}")
    return TARGETS[name]


def least_period(name: str) -> float:
    """ns of the fastest clock that the delay model of a target leaves room for.

    Every process decides in each cycle whether its reads issue. Whatever else is in a process may ask for more time,
    which its own schedule says. HlsError: an unknown target.
    """
    model = target(name)
    period = round(1000 * (model.overhead + model.issue))  # ps
    while period / 1000 - model.overhead < model.issue:  # as the scheduler subtracts
        period += 1
    return period / 1000
