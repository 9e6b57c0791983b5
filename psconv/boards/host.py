"""A board as a Python program uses it.

    with psconv.boards.host.Board.open("/dev/ttyUSB0", bundle, baud=3_000_000) as board:
        scores = board.predict(images)

`images` as `psconv.api.bundle.Bundle.predict` takes them, and the same integers come back as from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from psconv.boards.identity import identity
from psconv.boards.link import Link, Question, Refused
from psconv.boards.port import Port, SerialPort
from psconv.boards.protocol import CYCLES, OVERHEAD, PART, VERSION, Flag, Info, Kind, Reason
from pymodel.common.arrays import Array, Int8, UInt8
from pymodel.common.errors import ConfigError
from pymodel.engine.words import Words
from pymodel.golden.model import as_input
from pymodel.network.bundle import Bundle
from pymodel.network.topology import INPUT
from pymodel.top.status import Status

TIMEOUT, SILENCE = 2.0, 0.3  # s: for an answer; without a byte, longer than the board waits for the rest of a frame
_PART_BYTES = 1024  # of a part of a packet that does not go in one frame
_PACKET_TRIES = 4


@dataclass(frozen=True)
class Answer:
    """What a board said to an image. scores: int8 [channels, rows, columns]. cycles: that it took on the chip."""

    scores: Int8
    cycles: int


@dataclass
class Board:
    """A network on a board.

    bundle: that the board must have, by its identity. Raises ConfigError: no answer, a board with another network or
    frames of another version.
    """

    port: Port
    bundle: Bundle
    timeout: float = TIMEOUT
    silence: float = SILENCE
    info: Info = field(init=False)
    link: Link = field(init=False)

    def __post_init__(self) -> None:
        outputs = self.bundle.network.outputs
        if len(outputs) != 1:
            raise ConfigError(f"bundle: must have one output, got {', '.join(outputs)}")
        self.link = Link(self.port, self.timeout, self.silence)
        payload = self.link.ask(Kind.HELLO)
        if payload[:1] != bytes([VERSION]):
            raise ConfigError(f"the board: frames must be of version {VERSION}, got {payload[0]}")
        self.info = Info.from_bytes(payload)
        wanted = identity(self.bundle, self.loads_weights)
        if self.info.identity != wanted:
            raise ConfigError(
                f"the board: must have the network {self.bundle.network.name} of the bundle, {wanted.hex()}, got "
                f"{self.info.identity.hex()}; flash the bitstream of this bundle, or name that of the bitstream"
            )

    @classmethod
    def open(cls, device: str, bundle: Bundle, *, baud: int) -> Self:
        """The board at a serial port. Raises ConfigError as the class and `SerialPort` do."""
        port = SerialPort(device, baud)
        try:
            return cls(port, bundle)
        except BaseException:
            port.close()
            raise

    @property
    def loads_weights(self) -> bool:
        """Whether `load_weights` comes first."""
        return bool(self.info.flags & Flag.LOADS_WEIGHTS)

    @property
    def mhz(self) -> float:
        """The clock of the engine."""
        return self.info.clock_khz / 1000

    def predict(self, images: Array) -> Int8:
        """The scores of images, as `psconv.api.bundle.Bundle.predict` gives them. Raises ConfigError as `answers`."""
        scores = [answer.scores for answer in self.answers(images)]
        found = np.array(scores, np.int8).reshape(-1, *self._sink_shape)
        return found[:, :, 0, 0] if found.shape[2:] == (1, 1) else found

    def answers(self, images: Array) -> Iterator[Answer]:
        """What the board says to each image, in order; the next ones are on their way meanwhile.

        Raises ConfigError: images of another shape or out of range, a board that does not answer, no weights.
        """
        given = as_input(self.bundle, images)
        header = b"\0" * self.info.x_bytes if self.loads_weights else b""
        packets = (header + self._source.pack(image[None], "image").tobytes() for image in given)
        if self.info.image_bytes + PART.size + OVERHEAD <= self.info.fifo_bytes:
            questions = (Question(Kind.PACKET, PART.pack(0, 1) + packet) for packet in packets)
            for payload in self.link.ask_all(questions, self.info.fifo_bytes):
                yield self._answer(payload)
        else:
            for packet in packets:
                yield self._answer(self._in_parts(packet))

    def load_weights(self, beats: UInt8, image: Array | None = None) -> None:
        """Loads weights, uint8 [n, bytes] or [bytes], as `psconv pack-weights` writes them.

        A packet has an image too: `image`, or zeros. Raises ConfigError: a board with its weights in ROM, weights that
        are damaged or for another network.
        """
        if not self.loads_weights:
            raise ConfigError("the board: has its weights in ROM, none can be loaded")
        octets = beats.astype(np.uint8).tobytes()
        if len(octets) % self.info.x_bytes:
            raise ConfigError(f"weights: must be whole beats of {self.info.x_bytes} bytes, got {len(octets)} bytes")
        shape = (1, *self.bundle.network.input.shape)
        given = np.zeros(shape, np.int8) if image is None else as_input(self.bundle, image)
        header = bytes([1]) + b"\0" * (self.info.x_bytes - 1)
        self._answer(self._in_parts(header + octets + self._source.pack(given, "image").tobytes()))

    def restart(self) -> None:
        """Resets the engine; weights that were loaded are gone."""
        self.link.ask(Kind.RESTART)

    def close(self) -> None:
        self.port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _in_parts(self, packet: bytes) -> bytes:
        """The answer to a packet that goes in several frames; from its beginning where the board lost its place."""
        size = _PART_BYTES // self.info.x_bytes * self.info.x_bytes or self.info.x_bytes
        pieces = [packet[at : at + size] for at in range(0, len(packet), size)]
        for tries_left in reversed(range(_PACKET_TRIES)):
            try:
                answer = b""
                for number, piece in enumerate(pieces):
                    head = PART.pack(number, number == len(pieces) - 1)
                    answer = self.link.ask(Kind.PACKET, head + piece)
                return answer
            except Refused as refused:
                if refused.reason != Reason.BAD_ORDER or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _answer(self, payload: bytes) -> Answer:
        (cycles,) = CYCLES.unpack_from(payload)
        beats = np.frombuffer(payload, np.uint8, offset=CYCLES.size).reshape(-1, self.info.y_bytes)
        if self.loads_weights:
            status = Status(int(beats[-1, 0]))
            if not status & Status.GOOD:
                raise ConfigError(f"the board: {'; '.join(flag.meaning for flag in status)}")
            beats = beats[:-1]
        return Answer(self._sink.unpack(beats, "scores")[0], cycles)

    @property
    def _source(self) -> Words:
        channels, height, width = self.bundle.network.input.shape
        return Words(channels, height, width, self.bundle.formats[INPUT].bits, self.info.x_group, self.info.x_pixels)

    @property
    def _sink(self) -> Words:
        (output,) = self.bundle.network.outputs
        channels, height, width = self._sink_shape
        return Words(channels, height, width, self.bundle.formats[output].bits, self.info.y_group, self.info.y_pixels)

    @property
    def _sink_shape(self) -> tuple[int, int, int]:
        (output,) = self.bundle.network.outputs
        channels, height, width = self.bundle.network.shapes()[output]
        return channels, height, width
