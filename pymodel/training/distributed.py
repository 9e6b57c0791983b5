"""One process or many: the process group that torchrun describes in the environment, and the devices."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pymodel.common.errors import ConfigError


def is_main() -> bool:
    """Whether this process writes the files and shows the progress: the first of torchrun's, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def world() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Process:
    """This process among `world` others; `device` is its own."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """As `is_main`."""
        return self.rank == 0

    def place(self, network: Module, memory_format: torch.memory_format = torch.channels_last) -> Module:
        """The network, moved to the device. Tensor cores read channels_last directly; CPUs are quicker with it, too."""
        # PyTorch's types do not know of a module's memory format.
        placed: Module = network.to(self.device, memory_format=memory_format)  # type: ignore[call-overload]
        return placed

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, made to average gradients over the processes in its backward pass."""
        if self.world == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        # Buffers are masks, alike in all processes, and batch norm statistics, which `share` makes equal when needed.
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` added up over all processes, in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every process the main process's values, in place."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Process]:
    """Join the group of torchrun (RANK, WORLD_SIZE, LOCAL_RANK); without torchrun, this process alone.

    `device` is "auto" (a GPU where there is one), "cpu" or "cuda". NCCL joins GPUs, gloo CPUs.
    Raises ConfigError: no GPU where one is asked for.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda: PyTorch finds no GPU; use cpu or auto")
    use_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    local = int(os.environ.get("LOCAL_RANK", "0"))
    own = torch.device("cuda", local) if use_cuda else torch.device("cpu")
    if use_cuda:
        torch.cuda.set_device(own)
    if world() == 1:
        yield Process(0, 1, own)
        return
    distributed.init_process_group("nccl" if use_cuda else "gloo")
    try:
        yield Process(distributed.get_rank(), distributed.get_world_size(), own)
    finally:
        distributed.destroy_process_group()
