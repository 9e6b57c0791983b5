"""Golden model against onnxruntime: images per second of whole ResNet18, int8, for each variant.

    python -m scripts.bench_golden --out golden.json

onnxruntime runs the dense network of the same shapes, formats and shifts as QLinearConv, QLinearAdd and
QLinearGlobalAveragePool on uint8 activations with zero point 0, where ReLU is saturation and costs nothing, and int8
weights: its quickest form (on AVX2, int8 activations took several times as long). It is a yardstick of speed alone:
uint8 has another range than the int8 formats, and on AVX2 sums of two products saturate at 16 bits. What is exact is
compared with its ConvInteger in the tests. The two take turns within a round, and the table has the median of the
rounds' ratios, which a busy machine moves less than it moves times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from threadpoolctl import threadpool_limits

from pymodel import golden
from pymodel.bundle import Bundle
from pymodel.files import write_text
from pymodel.generate import random_bundle
from pymodel.native import build
from pymodel.networks import make_network
from pymodel.supports import PAPER_VARIANTS

NUMPY_IMAGES = 8  # numpy is slow, and no quicker by the image in larger batches


def onnx_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The network of `bundle` on uint8 activations. Raises ValueError for an operation that ResNet18 lacks."""
    nodes, constants = [], []

    def constant(array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array), f"constant{len(constants)}"))
        return constants[-1].name

    zero, weight_zero = constant(np.uint8(0)), constant(np.int8(0))
    units = {name: constant(np.float32(form.scale)) for name, form in bundle.formats.items()}
    for layer in bundle.network.layers:
        name, sources = layer.name, layer.sources
        first, out = [sources[0], units[sources[0]], zero], [units[name], zero]
        match layer.op:
            case "conv" | "linear":
                weights = bundle.weights[name].reshape(*bundle.network.weight_shape(layer)[:2], *_kernel(layer))
                unit = constant(np.float32(bundle.weight_formats[name].scale))
                inputs = [*first, constant(weights), unit, weight_zero, *out, constant(bundle.bias(name))]
                stride, padding = (layer.stride, layer.padding) if layer.op == "conv" else (1, 0)
                nodes.append(helper.make_node("QLinearConv", inputs, [name], strides=[stride] * 2, pads=[padding] * 4))
            case "add":
                inputs = [*first, sources[1], units[sources[1]], zero, *out]
                nodes.append(helper.make_node("QLinearAdd", inputs, [name], domain="com.microsoft"))
            case "global_avgpool":
                nodes.append(helper.make_node("QLinearGlobalAveragePool", [*first, *out], [name],
                                              domain="com.microsoft", channels_last=0))  # fmt: skip
            case _:
                raise ValueError(f"no onnxruntime form of {layer.op}")
    uint8 = onnx.TensorProto.UINT8
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("input", uint8, ["n", *bundle.network.input.shape])],
        [helper.make_tensor_value_info(bundle.network.output, uint8, None)], constants,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _kernel(layer) -> tuple[int, int]:
    size = layer.kernel if layer.op == "conv" else 1
    return size, size


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@contextmanager
def numpy_only():
    """The golden model without its kernel."""
    before = os.environ.get(build.SWITCH)
    os.environ[build.SWITCH] = "off"
    yield
    if before is None:
        del os.environ[build.SWITCH]
    else:
        os.environ[build.SWITCH] = before


def measure(variants: list[str], batch: int, threads: int, rounds: int) -> list[dict]:
    """One row a variant: images per second, and the ratio to onnxruntime, median over the rounds.

    Raises AssertionError where kernel and numpy differ.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (batch, 3, 32, 32)).astype(np.int8)
    dense = onnx_session(random_bundle(make_network("resnet18", "cifar10"), 0), threads)
    positive = {"input": np.maximum(images, 0).astype(np.uint8)}
    dense.run(None, positive)
    rows = []
    for variant in variants:
        bundle = random_bundle(make_network("resnet18", "cifar10", variant), 0)
        few = images[:NUMPY_IMAGES]
        made = golden.run(bundle, few, threads=threads)  # plans are made here, as onnxruntime's are with its session
        with numpy_only():
            expected = golden.run(bundle, few)
            by_numpy = min(seconds(lambda: golden.run(bundle, few)) for _ in range(2)) / len(few)  # noqa: B023
        assert all(np.array_equal(made[name], expected[name]) for name in expected), variant
        golden.run(bundle, images, threads=threads)
        pairs = [
            (seconds(lambda: dense.run(None, positive)), seconds(lambda: golden.run(bundle, images, threads=threads)))  # noqa: B023
            for _ in range(rounds)
        ]
        theirs, ours = (statistics.median(column) / batch for column in zip(*pairs, strict=True))
        rows.append({
            "variant": variant,
            "golden_images_per_s": 1 / ours,
            "onnxruntime_dense_images_per_s": 1 / theirs,
            "numpy_images_per_s": 1 / by_numpy,
            "ratio": statistics.median(one / two for one, two in pairs),
            "ratio_least": min(one / two for one, two in pairs),
            "ratio_most": max(one / two for one, two in pairs),
        })  # fmt: skip
    return rows


def table(rows: list[dict]) -> str:
    """Markdown."""
    lines = ["| variant | golden, images/s | onnxruntime dense, images/s | ratio, median (range) | numpy, images/s |",
             "|---|--:|--:|--:|--:|"]  # fmt: skip
    for row in rows:
        lines.append(f"| {row['variant']} | {row['golden_images_per_s']:.0f} "
                     f"| {row['onnxruntime_dense_images_per_s']:.0f} "
                     f"| {row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f}) "
                     f"| {row['numpy_images_per_s']:.1f} |")  # fmt: skip
    return "\n".join(lines)


def machine(threads: int) -> dict:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": threads,
        "kernel": build.describe(),
        "versions": {name: version(name) for name in ("numpy", "onnxruntime")},
    }


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", default=list(PAPER_VARIANTS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="also write machine and rows here, as JSON")
    given = parser.parse_args()
    before = machine(given.threads)
    with threadpool_limits(given.threads):
        rows = measure(given.variants, given.batch, given.threads, given.rounds)
    result = {"machine": before | {"load_after": os.getloadavg()[0]}, "batch": given.batch, "rows": rows}
    print(table(rows))
    print(json.dumps(result["machine"]))
    if given.out:
        write_text(given.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
