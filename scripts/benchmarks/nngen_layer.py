"""A convolution as NNgen builds it: its Verilog, and runs of that in an ideal memory (axi_memory.cpp)."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nngen
import nngen.verilog
import numpy as np

from pymodel.common.arrays import Array, Int8, Integers, UInt8
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.top.units import EngineUnit
from rtl_tb.build import build_program
from rtl_tb.processes import log_tail

TOP = "nngen_layer"
BENCH = Path(__file__).with_name("axi_memory.cpp")
REGISTER_BYTES = 4
PATIENCE = 20  # a run that takes so many times the cycles of multipliers that never idle hangs


@dataclass(frozen=True)
class Parallelism:
    """How much of a layer works at once, by NNgen's names, and the bits of its memory port."""

    par_ich: int
    par_och: int
    bus_bits: int

    def multipliers(self, kernel: int) -> int:
        """Multipliers of weights and activations, all taps at once; those that scale the sums are not counted."""
        return kernel * kernel * self.par_ich * self.par_och


@dataclass(frozen=True)
class Tensor:
    """A place in the design's memory. shape: channels last, padded to what the memory port wants."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def end(self) -> int:
        return self.address + int(np.prod(self.shape)) * self.dtype.itemsize

    def view(self, memory: UInt8, channels: int) -> Array:
        """The tensor in `memory` (uint8), without the padding of its last axis."""
        return memory[self.address : self.end].view(self.dtype).reshape(self.shape)[..., :channels]


@dataclass(frozen=True)
class Built:
    """What NNgen made of a layer. tensors: x, weights, bias, y. limit: cycles after which a run hangs."""

    verilog: Path
    tensors: dict[str, Tensor]
    limit: int


@dataclass(frozen=True)
class Run:
    """One image. y: int8 [cout, h, w]. Cycles from the write to the start register to the interrupt; bytes moved."""

    y: Int8
    cycles: int
    bytes_read: int
    bytes_written: int


def generate(engine: EngineUnit, parallelism: Parallelism, folder: Path) -> Built:
    """The layer of `engine` as Verilog of NNgen's, written to `folder`.

    Raises ConfigError for a layer whose integers would be others: without ReLU NNgen rounds halves away from zero,
    pymodel.network.formats up; behind ReLU that is the same.
    """
    shape = engine.shape
    if not shape.relu or shape.stride != 1 or {shape.in_bits, shape.weight_bits, shape.out_bits} != {8}:
        raise ConfigError(
            f"layer: must be int8, of stride 1 and with ReLU to be compared with NNgen, got {shape.summary}"
        )
    x = nngen.placeholder(nngen.int8, (1, shape.height, shape.width, shape.cin), name="x")
    weights = nngen.variable(nngen.int8, (shape.cout, shape.kernel, shape.kernel, shape.cin), name="weights")
    bias = nngen.variable(nngen.int32, (shape.cout,), name="bias")
    y = nngen.conv2d(
        x,
        weights,
        (1, 1, 1, 1),
        bias=bias,
        rshift_out=shape.shift,
        act_func=nngen.relu,
        padding=shape.padding,
        dtype=nngen.int8,
        sum_dtype=nngen.int32,
        par_ich=parallelism.par_ich,
        par_och=parallelism.par_och,
        name="y",
    )
    module = nngen.to_veriloggen([y], TOP, silent=True, config={"maxi_datawidth": parallelism.bus_bits})
    write_text(folder / f"{TOP}.v", module.to_verilog())
    tensors = {
        tensor.name: Tensor(tensor.addr, tuple(tensor.aligned_shape), np.dtype(f"i{tensor.dtype.width // 8}"))
        for tensor in (x, weights, bias, y)
    }
    macs = shape.cin * shape.cout * shape.kernel**2 * shape.hout * shape.wout
    return Built(folder / f"{TOP}.v", tensors, PATIENCE * macs // parallelism.multipliers(shape.kernel))


def simulate(built: Built, engine: EngineUnit, images: Integers, folder: Path, cache: Path) -> list[Run]:
    """Each of `images`, int8 [n, C, H, W], from reset. folder: of the memory's contents; cache: of compiled simulators.

    Raises ConfigError: Verilator refuses the design, or a run hangs.
    """
    program = build_program([built.verilog], TOP, BENCH, cache)
    before, after = folder / "before.bin", folder / "after.bin"
    # The interrupt at the end has to be allowed first.
    registers = (nngen.verilog.control_reg_start, nngen.verilog.control_reg_interrupt_ier)
    start, enable = (str(number * REGISTER_BYTES) for number in registers)
    runs = []
    for image in images:
        memory = np.zeros(max(tensor.end for tensor in built.tensors.values()), np.uint8)
        contents = {
            "x": image.transpose(1, 2, 0)[None],
            "weights": engine.weights.transpose(0, 2, 3, 1),
            "bias": engine.bias,
        }
        for name, values in contents.items():
            built.tensors[name].view(memory, values.shape[-1])[...] = values
        memory.tofile(before)
        command = [str(program.resolve()), str(before), str(after), str(built.limit), start, f"{enable}=1"]
        done = subprocess.run([*command, "+verilator+rand+reset+2"], capture_output=True, text=True)
        if done.returncode:
            raise ConfigError(f"{built.verilog}: the simulation failed: {log_tail(done.stderr)}")
        written = built.tensors["y"].view(np.fromfile(after, np.uint8), engine.shape.cout)
        runs.append(Run(y=written[0].transpose(2, 0, 1), **json.loads(done.stdout)))
    return runs
