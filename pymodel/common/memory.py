"""Whether there is memory for what is about to be made: asked before, as the system ends a process that finds none."""

from __future__ import annotations

import resource
from pathlib import Path

from pymodel.common.errors import ConfigError

_LESS = "fewer images (images.count) or a smaller layer need less"


def available() -> int:
    """Bytes that this process may still take: of the machine, of its control group, of its own limit."""
    return min(_of_machine(), _of_group(), _of_limit())


def require(size: int, what: str, remedy: str = _LESS) -> None:
    """Raises ConfigError, naming `what`, where `size` bytes are more than there are."""
    if size < 1 << 24:  # not worth the question
        return
    free = available()
    if size > free:
        raise ConfigError(f"{what}: memory: must be at least {_shown(size)}, got {_shown(free)} free; {remedy}")


def _shown(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 1 << 30 else f"{max(size, 0) / 2**20:,.0f} MiB"


_UNKNOWN = 1 << 62


def _of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return _UNKNOWN
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else _UNKNOWN


def _of_group() -> int:
    """Bytes left to this process's control group, of version 2 or else of version 1."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            folder = Path("/sys/fs/cgroup")
            return int((folder / limit).read_text()) - int((folder / used).read_text())
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return _UNKNOWN


def _of_limit() -> int:
    """ulimit -v."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return _UNKNOWN
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return soft
    return soft - pages * resource.getpagesize()
