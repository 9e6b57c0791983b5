"""The IP of a small network in a simulator, with a driver, images and weights for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openhls.results.ports import Ports, PortStream, Reset, Signal

from psconv.boards.zynq import project
from psconv.boards.zynq.boards import board_of
from psconv.boards.zynq.wrapper import Wrapper
from psconv.flow.design import Design
from psconv.flow.hls import PORTS, Synthesised, compile_top
from pymodel.common.arrays import Int8, UInt8
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import INPUT
from pymodel.top.dataflow import NETWORK, build
from pymodel.top.packets import loadable, weight_beats
from rtl_tb.build import build_alone
from rtl_tb.runner import run_alone
from tests.helpers.networks import NETWORKS, some_images
from tests.helpers.places import ROOT, TESTS

BENCH = "tests.boards.driver_bench"


@dataclass(frozen=True)
class Simulated:
    """A board's folder whose IP is in a simulator. weights: those that it loads."""

    folder: Path
    module: str
    binary: Path
    x: Int8
    y: Int8
    labels: np.ndarray
    weights: UInt8 | None

    @classmethod
    def of(cls, folder: Path, module: str, x: Int8, y: Int8, labels: np.ndarray, weights: UInt8 | None) -> Simulated:
        """Compiles what `psconv board` wrote."""
        rtl = [*(folder / "rtl").glob("*.sv"), *(folder / "rtl").glob("*.v")]
        return cls(folder, module, build_alone(sorted(rtl), module, folder.parent), x, y, labels, weights)

    def run(self, name: str, seed: int = 1, tests: str = "") -> None:
        """The tests of the bench whose names match `tests`. Raises ConfigError where one fails."""
        here = self.folder.parent / name
        here.mkdir()
        np.savez(here / "vectors.npz", x=self.x, y=self.y, labels=self.labels)
        job = {"bitfile": str(self.folder / project.BITSTREAM), "vectors": str(here / "vectors.npz"), "seed": seed}
        if self.weights is not None:
            (here / "weights.bin").write_bytes(self.weights.tobytes())
            job["weights"] = str(here / "weights.bin")
        environment = {"DRIVER_JOB": json.dumps(job), "COCOTB_TEST_FILTER": tests}
        path = [str(self.folder), str(TESTS / "boards" / "bus"), str(ROOT)]
        run_alone(self.binary, self.module, BENCH, here, environment, seed=seed, path=path)


def small(name: str, folder: Path, loaded: bool = False, score_bits: int = 8, images: int = 7) -> Simulated:
    """A network of tests.helpers.networks on a board."""
    made = small_project(name, folder, loaded, score_bits)
    design, bundle = made.wrapper.design, random_bundle(NETWORKS[name][0], 3)
    project.write(made, folder / "board")
    x = some_images(bundle, images)
    y = golden.run(bundle, x)[design.layer]
    return Simulated.of(folder / "board", made.wrapper.module, x, y, np.arange(images) % 3, design.weights)


def small_project(name: str, folder: Path, loaded: bool = False, score_bits: int = 8) -> project.Project:
    """The same before it is written; its RTL lies in `folder`."""
    design, bundle = small_design(name, loaded)
    compile_top(design.dataflow, folder / "synth")
    wrapper = Wrapper(design, Ports.load(folder / "synth" / PORTS), score_bits)
    formats = bundle.formats[INPUT], bundle.formats[design.layer]
    return project.Project(wrapper, board_of("pynq_z2"), 10.0, *formats, Synthesised(folder / "synth").rtl)


def small_design(name: str, loaded: bool = False) -> tuple[Design, Bundle]:
    """A network of tests.helpers.networks with generated weights."""
    net, parallelism = NETWORKS[name]
    bundle: Bundle = random_bundle(net, 3)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    shapes = {layer: engine_shape(bundle, layer, **parallelism.get(layer, {})) for layer in names}
    if loaded:
        shapes = {layer: loadable(shape) for layer, shape in shapes.items()}
    dataflow = build(bundle, shapes, loaded=loaded)
    weights = weight_beats(dataflow, bundle) if loaded else None
    return Design(NETWORK, f"the network {name}", dataflow, INPUT, weights), bundle


def shell_of(name: str, loaded: bool = False, score_bits: int = 8) -> tuple[Wrapper, list[Path]]:
    """The IP of such a network, for what does not look at the RTL inside: of that there is none."""
    design, _ = small_design(name, loaded)
    streams = []
    for port, direction, words in (
        ("x", "in", design.dataflow.source.words),
        ("y", "out", design.dataflow.sink.words),
    ):
        widths = {"TDATA": 8 * words.word_bytes, "TVALID": 1, "TREADY": 1, "TLAST": 1}
        signals = {kind: Signal(f"{port}_{kind}", width) for kind, width in widths.items()}
        streams.append(PortStream(port, direction, signals))
    ports = Ports(design.dataflow.top, "ap_clk", Reset("ap_rst_n", True), tuple(streams))
    return Wrapper(design, ports, score_bits), []
