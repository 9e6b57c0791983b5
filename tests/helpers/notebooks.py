"""Runs a notebook as it stands, without Jupyter, in its folder: python -m tests.helpers.notebooks NOTEBOOK.

All cells of code in one namespace, one after the other; what the last line of a cell comes to is shown as a notebook
would: by its `_repr_html_`, where it has one.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def code_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of code of a notebook."""
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(path: Path) -> None:
    """Raises what a cell raises."""
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules["__main__"] = main = ModuleType("__main__")  # as a kernel's is: a module without a file
    for number, cell in enumerate(code_cells(path)):
        tree = ast.parse("".join(cell["source"]), f"cell {number}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), main.__dict__)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), main.__dict__)
            if value is not None:
                print(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
