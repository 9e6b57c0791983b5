"""A PyTorch model in a Python file of the user's own, and its weights."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path

import torch
from torch import nn

from pymodel.common.errors import ConfigError

MODULE = "psconv_user_model"  # what a user's file is called while it runs


def load_model(place: str, key: str = "--model") -> nn.Module:
    """The model that NAME in FILE.py is, or that it returns when it is called.

    place: `FILE.py:NAME`. key: what a message calls it. The file runs as a program of its folder would. Raises
    ConfigError: no such file or name, an error while it runs.
    """
    file, colon, name = place.rpartition(":")
    path = Path(file)
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise ConfigError(f"{key}: must be FILE.py:NAME, such as my_model.py:make_model, got {place!r}")
    if not path.is_file():
        raise ConfigError(f"{key}: {path}: no such file")
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec = importlib.util.spec_from_file_location(MODULE, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[MODULE] = module
        spec.loader.exec_module(module)
        made = getattr(module, name, None)
        if callable(made) and not isinstance(made, nn.Module):
            made = made()
    except Exception as error:  # whatever the user's own program raises
        raise ConfigError(f"{key}: {_place(error, path)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if made is None and not hasattr(module, name):
        known = sorted(one for one, value in vars(module).items() if callable(value) and not one.startswith("_"))
        raise ConfigError(f"{key}: {path}: must define {name}, has {', '.join(known) or 'nothing to call'}")
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{key}: {path}: {name} must be a torch.nn.Module, or return one, got {type(made).__name__}")
    return made


def load_weights(model: nn.Module, path: Path) -> None:
    """The state dict that torch.save wrote, into `model`; no code in the file runs. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"--weights: {path}: no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever PyTorch meets in bytes that are not its own; its advice would run them
        raise ConfigError(
            f"--weights: {path}: must be a state dict, torch.save(model.state_dict(), {path.name!r}); PyTorch cannot "
            "read it without running code in it"
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):  # as checkpoints of training programs have it
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ConfigError(f"--weights: {path}: must be a state dict, got {type(state).__name__}")
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"--weights: {path}: is not of this model: {said}") from error
    for name, value in model.state_dict().items():
        if wrong := int((~value.isfinite()).sum()):
            raise ConfigError(f"--weights: {path}: {name}: {wrong} of {value.numel()} values are NaN or infinite")


def _place(error: Exception, path: Path) -> str:
    """Where in the user's program an error arose."""
    frames = [
        one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).resolve() == path.resolve()
    ]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)
