"""Random small networks as one top, as cases of campaigns: how they are drawn, built, and made simpler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from pymodel.common.arrays import Int8
from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top.dataflow import Dataflow, build
from pymodel.top.packets import loadable
from scripts.hunt.campaign import Case

SUPPORTS = ("dense", "dense", "PS4_P4", "PS2_P6", "PS1_P9", "PSD4_P8", "PSD2_P8", "PSD1_P8")
SCALED = 12  # more bits of weights' fracs where an output channel has a scale of about 2**SCALED
MOST_CYCLES, MOST_WORDS = 3000, 2500  # of an image; of weights in all: so that a case stays a matter of seconds


def draw(rng: np.random.Generator) -> Case:
    """A network of one to about ten layers: chains, skips, forks, pools, means, additions, a classifier at the end."""
    while True:
        case = _drawn(rng)
        try:
            _, dataflow = built(case)
        except ConfigError:
            continue  # this parallelism or these scales do not go together with that layer
        words = sum(shape.rom_words for shape in dataflow.shapes.values())
        if max(unit.interval for unit in dataflow.units) <= MOST_CYCLES and words <= MOST_WORDS:
            return case


def built(case: Case) -> tuple[Bundle, Dataflow]:
    """The bundle and the top of a case. Raises ConfigError."""
    spec: dict[str, Any] = {
        "name": "hunted",
        "input": dict(zip(("channels", "height", "width"), case["input"], strict=True)),
        "layers": deepcopy(case["layers"]),
        "output": [*case.get("outputs", []), case["layers"][-1]["name"]],
    }
    network = Network(**spec)
    bundle = random_bundle(network, case["seed"], case["weight_bits"], case["activation_bits"])
    rng = np.random.default_rng([case["seed"], 1])
    scales, weight_formats = {}, dict(bundle.weight_formats)
    for name in case["scaled"]:
        form = weight_formats[name]
        weight_formats[name] = Format(form.bits, form.frac + SCALED)
        scales[name] = rng.integers(1 << (SCALED - 1), 1 << (SCALED + 1), len(bundle.weights[name])).astype(np.uint16)
    formats = bundle.formats | {name: Format(case["activation_bits"], frac) for name, frac in case["fracs"].items()}
    rounding = case.get("rounding", "half_up")
    bundle = replace(bundle, formats=formats, weight_formats=weight_formats, scales=scales, rounding=rounding)
    loaded = case["weights"] == "loaded"
    shapes: dict[str, EngineShape] = {}
    for layer in bundle.network.weighted_layers():
        shape = engine_shape(bundle, layer.name, **case["parallelism"].get(layer.name, {}))
        shapes[layer.name] = loadable(shape) if loaded else shape
    return bundle, build(bundle, shapes, loaded, [] if loaded else case["weights"])


def images(case: Case, count: int) -> Int8:
    """int8 [count, c, h, w]: random ones, the second and third of extremes."""
    rng, form = np.random.default_rng([case["seed"], 2]), Format(case["activation_bits"], 0)
    found = rng.integers(form.min, form.max + 1, (count, *case["input"])).astype(np.int8)
    for at, value in ((1, form.min), (2, form.max)):
        found[at : at + 1] = value
    return found


def smaller(case: Case) -> Iterator[Case]:
    """Simpler networks: fewer layers, no parallelism, weights in ROM, one scale for all, fewer channels and pixels."""
    layers = case["layers"]
    for cut in range(1, len(layers)):
        yield _checked(case, layers=layers[:cut])
    for at in range(1, len(layers) - 1):  # a layer left out, its readers read what it read
        old, new = layers[at]["name"], layers[at].get("input", layers[at].get("inputs", ["input"])[0])
        rest = deepcopy(layers[:at] + layers[at + 1 :])
        for layer in rest:
            if layer.get("input") == old:
                layer["input"] = new
            if "inputs" in layer:
                layer["inputs"] = [new if source == old else source for source in layer["inputs"]]
        yield _checked(case, layers=rest)
    for key, plain in (
        ("weights", []),
        ("scaled", []),
        ("fracs", {}),
        ("parallelism", {}),
        ("outputs", []),
        ("rounding", "half_up"),
    ):
        if case.get(key, plain) != plain:
            yield _checked(case, **{key: plain})
    for name, requested in case["parallelism"].items():
        yield _checked(case, parallelism={k: v for k, v in case["parallelism"].items() if k != name})
        for option in requested:
            less = {k: v for k, v in requested.items() if k != option}
            yield _checked(case, parallelism=case["parallelism"] | {name: less})
    for at, size in enumerate(case["input"]):
        for less in {size // 2, size - 1} - {0, size}:
            yield _checked(case, input=[*case["input"][:at], less, *case["input"][at + 1 :]])
    for at, layer in enumerate(layers):
        if (channels := layer.get("out_channels", 1)) > 1:
            fewer = deepcopy(layers)
            fewer[at]["out_channels"] = channels // 2
            yield _checked(case, layers=fewer)
        if layer.get("groups", 1) > 1:
            whole = deepcopy(layers)
            whole[at]["groups"] = 1
            yield _checked(case, layers=whole)
        if layer.get("support", "dense") != "dense":
            dense = deepcopy(layers)
            dense[at]["support"] = "dense"
            yield _checked(case, layers=dense)


def _checked(case: Case, **changes: Any) -> Case:
    """The case changed, without what its layers no longer have."""
    changed = deepcopy({**case, **changes})
    names = {layer["name"] for layer in changed["layers"]}
    changed["parallelism"] = {name: requested for name, requested in changed["parallelism"].items() if name in names}
    changed["fracs"] = {name: frac for name, frac in changed["fracs"].items() if name in names}
    last = changed["layers"][-1]["name"]
    changed["outputs"] = [name for name in changed.get("outputs", []) if name in names and name != last]
    changed["scaled"] = [name for name in changed["scaled"] if name in names]
    if changed["weights"] != "loaded":
        changed["weights"] = [name for name in changed["weights"] if name in names]
    return changed


def _drawn(rng: np.random.Generator) -> Case:
    """A case that may still ask for what no engine has."""
    draft = _Draft(rng)
    size = [int(rng.choice([1, 2, 3, 4, 6, 8, 11, 16])), int(rng.integers(1, 10)), int(rng.integers(1, 10))]
    draft.shape = tuple(size)
    for _ in range(int(rng.integers(1, 5))):
        ways = (
            *(draft.conv, draft.conv, draft.pool, draft.residual, draft.residual, draft.branches),
            *(draft.concat, draft.shuffle, draft.relu),
        )
        ways[int(rng.integers(len(ways)))]()
    draft.classifier()
    if not draft.layers:
        draft.conv()
    names = [layer["name"] for layer in draft.layers if layer["op"] in ("conv", "linear")]
    weights = rng.choice(["rom", "rom", "rom", "loaded", "streamed", "some"])
    inside = [layer["name"] for layer in draft.layers[:-1]] if weights != "loaded" and rng.integers(4) == 0 else []
    return {
        "input": size,
        "layers": draft.layers,
        "outputs": [name for name in inside if rng.integers(3) == 0],
        "seed": int(rng.integers(1 << 16)),
        "parallelism": draft.parallelism,
        "weights": "loaded"
        if weights == "loaded"
        else [name for name in names if weights == "streamed" or (weights == "some" and rng.integers(2))],
        "activation_bits": int(rng.integers(2, 9)),
        "weight_bits": int(rng.integers(2, 9)),
        "scaled": [name for name in names if rng.integers(8) == 0 and weights != "loaded"],
        "fracs": draft.fracs,
        "rounding": str(rng.choice(["half_up", "half_even"])),
    }


def _padding(around: list[int]) -> int | list[int]:
    return around[0] if len(set(around)) == 1 else around


def _fits(size: list[int], kernel: int, around: list[int]) -> bool:
    """Whether there is a place for a window on an image of height and width."""
    top, left, bottom, right = around
    return size[0] + top + bottom >= kernel and size[1] + left + right >= kernel


def _positions(size: list[int], kernel: int, stride: int, around: list[int]) -> list[int]:
    """Rows and columns of places of a window."""
    top, left, bottom, right = around
    return [(size[0] + top + bottom - kernel) // stride + 1, (size[1] + left + right - kernel) // stride + 1]


def _period(support: Any) -> int:
    if isinstance(support, dict):
        return len(support["taps"])
    return int(support.split("_P")[1]) if "_P" in support else 1


class _Draft:
    """A network as it grows; `at` is the tensor at its end, of that shape."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.layers: list[dict[str, Any]] = []
        self.parallelism: dict[str, dict[str, Any]] = {}
        self.fracs: dict[str, int] = {}
        self.at = "input"
        self.shape: tuple[int, ...] = (1, 1, 1)

    def one_of(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def add(self, op: str, shape: tuple[int, ...], **layer: Any) -> str:
        name = f"{op[0]}{len(self.layers)}"
        source = {} if "inputs" in layer else {"input": self.at}
        self.layers.append({"op": op, "name": name, **source, **layer})
        self.at, self.shape = name, shape
        return name

    def conv(self, like: tuple[int, ...] | None = None, **fixed: Any) -> str:
        """A convolution; like: the shape that it is to give."""
        channels, *size = self.shape
        kernel = fixed.get("kernel", self.one_of(1, 2, 3, 3, 3, 4, 5))
        around = [kernel // 2, kernel // 2, (kernel - 1) // 2, (kernel - 1) // 2] if like else self.around(kernel - 1)
        if not _fits(size, kernel, around):
            kernel, around = 1, [0, 0, 0, 0]
        stride = 1 if like else self.one_of(1, 1, 2, 3)
        out = like[0] if like else self.one_of(1, 2, 3, 4, 5, 8, 9, 16, 18)
        support = self.one_of(*SUPPORTS) if kernel == 3 else "dense"
        if kernel > 1 and self.rng.integers(6) == 0:
            taps = [sorted(self.rng.choice(kernel**2, 2, replace=False).tolist()) for _ in range(self.one_of(2, 3))]
            support = {"taps": taps}
        groups = 1
        if self.rng.integers(3) == 0:
            both = math.gcd(channels, out)
            groups = self.one_of(both, *[n for n in range(1, both + 1) if both % n == 0])
        own = groups == channels > 1  # an input channel of its own for each output channel
        if own or (groups > 1 and (channels // groups % _period(support) or out // groups % _period(support))):
            support = "dense"
        period = _period(support)
        sizes = _positions(size, kernel, stride, around)
        name = self.add(
            "conv",
            (out, *sizes),
            out_channels=out,
            kernel=kernel,
            stride=stride,
            padding=_padding(around),
            groups=groups,
            support=support,
            **self.rectified(),
            bias=bool(self.rng.integers(4)),
        )
        widths, outputs = math.gcd(size[-1], sizes[-1]), out // groups
        self._parallel(
            name,
            1 if own else -(-channels // groups // period),
            outputs // period if outputs % period == 0 else 1,
            channels if own else period,
            widths,
        )
        return name

    def pool(self) -> None:
        channels, *size = self.shape
        op = self.one_of("maxpool", "avgpool")
        kernel = self.one_of(1, 2, 2, 3, 3, 4)
        around = self.one_of([0, 0, 0, 0], self.around(kernel // 2))
        if not _fits(size, kernel, around):
            return
        stride = self.one_of(1, 2, 2, 3)
        sizes = _positions(size, kernel, stride, around)
        self.add(op, (channels, *sizes), kernel=kernel, stride=stride, padding=_padding(around))

    def residual(self) -> None:
        """A path of one to three convolutions, and the tensor before it, added."""
        start, shape = self.at, self.shape
        for _ in range(int(self.rng.integers(1, 4))):
            self.conv(like=shape)
        path = self.at
        if self.rng.integers(3) == 0:
            self.fracs[path] = 4 + self.one_of(-1, 1, 2)
        self.add("add", shape, inputs=self.one_of([path, start], [start, path]), **self.rectified())

    def branches(self) -> None:
        """Two paths from one tensor, added; or the tensor twice."""
        start, shape = self.at, self.shape
        like = (self.one_of(1, 3, 8), *shape[1:])
        self.conv(like=like)
        if self.rng.integers(2):
            self.conv(like=like)
        left = self.at
        self.at, self.shape = start, shape
        right = left if self.rng.integers(5) == 0 else self.conv(like=like, kernel=self.one_of(1, 3))
        self.add("add", like, inputs=[left, right])

    def concat(self) -> None:
        """Two or three tensors of one size: paths from one, and that one too."""
        start, shape = self.at, self.shape
        found = [(start, shape[0])]
        for _ in range(self.one_of(1, 1, 2)):
            self.at, self.shape = start, shape
            out = self.one_of(1, 2, 3, 4, 8)
            found.append((self.conv(like=(out, *shape[1:])), out))
        order = self.rng.permutation(len(found)).tolist()
        if self.rng.integers(4) == 0:
            order = [*order[1:], order[1]]
        channels = sum(found[at][1] for at in order)
        self.add("concat", (channels, *shape[1:]), inputs=[found[at][0] for at in order])

    def shuffle(self) -> None:
        channels = self.shape[0]
        self.add(
            "channel_shuffle", self.shape, groups=self.one_of(*[n for n in range(1, channels + 1) if channels % n == 0])
        )

    def relu(self) -> None:
        clip = self.rectified().get("clip")
        self.add("relu", self.shape, **({"clip": clip} if clip else {}))

    def around(self, most: int) -> list[int]:
        """Padding above, to the left, below and to the right: mostly the same."""
        sides = self.rng.integers(0, most + 1, 4).tolist()
        return sides if self.rng.integers(4) == 0 else [sides[0]] * 4

    def rectified(self) -> dict[str, Any]:
        """Whether a layer ends with a ReLU, and sometimes with what upper bound."""
        relu = bool(self.rng.integers(2))
        bounded = relu and self.rng.integers(4) == 0
        return {"relu": relu} | ({"clip": float(self.one_of(0.5, 1.3, 4.0, 6.0, 20.0))} if bounded else {})

    def classifier(self) -> None:
        """Nothing, or a mean over the image, or a fully connected layer on all of it."""
        if self.rng.integers(3) == 0:
            self.add("global_avgpool", (self.shape[0], 1, 1))
        if self.rng.integers(3) == 0:
            channels, out = math.prod(self.shape), self.one_of(1, 3, 6, 10)
            self._parallel(self.add("linear", (out, 1, 1), out_features=out), channels, out)

    def _parallel(self, name: str, blocks: int, outputs: int, period: int = 1, widths: int = 1) -> None:
        """blocks: of input channels; outputs, widths: channels and columns that a number at once has to divide."""
        To = self.one_of(*[n for n in (1, 2, 3, 4) if outputs % n == 0])
        Tx = self.one_of(1, *[n for n in (1, 2, 3, 4) if widths % n == 0])
        requested = {
            "To": To,
            "R": self.one_of(1, *[n for n in range(1, period + 1) if period % n == 0]),
            "Tx": Tx,
            "Tb": self.one_of(*[n for n in (1, 2, 3, 4, 6) if blocks % n == 0]),
            "fold": self.one_of(1, 1, 2, 3, 8),
            "packing": self.one_of(1, 2),
            "feed": self.one_of("windows", "windows", "windows", "channels"),
        }
        plain = {"To": 1, "R": 1, "Tx": 1, "Tb": 1, "fold": 1, "packing": 1, "feed": "windows"}
        kept = {key: value for key, value in requested.items() if value != plain[key] and self.rng.integers(3)}
        if kept.get("packing", 1) > max(kept.get(key, 1) for key in ("To", "R", "Tx")):
            del kept["packing"]
        if kept:
            self.parallelism[name] = kept
