"""A design as an IP: its streams as a DMA has them, its registers, and all RTL of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from openhls import Ports

from psconv.boards.zynq import registers
from psconv.boards.zynq.registers import REGISTERS, Access
from psconv.common.fresh import content_key
from psconv.flow.design import Design
from pymodel.common.errors import ConfigError
from pymodel.common.templates import templates
from pymodel.engine.words import Words
from pymodel.top.identity import identity

FOLDER = Path(__file__).parent
RTL = FOLDER / "rtl"
TEMPLATES = templates(FOLDER / "templates")
SCORE_BITS = (8, 16, 32)
DMA_BYTES = tuple(1 << power for power in range(8))  # widths of AXI DMA's streams (AMD PG021): 8 to 1024 bits


@dataclass(frozen=True)
class Wrapper:
    """The IP of a design. ports: of its RTL. score_bits: that a score has in memory."""

    design: Design
    ports: Ports
    score_bits: int = 8

    def __post_init__(self) -> None:
        """Raises ConfigError as `check` does."""
        check(self.design, self.score_bits)

    @property
    def module(self) -> str:
        """The top module."""
        return f"{self.ports.top}_axi"

    @property
    def x(self) -> Words:
        """The activations that go in."""
        return self.design.dataflow.source.words

    @property
    def y(self) -> Words:
        """The scores that come out."""
        return self.design.dataflow.sink.words

    @property
    def loads(self) -> bool:
        """Whether its weights are loaded."""
        return self.design.dataflow.packet_parser is not None

    @property
    def word_bytes(self) -> int:
        """Bytes of the stream that are a word of the design: one for each activation."""
        return self.x.fields

    @property
    def in_bytes(self) -> int:
        """The bytes of s_axis_tdata."""
        return dma_bytes(self.word_bytes)

    @property
    def score_word_bytes(self) -> int:
        """Bytes of the stream that a word of scores becomes."""
        return self.y.fields * self.score_bits // 8

    @property
    def out_bytes(self) -> int:
        """The bytes of m_axis_tdata."""
        return dma_bytes(self.score_word_bytes)

    @property
    def load_words(self) -> int:
        """Words of a packet of weights."""
        return 0 if self.design.weights is None else len(self.design.weights)

    @property
    def identity(self) -> int:
        """A number of what the hardware computes: that of `pack-weights` where weights are loaded."""
        parser = self.design.dataflow.packet_parser
        return parser.identity if parser else identity(self.design.dataflow.units)

    @cached_property
    def contents(self) -> int:
        """A number of the weights, biases and scales in ROM; 0 where they are loaded."""
        if self.loads:
            return 0
        arrays = [
            (layer, engine.weights, engine.bias, engine.scales)
            for layer, engine in self.design.dataflow.engines.items()
        ]
        return int(content_key(*(part for parts in arrays for part in parts))[:8], 16)

    @property
    def geometry(self) -> dict[str, int]:
        """What the streams are like, as the parameters of the RTL have it."""
        return {
            "in_bytes": self.in_bytes,
            "out_bytes": self.out_bytes,
            "x_fields": self.x.fields,
            "x_bits": self.x.bits,
            "x_bytes": self.x.word_bytes,
            "x_words": self.x.count,
            "y_fields": self.y.fields,
            "y_bits": self.y.bits,
            "y_bytes": self.y.word_bytes,
            "y_words": self.y.count,
            "bytes_of_score": self.score_bits // 8,
            "load_words": max(1, self.load_words),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What the hardware says of itself in its registers."""
        return {
            "magic": registers.MAGIC,
            "version": registers.VERSION,
            "identity": self.identity,
            "contents": self.contents,
            "loads": self.loads,
            "image_bytes": self.x.count * self.word_bytes,
            "score_bytes": self.y.count * self.score_word_bytes,
            "weight_bytes": self.load_words * self.word_bytes,
        }

    def sources(self) -> dict[str, str]:
        """The RTL around the design's, by file name."""
        values = {
            "what": self.design.what[:1].upper() + self.design.what[1:],
            "module": self.module,
            "design": self.ports.top,
            "clock": self.ports.clock,
            "reset": self.ports.reset.name,
            "pins": list(self._pins().items()),
            "address_bits": registers.ADDRESS_BITS,
            **self.geometry,
            **self.facts,
        }
        own = {path.name: path.read_text(encoding="utf-8") for path in sorted(RTL.glob("*.sv"))}
        return {
            f"{self.module}.v": TEMPLATES.get_template("top.v.j2").render(values),
            "psconv_axi_registers.sv": registers_rtl(),
            **own,
        }

    def _pins(self) -> Mapping[str, str]:
        """The pins of the design's streams, and what they are joined to."""
        x, y = self.ports.streams
        inputs = {"TDATA": "x_tdata", "TVALID": "x_tvalid", "TREADY": "x_tready", "TLAST": "x_tlast"}
        ones = f"{{{self.x.word_bytes}{{1'b1}}}}"
        outputs = {"TDATA": "y_tdata", "TVALID": "y_tvalid", "TREADY": "y_tready"}
        found = {signal.name: inputs.get(kind, ones) for kind, signal in x.signals.items()}
        return found | {signal.name: outputs.get(kind, "") for kind, signal in y.signals.items()}


def check(design: Design, score_bits: int) -> None:
    """Raises ConfigError for a design that no IP can be made of."""
    if score_bits not in SCORE_BITS:
        raise ConfigError(f"--score-bits: must be one of {', '.join(map(str, SCORE_BITS))}, got {score_bits}")
    if len(design.sinks) > 1:
        raise ConfigError(f"network: output: must be one layer for a board, got {', '.join(design.sinks)}")
    if design.dataflow.streamed:
        layers = ", ".join(design.dataflow.streamed)
        raise ConfigError(f"weights: must be rom or loaded for a board, got streamed in {layers}")


def dma_bytes(needed: int) -> int:
    """The narrowest stream of AXI DMA that brings so many bytes a cycle; its widest where none does."""
    return next((width for width in DMA_BYTES if width >= needed), DMA_BYTES[-1])


def registers_rtl() -> str:
    """The module that has the registers."""
    held = {register.holds for register in REGISTERS if register.holds}
    read = {}
    for register in REGISTERS:
        parts, above = [], 32
        for field in sorted(register.fields, key=lambda field: -field.low):
            gap = above - field.low - field.bits
            parts += [f"{gap}'d0"] if gap else []
            parts.append(f"{field.bits}'d0" if field.access is Access.PULSE else register.signal(field))
            above = field.low
        parts += [f"{above}'d0"] if above else []
        read[register.name] = parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"
    return TEMPLATES.get_template("registers.sv.j2").render(
        address_bits=registers.ADDRESS_BITS,
        registers=REGISTERS,
        fields=[(register, field) for register in REGISTERS for field in register.fields],
        held=held,
        read=read,
    )
