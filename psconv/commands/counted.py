"""What is counted: a network of the papers, or one in a file: a bundle, an ONNX file, a PyTorch module of one's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pymodel.common.errors import NEEDS_TORCH, ConfigError
from pymodel.counts.traffic import EngineOptions
from pymodel.network.bundle import Bundle
from pymodel.network.topology import INPUT, Network
from pymodel.nn.variants import Family, family_of

_SHAPE = re.compile(r"[1-9]\d{0,6}(x[1-9]\d{0,6}){0,2}")


@dataclass(frozen=True, eq=False)
class Counted:
    """A network from a file; bits: the widest weights and activations of a bundle, else 8."""

    network: Network
    weight_bits: int = EngineOptions().weight_bits
    activation_bits: int = EngineOptions().activation_bits

    def family(self, variants: Sequence[str]) -> Family:
        """The network as it is; or, where there are some, its dense twin under variants. Raises ConfigError."""
        return family_of(self.network, variants)


def of_file(path: Path) -> Counted:
    """The network of a bundle (.yaml) or an ONNX file, whose pruned weights are supports. Raises ConfigError."""
    if path.suffix == ".onnx":
        from pymodel.frontend import onnx_file
        from pymodel.frontend.from_onnx import graph_of
        from pymodel.frontend.lower import lower
        from pymodel.frontend.pruned import with_supports

        graph = graph_of(onnx_file.simplified(onnx_file.read_model(path), path), str(path))
        return Counted(lower(with_supports(graph, masks=True)[0]).network)
    bundle = Bundle.load(path)
    weights = max((form.bits for form in bundle.weight_formats.values()), default=EngineOptions().weight_bits)
    layers = [form.bits for name, form in bundle.formats.items() if name not in (INPUT, *bundle.network.outputs)]
    return Counted(bundle.network, weights, max(layers, default=EngineOptions().activation_bits))


def of_module(place: str, shape: str | None) -> Counted:
    """The network of the module FILE.py:NAME on images of a shape such as 3x32x32. Raises ConfigError."""
    if shape is None or not _SHAPE.fullmatch(shape) or shape.count("x") == 1:
        raise ConfigError(
            f"--input: must be the shape of an image with --model, such as 3x32x32, or 784, got {shape or 'none'}"
        )
    try:
        from pymodel.frontend.from_torch import trace
        from pymodel.frontend.lower import lower
        from pymodel.frontend.user_file import load_model
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"--model {NEEDS_TORCH}") from error
    return Counted(lower(trace(load_model(place), tuple(map(int, shape.split("x"))))).network)
