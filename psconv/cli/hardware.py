"""What a network takes on a device, and the weights for hardware that loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Clock, Config, Json, Out, number
from pymodel.common import bounds
from pymodel.common.records import json_text
from pymodel.explore.constants import exactness


def pack_weights(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="file for the beats, as bytes in the order of TDATA")],
    bundle: Annotated[Path | None, typer.Option(help="another training of the network; none: CONFIG's")] = None,
    as_json: Json = False,
) -> None:
    """The weights of a bundle as beats for a network that loads them (weights: loaded; docs/guide/weights.md)."""
    from psconv.commands import pack_weights as loading
    from psconv.flow.config import load

    record = loading.pack(load(config), config, bundle, out)
    if as_json:
        print(json_text(record))
    else:
        show.table("Weights", [record], show.console(), False)


def board(
    config: Config,
    board: Annotated[str, typer.Option("--board", help="pynq_z2, zcu104 or kv260")],
    out: Out = Path("out"),
    clock: Clock = None,
    score_bits: Annotated[int, typer.Option("--score-bits", help="of a score in memory: 8, 16 or 32")] = 8,
    fit: Annotated[
        bool, typer.Option(help="count cells by yosys first, and refuse what the device cannot hold")
    ] = True,
    build: Annotated[bool, typer.Option(help="run Vivado, where it is installed")] = True,
    as_json: Json = False,
) -> None:
    """An IP for an AMD board, its block design, a driver for PYNQ: all in OUT/BOARD (docs/guide/zynq.md)."""
    from psconv.commands import board as boards
    from psconv.flow.layout import Layout

    console = show.console(as_json)
    show.keep(out)
    Layout(out).sweep()
    run = boards.prepared(config, board, out, clock, score_bits)
    made = boards.make(run, board, score_bits, fit, build, console)
    show.result(f"{made.board.title}, {made.mhz:g} MHz", made.to_json(), as_json)


def explore(
    config: Config,
    fps: Annotated[
        float | None,
        number("--fps", bounds.FRAMES_PER_SECOND, "frames/s to reach with the least; none: as many as fit"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="device of constraints/ instead of the configured")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="KIND=AMOUNT or KIND=none over the device's; MB/s=AMOUNT: of streamed weights"),
    ] = None,
    minimise: Annotated[str, typer.Option(help="DSP, BRAM, LUT, FF, URAM, or traffic: of streamed weights")] = "DSP",
    maximise: Annotated[str | None, typer.Option(help="utilisation: of the lanes, at --fps or more")] = None,
    packing: Annotated[bool, typer.Option(help="outputs may share multipliers")] = True,
    channels: Annotated[bool, typer.Option(help="rings may lie in memories (feed: channels)")] = True,
    weights: Annotated[
        str | None,
        typer.Option(help="rom, loaded or streamed; none: as configured, or loaded where nothing fits with ROMs"),
    ] = None,
    clock: Clock = None,
    points: Annotated[int, number("--points", bounds.POINTS, "of the frontier")] = 8,
    out: Annotated[Path | None, typer.Option("--out", help="folder for the configuration and the plot")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="scheduler of a Dask cluster to work on")] = None,
    as_json: Json = False,
) -> None:
    """Chooses the parallelism of all layers, provably the best, for a frame rate or device (docs/guide/explore.md)."""
    from psconv.commands import explore as exploration

    console = show.console(as_json)
    if out:
        show.keep(out)
    request = exploration.Request(
        fps, minimise, tuple(budget or ()), maximise, device, clock, points, dask, packing, channels, weights
    )
    with show.status(console, "explore") as tell:
        found = exploration.explore(config, request, tell)
    written = []
    if out:
        written = [exploration.write_config(found, config, out, request), *exploration.plot(found, out)]
    if as_json:
        print(json_text(found.to_json() | {"files": list(map(str, written))}))
        return
    where = f"{found.network} on {found.target.name}, {found.clock_ns:g} ns"
    show.table(f"Frontier, engines and streams together: {where}", found.rows, console, False)
    show.table("Chosen, engines and streams together", [found.summary], console, False)
    show.table("Its layers", found.layers, console, False)
    for limit in found.limits:
        console.print(f"No faster: {limit}")
    console.print(f"{exactness('DSP, BRAM, URAM', found.upper_bounds)}; LUT, FF estimates (docs/guide/explore.md)")
    for path in written:
        console.print(f"Written: {path}")


def frontier(
    bundles: Annotated[list[Path], typer.Argument(help="trained bundles of one data set, by psconv quantize")],
    device: Annotated[str, typer.Option(help="device of constraints/")],
    budget: Annotated[list[str] | None, typer.Option(help="KIND=AMOUNT or KIND=none over the device's")] = None,
    minimise: Annotated[str, typer.Option(help="DSP, BRAM, LUT, FF or URAM: the least at the highest rate")] = "DSP",
    clock: Clock = None,
    out: Out = Path("out/frontier"),
    as_json: Json = False,
) -> None:
    """Trained networks on one device: accuracy, frames per second, resources, and what others have published."""
    from psconv.commands import frontier as frontiers

    console = show.console(as_json)
    show.keep(out)
    with show.status(console, "frontier") as tell:
        found = frontiers.frontier(bundles, device, out, clock, tuple(budget or ()), minimise, tell)
    if as_json:
        print(json_text(found.to_json()))
        return
    show.table(f"On {found.target.name}, {found.clock_ns:g} ns", found.rows, console, False)
    if found.published:
        show.table("Published by others, on their boards", found.peers, console, False)
    for why in found.missing.values():
        console.print(f"Left out: {why}")
    console.print(frontiers.NOTE)
    console.print(f"Written: {out / 'frontier.svg'}")


def fits(
    config: Config,
    device: Annotated[str | None, typer.Option(help="device of constraints/ instead of the configured")] = None,
    as_json: Json = False,
) -> None:
    """Whether a network with weights in ROM fits a device, and whether its dense twin would at the same interval."""
    from psconv.commands import fits as fitting

    console = show.console(as_json)
    with show.status(console, "fits") as tell:
        found = fitting.fits(config, device, tell)
    if as_json:
        print(json_text(found.to_json()))
        return
    show.table(
        f"{found.network} on {found.target.name}, {found.interval:,} cycles an image", found.rows, console, False
    )
    console.print(
        f"{found.note}. {exactness('DSP, BRAM', found.upper_bounds)}; LUT, FF estimates (docs/guide/explore.md)"
    )
