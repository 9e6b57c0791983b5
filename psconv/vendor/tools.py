"""Where an HLS tool is: the place the user names, its environment variables, PATH."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pymodel.common.errors import ConfigError


class ToolMissing(Exception):
    """A tool that is not installed; the message says what was looked for and what to do. Exit code 3."""


@dataclass(frozen=True)
class Kind:
    """How a tool is found: each of `sets` lists programs that must be there together."""

    title: str
    sets: tuple[tuple[str, ...], ...]
    variables: tuple[str, ...]  # environment variables that name its folder
    advice: str


KINDS: Mapping[str, Kind] = {
    "vitis": Kind(
        "Vitis HLS",
        (("vitis_hls",), ("v++", "vitis-run")),
        ("XILINX_HLS", "XILINX_VITIS"),
        "source the settings64.sh of Vitis, or name its folder with --tool",
    ),
    "vivado": Kind("Vivado", (("vivado",),), ("XILINX_VIVADO",), "source the settings64.sh of Vivado"),
    "bambu": Kind("PandA Bambu", (("bambu",),), ("BAMBU_HLS",), "put bambu on PATH, or name its AppImage with --tool"),
}


def find(name: str, named: Path | None = None) -> Path:
    """The first program of the tool `name` of KINDS: in `named` (its folder, or the program itself), else by its
    environment variables, else on PATH.

    Raises ToolMissing, and ConfigError for a `named` that does not exist.
    """
    kind = KINDS[name]
    if named is not None:
        if not named.exists():
            raise ConfigError(f"--tool: {named}: no such file or folder")
        if named.is_file():
            return named.resolve()
        folders = [named]
    else:
        folders = [Path(os.environ[variable]) for variable in kind.variables if os.environ.get(variable)]
    paths = [f"{folder / 'bin'}{os.pathsep}{folder}" for folder in folders]
    if named is None:
        paths.append(os.environ.get("PATH", os.defpath))
    for path in paths:
        for programs in kind.sets:
            found = [shutil.which(program, path=path) for program in programs]
            if found[0] and all(found):
                return Path(found[0]).absolute()
    raise ToolMissing(_message(kind, named))


def _message(kind: Kind, named: Path | None) -> str:
    wanted = ", or ".join(" with ".join(programs) for programs in kind.sets)
    places = (
        [f"  {named} and its bin folder (--tool)"]
        if named is not None
        else [
            *(
                f"  ${variable}{f' = {value}' if (value := os.environ.get(variable)) else ' (not set)'}"
                for variable in kind.variables
            ),
            "  every folder of PATH",
        ]
    )
    lines = [f"{kind.title} was not found: looked for {wanted} in", *places, f"If it is here: {kind.advice}."]
    return "\n".join(lines)
