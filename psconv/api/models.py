"""A PyTorch model of one's own: sparse, trained on in fixed point, quantised to a bundle."""

from __future__ import annotations

import torch
from torch import nn

from psconv.api.bundle import Bundle, numbers
from pymodel.common import bounds
from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError
from pymodel.frontend.from_torch import trace
from pymodel.frontend.lower import FloatNetwork, lower
from pymodel.network.supports import SupportSpec
from pymodel.network.topology import INPUT
from pymodel.nn import psconv2d
from pymodel.nn.psconv2d import ConvRule, MaskedSupport
from pymodel.training.fixed_point import FixedPointNetwork, fake_quantise
from pymodel.training.post_training import checked_images, to_fixed_point
from pymodel.training.quantise import assert_identical, export

IDENTITY_IMAGES = 16


def convert(
    model: nn.Module, support: MaskedSupport | SupportSpec | None = None, rule: ConvRule | None = None
) -> nn.Module:
    """Makes convolutions of `model` sparse, in place, before it is trained; returns it.

    support: such as "PSD1_P16", for the convolutions that the papers choose: all but the first, 1x1 and grouped ones,
    and those of kernels for which it is not defined. rule: (path, convolution) -> its support, or None, for another
    choice. Weights that stay are scaled so that outputs keep their spread. Raises ConfigError: no support of that name,
    both or neither given.
    """
    if support is not None and rule is None:
        rule = psconv2d.papers_rule(model, support)
    elif support is not None or rule is None:
        raise ConfigError("convert: exactly one of support and rule must be given")
    return psconv2d.convert(model, rule)


def quantize(
    model: nn.Module,
    calibration: Array,
    weight_bits: int = 8,
    activation_bits: int = 8,
    output_bits: int = 8,
    per_channel: bool = False,
) -> Bundle:
    """The fixed-point network of a trained model, with the scales that lose least on the images `calibration`.

    model: in whatever mode; it is not changed. calibration: real [n, channels, rows, columns], or [n, features], as the
    model takes them; the input's format is chosen by them too. per_channel: weights have an integer scale for each
    output channel besides. Raises ConfigError, which names everything in the model that cannot be built.
    """
    _, fixed = _fixed_point(model, calibration, weight_bits, activation_bits, output_bits, per_channel)
    return _bundle(fixed, len(calibration))


class QuantisedModel(nn.Module):
    """A model in fixed point that can be trained on: what it computes is what its bundle computes, with gradients.

    Batch norm is folded already. It takes and gives what the model did.
    """

    def __init__(self, fixed: FixedPointNetwork, lowered: FloatNetwork, calibration_images: int) -> None:
        super().__init__()
        self.fixed = fixed
        self.output_shapes = lowered.output_shapes
        self.calibration_images = calibration_images

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Real images, any; rounded to the input's format first."""
        network = self.fixed.network
        entering = fake_quantise(x.reshape(len(x), *network.input.shape), self.fixed.formats[INPUT])
        names = network.outputs
        found: dict[str, torch.Tensor] = {}

        def observe(name: str, value: torch.Tensor) -> None:
            if name in names:
                found[name] = value

        self.fixed(entering, observe)
        results = [found[name].reshape(len(x), *shape) for name, shape in zip(names, self.output_shapes, strict=True)]
        return results[0] if len(results) == 1 else tuple(results)

    def bundle(self) -> Bundle:
        """The bundle of the weights as they are now. Raises ConfigError where they left what fixed point holds."""
        return _bundle(self.fixed, self.calibration_images)


def prepare_qat(
    model: nn.Module,
    calibration: Array,
    weight_bits: int = 8,
    activation_bits: int = 8,
    output_bits: int = 8,
    per_channel: bool = False,
) -> QuantisedModel:
    """A trained model as one to be trained on in fixed point, in the user's own loop; its `bundle()` is then quantised.

    Arguments and errors are those of `quantize`.
    """
    lowered, fixed = _fixed_point(model, calibration, weight_bits, activation_bits, output_bits, per_channel)
    return QuantisedModel(fixed, lowered, len(calibration))


def _fixed_point(
    model: nn.Module,
    calibration: Array,
    weight_bits: int,
    activation_bits: int,
    output_bits: int,
    per_channel: bool,
) -> tuple[FloatNetwork, FixedPointNetwork]:
    bits = {"weight_bits": weight_bits, "activation_bits": activation_bits, "output_bits": output_bits}
    for name, value in bits.items():
        bounds.TENSOR_BITS.check(value, name)
    given = numbers(calibration)
    shape = given.shape[1:]
    lowered = lower(trace(model, shape))
    images = checked_images(given, shape, "calibration").reshape(-1, *lowered.network.input.shape)
    return lowered, to_fixed_point(lowered, images, weight_bits, activation_bits, output_bits, per_channel)


def _bundle(fixed: FixedPointNetwork, calibration_images: int) -> Bundle:
    bundle = Bundle.of(export(fixed, None, {"calibration_images": calibration_images}))
    assert_identical(fixed, bundle, _whole_range(bundle))
    return bundle


def _whole_range(bundle: Bundle) -> Array:
    """Images all over the input's format."""
    form = bundle.formats[INPUT]
    generator = torch.Generator().manual_seed(0)
    shape = (IDENTITY_IMAGES, *bundle.network.input.shape)
    return torch.randint(form.min, form.max + 1, shape, generator=generator).numpy()
