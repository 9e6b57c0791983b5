"""Bundles as a Python program uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pymodel.common.arrays import Array, Floats, Int8
from pymodel.common.errors import ConfigError
from pymodel.golden import model as golden
from pymodel.network import bundle as on_disk
from pymodel.network.formats import Format
from pymodel.network.topology import INPUT, Weighted


class Bundle(on_disk.Bundle):
    """A quantised network, which computes in exact integers what its hardware does.

    Made by `psconv.quantize` and `psconv.load`. Images are [n, channels, rows, columns], or [n, features] where the
    network's input is one pixel: real numbers are rounded to the input's format, integers taken as they are.
    """

    @classmethod
    def of(cls, bundle: on_disk.Bundle) -> Bundle:
        """The same bundle with these methods."""
        return cls(**{field.name: getattr(bundle, field.name) for field in fields(bundle)})

    def save(self, path: Path | str) -> None:
        """Writes `path`, which ends in .yaml, and the .npz file beside it. Raises ConfigError for another name."""
        super().save(Path(path))

    def run(self, images: Array) -> dict[str, Int8]:
        """Outputs in integers by layer, int8 [n, channels, rows, columns], or [n, features] of one pixel.

        Raises ConfigError: images of another shape, integers out of the input's range, NaN.
        """
        pieces = list(self._outputs(images))
        return {name: _flat(np.concatenate([piece[name] for piece in pieces])) for name in self.network.outputs}

    def predict(self, images: Array) -> Int8:
        """`run` of a network with one output: the integers that the hardware gives, int8.

        Raises ConfigError as `run` does; several outputs.
        """
        return self.run(images)[self._only_output("predict")]

    def real(self, outputs: Array, layer: str | None = None) -> Floats:
        """The real numbers that integers of an output stand for: outputs * 2**-frac, float64.

        layer: of which, where there are several. Raises ConfigError.
        """
        return self.formats[layer or self._only_output("real")].real(outputs)

    def evaluate(self, images: Array, labels: Array) -> float:
        """The fraction of images, or of pixels where the output has several, whose largest score is the label's.

        labels: int [n], or [n, rows, columns]; of equal scores the first counts. Raises ConfigError: as `predict` does;
        labels of another shape.
        """
        scores, labels = self.predict(images), numbers(labels)
        if labels.dtype.kind not in "iu" or labels.shape != (len(scores), *scores.shape[2:]) or not len(scores):
            wanted = [len(scores), *scores.shape[2:]]
            raise ConfigError(f"labels: must be integers {wanted}, got {labels.dtype} {list(labels.shape)}")
        return float((scores.argmax(axis=1) == labels).mean())

    def summary(self) -> str:
        """The layers in a table, with their formats, as text."""
        network, shapes = self.network, self.network.shapes()
        form = self.formats[INPUT]
        head = ("layer", "op", "output", "support", "weights", "nonzero", "weight format", "output format")
        rows = [head, (INPUT, "", _sizes(shapes[INPUT]), "", "", "", "", str_of(form))]
        for layer in network.layers:
            texts = ("", "", "", "")
            if isinstance(layer, Weighted):
                weights = self.weights[layer.name]
                support = layer.make_support().name if layer.op == "conv" else "dense"
                scaled = " x scale" if layer.name in self.scales else ""
                texts = (
                    support,
                    f"{weights.size:,}",
                    f"{np.count_nonzero(weights):,}",
                    str_of(self.weight_formats[layer.name]) + scaled,
                )
            rows.append((layer.name, layer.op, _sizes(shapes[layer.name]), *texts, str_of(self.formats[layer.name])))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        low, high = form.real(np.array([form.min, form.max]))
        said = f"Input: {form.bits}-bit integers at scale 2^{-form.frac}, {low:g} to {high:g}"
        return "\n".join((network.name, *lines, said))

    def _only_output(self, what: str) -> str:
        names = self.network.outputs
        if len(names) > 1:
            raise ConfigError(f"{what}: the network must have one output, got {', '.join(names)}; use run")
        return names[0]

    def _outputs(self, images: Array) -> Iterator[dict[str, Int8]]:
        """A batch at a time, so that memory holds all layers' outputs of a few images alone."""
        given = golden.as_input(self, numbers(images))
        for start in range(0, max(len(given), 1), golden.BATCH):
            yield golden.run(self, given[start : start + golden.BATCH])


@dataclass(frozen=True)
class Written:
    """A bundle in a file, as commands tell of it. weights: of all layers, nonzero or not."""

    bundle: str
    layers: int
    weights: int
    nonzero_weights: int
    input_format: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def facts(bundle: Bundle, path: Path) -> dict[str, Any]:
    """The fields of `Written`."""
    written = Written(
        bundle=str(path),
        layers=len(bundle.network.layers),
        weights=sum(weights.size for weights in bundle.weights.values()),
        nonzero_weights=sum(int(np.count_nonzero(weights)) for weights in bundle.weights.values()),
        input_format=str_of(bundle.formats[INPUT]),
    )
    return written.to_json()


def load(path: Path | str) -> Bundle:
    """The bundle in `path` (.yaml) and the .npz file beside it. Raises ConfigError, naming file and key."""
    return Bundle.of(on_disk.Bundle.load(Path(path)))


def numbers(array: Any) -> Array:
    """An array, a list, or a tensor of PyTorch (which is not imported) as a numpy array."""
    found: Array = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    return found


def str_of(form: Format) -> str:
    """`8 bits, 2^-4`: how wide a format is, and what its integer 1 stands for."""
    return f"{form.bits} bits, 2^{-form.frac}"


def _flat(outputs: Int8) -> Int8:
    return outputs[:, :, 0, 0] if outputs.shape[2:] == (1, 1) else outputs


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
