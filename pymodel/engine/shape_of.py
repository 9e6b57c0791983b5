"""The engine that a layer of a bundle takes."""

from __future__ import annotations

from typing import Any

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.network.bundle import Bundle
from pymodel.network.supports import Support
from pymodel.network.topology import Conv, Linear


def engine_shape(bundle: Bundle, name: str, To: int = 1, Tb: int = 1, fold: int = 1, **more: Any) -> EngineShape:
    """The engine of a convolution or fully connected layer of a bundle at the given parallelism.

    A fully connected layer is a 1x1 convolution of one pixel, whose channels are the flattened input. `more` may be
    EngineShape's R, Tx, engine, packing, feed, multiplier_bits, lanes. Raises ConfigError: no such layer, or none that
    an engine runs.
    """
    layer = bundle.network.layer(name)
    channels, height, width = bundle.network.shapes()[layer.sources[0]]
    common: dict[str, Any] = {"To": To, "Tb": Tb, "fold": fold} | more
    if isinstance(layer, Conv):
        support = layer.make_support()
        if not isinstance(support, Support):
            raise ConfigError(f"layer {name}: support: must be periodic, got {support.name}, which is unstructured")
        common |= {
            "cin": channels,
            "height": height,
            "width": width,
            "cout": layer.out_channels,
            "kernel": layer.kernel,
            "stride": layer.stride,
            "padding": layer.padding,
            "support": support,
            "groups": layer.groups,
        }
    elif isinstance(layer, Linear):
        common |= {
            "cin": channels * height * width,
            "height": 1,
            "width": 1,
            "cout": layer.out_features,
            "kernel": 1,
            "support": "dense",
        }
    else:
        raise ConfigError(f"layer {name}: op: must be conv or linear in an engine, got {layer.op}")
    try:
        return EngineShape(
            **common,
            in_bits=bundle.formats[layer.input].bits,
            weight_bits=bundle.weight_formats[name].bits,
            out_bits=bundle.formats[name].bits,
            relu=layer.relu,
            largest=None if layer.clip is None else bundle.limits(name)[1],
            rounding=bundle.rounding,
            shift=bundle.shift(name),
            acc_bits=bundle.acc_bits(name),
            scale_bits=int(bundle.scales[name].max()).bit_length() if name in bundle.scales else 0,
        )
    except ConfigError as error:
        raise ConfigError(f"layer {name}: {error}") from error
