"""The frames between host and board: one definition for the SystemVerilog, the host and the documents.

A frame is: END, its bytes with END and ESC escaped (RFC 1055, SLIP), END. Its bytes: kind, sequence number, length of
the payload (2 bytes), payload, CRC-32 of all of these (4 bytes; IEEE 802.3, as zlib has it). Numbers are little endian.

The host asks, the board answers each frame with one of the same sequence number, in order. A frame that is not whole is
answered by a FAULT; whose sequence number it has is not to be trusted. Everything a host may ask for can be asked for
again: an answer depends on nothing but the frame and, where weights are loaded, on these.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import Annotated, ClassVar, Self, get_args, get_type_hints

VERSION = 1
END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
POLYNOMIAL = 0xEDB88320  # reflected
RESIDUE = 0xDEBB20E3  # what the register holds behind a right check sum
_HEADER, _SUM = struct.Struct("<BBH"), struct.Struct("<I")
OVERHEAD = _HEADER.size + _SUM.size  # bytes of a frame beside its payload
PART = struct.Struct("<HB")  # in front of a PACKET's beats: number of the part, whether it is the last one
CYCLES = struct.Struct("<I")  # in front of the SCORES
MAX_PAYLOAD = 0xFFFF


class Kind(IntEnum):
    """What a frame is. Below 0x80: from the host."""

    HELLO = 0x01
    PACKET = 0x02
    RESTART = 0x03
    BROKEN = 0x7F
    INFO = 0x81
    SCORES = 0x82
    DONE = 0x83
    FAULT = 0x84


KINDS = {
    Kind.HELLO: "which board, which network? Payload: none; answer: INFO",
    Kind.PACKET: "a part of a packet for the engine. Payload: number of the part (2 bytes, from 0), 1 if it is the last"
    " one (1 byte), beats; answer: DONE, to the last part SCORES",
    Kind.RESTART: "resets the engine, which forgets loaded weights. Payload: none; answer: DONE",
    Kind.BROKEN: "inside the board: a frame that was none",
    Kind.INFO: "the board's INFO",
    Kind.SCORES: "cycles from the packet's first byte to the last beat that came out (4 bytes), and all these beats",
    Kind.DONE: "the part was taken, or was there already. Payload: none",
    Kind.FAULT: "nothing was done. Payload: the reason (1 byte)",
}


class Reason(IntEnum):
    """Why there is a FAULT."""

    TIMED_OUT = 1
    TOO_LONG = 2
    BAD_BYTE = 3
    BAD_CRC = 4
    BAD_LENGTH = 5
    BAD_KIND = 6
    BAD_SIZE = 7
    BAD_ORDER = 8
    NO_ANSWER = 9


REASONS = {
    Reason.TIMED_OUT: "the frame stopped in the middle",
    Reason.TOO_LONG: "the frame is larger than the room for it",
    Reason.BAD_BYTE: "a byte without a stop bit, or an escape of nothing",
    Reason.BAD_CRC: "the check sum is another one",
    Reason.BAD_LENGTH: "the payload is not as long as the header says",
    Reason.BAD_KIND: "the kind is unknown",
    Reason.BAD_SIZE: "the payload has another size than the engine's packets",
    Reason.BAD_ORDER: "the part is not the next one of its packet",
    Reason.NO_ANSWER: "the engine did not move and was reset",
}


class Flag(IntFlag):
    """What a board can do."""

    LOADS_WEIGHTS = 1


def _of(code: str, text: str) -> tuple[str, str]:
    return code, text


@dataclass(frozen=True)
class Info:
    """What a board says of itself; each field with its code in `struct` and what it means."""

    version: Annotated[int, _of("B", "of these frames")]
    flags: Annotated[int, _of("B", "bit 0: weights are loaded")]
    identity: Annotated[bytes, _of("8s", "of the network (psconv/boards/identity.py)")]
    clock_khz: Annotated[int, _of("I", "of the engine")]
    image_bytes: Annotated[int, _of("I", "of an image, in whole beats")]
    out_bytes: Annotated[int, _of("I", "of the beats that come out for a packet")]
    x_bytes: Annotated[int, _of("H", "of a beat that goes in")]
    y_bytes: Annotated[int, _of("H", "of a beat that comes out")]
    x_group: Annotated[int, _of("H", "channels in a beat that goes in")]
    x_pixels: Annotated[int, _of("H", "pixels in it")]
    y_group: Annotated[int, _of("H", "channels in a beat that comes out")]
    y_pixels: Annotated[int, _of("H", "pixels in it")]
    fifo_bytes: Annotated[int, _of("I", "room for frames that came and are not done yet")]

    SIZE: ClassVar[int]

    def to_bytes(self) -> bytes:
        return _INFO.pack(*(getattr(self, field.name) for field in fields(self)))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Raises ValueError for a payload of another size."""
        if len(payload) != _INFO.size:
            raise ValueError(f"must have {_INFO.size} bytes, got {len(payload)}")
        return cls(*_INFO.unpack(payload))


def info_fields() -> list[tuple[str, str, str]]:
    """Name, code of `struct` and meaning of each field of `Info`, in their order."""
    hints = get_type_hints(Info, include_extras=True)
    return [(field.name, *get_args(hints[field.name])[1]) for field in fields(Info)]


_INFO = struct.Struct("<" + "".join(code for _, code, _ in info_fields()))
Info.SIZE = _INFO.size


@dataclass(frozen=True)
class Frame:
    """A frame without its check sum."""

    kind: int
    sequence: int
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """As it goes over the link. Raises ValueError for a payload of more than MAX_PAYLOAD bytes."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload has at most {MAX_PAYLOAD} bytes, got {len(self.payload)}")
        plain = _HEADER.pack(self.kind, self.sequence, len(self.payload)) + self.payload
        return escaped(plain + _SUM.pack(zlib.crc32(plain)))

    @classmethod
    def from_plain(cls, plain: bytes) -> Self | None:
        """The frame of unescaped bytes; None where they are none."""
        if len(plain) < OVERHEAD:
            return None
        kind, sequence, length = _HEADER.unpack_from(plain)
        (found,) = _SUM.unpack(plain[-_SUM.size :])
        if length != len(plain) - OVERHEAD or found != zlib.crc32(plain[: -_SUM.size]):
            return None
        return cls(kind, sequence, plain[_HEADER.size : -_SUM.size])


def escaped(plain: bytes) -> bytes:
    """Bytes between two END, with END and ESC escaped."""
    inner = plain.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
    return bytes([END]) + inner + bytes([END])


class Reader:
    """Frames out of the bytes of a link, in pieces of any size; bytes that are no frame are counted and dropped."""

    def __init__(self) -> None:
        self._plain = bytearray()
        self._escaped = self._bad = False
        self.broken = 0  # frames that were none

    def take(self, data: bytes) -> Iterator[Frame]:
        """The frames that end in `data`."""
        for byte in data:
            if byte == END:
                frame = None if self._bad or self._escaped else Frame.from_plain(bytes(self._plain))
                if frame is not None:
                    yield frame
                elif self._plain or self._bad or self._escaped:
                    self.broken += 1
                self.drop()
            elif self._escaped:
                self._escaped = False
                self._bad |= byte not in (ESC_END, ESC_ESC)
                self._plain.append(END if byte == ESC_END else ESC)
            elif byte == ESC:
                self._escaped = True
            else:
                self._plain.append(byte)

    def drop(self) -> None:
        """Forgets the frame that has begun."""
        self._plain.clear()
        self._escaped = self._bad = False


def verilog() -> str:
    """The package that the modules of psconv/boards/rtl read."""
    octets = {"END": END, "ESC": ESC, "ESC_END": ESC_END, "ESC_ESC": ESC_ESC}
    octets |= {one.name: int(one) for group in (Kind, Reason) for one in group}
    words = {"POLYNOMIAL": POLYNOMIAL, "RESIDUE": RESIDUE}
    lines = ["// Made by psconv/boards/protocol.py.", "package psconv_link;"]
    lines += [f"  localparam [7:0] {name} = 8'h{value:02x};" for name, value in octets.items()]
    lines += [f"  localparam [31:0] {name} = 32'h{value:08x};" for name, value in words.items()]
    lines += [f"  localparam [16:0] OVERHEAD = 17'd{OVERHEAD};", "endpackage", ""]
    return "\n".join(lines)
