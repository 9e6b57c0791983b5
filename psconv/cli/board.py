"""Networks on boards: the bitstream, onto the board, images through it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from psconv.cli import show
from psconv.cli.options import Config, Json, Out, number
from psconv.common.progress import Progress
from pymodel.common import bounds
from pymodel.common.records import json_text

BoardName = Annotated[str, typer.Option("--board", help="device of constraints/ that has a board")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="OUT/board of psconv bitstream")]


def bitstream(
    config: Config,
    board: BoardName,
    out: Out = Path("out"),
    clock: Annotated[
        float | None,
        number("--clock", bounds.CLOCK_NS, "clock period, met or refused; none: the device's, or the next that is met"),
    ] = None,
    baud: Annotated[int | None, number("--baud", bounds.BAUD, "of the serial line instead of the board's")] = None,
    seed: Annotated[int, number("--seed", bounds.SEED, "of place and route")] = 1,
    as_json: Json = False,
) -> None:
    """A network onto a board, with pip's tools alone: HLS, yosys, nextpnr, the packer (docs/guide/boards.md)."""
    from psconv.boards import bitstream as making
    from psconv.flow.layout import Layout

    console = show.console(as_json)
    show.keep(out)
    Layout(out).sweep()
    request = making.Request(board, clock, baud, seed)
    record = making.make(config, request, out, console, console.print)
    if as_json:
        print(json_text(record.model_dump()))
        return
    row = {
        "board": record.board,
        "MHz": record.mhz,
        "reached": record.fmax_mhz,
        "cycles": record.cycles,
        "frames/s": record.frames_per_second,
        "frames/s of the line": record.link_frames_per_second,
        "baud": record.baud,
    }
    show.table(f"{record.network} on {record.board}", [row], console, False)
    cells = [{"cells": kind, "used": n, "share": record.utilisation.get(kind)} for kind, n in record.cells.items() if n]
    show.table("Cells, the shell with them", cells, console, False)
    path = [
        {"source": part["source"] or "?", "through": ", ".join(part["through"]), "ns": part["delay_ns"]}
        for part in record.critical_path
    ]
    show.table(f"Critical path: {record.critical_path_ns:g} ns", path, console, False)
    console.print(f"Written: {out / making.FOLDER / record.bitstream}")


def flash(
    folder: Folder,
    permanent: Annotated[bool, typer.Option("--permanent", help="into the flash memory, for every power-on")] = False,
    as_json: Json = False,
) -> None:
    """Loads a bitstream onto its board, by openFPGALoader."""
    from psconv.boards.flash import flash as load

    with show.status(show.console(as_json), "openFPGALoader"):
        command = load(folder, permanent=permanent)
    show.result("Loaded", {"command": command, "permanent": permanent}, as_json)


def classify(
    images: Annotated[str, typer.Argument(metavar="IMAGES", help=".npz with `images` (and `labels`), or a data set")],
    bundle: Annotated[Path, typer.Option("--bundle", help="of the network that the board has")],
    port: Annotated[str, typer.Option("--port", help="serial port, such as /dev/ttyUSB0")],
    baud: Annotated[int, number("--baud", bounds.BAUD, "that of the bitstream")] = 3_000_000,
    weights: Annotated[Path | None, typer.Option("--weights", help="of psconv pack-weights, loaded first")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="where the data set lies")] = None,
    count: Annotated[int | None, number("--count", bounds.IMAGES, "images; none: all")] = None,
    check: Annotated[bool, typer.Option("--check", help="compare every score with the golden model's")] = False,
    as_json: Json = False,
) -> None:
    """Images through a board: their classes, images per second, accuracy."""
    import numpy as np

    from psconv.api.bundle import load
    from psconv.boards import classify as classifying
    from psconv.boards.host import Board
    from pymodel.common.records import read_bytes

    console = show.console(as_json)
    network = load(bundle)
    given, labels = classifying.images_of(images, data, count, network)
    beats = None if weights is None else np.frombuffer(read_bytes(weights), np.uint8)
    with Board.open(port, network, baud=baud) as board:
        if beats is not None:
            board.load_weights(beats)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("images", total=len(given))
            found = classifying.classify(
                board, given, labels, check=check, done=lambda now: progress.update(task, completed=now)
            )
    row = {
        "images": found.images,
        "images/s": found.images_per_second,
        "cycles": found.cycles,
        "MHz": found.mhz,
        "accuracy": found.accuracy,
        "exact": found.exact,
        "repeated": found.repeated,
    }
    if as_json:
        print(json_text({**row, "right": found.right, "seconds": found.seconds, "classes": found.classes}))
    else:
        show.table(network.network.name, [row], console, False)
    if found.exact is not None and found.exact != found.images:
        raise typer.Exit(1)
