"""What `psconv bitstream` says of a bitstream, in OUT/board/board.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.records import read_json, write_json

FILE = "board.json"


class Record(Strict):
    """A bitstream: what flash and classify have to know, and the report."""

    board: str = Field(description="of constraints/")
    loader: str = Field(description="the board's name in openFPGALoader")
    bitstream: str = Field(description="file beside this one")
    network: str
    identity: str = Field(description="of the network, as the board tells it: 16 hexadecimal digits")
    baud: int = Field(description="rate of the serial line")
    mhz: float = Field(description="clock of the engine: what the PLL makes of the board's")
    requested_mhz: float = Field(description="clock that was asked for")
    fmax_mhz: float = Field(description="what place and route reached")
    seed: int = Field(description="of place and route")
    folds: dict[str, int] = Field(description="layers that were folded further to fit the device")
    multipliers: int
    cycles: int = Field(description="from an image's first beat to its last score, by the cycle model")
    frames_per_second: float = Field(description="of the engine, an image after the other")
    link_frames_per_second: float = Field(description="that the serial line carries")
    cells: dict[str, float] = Field(description="LUT, FF, DSP, BRAM as yosys counts them, the shell with them")
    utilisation: dict[str, float]
    critical_path_ns: float
    critical_path: list[dict[str, Any]] = Field(description="its parts in order, by lines of C++")
    seconds: dict[str, float] = Field(description="that each step took")

    def save(self, folder: Path) -> None:
        write_json(folder / FILE, self.model_dump())

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Raises ConfigError: there is none, or it is damaged."""
        path = folder / FILE
        if not path.is_file():
            raise ConfigError(f"{folder}: must be the folder `board` in the --out of psconv bitstream; no {FILE} there")
        return validated(cls, read_json(path), str(path))
