"""Folders in which tools keep what they have made for later, asked for before a tool fails without saying why."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class Unwritable(OSError):
    """A cache that cannot be written: `filename`; `strerror` says whose it is, and which variable moves it."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def cache_home() -> Path:
    """Where programs keep caches: $XDG_CACHE_HOME, or .cache in the user's home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/nonexistent") / ".cache")


def writable(folder: Path, whose: str, variable: str) -> Path:
    """The folder, made if it is missing. Raises Unwritable where that cannot be.

    whose: cache it is, for the message; variable: of the environment that moves it.
    """
    advice = f"{whose} keeps its cache there; set {variable} to a folder that can be written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(error.errno, f"{error.strerror}: {advice}", str(folder)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unwritable(errno.EACCES, f"cannot be written: {advice}", str(folder))
    return folder
