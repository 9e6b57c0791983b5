"""What the masks cost: one paired run of a network with PSConv2d against its twin with nn.Conv2d.

python -m pymodel.training.timing [VARIANT]
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch.nn import functional

from pymodel.network.zoo import resnet18
from pymodel.nn.build import NetworkModule
from pymodel.training.distributed import joined

WARM_UP = 3


@dataclass(frozen=True)
class Overhead:
    """Median seconds of a training step (processor time on a CPU); the median of the ratios of neighbouring steps."""

    masked: float
    dense: float
    ratio: float


def measure(variant: str, width: int, batch: int, steps: int, device: str = "auto") -> Overhead:
    """Alternate steps of both networks on the same data, so that both meet the same disturbances."""
    with joined(device) as process:
        networks = [NetworkModule(resnet18(width=width, variant=name)) for name in (variant, "dense")]
        images = torch.randn(batch, 3, 32, 32).to(process.device, memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (batch,), device=process.device)
        steppers = [_Stepper(process.place(network), images, labels) for network in networks]
        times = [[stepper.seconds() for stepper in steppers] for _ in range(WARM_UP + steps)][WARM_UP:]
    masked, dense = (statistics.median(column) for column in zip(*times, strict=True))
    return Overhead(masked, dense, statistics.median(left / right for left, right in times))


class _Stepper:
    def __init__(self, network: NetworkModule, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.network, self.images, self.labels = network, images, labels
        # On a CPU, what other programs take is none of our business.
        self.clock = time.perf_counter if images.is_cuda else time.process_time
        self.optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def seconds(self) -> float:
        """The time of one training step."""
        self._synchronise()
        start = self.clock()
        self.optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(self.network(self.images), self.labels).backward()
        self.optimiser.step()
        self._synchronise()
        return self.clock() - start

    def _synchronise(self) -> None:
        if self.images.is_cuda:
            torch.cuda.synchronize()


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "PSD1_P16"
    for width, batch in ((16, 64), (64, 16)):
        print(f"width {width}, batch {batch}:", measure(chosen, width, batch, steps=15))
