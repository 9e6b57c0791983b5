"""Graphs of the front end computed node by node in PyTorch, as their vocabulary says, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from pymodel.frontend.graph import INPUT, Graph, Node


def evaluate(graph: Graph, images: torch.Tensor) -> list[torch.Tensor]:
    """The results of a graph, float64 [n, ...]."""
    values = {INPUT: images.double()}
    for node in graph.nodes:
        values[node.name] = _node(node, [values[name] for name in node.inputs])
        assert values[node.name].shape[1:] == node.shape, node.where
    return [values[name] for name in graph.outputs]


def _node(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    x, a = inputs[0], node.attributes
    arrays = {name: torch.from_numpy(array) for name, array in node.arrays.items()}
    match node.op:
        case "conv2d":
            x = _bordered(x, a["pads"], 0.0)
            return functional.conv2d(
                x, arrays["weight"], arrays.get("bias"), a["stride"], 0, a["dilation"], a["groups"]
            )
        case "linear":
            return functional.linear(x, arrays["weight"], arrays.get("bias"))
        case "batch_norm":
            running = arrays["mean"], arrays["variance"], arrays["scale"], arrays["shift"]
            return functional.batch_norm(x, *running, eps=a["epsilon"])
        case "relu":
            return x.clamp(min=0)
        case "clip":
            return x.clamp(a["low"], a["high"])
        case "max_pool2d":
            return functional.max_pool2d(
                _bordered(x, a["pads"], -torch.inf), a["kernel"], a["stride"], 0, a["dilation"]
            )
        case "avg_pool2d":
            return functional.avg_pool2d(_bordered(x, a["pads"], 0.0), a["kernel"], a["stride"])
        case "global_avg_pool":
            return x.mean(dim=(2, 3)).reshape(len(x), *node.shape)
        case "add":
            return x + inputs[1]
        case "concat":
            return torch.cat(inputs, dim=a["axis"] + 1)
        case "pad":
            return _bordered(x, a["pads"], a["value"])
        case "reshape":
            return x.reshape(len(x), *node.shape)
        case "transpose":
            return x.permute(0, *(axis + 1 for axis in a["axes"]))
        case "identity":
            return x
    raise AssertionError(node.op)


def _bordered(x: torch.Tensor, pads: Any, value: float) -> torch.Tensor:
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom), value=value)


class _Random:
    """A graph that grows by one operation at a time from tensors that it has already, and so branches and joins."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        sizes = [int(size) for size in self.rng.integers(4, 9, 2)]
        self.shapes: dict[str, tuple[int, ...]] = {INPUT: (int(self.rng.integers(1, 5)), *sizes)}
        self.turned: set[str] = set()  # images whose channels are not the first axis
        self.nodes: list[Node] = []

    def add(
        self, op: str, inputs: list[str], shape: tuple[int, ...], arrays: dict | None = None, **attributes: Any
    ) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(inputs), shape, f"{name} ({op})", op, attributes, arrays or {}))
        self.shapes[name] = shape
        return name

    def numbers(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape)

    def pick(self, rank: int) -> str | None:
        """A tensor of so many axes, a late one rather than an early one."""
        names = [name for name, shape in self.shapes.items() if len(shape) == rank and name not in self.turned]
        return names[-1 - min(int(self.rng.geometric(0.6)) - 1, len(names) - 1)] if names else None

    def step(self) -> None:
        steps = ("conv", "conv", "norm", "limit", "limit", "pool", "join", "shuffle", "flatten", "linear", "mean")
        getattr(self, str(self.rng.choice(steps)))(str(self.pick(3)))

    def pads(self, most: int) -> tuple[int, int, int, int]:
        top, left, bottom, right = (int(one) for one in self.rng.integers(0, most + 1, 4))
        return top, left, bottom, right

    def conv(self, source: str) -> None:
        channels, *sizes = self.shapes[source]
        kernel = (3, 3) if self.rng.random() < 0.6 else [(1, 1), (1, 3), (5, 3), (3, 1)][self.rng.integers(4)]
        groups = int(self.rng.choice([one for one in (1, 1, 2, channels) if channels % one == 0]))
        out = groups * int(self.rng.integers(1, 4))
        dilation = 2 if kernel == (3, 3) and self.rng.random() < 0.2 else 1
        stride = int(self.rng.integers(1, 3))
        pads = self.pads(max(kernel) // 2) if kernel[0] == kernel[1] else _centred(kernel)
        reach = [sizes[axis] + pads[axis] + pads[axis + 2] - dilation * (kernel[axis] - 1) - 1 for axis in (0, 1)]
        if min(reach) < 0:
            return
        arrays = {"weight": self.numbers(out, channels // groups, *kernel)}
        if self.rng.random() < 0.5:
            arrays["bias"] = self.numbers(out)
        self.add(
            "conv2d",
            [source],
            (out, *(one // stride + 1 for one in reach)),
            arrays,
            stride=(stride, stride),
            pads=pads,
            dilation=(dilation, dilation),
            groups=groups,
            support=None,
        )

    def norm(self, source: str) -> None:
        vector = self.pick(1)
        source = vector if vector and self.pointwise(vector) and self.rng.random() < 0.3 else source
        channels = self.shapes[source][0]
        arrays = {name: self.numbers(channels) for name in ("scale", "shift", "mean")}
        arrays["variance"] = self.rng.uniform(0.5, 2, channels)
        self.add("batch_norm", [source], self.shapes[source], arrays, epsilon=1e-5)

    def pointwise(self, vector: str) -> bool:
        """Whether a vector is no flattened image, whose features a batch norm could not be folded over."""
        made = next((node for node in self.nodes if node.name == vector), None)
        return made is not None and made.op == "linear"

    def limit(self, source: str) -> None:
        vector = self.pick(1)
        source = vector if vector and self.rng.random() < 0.3 else source
        if self.rng.random() < 0.4:
            self.add("clip", [source], self.shapes[source], low=0.0, high=float(self.rng.uniform(0.5, 2)))
        else:
            self.add("relu", [source], self.shapes[source])

    def pool(self, source: str) -> None:
        channels, *sizes = self.shapes[source]
        size = int(self.rng.integers(2, 4))
        if self.rng.random() < 0.5:
            pads, op, more = self.pads(size // 2), "max_pool2d", {}
        else:
            pads, op, more = (0, 0, 0, 0), "avg_pool2d", {"count_pads": True}
        reach = [sizes[axis] + pads[axis] + pads[axis + 2] - size for axis in (0, 1)]
        if min(reach) < 0:
            return
        shape = (channels, *(one // 2 + 1 for one in reach))
        window = {"kernel": (size, size), "stride": (2, 2), "pads": pads, "dilation": (1, 1), "ceil": False}
        self.add(op, [source], shape, **window, **more)

    def join(self, source: str) -> None:
        others = [
            name for name, shape in self.shapes.items() if shape == self.shapes[source] and name not in self.turned
        ]
        self.add("add", [source, str(self.rng.choice(others))], self.shapes[source])
        sized = [name for name, shape in self.shapes.items() if shape[1:] == self.shapes[source][1:]]
        sized = [name for name in sized if len(self.shapes[name]) == 3 and name not in self.turned]
        if self.rng.random() < 0.5:
            other = str(self.rng.choice(sized))
            channels = self.shapes[source][0] + self.shapes[other][0]
            self.add("concat", [source, other], (channels, *self.shapes[source][1:]), axis=0)

    def shuffle(self, source: str) -> None:
        channels, *sizes = self.shapes[source]
        groups = [one for one in range(2, channels) if channels % one == 0]
        if groups:
            group = int(self.rng.choice(groups))
            split = self.add("reshape", [source], (group, channels // group, *sizes))
            turned = self.add("transpose", [split], (channels // group, group, *sizes), axes=(1, 0, 2, 3))
            self.add("reshape", [turned], (channels, *sizes))

    def flatten(self, source: str) -> None:
        channels, height, width = self.shapes[source]
        if self.rng.random() < 0.5:
            source = self.add("transpose", [source], (height, width, channels), axes=(1, 2, 0))
            self.turned.add(source)
        self.add("reshape", [source], (channels * height * width,))

    def linear(self, source: str) -> None:
        vector = self.pick(1)
        if vector:
            out = int(self.rng.integers(1, 6))
            self.add("linear", [vector], (out,), {"weight": self.numbers(out, self.shapes[vector][0])})

    def mean(self, source: str) -> None:
        if self.rng.random() < 0.3:
            self.add("global_avg_pool", [source], (self.shapes[source][0],))


def random_graph(seed: int, steps: int = 12) -> Graph:
    """A graph of about so many operations, with one result, an image or made by a linear layer."""
    made = _Random(seed)
    made.conv(INPUT)
    for _ in range(steps):
        made.step()
    whole = [node.name for node in made.nodes if len(node.shape) == 3 or node.op == "linear"]
    whole = [name for name in whole if name not in made.turned]
    return (
        Graph(f"random{seed}", made.shapes[INPUT], tuple(made.nodes), (whole[-1],))
        if whole
        else random_graph(seed + 10**6)
    )


def _centred(kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Padding that keeps the size, whatever the kernel's."""
    rows, columns = kernel[0] // 2, kernel[1] // 2
    return rows, columns, rows, columns
