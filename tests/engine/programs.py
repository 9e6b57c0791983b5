"""Compiles a program of this folder for a configuration and runs it on numbers."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from psconv.common.places import ENGINE
from psconv.flow import csim

HERE = Path(__file__).parent


def configuration(constants: Mapping[str, int], tables: Mapping[str, Sequence[int]] = {}) -> str:
    """C++ text of a header with the structure Config: its constants, and a static function for each table."""
    lines = [
        f"  static constexpr {'bool' if isinstance(value, bool) else 'int'} {name} = {int(value)};"
        for name, value in constants.items()
    ]
    for name, values in tables.items():
        numbers = ", ".join(map(str, values))
        lines.append(
            f"  static int {name}(int at) {{\n"
            f"    static const int values[] = {{{numbers}}};\n"
            f"    return values[at];\n  }}"
        )
    return "\n".join(["#pragma once", "#define AP_INT_MAX_W 4096", "struct Config {", *lines, "};", ""])


def run(sources: Sequence[Path], config: str, numbers: np.ndarray, *options: str) -> list[list[int]]:
    """The lines of numbers that a program prints, given `config` as config.hpp and `numbers` on standard input."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.hpp").write_text(config)
        program = Path(folder) / "program"
        command = [
            *csim.compiler_command("clang"),
            "-std=c++14",
            *csim.WARNINGS,
            *options,
            f"-I{folder}",
            f"-I{ENGINE}",
            f"-I{HERE}",
            *map(str, sources),
            "-o",
            str(program),
        ]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not built.returncode, built.stderr
        text = " ".join(map(str, np.ravel(numbers)))
        done = subprocess.run([str(program)], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, f"{sources[0].name} left a part of its input"
    return [list(map(int, line.split())) for line in done.stdout.splitlines()]


def run_header(name: str, config: str, numbers: np.ndarray | None = None, *options: str) -> list[list[int]]:
    """`run` of NAME.cpp in this folder; without numbers it gets none."""
    return run([HERE / f"{name}.cpp"], config, np.array([], int) if numbers is None else numbers, *options)
