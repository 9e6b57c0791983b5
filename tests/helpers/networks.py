"""Small networks of every kind of unit, with images for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Rounding
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top.dataflow import Dataflow, build
from tests.helpers.places import EXAMPLES

DIGITS = EXAMPLES / "digits" / "digits_PSD1_P16.yaml"


def conv(name: str, source: str, out: int, kernel: int = 3, **more) -> dict:
    return {
        "op": "conv",
        "name": name,
        "input": source,
        "out_channels": out,
        "kernel": kernel,
        "padding": kernel // 2,
        **more,
    }


def network(
    *layers: dict, channels: int = 3, height: int = 6, width: int = 5, output: str | list[str] | None = None
) -> Network:
    """output: the last layer's where None."""
    size = {"channels": channels, "height": height, "width": width}
    return Network(name="net", input=size, layers=list(layers), output=output or layers[-1]["name"])


# Every kind of unit, join and change of words; images that are not square; one pixel.
NETWORKS: dict[str, tuple[Network, dict[str, dict[str, Any]]]] = {
    "residual": (
        network(
            conv("a", "input", 16, relu=True),
            conv("b", "a", 32, support="PSD1_P16", relu=True),
            conv("c", "b", 32, support="PSD1_P16"),
            {"op": "add", "name": "sum", "inputs": ["c", "b"], "relu": True},
            conv("d", "sum", 10, kernel=1),
        ),
        {"a": {"Tb": 3, "fold": 4}, "d": {"Tb": 4}},
    ),
    "projection with stride": (
        network(
            conv("a", "input", 9, support="dense"),
            conv("b", "a", 18, support="PS1_P9", stride=2, relu=True),
            conv("p", "a", 18, kernel=1, stride=2),
            {"op": "add", "name": "sum", "inputs": ["p", "b"]},
            conv("d", "sum", 4, kernel=1),
            height=7,
        ),
        {},
    ),
    "pools": (
        network(
            conv("a", "input", 8, relu=True),
            {"op": "maxpool", "name": "largest", "input": "a"},
            {"op": "avgpool", "name": "mean", "input": "a"},
            {"op": "add", "name": "sum", "inputs": ["largest", "mean"]},
            {"op": "maxpool", "name": "overlapping", "input": "sum", "kernel": 3, "stride": 1},
            {"op": "global_avgpool", "name": "all", "input": "overlapping"},
            {"op": "linear", "name": "fc", "input": "all", "out_features": 5},
            height=8,
            width=12,
        ),
        {},
    ),
    "three readers, and one that reads twice": (
        network(
            conv("a", "input", 5),
            conv("b", "a", 5, support="PS4_P4"),
            conv("c", "a", 5, kernel=1, relu=True),
            {"op": "add", "name": "s1", "inputs": ["b", "c"]},
            {"op": "add", "name": "s2", "inputs": ["s1", "a"]},
            {"op": "add", "name": "twice", "inputs": ["s2", "s2"]},
            channels=1,
        ),
        {},
    ),
    "one pixel": (network(conv("a", "input", 3), conv("b", "a", 2, kernel=1), height=1, width=1), {}),
    "output channels at once": (
        network(conv("a", "input", 32, support="PSD4_P8"), conv("b", "a", 16, support="PSD4_P8"), channels=8),
        {"a": {"To": 2, "fold": 3}, "b": {"Tb": 2}},
    ),
    "rotations": (
        network(
            conv("a", "input", 10, support="PS4_P4", relu=True),
            conv("b", "a", 16, support="PS4_P4", relu=True),
            conv("c", "b", 5, support="PSD4_P8"),
            height=3,
            width=4,
        ),
        {"a": {"R": 2}, "b": {"R": 4, "To": 2, "Tb": 3, "fold": 2}, "c": {"R": 4, "fold": 3}},
    ),
    "channel by channel": (
        network(conv("a", "input", 8, support="PS4_P4"), conv("b", "a", 5, support="PS4_P4"), height=3, width=4),
        {"a": {"feed": "channels"}, "b": {"feed": "channels", "fold": 2}},
    ),
    "padded pools and means of any size": (
        network(
            conv("a", "input", 6),
            {"op": "maxpool", "name": "largest", "input": "a", "kernel": 3, "stride": 2, "padding": 1},
            {"op": "avgpool", "name": "mean", "input": "largest", "kernel": 3, "stride": 1, "padding": 1},
            {"op": "avgpool", "name": "wide", "input": "mean", "kernel": 6, "stride": 1, "padding": 3},
            {"op": "maxpool", "name": "overlapping", "input": "wide", "kernel": 3, "stride": 1, "padding": 1},
            {"op": "global_avgpool", "name": "all", "input": "overlapping"},
            {"op": "linear", "name": "fc", "input": "all", "out_features": 5},
            height=7,
            width=12,
        ),
        {"a": {"Tx": 2}},
    ),
    "inception": (
        network(
            conv("a", "input", 8, support="PS4_P4"),
            conv("b", "a", 4, kernel=1, relu=True),
            conv("c", "a", 12, support="PS4_P4"),
            {"op": "maxpool", "name": "p", "input": "a", "kernel": 3, "stride": 1, "padding": 1},
            {"op": "concat", "name": "all", "inputs": ["b", "c", "p", "b"]},
            {"op": "relu", "name": "positive", "input": "all"},
            conv("d", "positive", 3, kernel=1),
            height=3,
            width=4,
        ),
        {"b": {"Tx": 2, "To": 2}},
    ),
    "shuffled": (
        network(
            conv("a", "input", 10, support="PS4_P4"),
            {"op": "relu", "name": "r", "input": "a"},
            {"op": "concat", "name": "both", "inputs": ["r", "a"]},
            {"op": "channel_shuffle", "name": "mixed", "input": "both", "groups": 4},
            conv("b", "mixed", 6, support="PS4_P4"),
            {"op": "channel_shuffle", "name": "again", "input": "b", "groups": 3},
            {"op": "relu", "name": "end", "input": "again"},
            height=3,
            width=6,
        ),
        {"b": {"Tx": 3}},
    ),
    "flattened": (
        network(
            {"op": "linear", "name": "first", "input": "input", "out_features": 6, "relu": True},
            {"op": "linear", "name": "last", "input": "first", "out_features": 3},
            channels=6,
            height=2,
            width=3,
        ),
        {"first": {"Tb": 4}},
    ),
    "flattened words": (
        network(
            conv("a", "input", 10, support="PS4_P4", relu=True),
            {"op": "linear", "name": "fc", "input": "a", "out_features": 7},
            height=3,
            width=4,
        ),
        {"a": {"Tx": 2}, "fc": {"Tb": 5, "fold": 2}},
    ),
    "even kernels, padding of each side": (
        network(
            conv("a", "input", 6, kernel=4) | {"padding": [1, 2, 2, 1], "relu": True, "clip": 6.0},
            conv("b", "a", 6, kernel=2, stride=2) | {"padding": [0, 0, 1, 1]},
            {"op": "maxpool", "name": "m", "input": "a", "kernel": 3, "padding": [0, 0, 2, 1]},
            {"op": "add", "name": "s", "inputs": ["b", "m"], "relu": True, "clip": 5.0},
            {"op": "avgpool", "name": "p", "input": "s", "kernel": 2, "stride": 1, "padding": [1, 0, 0, 1]},
            {"op": "relu", "name": "r", "input": "p", "clip": 3.0},
            conv("c", "r", 5, support={"taps": [[0, 8], [4]]}) | {"padding": [2, 0, 0, 2]},
            {"op": "linear", "name": "fc", "input": "c", "out_features": 24, "relu": True, "clip": 7.0},
            height=5,
            width=8,
        ),
        {"a": {"Tx": 2}, "b": {"Tx": 2}, "c": {"feed": "channels"}, "fc": {"Tb": 5, "fold": 2}},
    ),
    "sums that are halves": (
        network(
            conv("a", "input", 8, support="PS4_P4"),
            conv("b", "a", 8, kernel=1, relu=True),
            {"op": "add", "name": "s", "inputs": ["a", "b"]},
            {"op": "avgpool", "name": "p", "input": "s"},
            {"op": "avgpool", "name": "q", "input": "p", "kernel": 3, "stride": 1, "padding": 1},
            {"op": "global_avgpool", "name": "g", "input": "q"},
            {"op": "linear", "name": "fc", "input": "g", "out_features": 4},
            height=4,
            width=8,
        ),
        {"a": {"To": 2}},
    ),
    "ReLU6 and nothing else": (
        network(
            conv("a", "input", 24, kernel=2) | {"padding": [1, 1, 0, 0], "relu": True, "clip": 6.0}, height=1, width=1
        ),
        {},
    ),
    "outputs on the way": (
        network(
            conv("a", "input", 8, support="PS4_P4", relu=True),
            conv("b", "a", 4, kernel=1, stride=2),
            conv("y_c", "a", 6, kernel=1),
            {"op": "maxpool", "name": "d", "input": "y_c"},
            {"op": "add", "name": "e", "inputs": ["d", "d"]},
            conv("f", "e", 3, kernel=1),
            height=4,
            width=6,
            output=["f", "a", "b", "y_c"],
        ),
        {"a": {"Tx": 2}},
    ),
    "one pixel pooled": (
        network(
            {"op": "relu", "name": "r", "input": "input"},
            {"op": "maxpool", "name": "m", "input": "r", "kernel": 3, "stride": 2, "padding": 1},
            {"op": "avgpool", "name": "p", "input": "r", "kernel": 3, "stride": 1, "padding": 1},
            {"op": "concat", "name": "c", "inputs": ["m", "p", "input"]},
            {"op": "global_avgpool", "name": "g", "input": "c"},
            height=1,
            width=1,
        ),
        {},
    ),
    "inverted residual": (  # of MobileNetV2
        network(
            conv("a", "input", 6, relu=True),
            conv("expand", "a", 12, kernel=1, relu=True),
            conv("depth", "expand", 12, groups=12, relu=True),
            conv("project", "depth", 6, kernel=1),
            {"op": "add", "name": "sum", "inputs": ["project", "a"]},
            conv("b", "sum", 12, groups=6, stride=2),
        ),
        {
            "expand": {"To": 2, "Tb": 3},
            "depth": {"R": 4, "fold": 2},
            "project": {"Tb": 6},
            "b": {"R": 4, "fold": 3},
        },
    ),
    "groups": (  # as ShuffleNet's, and a periodic support in each
        network(
            conv("a", "input", 8, relu=True),
            conv("c", "a", 12, kernel=1, groups=2, relu=True),
            conv("d", "c", 24, groups=3, support="PS4_P4", relu=True),
            conv("e", "d", 6, kernel=1, groups=2, stride=2),
        ),
        {"a": {"To": 2}, "c": {"To": 3, "Tb": 2}, "d": {"R": 2, "fold": 3}, "e": {"Tb": 4, "To": 3}},
    ),
}


def made(name: str, rounding: Rounding = "half_up") -> tuple[Bundle, Dataflow]:
    net, parallelism = NETWORKS[name]
    bundle = replace(random_bundle(net, seed=3), rounding=rounding)
    shapes = {
        layer.name: engine_shape(bundle, layer.name, **parallelism.get(layer.name, {}))
        for layer in bundle.network.weighted_layers()
    }
    return bundle, build(bundle, shapes)


def some_images(bundle: Bundle, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (count, *bundle.network.input.shape)).astype(np.int8)
