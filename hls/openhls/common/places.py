"""How source files are named in diagnostics: relative to the working directory where they lie below it."""

from __future__ import annotations

import os
from functools import cache


@cache
def shown(file: str, directory: str = "") -> str:
    """One spelling for one file, however the preprocessor or the debug information spells it."""
    path = os.path.normpath(os.path.join(os.getcwd(), directory, file))
    below = os.path.relpath(path, os.getcwd())
    return path if below.startswith("..") else below
