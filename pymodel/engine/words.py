"""Words of packed fields, and tensors as streams of them: groups of channels of one pixel after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymodel.common.arrays import Array, Int8, Int64, Integers, UInt8
from pymodel.common.errors import ConfigError
from pymodel.network.formats import check_range

FIELDS = 1 << 19  # that are spread out at a time


@dataclass(frozen=True)
class Words:
    """A tensor of `channels` x `height` x `width` activations of `bits` bits, in words of `group` channels.

    A word has them of `at_once` neighbouring pixels of a row, which divides the width. Order: row, set of such pixels,
    group; channel c of pixel t at bits (t * group + c) * `bits`; channels that are missing are zero.
    """

    channels: int
    height: int
    width: int
    bits: int
    group: int
    at_once: int = 1

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def sets(self) -> int:
        """Sets of `at_once` pixels."""
        return self.pixels // self.at_once

    @property
    def per_pixel(self) -> int:
        """Words of a pixel, or of a set of them."""
        return -(-self.channels // self.group)

    @property
    def count(self) -> int:
        """Words of an image."""
        return self.sets * self.per_pixel

    @property
    def fields(self) -> int:
        """Activations of a word."""
        return self.at_once * self.group

    @property
    def word_bits(self) -> int:
        return self.fields * self.bits

    @property
    def word_bytes(self) -> int:
        return -(-self.word_bits // 8)

    @property
    def axes(self) -> list[tuple[str, int]]:
        """Names and sizes of what the words of an image are counted by."""
        return [("row", self.height), ("column", self.width // self.at_once), ("group", self.per_pixel)]

    def pack(self, images: Integers, what: str) -> UInt8:
        """uint8 [n * count, word_bytes], little endian. images: int [n, channels, height, width].

        Raises ConfigError, naming `what`: wrong shape, out of range.
        """
        check_shape(images, (len(images), self.channels, self.height, self.width), what)
        reach = 1 << (self.bits - 1)
        check_range(images, -reach, reach - 1, f"{what} ({self.bits} bits)")
        rows = images.transpose(0, 2, 3, 1).reshape(-1, self.width, self.channels)
        words = np.empty((len(rows), self._row_words, self.word_bytes), np.uint8)
        for part in self._parts(len(rows)):
            padded = np.zeros((len(rows[part]), self.width, self.per_pixel * self.group), np.int64)
            padded[..., : self.channels] = rows[part]
            sets = padded.reshape(-1, self.at_once, self.per_pixel, self.group).swapaxes(1, 2)
            words[part] = pack_fields(sets.reshape(-1, self.fields), self.bits).reshape(words[part].shape)
        return words.reshape(-1, self.word_bytes)

    def unpack(self, words: UInt8, what: str) -> Int8:
        """int8 [n, channels, height, width] from words, uint8 [n * count, word_bytes].

        Raises ConfigError, naming `what`: wrong shape, not a whole number of images, padding that is not zero.
        """
        check_shape(words, (len(words), self.word_bytes), what)
        if len(words) % self.count:
            raise ConfigError(f"{what}: must be whole images of {self.count}, got {len(words)}")
        lines = words.reshape(-1, self._row_words, self.word_bytes)
        rows = np.empty((len(lines), self.width, self.channels), np.int8)
        for part in self._parts(len(lines)):
            bits = np.unpackbits(lines[part].reshape(-1, self.word_bytes), axis=1, bitorder="little")
            sets = signed_fields(bits[:, : self.word_bits].reshape(-1, self.fields, self.bits))
            sets = sets.reshape(-1, self.per_pixel, self.at_once, self.group).swapaxes(1, 2)
            channels = sets.reshape(-1, self.width, self.per_pixel * self.group)
            if bits[:, self.word_bits :].any() or channels[..., self.channels :].any():
                raise ConfigError(f"{what}: padding must be zero")
            rows[part] = channels[..., : self.channels]
        images = rows.reshape(-1, self.height, self.width, self.channels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    @property
    def _row_words(self) -> int:
        return self.width // self.at_once * self.per_pixel

    def _parts(self, rows: int) -> list[slice]:
        """Slices of the rows of all images: packing spreads each field over some 80 bytes."""
        size = max(1, FIELDS // (self.width * self.per_pixel * self.group))
        return [slice(start, start + size) for start in range(0, rows, size)]


def pack_fields(values: Integers, bits: int) -> UInt8:
    """uint8 [words, bytes], little endian: field k of values [words, fields] at bits k * `bits`."""
    octets = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(*values.shape, 8)
    planes = np.unpackbits(octets, axis=-1, count=bits, bitorder="little")
    return np.packbits(planes.reshape(len(values), values.shape[1] * bits), axis=1, bitorder="little")


def signed_fields(planes: UInt8) -> Int64:
    """int64 values from bits [..., bits], least significant first, two's complement."""
    bits = planes.shape[-1]
    place = np.int64(1) << np.arange(bits, dtype=np.int64)
    place[-1] = -place[-1]
    return planes.astype(np.int64) @ place


def check_shape(array: Array, expected: tuple[int, ...], what: str) -> None:
    """Raises ConfigError unless `array` has the expected shape."""
    if np.shape(array) != expected:
        raise ConfigError(f"{what}: shape must be {list(expected)}, got {list(np.shape(array))}")
