"""What drives a multiplier: walks back through a flattened netlist of yosys (write_json).

A netlist is read before technology mapping, so that multipliers, multiplexers and registers are still whole
words.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from psconv.synthesis.yosys_json import Bit, Cell, Design

_REGISTERS = frozenset({"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe", "$aldff", "$aldffe"})
_ADDERS = frozenset({"$add", "$sub", "$alu"})
_MULTIPLEXERS = frozenset({"$mux", "$pmux", "$bmux", "$shiftx", "$shift", "$shr"})


@dataclass(frozen=True)
class Source:
    """What a bit comes from: a register or memory cell, or "port"."""

    kind: str  # "register", "memory", "port"
    name: str  # of the cell


@dataclass(frozen=True)
class Operand:
    """Where one operand of a multiplier comes from.

    between: combinational cells from the nearest registers to the multiplier, by type (wiring and sign
    extension are no cells). words: registers or memories at the far end of them. delay: plain registers
    passed after that, up to `origin`. choices: words that the origin's own input selects from, itself aside:
    2 in a ring that is loaded or rotated, as many as there are positions behind an index decoder.
    counted: of a memory, whether its read addresses come from registers that no memory and no port ever feeds, that
    is from counters: nothing that is stored or comes in chooses a word.
    """

    between: dict[str, int]
    words: int
    delay: int
    origin: Source
    choices: int
    counted: bool | None


@dataclass(frozen=True)
class Memory:
    """A memory of the design. kind: "rom" when nothing writes it."""

    name: str
    kind: str
    depth: int
    width: int


class Trace(TypedDict):
    """What stands between the registers and the multipliers of a design.

    multiplexer_free: see `trace`. cells_between: combinational cells in front of all activation operands, by type.
    max_words, max_choices, max_delay: of an activation's `Operand`, the most there are; ring_registers: their origins.
    weights_from_memory: multipliers whose weights come from memories alone; packing_adders: adders on that way.
    activations, memories: the fields of each `Operand` and `Memory`.
    """

    multipliers: int
    multiplexer_free: bool
    cells_between: dict[str, int]
    max_words: int
    max_choices: int
    max_delay: int
    ring_registers: int
    weights_from_memory: int
    packing_adders: int
    activations: list[dict[str, Any]]
    memories: list[dict[str, Any]]


class Netlist:
    """One flattened module."""

    def __init__(self, design: Design, top: str) -> None:
        module = design["modules"][top]
        self.cells = module["cells"]
        self._names: dict[Bit, str] = {}
        for name, net in module["netnames"].items():
            if not net["hide_name"]:
                for bit in net["bits"]:
                    self._names.setdefault(bit, name)
        self._driver: dict[Bit, tuple[str, str, int]] = {}
        for name, cell in self.cells.items():
            for port, direction in cell["port_directions"].items():
                if direction == "output":
                    for index, bit in enumerate(cell["connections"][port]):
                        self._driver[bit] = (name, port, index)

    def memories(self) -> list[Memory]:
        """Every memory, largest first."""
        found = []
        for name, cell in self.cells.items():
            if cell["type"].startswith("$mem") and "SIZE" in cell["parameters"]:
                value = {key: int(cell["parameters"][key], 2) for key in ("SIZE", "WIDTH", "WR_PORTS")}
                label = str(cell["parameters"].get("MEMID", name)).lstrip("\\")
                kind = "ram" if value["WR_PORTS"] else "rom"
                found.append(Memory(label, kind, value["SIZE"], value["WIDTH"]))
        return sorted(found, key=lambda memory: (-memory.depth * memory.width, memory.name))

    def multipliers(self, instance: str = "") -> Iterator[tuple[str, list[Bit], list[Bit]]]:
        """Name and both operands of every multiplier with two variable operands, in all or in one instance."""
        prefix = f"$flatten\\{instance}." if instance else ""  # what yosys puts before a flattened cell's name
        for name, cell in self.cells.items():
            if cell["type"] == "$mul" and name.startswith(prefix):
                a, b = cell["connections"]["A"], cell["connections"]["B"]
                if self._variable(a) and self._variable(b):
                    yield name, a, b

    def operand(self, bits: Iterable[Bit]) -> Operand:
        """Trace one operand back to where it is chosen."""
        cells, words = self._cone(bits)
        between = Counter(self.cells[name]["type"] for name in cells)
        seen: set[Source] = set()
        delay = 0
        while (step := self._delayed(words)) is not None and step.isdisjoint(seen):
            seen |= words
            words, delay = step, delay + 1
        origin = min(words, key=lambda word: (word.kind, word.name))
        if origin.kind == "register":
            first = self.cells[origin.name]["connections"]["Q"][0]
            label = Source("register", self._names.get(first, origin.name))
        else:
            label = origin
        choices: set[Source] = set()
        for word in words:
            if word.kind == "register":
                choices |= self._cone(self.cells[word.name]["connections"]["D"], data_only=True)[1] - {word}
        counted = self._counted(origin) if origin.kind == "memory" else None
        return Operand(dict(between), len(words), delay, label, len(choices), counted)

    def bits(self, source: Source) -> int:
        """Size in bits if `source` is a memory, else 0."""
        return sum(m.depth * m.width for m in self.memories() if source == Source("memory", m.name))

    def _counted(self, memory: Source) -> bool:
        queue = [
            cell["connections"]["RD_ADDR"]
            for cell in self.cells.values()
            if cell["type"].startswith("$mem") and str(cell["parameters"].get("MEMID")).lstrip("\\") == memory.name
        ]
        passed: set[Source] = set()
        while queue:
            words = self._cone(queue.pop())[1] - passed
            if any(word.kind != "register" for word in words):
                return False
            queue += [self.cells[word.name]["connections"]["D"] for word in words]
            passed |= words
        return True

    def stored(self, bits: Iterable[Bit]) -> set[str] | None:
        """The adders on the way of `bits` from memories, through registers; None: they come from elsewhere too."""
        adders: set[str] = set()
        passed: set[Source] = set()
        queue = [list(bits)]
        while queue:
            cells, words = self._cone(queue.pop())
            adders |= cells
            if any(self.cells[name]["type"] not in _ADDERS for name in cells):
                return None
            for word in words - passed:
                if word.kind == "port":
                    return None
                if word.kind == "register":
                    queue.append(self.cells[word.name]["connections"]["D"])
            passed |= words
        return adders

    def _variable(self, bits: Iterable[Bit]) -> bool:
        return any(not isinstance(bit, str) for bit in bits)

    def _cone(self, bits: Iterable[Bit], data_only: bool = False) -> tuple[set[str], set[Source]]:
        """Combinational cells behind `bits` and the words they end in; `data_only` skips multiplexer selects."""
        cells: set[str] = set()
        words: set[Source] = set()
        queue = deque({bit for bit in bits if not isinstance(bit, str)})
        seen = set(queue)
        while queue:
            bit = queue.popleft()
            if bit not in self._driver:
                words.add(Source("port", "port"))
                continue
            name, port, index = self._driver[bit]
            cell = self.cells[name]
            if cell["type"] in _REGISTERS:
                words.add(Source("register", name))
            elif cell["type"].startswith("$mem"):
                words.add(Source("memory", str(cell["parameters"].get("MEMID", name)).lstrip("\\")))
            else:
                cells.add(name)
                for source in self._inputs(cell, port, index, data_only):
                    if not isinstance(source, str) and source not in seen:
                        seen.add(source)
                        queue.append(source)
        return cells, words

    def _inputs(self, cell: Cell, port: str, index: int, data_only: bool) -> list[Bit]:
        """Input bits that the output bit `port`[index] may depend on."""
        connections, kind = cell["connections"], cell["type"]
        if kind in ("$mux", "$pmux"):
            width = len(connections[port])
            data = [connections["A"][index], *connections["B"][index::width]]
            return data if data_only else [*data, *connections["S"]]
        ports = [name for name, direction in cell["port_directions"].items() if direction == "input"]
        if data_only and kind in _MULTIPLEXERS:
            ports = [name for name in ports if name not in ("S", "B")]
        return [bit for name in ports for bit in connections[name]]

    def _delayed(self, words: set[Source]) -> set[Source] | None:
        """The words one cycle earlier, if all of `words` are registers that only delay; None otherwise."""
        earlier: set[Source] = set()
        for word in words:
            if word.kind != "register":
                return None
            cells, sources = self._cone(self.cells[word.name]["connections"]["D"])
            if cells or len(sources) != 1 or sources == {word}:
                return None
            earlier |= sources
        return earlier if len(earlier) == len(words) and all(w.kind != "port" for w in earlier) else None


def trace(design: Design, top: str, instance: str = "", ring_choices: int = 2) -> Trace:
    """The proof that no multiplexer stands between ring and multipliers, or its refutation.

    `design` is write_json's output after `flatten` with `$mul`, `$mux`, `$dff` and `$mem_v2` still whole.
    `instance`: of `top`, whose multipliers are meant; empty: all of the design's.
    `multiplexer_free`: every activation operand is one word without a cell in between, of a register that is loaded
    from at most `ring_choices` words, or of a memory that counters address. The operand that comes from memories alone
    (through the adders that pack several weights into it), of two the one from the larger memory, or, failing that, the
    one with fewer choices is the weight.
    """
    netlist = Netlist(design, top)
    activations: list[Operand] = []
    from_memory, adders = 0, set()
    for _, a, b in netlist.multipliers(instance):
        sides = [(netlist.stored(bits), netlist.operand(bits)) for bits in (a, b)]
        (passed, _), (_, activation) = sorted(
            sides, key=lambda side: (side[0] is None, side[1].choices, -netlist.bits(side[1].origin))
        )
        activations.append(activation)
        from_memory += passed is not None
        adders |= passed or set()
    between: Counter[str] = Counter()
    for operand in activations:
        between.update(operand.between)
    free = bool(activations) and all(
        not o.between and o.words == 1 and o.choices <= ring_choices and o.counted is not False for o in activations
    )
    return {
        "multipliers": len(activations),
        "multiplexer_free": free,
        "cells_between": dict(between),
        "max_words": max((o.words for o in activations), default=0),
        "max_choices": max((o.choices for o in activations), default=0),
        "max_delay": max((o.delay for o in activations), default=0),
        "ring_registers": len({o.origin for o in activations}),
        "weights_from_memory": from_memory,
        "packing_adders": len(adders),
        "activations": [asdict(operand) for operand in activations],
        "memories": [asdict(memory) for memory in netlist.memories()],
    }
