"""What a command line names of a user's own: a model in a Python file, its weights, images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from psconv.api.bundle import Written, facts
from psconv.api.models import quantize
from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz
from pymodel.frontend.user_file import load_model, load_weights
from pymodel.network.bundle import check_name
from pymodel.network.topology import INPUT


@dataclass(frozen=True)
class Quantised(Written):
    """What a quantisation came to. Accuracies are of the calibration's images, where these have labels."""

    input_range: str
    model: str
    calibration_images: int
    float_accuracy: float | None
    fixed_accuracy: float | None


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
    form = bundle.formats[INPUT]
    low, high = form.real(np.array([form.min, form.max]))
    return Quantised(
        **facts(bundle, out),
        input_range=f"{low:g} to {high:g}",
        model=model,
        calibration_images=len(images),
        float_accuracy=float_accuracy,
        fixed_accuracy=fixed_accuracy,
    )


@torch.no_grad()
def _accuracy(model: nn.Module, images: Array, labels: Array) -> float:
    """The fraction of images, or pixels, that the model itself gets right."""
    model.eval()
    scores = [model(torch.from_numpy(piece).float()) for piece in np.array_split(images, -(-len(images) // 128))]
    best = torch.cat(scores).argmax(dim=1).numpy()
    return float((best == labels.reshape(best.shape)).mean())
