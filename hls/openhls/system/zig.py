"""The C++ compiler of the `ziglang` package, without its cache.

That cache takes an object for fresh where the command line is the same word by word and the files that were read last
time are unchanged: from another folder the same relative names are other files, and a header that was added earlier
in the include path is one that was not read last time.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from openhls.system.caches import cache_home, writable

_KEPT = "ZIG_GLOBAL_CACHE_DIR"


def _command() -> tuple[str, ...]:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return sys.executable, "-m", "ziglang", "c++"  # says what is missing
    return str(Path(spec.origin).with_name("zig")), "c++"


COMPILER = _command()

# What compiles programs that are run here, always optimised and for no processor of its own: one C++ library then
# serves all of them. zig makes one for each set of these options, on first use, in two minutes.
PROGRAM = (*COMPILER, "-fno-sanitize=all", "-mcpu=baseline", "-O1")
QUICKLY = ("-Xclang", "-O0")  # after PROGRAM: the code itself is not optimised, the library is the same


def uncached(scratch: Path) -> dict[str, str]:
    """Variables with which the compiler finds no object of an earlier run. scratch: a new folder, removed afterwards.

    What zig keeps in its global cache is made of its own package: start-up files and the C++ library.
    Raises Unwritable where it cannot.
    """
    kept = os.environ.get(_KEPT)
    folder = writable(Path(kept) if kept else cache_home() / "zig", "the C++ compiler", f"{_KEPT} or XDG_CACHE_HOME")
    return {"ZIG_LOCAL_CACHE_DIR": str((scratch / "zig").absolute()), _KEPT: str(folder.absolute())}
