"""The registers of the AXI4-Lite port: one definition for the RTL, the C header, the driver and the documents.

A register has 32 bits. What is longer has two, of which the lower one has to be read first: that keeps the upper one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

REGISTER_BYTES = 4
ADDRESS_BITS = 8  # of the port: 256 bytes

MAGIC = 0x7053436F  # "pSCo", as a big-endian reader has it
VERSION = 1  # of this map; another one is refused by the driver


class Access(Enum):
    """What reading and writing does; the value is how documents call it."""

    READ = "read"
    WRITE = "read, write"
    PULSE = "write 1 to act, reads 0"
    STICKY = "read, write 1 to clear"


@dataclass(frozen=True)
class Field:
    """Bits `low` and up of a register. reset: the value after a reset, of one that is written."""

    name: str
    low: int
    bits: int
    access: Access
    meaning: str
    reset: int = 0

    @property
    def mask(self) -> int:
        """The bits of the register that it has."""
        return (1 << self.bits) - 1 << self.low

    @property
    def place(self) -> str:
        """Its bits as documents write them."""
        return str(self.low) if self.bits == 1 else f"{self.low + self.bits - 1}:{self.low}"


@dataclass(frozen=True)
class Register:
    """32 bits at an offset in bytes. holds: the register that keeps its value of when this one was read."""

    name: str
    offset: int
    meaning: str
    fields: tuple[Field, ...]
    holds: str | None = None

    def signal(self, field: Field) -> str:
        """The name of a field in the RTL, C and Python: of a register that is one field, the register's."""
        return self.name if field.name == WHOLE else f"{self.name}_{field.name}"


WHOLE = "value"  # the name of a field that is the register


def _value(meaning: str, access: Access = Access.READ, reset: int = 0) -> tuple[Field, ...]:
    return (Field(WHOLE, 0, 32, access, meaning, reset),)


def _flags(access: Access, *flags: tuple[str, str]) -> tuple[Field, ...]:
    return tuple(Field(name, low, 1, access, meaning) for low, (name, meaning) in enumerate(flags))


_EVENTS = (
    ("done", "a packet of scores was taken"),
    ("error", "a bit of `errors` was set"),
)

REGISTERS: tuple[Register, ...] = (
    Register("magic", 0x00, "what is here", _value(f"{MAGIC:#010x}")),
    Register("version", 0x04, "of these registers", _value(str(VERSION))),
    Register("identity", 0x08, "of the hardware", _value("a number of all that it computes, weights aside")),
    Register("contents", 0x0C, "of the weights", _value("a number of those in ROM; 0 where they are loaded")),
    Register(
        "control",
        0x10,
        "start, stop, reset",
        (
            Field("enable", 0, 1, Access.WRITE, "packets are taken; 0: the one at work is ended, no other begun"),
            Field("reset", 1, 1, Access.PULSE, "soft reset: design, streams, counters, errors, `status`"),
            Field("weights", 2, 1, Access.PULSE, "the next packet holds weights, not images"),
        ),
    ),
    Register(
        "status",
        0x14,
        "what goes on",
        _flags(
            Access.READ,
            ("idle", "no image, no beat inside, no reset at work"),
            ("busy", "the other way round"),
            ("weights_next", "the next packet is taken for weights"),
            ("loads", "the weights of this design are loaded"),
        ),
    ),
    Register("interrupt_enable", 0x18, "which events interrupt", _flags(Access.WRITE, *_EVENTS)),
    Register("interrupt_status", 0x1C, "which events have been", _flags(Access.STICKY, *_EVENTS)),
    Register(
        "errors",
        0x20,
        "what was wrong with packets",
        _flags(
            Access.STICKY,
            ("early", "TLAST came before the packet was complete: it was filled up with zeros"),
            ("missing", "TLAST did not come with the last byte: what followed it up to TLAST was dropped"),
            ("keep", "TKEEP had holes, or a part of a word"),
            ("response", "a response of a design whose weights are loaded said that its scores are not right"),
        ),
    ),
    Register(
        "batch",
        0x24,
        "images of a packet",
        _value("images from TLAST to TLAST, at least 1; taken when nothing is inside", Access.WRITE, 1),
    ),
    Register("images", 0x28, "images done", _value("since the reset, modulo 2^32")),
    Register("packets", 0x2C, "packets of scores taken", _value("since the reset, modulo 2^32")),
    Register(
        "cycles",
        0x30,
        "cycles with an image inside",
        _value("bits 31:0, since the reset; reading keeps the others"),
        "cycles_high",
    ),
    Register("cycles_high", 0x34, "", _value("bits 63:32 of when `cycles` was read")),
    Register(
        "image_cycles",
        0x38,
        "cycles of the last image",
        _value("bits 31:0: those of `cycles` since the end of the image before; reading keeps the others"),
        "image_cycles_high",
    ),
    Register("image_cycles_high", 0x3C, "", _value("bits 63:32 of when `image_cycles` was read")),
    Register(
        "verdict",
        0x40,
        "of loaded weights",
        (
            Field("response", 0, 8, Access.READ, "status of the last response ([weights](weights.md)); 0: none yet"),
            Field("count", 16, 16, Access.READ, "responses since the reset, modulo 2^16"),
        ),
    ),
    Register("image_bytes", 0x44, "bytes of an image", _value("as the stream has it")),
    Register("score_bytes", 0x48, "bytes of its scores", _value("as the stream has them")),
    Register("weight_bytes", 0x4C, "bytes of a packet of weights", _value("0 where they are in ROM")),
)
