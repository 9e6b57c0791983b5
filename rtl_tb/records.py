"""The binary files between Python and the compiled bench components (rtl_tb/sv), in the folder of the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pymodel.common.arrays import Array, Bool, UInt8
from pymodel.common.files import write_atomically


def source(stream: str) -> str:
    """Name of the file that axis_source reads."""
    return f"{stream}.source.bin"


def sink(stream: str) -> str:
    """Name of the file that axis_sink writes."""
    return f"{stream}.sink.bin"


def probe(stream: str) -> str:
    """Name of the file that stream_probe writes."""
    return f"{stream}.probe.bin"


def errors(stream: str) -> str:
    """Name of the text file that axis_checker writes, a line for each violation."""
    return f"{stream}.errors.txt"


def write_source(path: Path, beats: UInt8, last: Bool) -> None:
    """Beats (uint8 [n, bytes], byte 0 = TDATA[7:0]) and their TLAST (bool [n]), in the order of $fread."""
    records = np.concatenate([last[:, None].astype(np.uint8), beats[:, ::-1]], axis=1)
    write_atomically(path, records.tofile)


def sink_type(size: int) -> np.dtype[np.void]:
    """One beat of `size` bytes as axis_sink writes it: cycle u8, last u4, data uint8 [size]."""
    return np.dtype([("cycle", "<u8"), ("last", "<u4"), ("data", "u1", (size,)), ("unused", "u1", (-size % 4,))])


def probe_type(size: int) -> np.dtype[np.void]:
    """One word of `size` bytes as stream_probe writes it: cycle u8, data uint8 [size]."""
    return np.dtype([("cycle", "<u8"), ("data", "u1", (size,)), ("unused", "u1", (-size % 4,))])


def read_records(path: Path, kind: np.dtype[np.void], first: int) -> Array:
    """The records from index `first` on, as a structured array [m]."""
    return np.fromfile(path, kind, offset=first * kind.itemsize)
