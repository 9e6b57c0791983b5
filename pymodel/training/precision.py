"""The number format of a training where the configuration leaves it open: by the processor, and by a short probe."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from torch.nn import functional

from pymodel.training.network import Trainable

PROBE_IMAGES = 16
PROBE_ROUNDS = 2
MARGIN = 1.15  # by which bfloat16 has to be quicker, to be worth its 8 bits
WORTH_TRYING = 1 << 24  # elements of the weights times pixels of an image; below, what surrounds them takes the time


@dataclass(frozen=True)
class Found:
    """A precision, by its name in configurations, and why, in a line for people."""

    precision: str
    why: str


def find(subject: Trainable, device: torch.device) -> Found:
    """bfloat16 on a GPU that has it; on a CPU that has it where a step of the network, left as it is, is quicker."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return Found("bfloat16", "bfloat16: this GPU has it")
        return Found("float32", "float32: this GPU has no bfloat16")
    if not cpu_has_bfloat16():
        return Found("float32", "float32: this processor has no instructions for bfloat16")
    size = subject.network.input
    if sum(parameter.numel() for parameter in subject.module.parameters()) * size.height * size.width < WORTH_TRYING:
        return Found("float32", "float32: the network is small")
    single, half = step_times(subject)
    found = f"a step takes {half / single:.2f} of its time in bfloat16"
    return Found("bfloat16", f"bfloat16: {found}") if half * MARGIN < single else Found("float32", f"float32: {found}")


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16: AVX512-BF16 or AMX, or Arm's instructions."""
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def step_times(subject: Trainable) -> tuple[float, float]:
    """Seconds of a step in float32 and in bfloat16, the least of rounds in turns, on random images."""
    twin, size = copy.deepcopy(subject.module).train(), subject.network.input
    images = torch.zeros(PROBE_IMAGES, size.channels, size.height, size.width)
    images = images.uniform_(-1, 1, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=subject.memory_format
    )
    labels = torch.zeros(PROBE_IMAGES, dtype=torch.int64)

    def seconds(half: bool) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = functional.cross_entropy(twin(images).float(), labels)
        loss.backward()
        return time.perf_counter() - start

    with torch.random.fork_rng(devices=[]):  # what a module of the user's own draws
        times = [(seconds(False), seconds(True)) for _ in range(PROBE_ROUNDS + 1)][1:]
    single, half = (min(column) for column in zip(*times, strict=True))
    return single, half
