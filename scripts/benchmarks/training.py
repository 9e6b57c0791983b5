"""Training steps over a periodic support against dense ones: each 3x3 layer of ResNet18, and whole steps.

A layer's forward pass and its two gradients by the compiled kernel (pymodel.nn.native) take turns with PyTorch's dense
convolution of the same shape, precision and number of threads. A whole step is forward, backward and the optimiser,
with whatever way pymodel.nn.periodic chooses for each layer. Times are of the processor, so that what else the machine
does counts little.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pymodel.network.supports import Support
from pymodel.network.zoo import make_network
from pymodel.nn.build import NetworkModule
from pymodel.nn.native import convolution
from pymodel.nn.native.build import KERNEL
from scripts.benchmarks.frame import Table

PACKAGES = ("torch",)
VARIANTS = ("PSD4_P8", "PSD1_P16", "PS1_P9")
LAYERS = (  # input channels, outputs, rows and columns of the input, stride, how many ResNet18 has
    (64, 64, 32, 1, 4),
    (64, 128, 32, 2, 1),
    (128, 128, 16, 1, 3),
    (128, 256, 16, 2, 1),
    (256, 256, 8, 1, 3),
    (256, 512, 8, 2, 1),
    (512, 512, 4, 1, 3),
)
BATCH, ROUNDS = 32, 3
STEP_BATCH, STEP_ROUNDS = 32, 3


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def layer(
    variant: str, shape: tuple[int, int, int, int], batch: int, rounds: int, dtype: torch.dtype
) -> list[tuple[float, float]]:
    """(dense, ours), milliseconds an image, of the forward pass and the gradients by input and by weights of one layer.

    Medians over the rounds, in each of which all take turns. shape: input channels, outputs, size of the input, stride.
    """
    cin, cout, size, stride = shape
    support, native = Support.parse(variant, 3), KERNEL.chosen()
    assert native is not None, KERNEL.describe()
    window = convolution.Window(tuple(support.elements()), support.period, (3, 3), (stride,) * 2, (1, 1), (1, 1))
    last, own = torch.channels_last, native
    x = torch.randn(batch, cin, size, size, dtype=dtype).to(memory_format=last)
    weight = torch.randn(cout, cin, 3, 3, dtype=dtype).to(memory_format=last)
    out = functional.conv2d(x, weight, None, stride, 1)
    gradient = torch.randn_like(out)

    def dense(by: int) -> Callable[[], object]:
        asked = [at == by for at in range(3)]
        settings = ([stride] * 2, [1, 1], [1, 1], False, [0, 0], 1)
        return lambda: torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings, asked)

    calls: tuple[Callable[[], object], ...] = (
        lambda: functional.conv2d(x, weight, None, stride, 1),
        lambda: convolution.forward(own, window, x, weight, None, (out.shape[2], out.shape[3])),
        dense(0),
        lambda: convolution.input_gradient(own, window, gradient, weight, x.shape),
        dense(1),
        lambda: convolution.weight_gradient(own, window, gradient, x, weight),
    )
    times = [[_seconds(call) for call in calls] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(column) / batch * 1e3 for column in zip(*times, strict=True)]
    return list(zip(medians[::2], medians[1::2], strict=True))


def _row(variant: str, name: str, times: list[tuple[float, float]]) -> dict[str, Any]:
    theirs, ours = (sum(column) for column in zip(*times, strict=True))
    ratios = [one / two for one, two in times]
    return {
        "variant": variant,
        "layer": name,
        **dict(zip(("forward", "by input", "by weights"), ratios, strict=True)),
        "together": theirs / ours,
        "dense ms an image": theirs,
        "ours ms an image": ours,
    }


def step(variant: str, batch: int, rounds: int) -> dict[str, Any]:
    """A whole training step of ResNet18 and of its dense twin, in turns."""
    images = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    steps = []
    for name in (variant, "dense"):
        network = NetworkModule(make_network("resnet18", "cifar10", name)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's types do not know of it
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

        def take(network: NetworkModule = network, optimiser: torch.optim.Optimizer = optimiser) -> None:
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(network(images), labels).backward()
            optimiser.step()

        take()  # probes
        steps.append(take)
    times = [(_seconds(steps[0]), _seconds(steps[1])) for _ in range(rounds + 1)][1:]
    ours, theirs = (statistics.median(column) / batch * 1e3 for column in zip(*times, strict=True))
    return {
        "variant": variant,
        "ratio": statistics.median(two / one for one, two in times),
        "ratio_least": min(two / one for one, two in times),
        "ratio_most": max(two / one for one, two in times),
        "dense ms an image": theirs,
        "ours ms an image": ours,
    }


def run(folder: Path, progress: Callable[[str], None]) -> list[Table]:
    """Layers in float32 and bfloat16, whole steps in float32; on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    kernel = f"One thread, kernel: {KERNEL.describe()}."
    tables = []
    for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
        rows = []
        for variant in VARIANTS if dtype == torch.float32 else ("PSD1_P16",):
            whole = [(0.0, 0.0)] * 3
            for *shape, count in LAYERS:
                cin, cout, size, stride = shape
                progress(f"{name}, {variant}, {cin} to {cout}")
                times = layer(variant, (cin, cout, size, stride), BATCH, ROUNDS, dtype)
                rows.append(_row(variant, f"{cin} to {cout}, {size}x{size}, stride {stride}", times))
                whole = [(a + count * c, b + count * d) for (a, b), (c, d) in zip(whole, times, strict=True)]
            rows.append(_row(variant, "all 16 of them", whole))
        notes = (
            f"{kernel} Batch {BATCH}, {name} in and out, medians of {ROUNDS} rounds in which both take turns. "
            "forward, by input, by weights: that pass and the gradients; together: all three.",
        )
        tables.append(Table(f"3x3 layers of ResNet18, dense time over ours, {name}", rows, notes))
    rows = []
    for variant in VARIANTS:
        progress(f"whole step, {variant}")
        rows.append(step(variant, STEP_BATCH, STEP_ROUNDS))
    notes = (
        f"{kernel} Batch {STEP_BATCH}, float32: forward, backward and optimiser of the network and of its dense twin, "
        f"{STEP_ROUNDS} rounds in turns. Each layer is computed as probes at its first use chose.",
    )
    tables.append(Table("Whole training step of ResNet18, dense time over ours", rows, notes))
    return tables
