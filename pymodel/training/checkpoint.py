"""Checkpoints: tensors and plain values in files that are whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically


def save(path: Path, state: dict[str, Any]) -> None:
    """Tensors and plain values, by torch.save."""
    write_atomically(path, lambda target: _save(target, state))


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote. No code in the file is run. Raises ConfigError for a missing or damaged file."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: not found; train first") from error
    except Exception as error:  # whatever PyTorch meets in bytes that are not its own; its advice would run them
        raise ConfigError(f"{path}: damaged or not made by this program: PyTorch cannot read it") from error
    return state


def load_weights(network: nn.Module, path: Path) -> None:
    """The state dict in a file, into `network`. Raises ConfigError: of another network, or with NaN or infinity."""
    into(network, load(path), path)


def into(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    """The state dict `state`, from `path`, into `network`. Raises ConfigError as `load_weights` does."""
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not of the network in this folder: {said}") from error
    for name, value in network.state_dict().items():
        if wrong := int((~value.isfinite()).sum()):
            raise ConfigError(
                f"{path}: {name}: {wrong} of {value.numel()} values are NaN or infinite: the training "
                "diverged; train again with a smaller optimiser.lr"
            )


def _save(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:  # torch would write the name of a path into the file
        torch.save(state, file)
