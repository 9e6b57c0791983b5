"""Random single layers: the golden model, and RTL with random stalls, beside integers of their own."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from openhls import HlsError

from psconv.flow.bench import Disturbance, run_bench, synthesised
from psconv.flow.config import RunConfig, Stalls
from psconv.flow.design import Design, Vectors, make_designs
from psconv.flow.generated import LAYER
from psconv.flow.hls import Synthesised, compile_top
from psconv.flow.inputs import Inputs, load_inputs
from psconv.flow.layout import Layout
from psconv.flow.settings import Settings
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError, validated
from pymodel.engine.cycles import pe_iterations
from pymodel.engine.packing import pack_weights, unpack_weights
from pymodel.engine.reference import conv_layer
from pymodel.golden import model as golden
from pymodel.network.topology import window_positions
from pymodel.top import cycles
from scripts.designs import engine_of
from scripts.hunt import integers
from scripts.hunt.campaign import Campaign, Case, Declined, Fault

PLAIN = {
    "kernel": 3,
    "stride": 1,
    "padding": 1,
    "groups": 1,
    "support": "dense",
    "engine": "periodic",
    "relu": False,
    "activation_bits": 8,
    "weight_bits": 8,
    "output_bits": 8,
    "shift": "auto",
    "scale": "none",
    "weights": "random",
    "bias": True,
}
PARALLEL = {"To": 1, "R": 1, "Tx": 1, "Tb": 1, "fold": 1, "packing": 1, "feed": "windows"}


class Layers(Campaign):
    """Layers in the golden model, and their weights packed and unpacked. A case is a configuration of `psconv run`."""

    name = "layers"
    help = "the golden model of a layer, however it is computed, equals plain integers"
    aim = 10_000
    seconds = 60.0
    most_cycles, lanes = 200_000, 1 << 16
    sizes: tuple[int, ...] = (1, 1, 2, 3, 4, 5, 7, 8, 12)

    def draw(self, rng: np.random.Generator) -> Case:
        while True:
            case = self._drawn(rng)
            try:
                shape = engine_of(_run(case)[1]).shape
            except ConfigError:
                continue  # this parallelism does not go together with that layer
            words = shape.rom_words
            if pe_iterations(shape) <= self.most_cycles and words <= 4000 and shape.lanes <= self.lanes:
                return case

    def check(self, case: Case, folder: Path) -> None:
        design, _ = _checked(case)
        engine = engine_of(design)
        unpacked = unpack_weights(pack_weights(engine.weights, engine.shape), engine.shape)
        if not np.array_equal(unpacked, engine.weights):
            raise Fault("wrong", "weights are not those that were packed")

    def smaller(self, case: Case) -> Iterator[Case]:
        layer, parallelism = case["layer"], case["parallelism"]
        for key, value in parallelism.items():
            if value != PARALLEL[key]:
                yield _with(case, parallelism={key: PARALLEL[key]})
        for key, plain in PLAIN.items():
            if layer.get(key, plain) != plain:
                yield _with(case, layer={key: plain})
        for key in ("in_channels", "out_channels", "height", "width"):
            for less in sorted({1, layer[key] // 2, layer[key] - 1} - {0, layer[key]}):
                yield _with(case, layer={key: less})

    def _drawn(self, rng: np.random.Generator) -> Case:
        def one_of(*values: Any) -> Any:
            return values[int(rng.integers(len(values)))]

        kernel = one_of(1, 3, 3, 3, 5, 7)
        support: Any = "dense"
        if kernel == 3 and rng.integers(3):
            support = f"PS{one_of('', 'D')}{one_of(1, 2, 4)}_P{one_of(1, 2, 3, 4, 6, 8, 9, 16)}"
        elif kernel > 1 and rng.integers(3) == 0:
            support = {
                "taps": [
                    sorted(rng.choice(kernel**2, one_of(1, 2, 5), replace=False).tolist())
                    for _ in range(one_of(1, 2, 3, 5))
                ]
            }
        period = _period(support)
        To, Tb = one_of(1, 1, 2, 3, 4), one_of(1, 1, 2, 3)
        blocks, words = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        layer = {
            "in_channels": max(1, period * Tb * blocks - one_of(0, int(rng.integers(period)))),
            "out_channels": period * To * words if To > 1 else int(rng.integers(1, 2 * period + 8)),
            "height": one_of(*self.sizes),
            "width": one_of(*self.sizes),
            "kernel": kernel,
            "stride": one_of(1, 1, 2),
            "padding": int(rng.integers(kernel)),
            "groups": 1,
            "support": support,
            "engine": one_of("periodic", "periodic", "periodic", "indexed"),
            "relu": bool(rng.integers(2)),
            "activation_bits": int(rng.integers(2, 9)),
            "weight_bits": int(rng.integers(2, 9)),
            "output_bits": int(rng.integers(2, 9)),
            "shift": one_of("auto", "auto", 0, 1, 31, int(rng.integers(32))),
            "scale": one_of("none", "none", "per_channel"),
            "weights": one_of("random", "random", "min", "max"),
            "bias": bool(rng.integers(4)),
        }
        wout = window_positions(layer["width"], kernel, layer["stride"], *[layer["padding"]] * 2)
        Tx = one_of(1, *[n for n in (1, 2, 3, 4) if layer["width"] % n == 0 and wout > 0 and wout % n == 0])
        parallelism = {
            "To": To,
            "R": one_of(1, *[n for n in range(1, period + 1) if period % n == 0]),
            "Tx": Tx,
            "Tb": Tb,
            "fold": one_of(1, 1, 2, 3, 5, 24),
            "packing": one_of(1, 1, 2, 3, 4),
            "feed": one_of("windows", "windows", "channels"),
        }
        kind = one_of("ungrouped", "ungrouped", "grouped", "channelwise")
        if kind == "grouped":
            groups = one_of(2, 3)
            layer |= {
                "groups": groups,
                "in_channels": groups * period * Tb * blocks,
                "out_channels": groups * period * To * words,
            }
        elif kind == "channelwise" and period == 1:
            channels = one_of(2, 3, 4, 7, 8, 12)
            layer |= {"groups": channels, "in_channels": channels, "out_channels": channels * To * one_of(1, 1, 2)}
            parallelism |= {"R": int(rng.integers(1, channels + 1)), "Tb": 1}
        return {
            "psconv": 1,
            "layer": layer,
            "parallelism": parallelism,
            "images": {"count": 3},
            "seed": int(rng.integers(1 << 16)),
        }


class LayersRtl(Layers):
    """Layers in RTL."""

    name = "layers_rtl"
    help = "the RTL of a layer equals plain integers without and with random stalls, its cycles the model"
    aim = 300
    seconds = 600.0
    most_cycles, lanes = 6_000, 100  # so that a case is compiled in less than a minute
    sizes = (1, 1, 2, 3, 5, 8)

    def _drawn(self, rng: np.random.Generator) -> Case:
        case = super()._drawn(rng)
        idle, backpressure = (round(float(rng.choice([0.0, 0.1, 0.4, 0.8])), 1) for _ in range(2))
        return case | {
            "clock_ns": float(rng.choice([3.333, 3.333, 5.0, 10.0, 40.0])),
            "stalls": {"images": 2, "input": idle, "output": backpressure},
        }

    def check(self, case: Case, folder: Path) -> None:
        design, vectors = _checked(case)
        settings = Settings(Layout(folder), load_target("zcu104"), case["clock_ns"], case["seed"], Stalls())
        try:
            compile_top(design.dataflow, folder, clock_ns=settings.clock_ns, jobs=1)
        except HlsError as error:
            raise Fault("refused", f"HLS: {error}") from error
        schedule = Synthesised(folder).schedule
        cycles.check(design.dataflow, schedule)
        rtl, stalls = synthesised(folder, design), case["stalls"]
        stalled = Disturbance(stalls["input"], stalls["output"])
        for run, images, disturbance in (("free", 3, Disturbance()), ("stalled", stalls["images"], stalled)):
            result = run_bench(design, vectors.first(images), rtl, settings, folder / run, disturbance)
            if not result.ok:
                raise Fault("wrong", f"RTL, {run}: {'; '.join(result.errors[:3])}")
            if run == "free":
                start = result.cycles["first_in"]
                assert start is not None, "every beat came out, and none went in"
                model = cycles.latency(design.dataflow, schedule, images, start)
                if model.total != result.cycles["total"]:
                    raise Fault("wrong", f"{result.cycles['total']} cycles, by the model {model.total}")
                if model.interval != model.least_interval:
                    raise Fault(
                        "wrong", f"{model.interval} cycles an image are proved, {model.least_interval} were expected"
                    )

    def smaller(self, case: Case) -> Iterator[Case]:
        yield from super().smaller(case)
        if case["clock_ns"] != 3.333:
            yield case | {"clock_ns": 3.333}


def _period(support: Any) -> int:
    if isinstance(support, dict):
        return len(support["taps"])
    return int(support.split("_P")[1]) if "_P" in support else 1


def _with(case: Case, **changes: dict[str, Any]) -> Case:
    changed = deepcopy(case)
    for key, values in changes.items():
        changed[key] |= values
    return changed


def _run(case: Case) -> tuple[Inputs, Design]:
    """What a case describes. Raises ConfigError where there is no such layer or parallelism."""
    config = validated(RunConfig, case, "case")
    inputs = load_inputs(config, Path("case"))
    [design] = make_designs(config, inputs.bundle, load_target(config.target))
    return inputs, design


def _checked(case: Case) -> tuple[Design, Vectors]:
    """The layer, with images, one all least and one all greatest, and what plain integers make of them.

    Raises Fault where the golden model makes anything else of them; Declined.
    """
    try:
        inputs, design = _run(case)
    except ConfigError as error:
        raise Declined(str(error)) from error
    bundle, engine, x = inputs.bundle, engine_of(design), inputs.images.copy()
    form = bundle.formats["input"]
    for at, value in ((1, form.min), (2, form.max)):
        x[at : at + 1] = value
    outputs = integers.outputs(bundle, x)
    expected = outputs[LAYER]
    for way, y in (
        ("run", golden.run(bundle, x)[LAYER]),
        ("conv_layer", conv_layer(x, engine.weights, engine.bias, engine.shape, engine.scales)),
    ):
        if not np.array_equal(y, expected):
            wrong = np.argwhere(y != expected)
            place = tuple(wrong[0].tolist())
            raise Fault(
                "wrong",
                f"golden.{way}: {len(wrong)} of {y.size} values differ, the first at {place}: {y[place]}; "
                f"{expected[place]} would be right",
            )
    return design, design.vectors({"input": x} | outputs)


CAMPAIGN = Layers()
RTL = LayersRtl()
