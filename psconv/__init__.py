"""psconv: periodic pre-defined sparse convolution (pSConv) on FPGAs, from a PyTorch model to checked RTL.

    bundle = psconv.quantize(model, images)      a fixed-point network of a trained model
    bundle.evaluate(images, labels)              what the hardware will get right
    psconv.build(bundle, "out", images=images)   C++, RTL, co-simulation, resources

Names are imported when they are first used: `import psconv` takes no time and needs no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from psconv.api.build import BuildResult, build
    from psconv.api.bundle import Bundle, load
    from psconv.api.models import QuantisedModel, convert, prepare_qat, quantize
    from pymodel.nn.psconv2d import PSConv2d

_HOMES = {
    "Bundle": "psconv.api.bundle",
    "load": "psconv.api.bundle",
    "BuildResult": "psconv.api.build",
    "build": "psconv.api.build",
    "QuantisedModel": "psconv.api.models",
    "convert": "psconv.api.models",
    "prepare_qat": "psconv.api.models",
    "quantize": "psconv.api.models",
    "PSConv2d": "pymodel.nn.psconv2d",
}
__all__ = [
    "BuildResult",
    "Bundle",
    "PSConv2d",
    "QuantisedModel",
    "__version__",
    "build",
    "convert",
    "load",
    "prepare_qat",
    "quantize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from pymodel.common.errors import NEEDS_TORCH, ConfigError

        raise ConfigError(f"psconv.{name} {NEEDS_TORCH}") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
