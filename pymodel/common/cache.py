"""The folder in which this project keeps, for each user, what it has compiled."""

from __future__ import annotations

from pathlib import Path

from openhls.system.caches import cache_home, writable


def cache_folder() -> Path:
    """Where built libraries are kept. Raises Unwritable where that cannot be."""
    folder: Path = writable(cache_home() / "psconv", "psconv", "XDG_CACHE_HOME")
    return folder
