"""Frames of a board's link: what goes in comes out, what is damaged does not; the SystemVerilog has the same."""

from __future__ import annotations

import random
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psconv.boards import protocol
from psconv.boards.protocol import END, ESC, Frame, Info, Kind, Reader, Reason

FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))


@settings(deadline=None)
@given(st.lists(FRAMES, max_size=6), st.randoms(use_true_random=False))
def test_frames_come_out_as_they_went_in_whatever_the_pieces(frames: list[Frame], rng: random.Random) -> None:
    data = b"".join(frame.to_bytes() for frame in frames)
    reader, found = Reader(), []
    while data:
        size = rng.randint(1, len(data))
        found += reader.take(data[:size])
        data = data[size:]
    assert found == frames and reader.broken == 0


@settings(deadline=None, max_examples=300)
@given(FRAMES, st.data())
def test_no_damaged_frame_is_taken_for_another(frame: Frame, data: st.DataObject) -> None:
    """Bits that flip, bytes that are lost, doubled or put in: what still comes out is the frame itself."""
    octets = bytearray(frame.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        match data.draw(st.sampled_from(["flip", "lose", "double", "insert"])):
            case "flip":
                octets[at] ^= 1 << data.draw(st.integers(0, 7))
            case "lose" if len(octets) > 1:
                del octets[at]
            case "double":
                octets.insert(at, octets[at])
            case _:
                octets.insert(at, data.draw(st.integers(0, 255)))
    assert set(Reader().take(bytes(octets))) <= {frame}


def test_a_frame_after_a_broken_one_is_read() -> None:
    good = Frame(Kind.HELLO, 7)
    reader = Reader()
    for broken in (b"\x01\x02\x03", bytes([ESC]), bytes([ESC, 1]), Frame(1, 2, b"abc").to_bytes()[:-3]):
        assert list(reader.take(bytes([END]) + broken + good.to_bytes())) == [good]
    assert reader.broken == 4


def test_check_sums_are_those_of_zlib() -> None:
    """The residue is what a CRC leaves behind itself, and the polynomial that of zlib."""
    plain = b"any bytes at all"
    assert zlib.crc32(plain + zlib.crc32(plain).to_bytes(4, "little")) ^ 0xFFFFFFFF == protocol.RESIDUE
    crc = 0xFFFFFFFF
    for byte in plain:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (protocol.POLYNOMIAL if crc & 1 else 0)
    assert crc ^ 0xFFFFFFFF == zlib.crc32(plain)


def test_the_package_has_every_number() -> None:
    numbers = dict(re.findall(r"localparam \[\d+:0\] (\w+) = \d+'[hd](\w+);", protocol.verilog()))
    for one in (*Kind, *Reason):
        assert int(numbers[one.name], 16) == one
    assert int(numbers["OVERHEAD"]) == len(Frame(0, 0).to_bytes()) - 2
    used = set()
    for path in (protocol.__file__.replace("protocol.py", f"rtl/{name}.sv") for name in ("executor", "frame_rx")):
        with open(path) as file:
            used |= set(re.findall(r"psconv_link::(\w+)", file.read()))
    assert used <= set(numbers)


def test_info_comes_back_and_says_what_is_wrong_with_another() -> None:
    info = Info(1, 1, b"12345678", 100_000, 64, 10, 1, 2, 3, 4, 5, 6, 2040)
    assert Info.from_bytes(info.to_bytes()) == info and len(info.to_bytes()) == Info.SIZE
    with pytest.raises(ValueError, match=f"must have {Info.SIZE} bytes, got 3"):
        Info.from_bytes(b"abc")


def test_every_kind_and_reason_is_described() -> None:
    assert set(protocol.KINDS) == set(Kind) and set(protocol.REASONS) == set(Reason)


def test_a_payload_is_at_most_what_a_length_can_say() -> None:
    with pytest.raises(ValueError, match="at most 65535 bytes, got 65536"):
        Frame(1, 1, bytes(65536)).to_bytes()
