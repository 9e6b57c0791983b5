"""Checkpoints: tensors and plain values in files that are whole or not there."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from pymodel.errors import ConfigError
from pymodel.files import write_atomically


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors and plain values, by torch.save."""
    write_atomically(path, lambda target: _save(target, state))


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote. No code in the file is run. Raises ConfigError for a missing or damaged file."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: not found; train first") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path}: damaged or not made by this program ({error})") from error


def _save(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:  # torch would write the name of a path into the file
        torch.save(state, file)
