"""The folder of a board: IP, script for Vivado, driver, notebook; complete, to be copied to another machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psconv.boards.zynq.boards import Board
from psconv.boards.zynq.hardware import DMA, IP, LENGTH_BITS, c_header, described
from psconv.boards.zynq.ip_xact import component, name_of
from psconv.boards.zynq.wrapper import FOLDER, TEMPLATES, Wrapper
from psconv.common.fresh import content_key, unless_fresh
from psconv.synthesis.targets import load_target
from psconv.vendor.project import vivado_part
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.common.records import json_text
from pymodel.network.formats import Format

RECORD = "project.json"  # what the folder was made from
DRIVER, HARDWARE, HEADER = "psconv_driver.py", "psconv.json", "psconv_registers.h"
NOTEBOOK, SCRIPT, COMPONENT = "psconv.ipynb", "build.tcl", "component.xml"
BITSTREAM = "psconv.bit"


@dataclass(frozen=True)
class Project:
    """A design on a board. inputs, outputs: the formats of its activations and scores. rtl: files of the design."""

    wrapper: Wrapper
    board: Board
    clock_ns: float
    inputs: Format
    outputs: Format
    rtl: Sequence[Path]

    def files(self) -> dict[str, str]:
        """The text of every file, by its path in the folder. Raises ConfigError as `frequency` does."""
        values = {
            "what": self.wrapper.design.what[:1].upper() + self.wrapper.design.what[1:],
            "board": self.board,
            "ps": self.board.processor,
            "rule": self.board.processor.ip.replace(":ip:", ":bd_rule:"),
            "part": vivado_part(load_target(self.board.target)),
            "mhz": frequency(self.board, self.clock_ns),
            "ip": IP,
            "dma": DMA,
            "ip_name": name_of(self.wrapper),
            "length_bits": LENGTH_BITS,
            "loads": self.wrapper.loads,
            **self.wrapper.geometry,
        }
        rtl = {path.name: path.read_text(encoding="utf-8") for path in self.rtl}
        own = self.wrapper.sources()
        if both := sorted(rtl.keys() & own.keys()):
            raise ConfigError(f"network: layers: must not have modules of the board's shell, got {', '.join(both)}")
        sources = {f"rtl/{name}": text for name, text in {**own, **rtl}.items()}
        hardware = described(self.wrapper, self.inputs, self.outputs, self.clock_ns, self.board.name)
        return {
            **sources,
            COMPONENT: component(self.wrapper, list(sources), self.board.family),
            SCRIPT: TEMPLATES.get_template("build.tcl.j2").render(values),
            DRIVER: (FOLDER / "driver.py").read_text(encoding="utf-8"),
            HARDWARE: json_text(hardware) + "\n",
            HEADER: c_header(self.wrapper),
            NOTEBOOK: _notebook(TEMPLATES.get_template("notebook.md.j2").render(values)),
            "README.md": TEMPLATES.get_template("README.md.j2").render(values),
        }


def frequency(board: Board, clock_ns: float) -> float:
    """MHz of a clock. Raises ConfigError for one that the ports of the board's processor do not take."""
    most = board.processor.most_mhz
    if 1000 / clock_ns > most:
        raise ConfigError(
            f"clock_ns: must be at least {1000 / most:.4g} on {board.name}, where the ports of the processor take "
            f"{most:g} MHz, got {clock_ns:g}; give it with --clock"
        )
    return round(1000 / clock_ns, 6)


def write(project: Project, folder: Path) -> None:
    """Writes the folder, unless the one there is of the same inputs; one of others goes, and what Vivado made of it.

    Raises ConfigError as `Project.files` does, before anything is written.
    """
    files = project.files()
    key = content_key(files)

    def make() -> None:
        if folder.exists():
            shutil.rmtree(folder)
        for name, text in files.items():
            write_text(folder / name, text)
        write_text(folder / RECORD, json_text({"board": project.board.name, "key": key}) + "\n")

    unless_fresh(folder / RECORD, key, make)


def _notebook(text: str) -> str:
    """A Jupyter notebook (nbformat 4.5) of Markdown text, whose blocks of python are its cells of code."""
    cells: list[dict[str, Any]] = []
    for at, part in enumerate(text.split("```")):
        code = part.startswith("python\n")
        body = part.removeprefix("python\n").strip("\n")
        if body:
            cell: dict[str, Any] = {
                "cell_type": "code" if code else "markdown",
                "id": f"cell-{at}",
                "metadata": {},
                "source": body.splitlines(keepends=True),
            }
            cells.append(cell | ({"execution_count": None, "outputs": []} if code else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json_text(notebook, indent=1) + "\n"
