"""Golden model against onnxruntime: images per second of whole ResNet18, int8, for each variant.

onnxruntime runs the dense network of the same shapes, formats and shifts as QLinearConv, QLinearAdd and
QLinearGlobalAveragePool on uint8 activations with zero point 0, where ReLU is saturation and costs nothing, and int8
weights: its quickest form (on AVX2, int8 activations took several times as long). It is a yardstick of speed alone:
uint8 has another range than the int8 formats, and on AVX2 sums of two products saturate at 16 bits. What is exact is
compared with its ConvInteger in the tests. The two take turns within a round, and the table has the median of the
rounds' ratios, which a busy machine moves less than it moves times.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper
from threadpoolctl import threadpool_limits

from pymodel.golden import model as golden
from pymodel.golden.native.build import KERNEL
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.supports import PAPER_VARIANTS
from pymodel.network.topology import INPUT, Conv, Rectified, Weighted
from pymodel.network.zoo import make_network
from scripts.benchmarks.frame import Table

PACKAGES = ("numpy", "onnxruntime")
BATCH, ROUNDS = 64, 3
CALLS = 3  # that count, of a turn
NUMPY_IMAGES = 8  # numpy is slow, and no quicker by the image in larger batches


def onnx_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The network of `bundle` on uint8 activations. Raises ValueError for an operation that ResNet18 lacks."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(array: ArrayLike) -> str:
        name = f"constant{len(constants)}"
        constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    zero, weight_zero = constant(np.uint8(0)), constant(np.int8(0))
    units = {name: constant(np.float32(form.scale)) for name, form in bundle.formats.items()}
    for layer in bundle.network.layers:
        name, sources = layer.name, layer.sources
        if isinstance(layer, Rectified) and layer.clip is not None:
            raise ValueError(f"layer: clip: must be left out in onnxruntime, got {layer.clip:g}")
        first, out = [sources[0], units[sources[0]], zero], [units[name], zero]
        match layer.op:
            case "conv" | "linear":
                weights = bundle.weights[name].reshape(*bundle.network.weight_shape(layer)[:2], *_kernel(layer))
                unit = constant(np.float32(bundle.weight_formats[name].scale))
                inputs = [*first, constant(weights), unit, weight_zero, *out, constant(bundle.bias(name))]
                stride, pads = (layer.stride, list(layer.pads)) if layer.op == "conv" else (1, [0] * 4)
                nodes.append(helper.make_node("QLinearConv", inputs, [name], strides=[stride] * 2, pads=pads))
            case "add":
                inputs = [*first, sources[1], units[sources[1]], zero, *out]
                nodes.append(helper.make_node("QLinearAdd", inputs, [name], domain="com.microsoft"))
            case "global_avgpool":
                nodes.append(
                    helper.make_node(
                        "QLinearGlobalAveragePool", [*first, *out], [name], domain="com.microsoft", channels_last=0
                    )
                )
            case _:
                raise ValueError(f"layer: op: must have a form in onnxruntime, got {layer.op}")
    uint8 = onnx.TensorProto.UINT8
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, uint8, ["n", *bundle.network.input.shape])],
        [helper.make_tensor_value_info(output, uint8, None) for output in bundle.network.outputs],
        constants,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _kernel(layer: Weighted) -> tuple[int, int]:
    size = layer.kernel if isinstance(layer, Conv) else 1
    return size, size


def seconds(call: Callable[[], object]) -> float:
    """Mean seconds of a call. The first call does not count: the other program's threads may still be spinning."""
    call()
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


@contextmanager
def numpy_only() -> Iterator[None]:
    """The golden model without its kernel."""
    before = os.environ.get(KERNEL.switch)
    os.environ[KERNEL.switch] = "off"
    yield
    if before is None:
        del os.environ[KERNEL.switch]
    else:
        os.environ[KERNEL.switch] = before


def measure(
    variants: list[str], batch: int, threads: int, rounds: int, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row a variant: images per second, and the ratio to onnxruntime, median over the rounds.

    Raises AssertionError where kernel and numpy differ.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (batch, 3, 32, 32)).astype(np.int8)
    dense = onnx_session(random_bundle(make_network("resnet18", "cifar10"), 0), threads)
    positive = {INPUT: np.maximum(images, 0).astype(np.uint8)}
    dense.run(None, positive)
    rows = []
    for variant in variants:
        progress(variant)
        bundle = random_bundle(make_network("resnet18", "cifar10", variant), 0)
        few = images[:NUMPY_IMAGES]
        made = golden.run(bundle, few, threads=threads)  # plans are made here, as onnxruntime's are with its session
        with numpy_only():
            start = time.perf_counter()
            expected = golden.run(bundle, few)
            by_numpy = (time.perf_counter() - start) / len(few)
        assert all(np.array_equal(made[name], expected[name]) for name in expected), variant
        pairs = [
            (seconds(lambda: dense.run(None, positive)), seconds(lambda: golden.run(bundle, images, threads=threads)))  # noqa: B023
            for _ in range(rounds)
        ]
        theirs, ours = (statistics.median(column) / batch for column in zip(*pairs, strict=True))
        rows.append(
            {
                "variant": variant,
                "golden_images_per_s": 1 / ours,
                "onnxruntime_dense_images_per_s": 1 / theirs,
                "numpy_images_per_s": 1 / by_numpy,
                "ratio": statistics.median(one / two for one, two in pairs),
                "ratio_least": min(one / two for one, two in pairs),
                "ratio_most": max(one / two for one, two in pairs),
            }
        )
    return rows


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """All variants of the papers with one thread, two of them with two."""
    tables = []
    for threads, variants in ((1, list(PAPER_VARIANTS)), (2, ["dense", "PSD1_P16"])):
        count = "one thread" if threads == 1 else f"{threads} threads"
        with threadpool_limits(threads):
            rows = measure(variants, BATCH, threads, ROUNDS, progress)
        notes = (
            f"Batch {BATCH}, {count}, kernel: {KERNEL.describe()}. ratio: median of {ROUNDS} rounds in which the two "
            f"take turns of {CALLS} calls. numpy: batch {NUMPY_IMAGES}, the definition, equal in every layer.",
        )
        tables.append(Table(f"Golden model, whole ResNet18, int8, {count}", rows, notes))
    return tables
