"""The packages stand in one order: each imports from those before it alone, and no module imports itself by any way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.helpers.imports import imports, markers, modules
from tests.helpers.places import ROOT

# From below to above; what each is for stands in its own first lines.
ORDER = (
    "openhls",
    "pymodel.common",
    "pymodel.network",
    "pymodel.golden",
    "pymodel.nn",
    "pymodel.frontend",
    "pymodel.engine",
    "pymodel.counts",
    "pymodel.top",
    "pymodel.explore",
    "pymodel.datasets",
    "pymodel.training",
    "rtl_tb",
    "psconv.common",
    "psconv.synthesis",
    "psconv.flow",
    "psconv.vendor",
    "psconv.boards",
    "psconv.report",
    "psconv.boards",
    "psconv.commands",
    "psconv.api",
    "psconv.cli",
    "scripts",
)
# What else a package may not know.
ALONE = {"openhls": ("openhls",), "rtl_tb": ("openhls", "pymodel.common", "rtl_tb")}
PACKAGES = ("openhls", "pymodel", "rtl_tb", "psconv", "scripts")


@cache
def inside() -> list[str]:
    """The modules of the packages, tests that lie inside one aside."""
    return [name for name in modules() if name.partition(".")[0] in PACKAGES and "tests" not in name.split(".")]


def place(name: str) -> str:
    """The entry of ORDER that a module belongs to."""
    return next((entry for entry in ORDER if name == entry or name.startswith(f"{entry}.")), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_up(package: str) -> None:
    own = [name for name in inside() if name.partition(".")[0] == package]
    assert own
    wrong = []
    for name in own:
        for imported in imports(name):
            if imported == package:  # what it is called, and its version
                continue
            here, there = place(name), place(imported)
            if here not in ORDER:  # psconv itself and its __main__: above all of it
                continue
            if imported == package and not list(imports(imported)):  # nothing but its version
                continue
            allowed = ALONE.get(here)
            if there not in ORDER or ORDER.index(there) > ORDER.index(here) or (allowed and there not in allowed):
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_no_import_circle() -> None:
    edges = {name: imports(name) - {name} for name in inside()}
    state: dict[str, int] = {}

    def visit(name: str, way: tuple[str, ...]) -> None:
        if state.get(name) == 1:
            pytest.fail(" -> ".join((*way[way.index(name) :], name)))
        if state.get(name) != 2:
            state[name] = 1
            for other in sorted(edges[name]):
                visit(other, (*way, name))
            state[name] = 2

    for name in edges:
        visit(name, ())


def test_every_package_says_what_it_is_for() -> None:
    """A reader finds the question that a folder answers in its first lines."""
    for entry in ORDER:
        docstring = ast.get_docstring(ast.parse(modules()[entry].read_text()))
        assert docstring and docstring.splitlines()[0].endswith("."), entry


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["tests.engine.test_packing"], set()),
        (["tests.engine.test_headers"], {"clang"}),
        (["tests.rtl_tb.test_rtl_tb"], {"verilator"}),
        (["tests.synthesis.test_critical_path"], {"yosys"}),
        (["tests.commands.test_compare"], set()),
        (["tests.commands.test_compare", "tests.conftest"], {"clang", "verilator", "yosys"}),  # with the fixture psconv
        (["tests.scripts.test_hunt_kills"], {"clang", "verilator", "yosys"}),  # python -m psconv
        (["tests.nn.test_training_psconv2d"], {"clang", "torch"}),  # its kernel is compiled
    ],
)
def test_markers_are_the_tools_that_can_be_reached(names: list[str], found: set[str]) -> None:
    assert markers(names) == found


# Modules that start what they are given, or a tool of the user.
GIVEN = {
    "openhls.system.children",
    "openhls.system.pool",
    "rtl_tb.processes",
    "psconv.vendor.step",
    "psconv.boards.flash",
}


def test_no_module_starts_a_tool_that_has_no_marker() -> None:
    """Whatever starts a process does so through openhls.system.children."""
    starting = [name for name in inside() if "openhls.system.children" in imports(name) and name not in GIVEN]
    assert len(starting) > 5
    assert not [name for name in starting if not markers([name])]
    direct = [name for name in inside() if re.search(r"subprocess\.(run|Popen)\(", modules()[name].read_text())]
    assert [name for name in direct if not name.startswith("scripts.")] == ["openhls.system.children"]


NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, whatever they begin with


def private_names(text: str) -> Iterator[str]:
    """Names that a test takes from these packages, or puts into them, that begin with an underscore."""

    def private(name: object) -> bool:
        return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES

    tree = ast.parse(text)
    known = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
            known |= {alias.asname or alias.name for alias in node.names}
            yield from (f"{node.module}.{alias.name}" for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Import):
            own = [alias for alias in node.names if alias.name.partition(".")[0] in PACKAGES]
            known |= {alias.asname or alias.name.partition(".")[0] for alias in own}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and private(node.attr)
            and ast.unparse(node.value).partition(".")[0] in known
        ):
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            owner, name = ast.unparse(node.args[0]), getattr(node.args[1], "value", None)
            if owner.partition(".")[0] in known and private(name):
                yield f"{owner}.{name}"


def test_tests_know_packages_by_their_public_names() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "hls" / "openhls" / "tests").rglob("*.py")]
    assert not [f"{path.relative_to(ROOT)}: {name}" for path in files for name in private_names(path.read_text())]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from pymodel.golden.ops import _rows, conv2d", ["pymodel.golden.ops._rows"]),
        ("from pymodel.golden import ops as o\no._rows(1)\no.conv2d(1)", ["o._rows"]),
        ("from psconv import cli\npatch.setattr(cli, '_run', 1)\npatch.setattr(cli, 'run', 1)", ["cli._run"]),
        ("import rtl_tb.build\nrtl_tb.build._run()", ["rtl_tb.build._run"]),
        ("import os\nos._exit(0)", []),
        ("from pymodel.explore.options import Parallelism\nParallelism._fields", []),
    ],
)
def test_private_names_are_found(text: str, found: list[str]) -> None:
    assert list(private_names(text)) == found
