"""Tiny networks whose every choice of parallelism is priced, against the optimum and the proofs of `psconv explore`.

The enumeration knows no solver, no bounds and no limits: it builds each choice as a network and asks the cost model for
its price, streams included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pymodel.common.errors import ConfigError
from pymodel.explore.costs import Cost, engine_cost
from pymodel.explore.fitted import fitted
from pymodel.explore.network import Network, allowed, top_shapes
from pymodel.explore.options import Option, options
from pymodel.explore.rates import cycles_at, rate
from pymodel.explore.solve import AXES, TRAFFIC
from pymodel.explore.streamed_costs import streamed_cost
from pymodel.explore.streams import streams_cost
from pymodel.explore.technology import TECHNOLOGIES, calibrated
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.topology import Conv, Shape, Weighted
from pymodel.network.topology import Network as Layers
from pymodel.top.dataflow import build
from scripts.hunt.campaign import Campaign, Case, Declined, Fault

_SUPPORTS = ("dense", "PS1_P2", "PS4_P4", "PSD2_P3", "PS2_P6")
_CHOICES = 160  # of a network at most, of all that its layers' options make
_QUESTIONS = 6  # to each network


@dataclass(frozen=True)
class Priced:
    """One choice as built. amounts: by axis, "lanes" and "cycles" among them."""

    keys: tuple[Any, ...]
    amounts: dict[str, float]

    def keeps(self, limits: dict[str, float]) -> bool:
        return all(self.amounts[kind] <= most for kind, most in limits.items())


class Explore(Campaign):
    name = "explore"
    help = "optimum and feasibility of the chosen parallelism against all choices of tiny networks, streams included"
    aim = 2000
    seconds = 120.0

    def draw(self, rng: np.random.Generator) -> Case:
        while True:
            case: Case = {
                "input": [int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(1, 6))],
                "layers": [],
                "seed": int(rng.integers(1 << 30)),
                "multipliers": int(rng.choice([2, 8, 1 << 16])),
                "streamed": bool(rng.random() < 0.3),
                "technology": str(rng.choice([one.name for one in calibrated()])),
            }
            shapes: dict[str, Shape] = {"input": tuple(case["input"])}
            for at in range(int(rng.integers(1, 6))):
                layer = _random_layer(rng, f"l{at}", shapes)
                case["layers"].append(layer)
                try:
                    shapes = _layers(case).shapes()
                except ConfigError:
                    case["layers"].pop()
            try:
                if top_shapes(_bundle(case), TECHNOLOGIES[case["technology"]].multiplier_bits):
                    return case
            except ConfigError:
                continue

    def check(self, case: Case, folder: Path) -> None:
        rng = np.random.default_rng(case["seed"])
        bundle = _bundle(case)
        technology = TECHNOLOGIES[case["technology"]]
        shapes = top_shapes(bundle, technology.multiplier_bits)
        if set(shapes) != _reached(bundle.network):
            raise Fault(
                "wrong", f"engines of the top: must be {sorted(_reached(bundle.network))}, got {sorted(shapes)}"
            )
        most = max(1, int(_CHOICES ** (1 / len(shapes))))
        lists = {
            name: _some(options(shape, case["multipliers"], technology, streamed=case["streamed"]), most, rng)
            for name, shape in shapes.items()
        }
        if not all(lists.values()):
            raise Declined("a layer without an option of so few multipliers")
        network = Network(bundle, shapes, lists, technology)
        try:
            every = list(_every(bundle, network))
        except ConfigError as error:
            raise Declined(str(error)) from error
        for _ in range(_QUESTIONS):
            _ask(network, every, rng)

    def smaller(self, case: Case) -> Iterator[Case]:
        for at in reversed(range(len(case["layers"]))):
            yield case | {"layers": case["layers"][:at] + case["layers"][at + 1 :]}
        for at in range(3):
            if case["input"][at] > 1:
                yield case | {"input": [size // 2 or 1 if at == k else size for k, size in enumerate(case["input"])]}
        for at, layer in enumerate(case["layers"]):
            for key, least in (("out_channels", 1), ("weight_bits", 8), ("bits", 8)):
                if layer.get(key, least) != least:
                    one = layer | {key: least if least > layer[key] else layer[key] // 2}
                    yield case | {"layers": [*case["layers"][:at], one, *case["layers"][at + 1 :]]}
        if case["multipliers"] > 2:
            yield case | {"multipliers": 2}
        if case["streamed"]:
            yield case | {"streamed": False}


CAMPAIGN = Explore()


def _random_layer(rng: np.random.Generator, name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """A layer on any of the tensors, most often on the last; it may not fit."""
    tensors = list(shapes)
    source = tensors[-1] if rng.random() < 0.75 else str(rng.choice(tensors))
    op = str(rng.choice(["conv", "conv", "conv", "add", "maxpool", "avgpool", "global_avgpool", "linear"]))
    layer: dict[str, Any] = {"op": op, "name": name, "input": source}
    if op == "add":
        alike = [other for other in tensors if shapes[other] == shapes[source]]
        layer = {"op": op, "name": name, "inputs": [source, str(rng.choice(alike))]}
    elif op == "conv":
        kernel = int(rng.choice([1, 3, 3]))
        layer |= {
            "out_channels": int(rng.integers(1, 9)),
            "kernel": kernel,
            "stride": int(rng.integers(1, 3)),
            "padding": kernel // 2,
            "bias": bool(rng.integers(2)),
        }
        layer |= {"support": str(rng.choice(_SUPPORTS))} if kernel == 3 else {}
    elif op == "linear":
        layer |= {"out_features": int(rng.integers(1, 9))}
    elif op != "global_avgpool":
        layer |= {"kernel": 2, "stride": int(rng.integers(1, 3))}
    bits = {"bits": int(rng.integers(2, 9)), "weight_bits": int(rng.integers(2, 9)), "scaled": bool(rng.random() < 0.2)}
    return layer | bits


def _layers(case: Case) -> Layers:
    """The network of a case; its output is the last layer's."""
    own = ("bits", "weight_bits", "scaled")
    layers = [{key: value for key, value in layer.items() if key not in own} for layer in case["layers"]]
    channels, height, width = case["input"]
    spec: dict[str, Any] = {
        "name": "tiny",
        "input": {"channels": channels, "height": height, "width": width},
        "layers": layers,
        "output": layers[-1]["name"] if layers else "",
    }
    return Layers(**spec)


def _bundle(case: Case) -> Bundle:
    """The network with random weights in each layer's own format."""
    network, rng = _layers(case), np.random.default_rng([case["seed"], 1])
    formats = {"input": Format(8, 0)}
    weights, biases, scales = {}, {}, {}
    for requested, layer in zip(case["layers"], network.layers, strict=True):
        formats[layer.name] = formats[layer.sources[0]] if "pool" in layer.op else Format(requested["bits"], 0)
        if isinstance(layer, Weighted):
            shape, reach = network.weight_shape(layer), 1 << (requested["weight_bits"] - 1)
            values = rng.integers(-reach, reach, shape)
            if isinstance(layer, Conv):
                values *= layer.make_support().mask(*shape[:2])
            weights[layer.name] = values.astype(np.int8)
            if layer.bias:
                biases[layer.name] = rng.integers(-1000, 1001, shape[0]).astype(np.int32)
            if requested["scaled"]:
                scales[layer.name] = rng.integers(1, 1 << 16, shape[0]).astype(np.uint16)
    bits = {requested["name"]: requested["weight_bits"] for requested in case["layers"]}
    return Bundle(network, formats, {name: Format(bits[name], 8) for name in weights}, weights, biases, scales)


def _reached(network: Layers) -> set[str]:
    """The layers with weights from which a path leads to the output."""
    todo, reached = [*network.outputs], set()
    while todo:
        name = todo.pop()
        if name != "input" and name not in reached:
            reached.add(name)
            todo += network.layer(name).sources
    return {layer.name for layer in network.weighted_layers()} & reached


def _some(found: list[Option], most: int, rng: np.random.Generator) -> list[Option]:
    picked = rng.permutation(len(found))[:most]
    return [found[at] for at in sorted(picked)]


def _every(bundle: Bundle, network: Network) -> Iterator[Priced]:
    """All choices, each built and priced by itself."""
    for picks in itertools.product(*network.options.values()):
        keys = tuple(option.key for option in picks)
        shapes = {name: key.of(network.shapes[name]) for name, key in zip(network.options, keys, strict=True)}
        streamed = [name for name, key in zip(network.options, keys, strict=True) if key.streamed]
        dataflow = build(bundle, shapes, streamed=streamed)
        engines = (
            (streamed_cost if name in streamed else engine_cost)(shape, network.technology)
            for name, shape in shapes.items()
        )
        cost = sum(engines, streams_cost(dataflow, network.technology))
        amounts = _amounts(cost) | {"cycles": dataflow.interval, "lanes": dataflow.lanes}
        yield Priced(keys, amounts)


def _amounts(cost: Cost) -> dict[str, float]:
    return dict(zip(AXES, cost.in_units, strict=True))


def _ask(network: Network, every: list[Priced], rng: np.random.Generator) -> None:
    """One random question, answered by the search and by looking at all choices. Raises Fault where they differ."""
    near = every[rng.integers(len(every))].amounts  # limits that this one just meets, or just misses
    kinds = [kind for kind in AXES if rng.random() < 0.5]
    budget = {kind: max(0.0, near[kind] + float(rng.choice([0, 0, 0, -1, 3]))) for kind in kinds}
    cycles = None if rng.random() < 0.4 else int(near["cycles"]) + int(rng.choice([0, 0, -1, 5]))
    resource, utilised = str(rng.choice(AXES)), bool(rng.random() < 0.25)
    if TRAFFIC in budget:  # bytes a cycle; at a rate that is looked for they decide with the cycles
        if cycles is None or utilised:
            del budget[TRAFFIC]
        else:
            budget[TRAFFIC] /= cycles
    limits = allowed(budget, cycles) if cycles is not None else budget
    legal = [one for one in every if one.keeps(limits) and (cycles is None or one.amounts["cycles"] <= cycles)]

    def goal(amounts: dict[str, float]) -> tuple[float, ...]:
        if utilised:
            return amounts["cycles"] * amounts["lanes"], amounts["cycles"]
        return (amounts[resource],) if cycles is not None else (amounts["cycles"], amounts[resource])

    question = f"budget {budget}, cycles {cycles}, {'utilisation' if utilised else resource}"
    found = fitted(network, budget, resource, cycles, utilised)
    if (found is None) != (not legal):
        least = min((one.amounts for one in legal), key=goal, default=None)
        raise Fault("refused" if legal else "wrong", f"{question}: {found and found.answer.cost}; {least} is right")
    if found is None:
        return
    keys = tuple(found.answer.chosen[name].key for name in network.options)
    built = next((one for one in legal if one.keys == keys), None)
    if built is None:
        raise Fault("wrong", f"{question}: the choice {keys} breaks a limit")
    told = _amounts(found.answer.cost) | {"cycles": found.interval}
    if any(built.amounts[kind] != amount for kind, amount in told.items()):
        raise Fault("wrong", f"{question}: promised {told}, built {built.amounts}")
    best = min(goal(one.amounts) for one in legal)
    if goal(built.amounts) != best:
        raise Fault("wrong", f"{question}: {goal(built.amounts)} chosen, {best} exists")
    bounds = found.bounds
    proved = [bounds.product] if utilised else [bounds.amount]
    if cycles is None and not utilised:
        proved.insert(0, bounds.interval)
    if any(bound != amount for bound, amount in zip(proved, best, strict=False)):
        raise Fault("refused", f"{question}: bound {proved} for {best}, which a few choices should prove")
    clock = round(math.exp(rng.uniform(0.5, 5)), 3)
    fps = rate(found.interval, clock)
    if cycles_at(float(fps), clock) != found.interval or float(fps) * found.interval * clock > 1e9 * (1 + 1e-9):
        raise Fault("wrong", f"{found.interval} cycles of {clock} ns: {fps} frames/s do not lead back")
