"""The packages stand in one order: each imports from those before it alone, and no module imports itself by any way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

# From below to above; what each is for stands in its own first lines.
ORDER = (
    "openhls",
    "pymodel.common",
    "pymodel.network",
    "pymodel.golden",
    "pymodel.nn",
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
    "psconv.report",
    "psconv.commands",
    "psconv.cli",
    "scripts",
)
# What else a package may not know.
ALONE = {"openhls": ("openhls",), "rtl_tb": ("openhls", "pymodel.common", "rtl_tb")}
FOLDERS = {"openhls": ROOT / "hls" / "openhls"} | {
    name: ROOT / name for name in ("pymodel", "rtl_tb", "psconv", "scripts")
}


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages, by its name; tests that lie inside one aside."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            if "tests" not in parts:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str) -> Iterator[str]:
    """The modules of these packages that a module imports, at its top or inside a function."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in modules() or base in modules():
                    yield inner if inner in modules() else base


def place(name: str) -> str:
    """The entry of ORDER that a module belongs to."""
    return next((entry for entry in ORDER if name == entry or name.startswith(f"{entry}.")), name)


@pytest.mark.parametrize("package", FOLDERS)
def test_no_import_runs_up(package: str) -> None:
    own = [name for name in modules() if name.partition(".")[0] == package]
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
    edges = {name: {other for other in imports(name) if other != name} for name in modules()}
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


NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, whatever they begin with


def private_names(text: str) -> Iterator[str]:
    """Names that a test takes from these packages, or puts into them, that begin with an underscore."""

    def private(name: object) -> bool:
        return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLES

    tree = ast.parse(text)
    known = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FOLDERS:
            known |= {alias.asname or alias.name for alias in node.names}
            yield from (f"{node.module}.{alias.name}" for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Import):
            own = [alias for alias in node.names if alias.name.partition(".")[0] in FOLDERS]
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
