"""The shell around an engine on a board: its parameters, and the SystemVerilog of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from psconv.boards.identity import identity
from psconv.boards.protocol import OVERHEAD, PART, VERSION, Flag, Info, verilog
from psconv.flow.design import Design
from pymodel.common.errors import ConfigError
from pymodel.network.bundle import Bundle

RTL = Path(__file__).parent / "rtl"
TOP = "board"
MAX_IMAGE, MAX_OUTPUT = 1 << 14, 1 << 14  # bytes; both lie in block RAM
_OVERSAMPLING = 8
_ROOM = 8  # bytes of the ring that are never a frame's
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(RTL), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True)
class Shell:
    """What the shell of one engine on one board is made of.

    mhz: of the engine and the shell. cycles: of an image, at most. frame_ms: after so long without a byte a frame has
    stopped in the middle.
    """

    design: Design
    bundle: Bundle
    mhz: float
    baud: int
    cycles: int
    frame_ms: float = 100.0

    def __post_init__(self) -> None:
        """Raises ConfigError for an engine that no shell fits, and a rate that the clock is too slow for."""
        dataflow, network = self.design.dataflow, self.bundle.network.name
        if dataflow.streamed:
            raise ConfigError(
                f"weights: must be rom or loaded on a board with a serial link, got streamed for "
                f"{', '.join(dataflow.streamed)} of {network}"
            )
        if len(self.design.sinks) != 1:
            raise ConfigError(f"{network}: must have one output on a board, got {', '.join(self.design.sinks)}")
        for what, size, most in (("image", self.image_bytes, MAX_IMAGE), ("output", self.out_bytes, MAX_OUTPUT)):
            if size > most:
                raise ConfigError(f"{network}: an {what} must have at most {most:,} bytes on a board, got {size:,}")
        if self.baud * _OVERSAMPLING > self.mhz * 1e6:
            most = int(self.mhz * 1e6 / _OVERSAMPLING)
            raise ConfigError(f"--baud: must be at most {most:,} at {self.mhz:g} MHz, got {self.baud:,}")

    @property
    def loaded(self) -> bool:
        return self.design.weights is not None

    @property
    def image_bytes(self) -> int:
        """Bytes of the beats of an image, with the header of its packet."""
        words = self.design.dataflow.source.words
        return (words.count + self.loaded) * words.word_bytes

    @property
    def out_bytes(self) -> int:
        return self.design.dataflow.out_beats * self.design.dataflow.sink.words.word_bytes

    @property
    def fifo_bits(self) -> int:
        """The ring holds two images at least: one comes in while the other is worked on."""
        return max(11, (2 * (self.image_bytes + OVERHEAD + PART.size) + _ROOM).bit_length())

    @property
    def info(self) -> Info:
        source, sink = self.design.dataflow.source.words, self.design.dataflow.sink.words
        return Info(
            version=VERSION,
            flags=Flag.LOADS_WEIGHTS if self.loaded else Flag(0),
            identity=identity(self.bundle, self.loaded),
            clock_khz=round(self.mhz * 1000),
            image_bytes=self.image_bytes,
            out_bytes=self.out_bytes,
            x_bytes=source.word_bytes,
            y_bytes=sink.word_bytes,
            x_group=source.group,
            x_pixels=source.at_once,
            y_group=sink.group,
            y_pixels=sink.at_once,
            fifo_bytes=(1 << self.fifo_bits) - _ROOM,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of the module `shell`, as SystemVerilog has them."""
        info = self.info.to_bytes()
        increment = round(self.baud * _OVERSAMPLING * 2**24 / (self.mhz * 1e6))
        return {
            "INCREMENT": f"25'd{increment}",
            "FIFO_BITS": str(self.fifo_bits),
            "TIMEOUT": str(round(self.frame_ms * self.mhz * 1000)),
            "X_BYTES": str(self.info.x_bytes),
            "Y_BYTES": str(self.info.y_bytes),
            "IMAGE_BYTES": str(0 if self.loaded else self.image_bytes),
            "OUT_BYTES": str(self.out_bytes),
            "OUT_BITS": str(max(1, (self.out_bytes - 1).bit_length())),
            "ENGINE_TIMEOUT": str(4 * self.cycles + 100_000),
            "INFO_BYTES": str(len(info)),
            "INFO": f"{8 * len(info)}'h{info[::-1].hex()}",
        }


def sources(**values: Any) -> dict[str, str]:
    """SystemVerilog of everything but the engine, by file name, the package first; values: of the top's template."""
    modules = {path.name: path.read_text(encoding="utf-8") for path in sorted(RTL.glob("*.sv"))}
    top = _templates.get_template(f"{TOP}.sv.j2").render(**values)
    return {"psconv_link.sv": verilog(), **modules, f"{TOP}.sv": top}
