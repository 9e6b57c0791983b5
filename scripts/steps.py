"""Where the files of a run lie, and how a step is left out when nothing it depends on has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pymodel.files import write_atomically, write_text
from pymodel.records import json_text

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layout:
    """The folder that a user names with --out (docs/interfaces.md lists its files)."""

    root: Path

    def golden(self, layer: str) -> Path:
        return self.root / "golden" / f"{layer}.npz"

    def csim(self, layer: str) -> Path:
        return self.root / "csim" / f"{layer}.npz"

    def synth(self, layer: str) -> Path:
        return self.root / "synth" / layer

    def cosim(self, layer: str) -> Path:
        return self.root / "cosim" / f"{layer}.npz"

    def build(self, layer: str) -> Path:
        """Scratch of the simulator: binaries, logs, waveforms."""
        return self.root / "build" / layer

    def resources(self, layer: str) -> Path:
        return self.root / "resources" / f"{layer}.json"

    def vendor(self, tool: str, layer: str) -> Path:
        """Project of an HLS tool of the user (vitis, bambu)."""
        return self.root / tool / layer

    @property
    def report(self) -> Path:
        return self.root / "report"


def content_key(*parts: Any) -> str:
    """A hash of everything a step depends on: files by content, arrays by bytes, other values by their JSON."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(f for f in part.rglob("*") if f.is_file()) if part.is_dir() else [part]:
                if "__pycache__" not in file.parts:
                    digest.update(file.name.encode() + b"\0" + file.read_bytes())
        elif isinstance(part, np.ndarray):
            digest.update(str((part.dtype, part.shape)).encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\xff")
    return digest.hexdigest()


def versions(*packages: str) -> list[str]:
    """Installed packages with their versions, as a part of a key."""
    return [f"{package} {version(package)}" for package in packages]


@dataclass(frozen=True)
class Work:
    """What a step has to do: `make` writes `result`, which depends on what `key` is a hash of."""

    result: Path
    key: str
    make: Callable[[], None]

    @property
    def done(self) -> bool:
        """Whether `result` is there and was made under the same key."""
        stamp = _stamp(self.result)
        return self.result.exists() and stamp.exists() and stamp.read_text() == self.key


def step(plan: Callable[..., Work]) -> Callable[..., None]:
    """A step of the flow: does the work that `plan` describes unless it is done; `step.plan` is `plan` itself."""

    @wraps(plan)
    def perform(*subject: Any) -> None:
        work = plan(*subject)
        unless_fresh(work.result, work.key, work.make)

    perform.plan = plan  # type: ignore[attr-defined]
    return perform


def unless_fresh(result: Path, key: str, make: Callable[[], None]) -> bool:
    """Calls `make`, which writes `result`, unless it is there and was made under the same key. True if made."""
    if Work(result, key, make).done:
        return False
    stamp = _stamp(result)
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(key)
    return True


def _stamp(result: Path) -> Path:
    """Where the key is kept under which a result was made."""
    return result.with_name(f".{result.name}.key")


def write_json(path: Path, data: Any) -> None:
    write_text(path, json_text(data, name=path.name) + "\n")


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    write_atomically(path, lambda target: np.savez_compressed(target, **arrays))
