"""Words of streams: unsigned integers here, bytes in files, a list of fields where a user writes them so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openhls.common.errors import HlsError
from openhls.results.ports import PortStream

Words = dict[str, list[int]]


def to_bytes(words: Sequence[int], width: int) -> bytes:
    """Words of `width` bits as little-endian bytes, each in whole bytes."""
    size = -(-width // 8)
    return b"".join(w.to_bytes(size, "little") for w in words)


def from_bytes(raw: bytes, width: int) -> list[int]:
    """The inverse of `to_bytes`."""
    size = -(-width // 8)
    return [int.from_bytes(raw[k : k + size], "little") for k in range(0, len(raw), size)]


def fields(stream: PortStream, width: int) -> list[int]:
    """Bits of a word's fields, TDATA's without the padding of its port. width: of the whole word."""
    sides = [signal.width for signal in stream.payload[1:]]
    return [width - sum(sides), *sides]


def split(word: int, widths: Sequence[int]) -> list[int]:
    """The fields of a word, least significant first."""
    found = []
    for width in widths:
        found.append(word & ((1 << width) - 1))
        word >>= width
    return found


def joined(values: Sequence[int], widths: Sequence[int]) -> int:
    """The inverse of `split`."""
    word, low = 0, 0
    for value, width in zip(values, widths, strict=True):
        word |= (value & ((1 << width) - 1)) << low
        low += width
    return word


def checked(
    given: object, inputs: Mapping[str, PortStream], widths: Mapping[str, int], source: str
) -> dict[str, list[int]]:
    """Words as somebody gives them: input port -> integers (negative ones in two's complement), or lists of fields.

    Args:
        inputs: the ports that want words; widths: bits of a word, by port; source: for messages.
    Raises:
        HlsError: names source, port and word of what is missing, unknown or does not fit.
    """
    if not isinstance(given, Mapping):
        raise HlsError(f"{source}: not a mapping of input ports to their words")
    for name in given:
        if name not in inputs:
            raise HlsError(f"{source}: {name}: no input port", hint=f"input ports: {', '.join(inputs)}")
    found: dict[str, list[int]] = {}
    for name, stream in inputs.items():
        if name not in given:
            raise HlsError(f"{source}: {name}: no words for this input port")
        if isinstance(given[name], str) or not isinstance(given[name], Sequence):
            raise HlsError(f"{source}: {name}: not a list of words")
        parts = fields(stream, widths[name])
        found[name] = [_word(word, widths[name], parts, f"{source}: {name}[{k}]") for k, word in enumerate(given[name])]
    return found


def _word(word: object, width: int, parts: Sequence[int], place: str) -> int:
    if isinstance(word, Sequence) and not isinstance(word, str):
        if len(word) != len(parts):
            raise HlsError(f"{place}: {len(word)} fields; a word has {len(parts)}")
        values = [
            _integer(value, bits, f"{place}[{k}]") for k, (value, bits) in enumerate(zip(word, parts, strict=True))
        ]
        return joined(values, parts)
    return _integer(word, width, place)


def _integer(value: object, width: int, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise HlsError(f"{place}: {value!r} is no integer")
    if not -(1 << (width - 1)) <= value < 1 << width:
        raise HlsError(f"{place}: {value} does not fit in {width} bits")
    return value & ((1 << width) - 1)
