"""Files written whole or not at all: a kill at any moment leaves the old file or the new one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

_PARTIAL = ".*.partial*"  # matches the names of files and folders that a kill left half written


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, force it to the disk, then give it the name.

    Makes the folder. Nothing is left behind where `write` fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.partial{path.suffix}")  # two processes may write one file
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_atomically` of UTF-8 text."""
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def remove_partial(folder: Path, *, below: bool = False) -> None:
    """Remove what a kill left half written in a folder, and `below` it. Nobody else may be writing there."""
    for path in folder.rglob(_PARTIAL) if below else folder.glob(_PARTIAL):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
