"""C++ -> LLVM IR: the clang inside the `ziglang` wheel, with none of its own optimisations run."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from . import lengths, pragmas
from .errors import HlsError, Location
from .places import shown

HEADERS = Path(__file__).resolve().parent.parent / "include"
COMPILER = (sys.executable, "-m", "ziglang", "c++")
DIALECT = ("-std=c++17", "-D__SYNTHESIS__")

# -O1 without passes keeps lifetimes and inlining open; whole debug types carry the true widths of padded memory;
# ROM words are long constant expressions, which clang's bytecode interpreter evaluates quickly.
IR_OPTIONS = (
    "-O1", "-Xclang", "-disable-llvm-passes", "-g", "-fstandalone-debug", "-fno-discard-value-names",
    "-fno-exceptions", "-fno-rtti", "-fno-sanitize=all", "-fno-threadsafe-statics",
    "-fconstexpr-steps=2147483647", "-fexperimental-new-constant-interpreter",
)  # fmt: skip

_DIAGNOSTIC = re.compile(r"^(.+?):(\d+):\d+: (?:fatal )?error: (.*)$", re.MULTILINE)


def _run(arguments: list[str]) -> None:
    result = subprocess.run([*COMPILER, *arguments], capture_output=True, text=True)
    if result.returncode == 0:
        return
    first = _DIAGNOSTIC.search(result.stderr)
    if first is None:
        raise HlsError(f"clang: {result.stderr.strip() or f'ended with status {result.returncode} and no message'}")
    raise HlsError(
        first[3], Location(shown(first[1]), int(first[2])), f"clang says:\n{result.stderr.strip()}"
    )


def compile_ir(
    source: Path, include_dirs: list[Path], defines: dict[str, str]
) -> tuple[str, pragmas.Directives]:
    """One C++ file -> (textual LLVM IR, what its pragmas say besides).

    Raises:
        HlsError: what clang reports, with its text; what `pragmas.rewrite` refuses.
    """
    if not source.is_file():
        raise HlsError(f"{source}: no such file")
    options = [
        *DIALECT,
        *[f"-I{d}" for d in (*include_dirs, HEADERS)],
        *[f"-D{k}={v}" for k, v in defines.items()],
    ]
    with tempfile.TemporaryDirectory(prefix="openhls-") as folder:
        preprocessed, rewritten, ir = (Path(folder) / name for name in ("unit.i", "unit.cpp", "unit.ll"))
        _run([*options, "-E", str(source), "-o", str(preprocessed)])
        text, directives = pragmas.rewrite(lengths.mark(preprocessed.read_text()))
        declared = f"{lengths.LENGTH_DECLARATION}\n{text}"  # what the markers are made of is no user's line
        rewritten.write_text(f'# 1 "{HEADERS}/pragmas"\n{declared}')
        unnamed = f"-ffile-prefix-map={folder}=."  # or equal sources would give IR that is not equal
        try:
            _run([*DIALECT, *IR_OPTIONS, unnamed, "-Wno-everything", "-S", "-emit-llvm", str(rewritten), "-o", str(ir)])
        except HlsError as error:
            raise directives.blame(error) from None
        return ir.read_text(), directives
