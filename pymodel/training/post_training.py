"""A network with trained weights to fixed point, on images alone: no data set, no labels, no training."""

from __future__ import annotations

import numpy as np
import torch

from pymodel.common.arrays import Array, Floats
from pymodel.common.errors import ConfigError
from pymodel.frontend.lower import FloatNetwork
from pymodel.frontend.module import to_module
from pymodel.training.calibrate import best_format, calibrate
from pymodel.training.fixed_point import FixedPointNetwork


def checked_images(images: Array, shape: tuple[int, ...], what: str) -> Floats:
    """float64 [n, *shape] from real numbers or integers.

    Raises ConfigError, naming `what`: another shape, no images, NaN or infinity.
    """
    images = np.asarray(images)
    if images.dtype.kind not in "fiu":
        raise ConfigError(f"{what}: must be numbers, got {images.dtype}")
    if images.shape[1:] != shape or not len(images):
        wanted = ", ".join(map(str, shape))
        raise ConfigError(f"{what}: shape must be [n, {wanted}] with n of 1 or more, got {list(images.shape)}")
    real = images.astype(np.float64)
    if not np.isfinite(real).all():
        raise ConfigError(f"{what}: must be finite, got {int((~np.isfinite(real)).sum())} values that are not")
    return real


def to_fixed_point(
    lowered: FloatNetwork,
    images: Floats,
    weight_bits: int,
    activation_bits: int,
    output_bits: int,
    per_channel: bool,
) -> FixedPointNetwork:
    """The network with the scales that lose least on `images`, real [n, C, H, W]: its input's format too.

    Raises ConfigError: weights or outputs that no format reaches.
    """
    source = best_format(images, activation_bits)
    entering = torch.from_numpy(source.real(source.quantise(images))).float()
    folded = to_module(lowered)
    formats, weight_formats, scales = calibrate(
        folded, entering, source, weight_bits, activation_bits, output_bits, per_channel
    )
    return FixedPointNetwork(folded, formats, weight_formats, scales)
