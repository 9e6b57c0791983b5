"""Delay models of devices: YAML files, of which a few come with openhls (docs/targets.md).

They decide where pipeline registers go, never what is computed; place and route has the last word about the clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, log, log2
from pathlib import Path

import yaml

from openhls.common.errors import HlsError
from openhls.graph.nodes import Node
from openhls.results import records

FOLDER = Path(__file__).resolve().parents[1] / "targets"
VERSION = 1
DEFAULT_TARGET, DEFAULT_CLOCK_NS = "xcup", 3.33  # where a caller names none


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
    carry_out: float = 0.0  # from the end of a carry chain to the logic behind it: what a comparison takes more
    fan_out: float = 0.0  # of a distributed memory's address, for each doubling of its bits
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

    def late_word(self, width: int) -> float:
        """A FIFO without an output register to the logic: a distributed memory of up to `direct_words` words."""
        return self.fifo + self.lut + self.fan_out * log2(width)

    @property
    def direct_words(self) -> int:
        """Words of a distributed memory that takes no multiplexer."""
        return 1 << self.lut_inputs

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
            return adder + self.carry_out
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


def known_targets() -> list[str]:
    """Names of the delay models that come with openhls."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_target(which: str | Path) -> Target:
    """A delay model: one of `known_targets`, or a YAML file (a path with a folder in it, or one that ends in .yaml).

    Raises:
        HlsError: there is no such model, or its file has a key that is missing, unknown, of another kind, or out of
            range; the message names file and key.
    """
    text = str(which)
    if "/" not in text and not text.endswith((".yaml", ".yml")):
        if text not in known_targets():
            hint = f"known targets: {', '.join(known_targets())}; another one is a path to its .yaml"
            raise HlsError(f"unknown target '{text}'", hint=hint)
        return _load(FOLDER / f"{text}.yaml")
    return _load(Path(which))


def _load(path: Path) -> Target:
    try:
        content = yaml.safe_load(records.read(path))
    except yaml.YAMLError as error:
        raise HlsError(f"{path}: no YAML: {error}") from None
    content = records.of_version(content, str(path), VERSION)
    if "name" in content:
        raise HlsError(f"{path}: name: unknown key", hint="a target is called after its file")
    model = records.record(Target, {"name": path.stem, **content}, str(path))
    _check(model, path)
    return model


def _check(model: Target, path: Path) -> None:
    """Raises HlsError where a value cannot be."""
    for name, value in asdict(model).items():
        if isinstance(value, float) and value < 0:
            raise HlsError(f"{path}: {name}: {value}: a delay is at least 0 ns")
    if model.lut_inputs < 2:
        raise HlsError(f"{path}: lut_inputs: {model.lut_inputs}: a look-up table has at least 2")
    bits, words = [b for b, _ in model.blocks], [w for _, w in model.blocks]
    if bits != sorted(set(bits), reverse=True) or words != sorted(set(words)) or any(n < 1 for n in bits + words):
        shape = "[bits, words], each narrower and deeper than the one before it"
        raise HlsError(f"{path}: blocks: {[list(form) for form in model.blocks]}: {shape}")


def least_period(which: str | Path) -> float:
    """ns of the fastest clock that the delay model of a target leaves room for.

    Every process decides in each cycle whether its reads issue. Whatever else is in a process may ask for more time,
    which its own schedule says. HlsError: as of `load_target`.
    """
    model = load_target(which)
    period = round(1000 * (model.overhead + model.issue))  # ps
    while period / 1000 - model.overhead < model.issue:  # as the scheduler subtracts
        period += 1
    return period / 1000
