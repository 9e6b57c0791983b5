"""What a command line names of a user's own: a model in a Python file, its weights, images."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from psconv.api.bundle import Bundle, str_of
from psconv.api.models import quantize
from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz
from pymodel.network.bundle import check_name
from pymodel.network.topology import INPUT

MODULE = "psconv_user_model"  # what a user's file is called while it runs


@dataclass(frozen=True)
class Quantised:
    """What a quantisation came to. Accuracies are of the calibration's images, where these have labels."""

    bundle: str
    model: str
    layers: int
    weights: int
    nonzero_weights: int
    input_format: str
    input_range: str
    calibration_images: int
    float_accuracy: float | None
    fixed_accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quantize_files(
    model: str, weights: Path | None, calibration: Path, out: Path, bits: dict[str, int], per_channel: bool
) -> Quantised:
    """Writes the bundle `out` of the model FILE.py:NAME with the weights of a file, by the images of an .npz file.

    calibration: with `images`, as the model takes them, and, where there are, `labels`. bits: arguments of
    `psconv.quantize` by name. Raises ConfigError, naming the file.
    """
    check_name(out)
    network = load_model(model)
    if weights is not None:
        load_weights(network, weights)
    arrays = read_npz(calibration)
    if "images" not in arrays:
        raise ConfigError(f"{calibration}: must hold an array 'images', got {', '.join(sorted(arrays)) or 'none'}")
    images, labels = arrays["images"], arrays.get("labels")
    try:
        bundle = quantize(network, images, **bits, per_channel=per_channel)
        fixed_accuracy = None if labels is None else bundle.evaluate(images.astype(np.float64), labels)
    except ConfigError as error:
        raise ConfigError(f"{model}, {calibration}: {error}") from error
    bundle.save(out)
    float_accuracy = None if labels is None else _accuracy(network, images, labels)
    return _result(bundle, model, out, len(images), float_accuracy, fixed_accuracy)


def load_model(place: str) -> nn.Module:
    """The model that NAME in FILE.py is, or that it returns when it is called; place: `FILE.py:NAME`.

    The file runs as a program of its folder would. Raises ConfigError: no such file or name, an error while it runs.
    """
    file, colon, name = place.rpartition(":")
    path = Path(file)
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise ConfigError(f"--model: must be FILE.py:NAME, such as my_model.py:make_model, got {place!r}")
    if not path.is_file():
        raise ConfigError(f"--model: {path}: no such file")
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
        raise ConfigError(f"--model: {_place(error, path)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if made is None and not hasattr(module, name):
        known = sorted(one for one, value in vars(module).items() if callable(value) and not one.startswith("_"))
        raise ConfigError(f"--model: {path}: must define {name}, has {', '.join(known) or 'nothing to call'}")
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"--model: {path}: {name} must be a torch.nn.Module, or return one, got {type(made).__name__}"
        )
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


@torch.no_grad()
def _accuracy(model: nn.Module, images: Array, labels: Array) -> float:
    """The fraction of images, or pixels, that the model itself gets right."""
    model.eval()
    scores = [model(torch.from_numpy(piece).float()) for piece in np.array_split(images, -(-len(images) // 128))]
    best = torch.cat(scores).argmax(dim=1).numpy()
    return float((best == labels.reshape(best.shape)).mean())


def _result(
    bundle: Bundle, model: str, out: Path, images: int, float_accuracy: float | None, fixed_accuracy: float | None
) -> Quantised:
    form = bundle.formats[INPUT]
    low, high = form.real(np.array([form.min, form.max]))
    return Quantised(
        bundle=str(out),
        model=model,
        layers=len(bundle.network.layers),
        weights=sum(weights.size for weights in bundle.weights.values()),
        nonzero_weights=sum(int(np.count_nonzero(weights)) for weights in bundle.weights.values()),
        input_format=str_of(form),
        input_range=f"{low:g} to {high:g}",
        calibration_images=images,
        float_accuracy=float_accuracy,
        fixed_accuracy=fixed_accuracy,
    )
