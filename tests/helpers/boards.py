"""A small network on a board, in simulation: quick to build, and everything that a shell has."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psconv.boards.build import Files, write_sources
from psconv.boards.families import family_of
from psconv.boards.pll import pll_at_most
from psconv.boards.shell import Shell
from psconv.boards.simulate import SimulatedPort, simulator
from psconv.flow.hls import compile_top
from psconv.synthesis.targets import load_board
from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.top.dataflow import build
from pymodel.top.packets import loadable, weight_beats
from tests.helpers.designs import design_of
from tests.helpers.networks import conv, network

BOARD, BAUD, FRAME_MS = "orangecrab", 6_000_000, 0.2  # as fast as its clock allows; a frame stops soon
TIMEOUT, SILENCE = 0.004, 0.001  # s of the board's time, of which the simulation takes a thousand times as much


def small(seed: int = 3) -> Bundle:
    """Two layers, two channels in, three scores out."""
    layers = (
        conv("a", "input", 4, support="PS4_P4", relu=True),
        {"op": "linear", "name": "fc", "input": "a", "out_features": 3},
    )
    return random_bundle(network(*layers, channels=2, height=3, width=4), seed)


@dataclass(frozen=True)
class Built:
    """A network with its shell, and the program that simulates it."""

    bundle: Bundle
    shell: Shell
    files: Files
    program: Path
    cache: Path

    @contextmanager
    def port(self, seed: int = 1, skew: float = 0.0, program: Path | None = None) -> Iterator[SimulatedPort]:
        """The serial line, some time after power-on."""
        with SimulatedPort(program or self.program, self.shell.mhz, self.shell.baud, seed=seed, skew=skew) as port:
            port.wait(0.002)
            yield port


def on_board(
    bundle: Bundle,
    folder: Path,
    loaded: bool = False,
    parallelism: Mapping[str, int] | None = None,
    name: str = BOARD,
    baud: int = BAUD,
) -> Built:
    """Builds a network with its shell in `folder`, at the clock of the board's own oscillator."""
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {name: engine_shape(bundle, name, **(parallelism or {})) for name in names}
    if loaded:
        shapes = {name: loadable(shape) for name, shape in shapes.items()}
    dataflow = build(bundle, shapes, loaded=loaded)
    target, board = load_board(name)
    pll = pll_at_most(family_of(target).pll, board.clock.mhz, board.clock.mhz)
    assert pll is not None
    design = design_of(dataflow, weight_beats(dataflow, bundle) if loaded else None)
    made = compile_top(dataflow, folder / "synth", target=target.openhls, clock_ns=1000 / pll.mhz)
    shell = Shell(design, bundle, pll.mhz, baud, cycles=5000, frame_ms=FRAME_MS)
    files = write_sources(shell, board, target, pll, made.rtl, made.ports, folder / "board")
    assert board.reset is not None
    cache = folder / "simulators"
    program = simulator(files.rtl, cache, active_low=board.reset.active_low, family=family_of(target))
    return Built(bundle, shell, files, program, cache)


@contextmanager
def as_device(port: SimulatedPort) -> Iterator[str]:
    """A serial port of this machine at whose other end the simulated board is."""
    near, far = pty.openpty()
    tty.setraw(near)
    tty.setraw(far)
    os.set_blocking(near, False)
    done = threading.Event()

    def carry() -> None:
        while not done.is_set():
            with suppress(BlockingIOError):
                port.write(os.read(near, 4096))
            if data := port.read(0.0002):
                os.write(near, data)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield os.ttyname(far)
    finally:
        done.set()
        thread.join()
        os.close(near)
        os.close(far)


def images_for(bundle: Bundle, count: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, *bundle.network.input.shape)).astype(np.int8)
