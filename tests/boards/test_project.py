"""The folder of a board."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from psconv.boards.zynq import project
from psconv.boards.zynq.boards import BOARDS
from psconv.boards.zynq.project import Project
from pymodel.common.errors import ConfigError
from pymodel.network.formats import Format
from tests.helpers.zynq import shell_of


def made(loaded: bool = False, rtl: tuple[Path, ...] = ()) -> Project:
    wrapper, _ = shell_of("residual", loaded)
    return Project(wrapper, BOARDS["pynq_z2"], 10.0, Format(8, 4), Format(8, 3), rtl)


@pytest.mark.parametrize("loaded", [False, True])
def test_the_notebook_is_one(loaded: bool) -> None:
    """Cells as nbformat 4.5 has them; the code is Python and calls what the driver has."""
    files = made(loaded).files()
    notebook = json.loads(files[project.NOTEBOOK])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    driver = ast.parse(files[project.DRIVER])
    [overlay] = [node for node in driver.body if isinstance(node, ast.ClassDef) and node.name == "PsconvOverlay"]
    methods = {node.name for node in overlay.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    methods.add("facts")
    called = set()
    for cell in notebook["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "overlay":
                    called.add(node.attr)
    assert {"infer_async", "accuracy", "counters"} <= called <= methods
    assert ("load_weights" in called) is loaded


def test_the_driver_knows_no_psconv() -> None:
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(made().files()[project.DRIVER]))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names <= {
        *("__future__", "asyncio", "collections.abc", "json", "numpy", "pathlib", "pynq", "time", "typing", "warnings")
    }


def test_a_folder_is_kept_or_made_anew(tmp_path: Path) -> None:
    """What Vivado made stays while nothing has changed, and goes with what it was made from."""
    folder = tmp_path / "board"
    project.write(made(), folder)
    (folder / project.BITSTREAM).write_text("bits")
    project.write(made(), folder)
    assert (folder / project.BITSTREAM).exists()
    project.write(replace(made(), clock_ns=12.5), folder)
    assert not (folder / project.BITSTREAM).exists() and "at 80 MHz" in (folder / "build.tcl").read_text()
    too_fast = replace(made(), clock_ns=2.0)
    with pytest.raises(ConfigError, match="clock_ns: must be at least 4 on pynq_z2"):
        project.write(too_fast, folder)
    assert "at 80 MHz" in (folder / "build.tcl").read_text()


def test_a_module_of_the_shell_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "psconv_axi_shell.sv"
    own.write_text("module psconv_axi_shell; endmodule\n")
    with pytest.raises(ConfigError, match=r"must not have modules of the board's shell, got psconv_axi_shell\.sv"):
        made(rtl=(own,)).files()
