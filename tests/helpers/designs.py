"""Designs of networks that tests make, compiled and simulated without the flow's steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psconv.flow.bench import Disturbance, Rtl, run_bench, synthesised
from psconv.flow.config import Stalls
from psconv.flow.design import Design, Vectors
from psconv.flow.hls import Synthesised, compile_top
from psconv.flow.layout import Layout
from psconv.flow.settings import Settings
from psconv.synthesis.targets import load_target
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.topology import INPUT
from pymodel.top.dataflow import NETWORK, Dataflow
from rtl_tb.runner import SimResult


def design_of(dataflow: Dataflow, weights: np.ndarray | None = None) -> Design:
    """A network as a design. weights: what comes before the first image, where weights are loaded."""
    return Design(NETWORK, "a network of the tests", dataflow, INPUT, weights)


@dataclass(frozen=True)
class Built:
    """A network as RTL in a folder, with images and the golden model's outputs."""

    design: Design
    vectors: Vectors
    rtl: Rtl
    settings: Settings
    folder: Path

    @classmethod
    def of(cls, dataflow: Dataflow, bundle: Bundle, images: np.ndarray, folder: Path) -> Built:
        """Compiles it."""
        design = design_of(dataflow)
        compile_top(dataflow, folder)
        settings = Settings(Layout(folder / "run"), load_target("zcu104"), 3.333, 0, Stalls())
        vectors = design.vectors(golden.run(bundle, images))
        return cls(design, vectors, synthesised(folder, design), settings, folder)

    @property
    def schedule(self) -> dict:
        return Synthesised(self.folder).schedule

    def simulated(self, name: str, **disturbance) -> SimResult:
        """A run of all images, in a folder of that name."""
        at = self.folder / "simulations" / name
        return run_bench(self.design, self.vectors, self.rtl, self.settings, at, Disturbance(**disturbance))
