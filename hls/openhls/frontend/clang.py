"""C++ -> LLVM IR: the clang inside the `ziglang` wheel, with none of its own optimisations run."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from openhls.common.errors import HlsError, Location
from openhls.common.places import shown
from openhls.frontend import lengths, pragmas
from openhls.system import children
from openhls.system.zig import COMPILER, uncached

HEADERS = Path(__file__).resolve().parent.parent / "include"
# Library headers ask the preprocessor for exceptions and RTTI, too.
DIALECT = ("-std=c++17", "-D__SYNTHESIS__", "-fno-exceptions", "-fno-rtti")

# -O1 without passes keeps lifetimes and inlining open; whole debug types carry the true widths of padded memory.
IR_OPTIONS = (
    "-O1",
    "-mcpu=baseline",  # or what is optimised how depends on the machine that compiles
    "-Xclang",
    "-disable-llvm-passes",
    "-g",
    "-fstandalone-debug",
    "-fno-discard-value-names",
    "-fno-sanitize=all",
    "-fno-threadsafe-statics",
    "-fconstexpr-steps=2147483647",
    "-fno-crash-diagnostics",
)
# ROM words are long constant expressions, which clang's bytecode interpreter evaluates quickly. Some programs crash it.
_QUICK_CONSTANTS = "-fexperimental-new-constant-interpreter"

_DIAGNOSTIC = re.compile(r"^(.+?):(\d+):\d+: (?:fatal )?error: (.*)$", re.MULTILINE)


class _CrashedError(HlsError):
    """clang itself ended with a signal."""


def _run(arguments: list[str], scratch: Path) -> str:
    """What clang prints. Raises HlsError with its first error."""
    result = children.run([*COMPILER, *arguments], env=uncached(scratch))
    if result.returncode == 0:
        return result.stdout
    first = _DIAGNOSTIC.search(result.stderr)
    if first is None and "clang frontend command failed" in result.stderr:
        raise _CrashedError(f"clang crashes: {result.stderr.strip()}")
    if first is None:
        raise HlsError(f"clang: {result.stderr.strip() or f'ended with status {result.returncode} and no message'}")
    raise HlsError(first[3], Location(shown(first[1]), int(first[2])), f"clang says:\n{result.stderr.strip()}")


def preprocessed(source: Path, include_dirs: list[Path], defines: dict[str, str]) -> str:
    """The text of one C++ file with all that it includes. Raises HlsError with what clang reports."""
    if not source.is_file():
        raise HlsError(f"{source}: no such file")
    options = [
        *DIALECT,
        *[f"-I{d}" for d in (*include_dirs, HEADERS)],
        *[f"-D{k}={v}" for k, v in defines.items()],
    ]
    with tempfile.TemporaryDirectory(prefix="openhls-") as scratch:
        return _run([*options, "-E", str(source)], Path(scratch))


def compile_ir(source: Path, include_dirs: list[Path], defines: dict[str, str]) -> tuple[str, pragmas.Directives]:
    """One C++ file -> (textual LLVM IR, what its pragmas say besides).

    Raises:
        HlsError: what clang reports, with its text; what `pragmas.rewrite` refuses.
    """
    text, directives = pragmas.rewrite(lengths.mark(preprocessed(source, include_dirs, defines)))
    with tempfile.TemporaryDirectory(prefix="openhls-") as folder:
        rewritten, ir = (Path(folder) / name for name in ("unit.cpp", "unit.ll"))
        # What the markers are made of is no user's line.
        marked = f'# 1 "{HEADERS}/pragmas"\n{lengths.LENGTH_DECLARATION}\n{text}'
        rewritten.write_text(marked, encoding="utf-8", errors="surrogateescape")
        unnamed = f"-ffile-prefix-map={folder}=."  # or equal sources would give IR that is not equal
        options = [*DIALECT, *IR_OPTIONS, unnamed, "-Wno-everything", "-S", "-emit-llvm"]
        files = [str(rewritten), "-o", str(ir)]
        try:
            try:
                _run([*options, _QUICK_CONSTANTS, *files], Path(folder))
            except _CrashedError:
                _run([*options, *files], Path(folder))
        except HlsError as error:
            raise directives.blame(error) from None
        return ir.read_text(), directives
