"""`psconv bitstream`: a configuration to a bitstream of a board, with the largest clock that is met."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from openhls.backend.targets import least_period
from rich.console import Console

from psconv.boards import build
from psconv.boards.families import check_installed, family_of
from psconv.boards.fitting import Folding, fitting
from psconv.boards.pll import Pll, pll_at_most, plls
from psconv.boards.protocol import CYCLES, OVERHEAD, PART
from psconv.boards.record import Record
from psconv.boards.shell import Shell
from psconv.flow.config import load
from psconv.flow.design import Design
from psconv.flow.hls import Synthesised
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.flow.run import Run, prepare, run_steps
from psconv.synthesis.targets import Board, Target, lacking, load_board, verdict
from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.top import cycles

FOLDER = "board"  # in the folder of the run
ROUNDS = 3  # times that a clock which is not met is lowered
_MARGIN = 0.98  # of what was reached: another netlist is placed otherwise
_BITS_OF_BYTE = 10
BLOCK_BITS, LUT_BITS = 36 * 1024, 16


@dataclass(frozen=True)
class Request:
    """What is asked for. clock_ns: none: the device's. baud: none: the board's. exact: the clock may not be lowered."""

    board: str
    clock_ns: float | None = None
    baud: int | None = None
    seed: int = 1

    @property
    def exact(self) -> bool:
        return self.clock_ns is not None


def make(path: Path, request: Request, out: Path, console: Console, tell: Callable[[str], None]) -> Record:
    """Builds everything into OUT, the bitstream into OUT/board. tell: what is being done.

    Raises ConfigError: a network that does not fit the device, or has no shell, a clock that is not met.
    """
    target, board = load_board(request.board)
    check_installed(target)
    config = load(path)
    if config.layer:
        raise ConfigError(f"{path}: layer: must be left out, a board has a whole network (bundle or network)")
    if config.top != "network":
        config = type(config).model_validate(config.model_dump() | {"top": "network"})
    pll = _pll(target, board, target.clock_ns if request.clock_ns is None else request.clock_ns)
    try:
        bundle = load_bundle(config, path)
        _check_memory(engine_shapes(config, bundle, target), target)
        folding = fitting(config, bundle, target)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    run = prepare(folding.config, path, out, target=target.name, clock_ns=1000 / pll.mhz)
    (design,) = run.designs
    _shell(run, design, pll, board, request, cycles=1)  # what no shell fits is refused before anything is built
    if folding.folds:
        folds = ", ".join(f"{name} {fold}" for name, fold in folding.folds.items())
        console.print(f"Folded to fit the {target.budgets.DSP} multipliers of {target.name}: {folds}")
    run_steps("synth", run, console)
    return _bitstream(run, design, folding, pll, target, board, request, console, tell)


def _pll(target: Target, board: Board, clock_ns: float) -> Pll:
    """The PLL with the highest clock that is no faster. Raises ConfigError: none is as slow, HLS knows none as fast."""
    if clock_ns < (least := least_period(target.openhls)):
        raise ConfigError(
            f"--clock: must be at least {least:g} ns (the fastest process by openhls' delay model of {target.name}), "
            f"got {clock_ns:g} ns"
        )
    limits = family_of(target).pll
    pll = pll_at_most(limits, board.clock.mhz, 1000 / clock_ns)
    if pll is None:
        slowest = min(one.mhz for one in plls(limits, board.clock.mhz))
        raise ConfigError(f"--clock: must be at most {1000 / slowest:g} ns, the PLL's slowest, got {clock_ns:g} ns")
    return pll


def _check_memory(shapes: Mapping[str, EngineShape], target: Target) -> None:
    """Raises ConfigError where weights alone are more than the device's memories of every kind hold."""
    bits = sum(shape.cout * shape.N * shape.blocks * shape.weight_bits for shape in shapes.values())
    have = target.budgets.BRAM * BLOCK_BITS + target.budgets.LUT * LUT_BITS
    if bits > have:
        raise ConfigError(
            f"--board {target.name}: the network is too large for {target.part}: its weights have "
            f"{bits / 1e6:.2f} Mbit, all block RAM and look-up tables {have / 1e6:.2f} Mbit"
        )


def _shell(run: Run, design: Design, pll: Pll, board: Board, request: Request, cycles: int) -> Shell:
    return Shell(design, run.inputs.bundle, pll.mhz, request.baud or board.baud, cycles)


def _bitstream(
    run: Run,
    design: Design,
    folding: Folding,
    pll: Pll,
    target: Target,
    board: Board,
    request: Request,
    console: Console,
    tell: Callable[[str], None],
) -> Record:
    """The bitstream of an engine whose RTL is there; the clock comes down until it is met."""
    made = Synthesised(run.layout.synth(design.name))
    taken = cycles.latency(design.dataflow, made.schedule, reloads=design.reloads).total
    wanted, seconds = pll.mhz, dict.fromkeys(("yosys", "nextpnr"), 0.0)
    for _ in range(ROUNDS):
        shell = _shell(run, design, pll, board, request, taken)
        files = build.write_sources(shell, board, target, pll, made.rtl, made.ports, run.layout.root / FOLDER)
        tell(f"yosys: the netlist, at {pll.mhz:g} MHz")
        start = time.monotonic()
        cells = build.synthesise(files, target)
        seconds["yosys"] += time.monotonic() - start
        if short := lacking(cells, target.budgets.model_dump()):
            raise ConfigError(
                f"--board {target.name}: the network is too large for {target.part} ({', '.join(short)}): "
                f"{verdict(cells, target.budgets.model_dump())}; fold its layers further (parallelism.fold)"
            )
        tell(f"nextpnr: place and route, for {pll.mhz:g} MHz")
        routed = build.route(files, board, target, pll.mhz, seed=request.seed)
        seconds["nextpnr"] += routed["seconds"]
        if routed["met"]:
            break
        lower = pll_at_most(family_of(target).pll, board.clock.mhz, routed["fmax_mhz"] * _MARGIN)
        if request.exact or lower is None:
            raise ConfigError(
                f"--clock: {pll.mhz:g} MHz are not met on {target.name}, {routed['fmax_mhz']:g} MHz are; "
                f"ask for {1000 / routed['fmax_mhz'] / _MARGIN:.2f} ns, or for none"
            )
        console.print(f"{pll.mhz:g} MHz not met, {routed['fmax_mhz']:g} MHz reached: again with {lower.mhz:g} MHz")
        pll = lower
    else:
        raise ConfigError(f"--board {target.name}: no clock is met in {ROUNDS} rounds, the last one {pll.mhz:g} MHz")
    frame = max(shell.image_bytes + PART.size, shell.out_bytes + CYCLES.size) + OVERHEAD + 2
    budget = target.budgets.model_dump()
    record = Record(
        board=target.name,
        loader=board.loader,
        bitstream=files.bitstream.name,
        network=run.inputs.bundle.network.name,
        identity=shell.info.identity.hex(),
        baud=shell.baud,
        mhz=pll.mhz,
        requested_mhz=wanted,
        fmax_mhz=routed["fmax_mhz"],
        seed=request.seed,
        folds=folding.folds,
        multipliers=folding.multipliers,
        cycles=taken,
        frames_per_second=round(pll.mhz * 1e6 / taken, 2),
        link_frames_per_second=round(shell.baud / _BITS_OF_BYTE / frame, 2),
        cells=cells,
        utilisation={kind: round(cells[kind] / budget[kind], 4) for kind in budget if budget[kind]},
        critical_path_ns=routed["critical_path_ns"],
        critical_path=[dict(part) for part in routed["critical_path_lines"]],
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )
    record.save(files.folder)
    return record
