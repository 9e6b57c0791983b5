"""A kernel as a program: what it reads and writes when it is called."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from openhls.common.errors import HlsError
from openhls.frontend.clang import HEADERS
from openhls.simulation.tools import HERE
from openhls.simulation.words import Words, from_bytes, to_bytes
from openhls.system import children
from openhls.system.zig import PROGRAM, uncached

# The optimiser of the flow, with its assumptions: what C++ leaves undefined is most likely the same then.
_OPTIONS = ("-std=c++17", "-w")


def run_native(
    sources: Sequence[Path],
    top: str,
    ports: Mapping[str, tuple[int, bool]],
    inputs: Mapping[str, Sequence[int]],
    runs: int,
    folder: Path,
    arguments: Sequence[int] = (),
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> tuple[Words, Words]:
    """Call a top, a function of streams and arrays of streams, as a program.

    Args:
        sources: they are compiled as one unit, in this order.
        ports: in the order of the top's arguments, name -> (width, whether it is an input).
        inputs: words of each input, at least as many as are read; runs: how often the top is called.
        folder: for the program and its files.
        arguments: how many streams each argument of the top has; none: one.
    Returns:
        The input words that it took, and its output words.
    Raises:
        HlsError: it cannot be compiled, reads more words than there are, or ends with an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ", ".join(f'{{"{name}", {str(is_input).lower()}}}' for name, (_, is_input) in ports.items())
    sizes = ", ".join(map(str, arguments or [1] * len(ports)))
    lines = [
        '#include "native.hpp"',
        *(f'#include "{source.resolve()}"' for source in sources),
        f"static const openhls_native::Name names[] = {{{names}}};",
        f"static const int sizes[] = {{{sizes}}};",
        f"int main() {{ openhls_native::drive(&{top}, names, sizes, {runs}); }}",
    ]
    (folder / "native.cpp").write_text("\n".join(lines) + "\n")
    for name, words in inputs.items():
        (folder / f"{name}.given").write_bytes(to_bytes(words, ports[name][0]))
    _compile(folder, [*(f"-I{d}" for d in include_dirs), *(f"-D{k}={v}" for k, v in (defines or {}).items())])
    done = children.run([folder / "native"], cwd=folder)
    if done.returncode:
        said = done.stderr.strip() or f"it ended with status {done.returncode}"
        raise HlsError(f"the program of '{top}', called {runs} times: {said}")
    taken = {
        name: list(words[: len(words) - int((folder / f"{name}.left").read_text())]) for name, words in inputs.items()
    }
    made = {
        name: [w & ((1 << width) - 1) for w in from_bytes((folder / f"{name}.made").read_bytes(), width)]
        for name, (width, is_input) in ports.items()
        if not is_input
    }
    return taken, made


def _compile(folder: Path, options: Sequence[str]) -> None:
    command = [*PROGRAM, *_OPTIONS, *options, f"-I{HERE}", f"-I{HEADERS}"]
    with tempfile.TemporaryDirectory(prefix="openhls-") as scratch:
        done = children.run(
            [*command, str(folder / "native.cpp"), "-o", str(folder / "native")], env=uncached(Path(scratch))
        )
    if done.returncode:
        raise HlsError(f"the program cannot be compiled; clang says:\n{done.stderr.strip()[-4000:]}")
