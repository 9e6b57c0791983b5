"""What a compilation depends on besides its arguments: this compiler's own files and the tools it is made of."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_TOOLS = ("ziglang", "llvmlite", "pycde")
_PARTS = ("*.py", "include/*.h", "simulation/*.[ch]pp", "targets/*.yaml")


@cache
def fingerprint() -> str:
    """A digest of modules, headers and delay models, each by its path in the package, and of the tools' versions."""
    digest = hashlib.sha256(" ".join(f"{tool} {version(tool)}" for tool in _TOOLS).encode())
    for part in _PARTS:
        for file in sorted(_PACKAGE.rglob(part)):
            name = file.relative_to(_PACKAGE)
            if name.parts[0] != "tests":
                content = file.read_bytes()
                digest.update(f"\n{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
