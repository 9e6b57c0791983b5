"""Random small networks as one top, in RTL: values, cycles, interval, and no loss under random stalls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from openhls import HlsError

from psconv.flow.bench import Disturbance, run_bench, synthesised
from psconv.flow.config import Stalls
from psconv.flow.design import Design, Vectors
from psconv.flow.hls import Synthesised, compile_top
from psconv.flow.layout import Layout
from psconv.flow.settings import Settings
from psconv.synthesis.targets import load_target
from pymodel.common.arrays import Int8, UInt8
from pymodel.golden import model as golden
from pymodel.network.topology import INPUT
from pymodel.top.cycles import check, latency, processes, slowest
from pymodel.top.dataflow import NETWORK, Dataflow
from pymodel.top.packets import weight_beats
from rtl_tb.runner import SimResult
from scripts.hunt import integers, small_networks
from scripts.hunt.campaign import Campaign, Case, Fault

MOST_CYCLES = 20_000  # of a simulation without stalls: seconds
MOST_PROCESSES, MOST_LANES = 28, 64  # that HLS and Verilator compile in less than a minute


class Networks(Campaign):
    """Networks as RTL beside integers of their own and the cycle model."""

    name = "networks"
    help = "networks as one RTL: every layer equals plain integers, cycles and interval the model's, with stalls"
    aim = 100
    seconds = 600.0

    def draw(self, rng: np.random.Generator) -> Case:
        idle, backpressure = (round(float(rng.choice([0.0, 0.1, 0.4, 0.8])), 1) for _ in range(2))
        clock = float(rng.choice([3.333, 3.333, 5.0, 10.0, 40.0]))
        while True:
            case = small_networks.draw(rng)
            _, dataflow = small_networks.built(case)
            if len(processes(dataflow)) <= MOST_PROCESSES and dataflow.lanes <= MOST_LANES:
                return case | {"clock_ns": clock, "idle": idle, "backpressure": backpressure}

    def check(self, case: Case, folder: Path) -> None:
        bundle, dataflow = small_networks.built(case)
        count = int(np.clip(MOST_CYCLES // dataflow.interval, 3, 40))
        x = small_networks.images(case, count)
        expected = integers.outputs(bundle, x)
        for layer, y in golden.run(bundle, x).items():
            if not np.array_equal(y, expected[layer]):
                raise Fault("wrong", f"golden model: layer {layer} differs from plain integers")
        weights = weight_beats(dataflow, bundle) if dataflow.packet_parser else None
        design, vectors = hunted(dataflow, weights, expected)
        settings = Settings(Layout(folder), load_target("zcu104"), case["clock_ns"], case["seed"], Stalls())
        try:
            compile_top(dataflow, folder, clock_ns=settings.clock_ns, jobs=1)
        except HlsError as error:
            raise Fault("refused", f"HLS: {error}") from error
        rtl = synthesised(folder, design)
        free = run_bench(design, vectors, rtl, settings, folder / "free")
        _check_values("without stalls", free)
        schedule = Synthesised(folder).schedule
        check(dataflow, schedule)
        start = free.cycles["first_in"]
        assert start is not None, "every beat came out, and none went in"
        model = latency(dataflow, schedule, count, start, design.reloads)
        ends = [end - start for end in free.cycles["image_last"]]
        if ends != model.image_last:
            raise Fault("wrong", f"images end in cycles {ends}, by the model in {model.image_last}")
        if not slowest(dataflow).iterations <= model.interval <= dataflow.interval:
            raise Fault("wrong", f"{model.interval} cycles an image are proved, {dataflow.interval} were expected")
        few, stalls = vectors.first(min(count, 6)), Disturbance(case["idle"], case["backpressure"])
        _check_values("with stalls", run_bench(design, few, rtl, settings, folder / "stalled", stalls))

    def smaller(self, case: Case) -> Iterator[Case]:
        yield from small_networks.smaller(case)
        for key, plain in (("clock_ns", 3.333), ("idle", 0.0), ("backpressure", 0.0)):
            if case[key] != plain:
                yield case | {key: plain}


def hunted(dataflow: Dataflow, weights: UInt8 | None, outputs: dict[str, Int8]) -> tuple[Design, Vectors]:
    """A network as a design, and its vectors from the outputs of every layer."""
    design = Design(NETWORK, "a hunted network", dataflow, INPUT, weights)
    return design, design.vectors(outputs)


def _check_values(run: str, result: SimResult) -> None:
    if not result.ok:
        raise Fault("wrong", f"RTL {run}: {'; '.join(result.errors[:3])}")


CAMPAIGN = Networks()
