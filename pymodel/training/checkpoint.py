"""Files written whole or not at all: a kill at any moment leaves the old file or the new one."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pymodel.errors import ConfigError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, force it to the disk, then give it the name."""
    temporary = path.with_name(f".{path.name}.partial{path.suffix}")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors and plain values, by torch.save."""
    write_atomically(path, lambda target: torch.save(state, target))


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote. No code in the file is run. Raises ConfigError for a missing or damaged file."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: not found; train first") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path}: damaged or not made by this program ({error})") from error
