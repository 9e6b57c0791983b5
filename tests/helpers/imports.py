"""What the modules of the packages, and the tests, import and start: found in their text, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.helpers.places import ROOT

FOLDERS = {"openhls": ROOT / "hls" / "openhls"} | {
    name: ROOT / name for name in ("pymodel", "rtl_tb", "psconv", "scripts", "tests")
}
# Markers (pyproject.toml) of tools, and the modules that start them.
TOOLS = {
    "clang": ("openhls.system.zig",),
    "verilator": ("openhls.simulation.tools", "rtl_tb.build"),
    "yosys": ("psconv.synthesis.yowasp",),
}
MARKERS = (*TOOLS, "torch")


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages and of the tests, by its name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of these packages that a module imports, at its top or inside a function."""
    return frozenset(_imports(name))


def _imports(name: str) -> Iterator[str]:
    package = _package(name)
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in modules() or base in modules():
                    yield inner if inner in modules() else base


@cache
def started(name: str) -> frozenset[str]:
    """The modules that a module starts as commands (python -m NAME), or may import by a name that it computes."""
    return frozenset(_started(name))


def _started(name: str) -> Iterator[str]:
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.List | ast.Tuple):
            words = [getattr(word, "value", None) for word in node.elts]
            called = [f"{word}.__main__" for flag, word in pairwise(words) if flag == "-m"]
            yield from (module for module in called if module in modules())
        elif isinstance(node, ast.Call) and ast.unparse(node).startswith("import_module(f'{__package__}."):
            package = _package(name)
            yield from (module for module in modules() if module.startswith(f"{package}."))


def reached(names: Collection[str]) -> set[str]:
    """Modules, and all that they import or start, by any way."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += imports(name) | started(name)
    return found


def markers(names: Collection[str]) -> set[str]:
    """The markers, of MARKERS, of a test whose own code lies in the modules `names`.

    Of each tool that this code can reach, by any way: a test may have a marker and not need the tool; without the
    marker it cannot. "torch": tests of these files skip themselves without PyTorch.
    """
    everything = reached(names)
    found = {tool for tool, homes in TOOLS.items() if not everything.isdisjoint(homes)}
    skips = any('importorskip("torch"' in modules()[name].read_text() for name in names)
    return found | {"torch"} if skips else found


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text())


def _package(name: str) -> str:
    return name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
