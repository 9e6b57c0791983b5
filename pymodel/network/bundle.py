"""Bundles: quantised networks on disk, a YAML file and an npz file beside it.

    psconv_bundle: 1                  version of this schema
    network: {...}                    pymodel.network.topology.Network; batch norm is folded
    formats: {input: {bits: 8, frac: 4}, conv1: ...}    of the input and of every layer's output
    weight_formats: {conv1: {bits: 8, frac: 7}, ...}    of every convolution and fully connected layer
    accumulator_bits: {conv1: 20, ...}                  optional: engines get the proved minimum otherwise
    rounding: half_even               optional: halves go up (half_up) otherwise (pymodel.network.formats.requantise)
    dataset: digits                   optional
    notes: {test_accuracy: 0.98}      optional, free
    arrays: {file: NAME.npz, sha256: ...}

The arrays are NAME.weight (int8, [cout, cin / groups, K, K] or [out, in]) and NAME.bias (int32, [cout], at
scale 2**-(input frac + weight frac)) of each layer NAME that has them; and, optional, NAME.scale (uint16, [cout],
no zeros), the scale of each output channel by which its weights and bias are larger (pymodel.network.formats).
Loading checks everything.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pymodel.common.arrays import Array, Int8, Int32, UInt16
from pymodel.common.bounds import Version1
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.files import write_atomically, write_text
from pymodel.common.kinds import BUNDLE, read_kind
from pymodel.common.records import read_npz, yaml_text
from pymodel.network import formats as fixed
from pymodel.network.formats import Format
from pymodel.network.supports import check_support
from pymodel.network.topology import INPUT, Conv, Layer, Network, Rectified, Weighted

SCHEMA = 1
Note = str | int | float | bool


@dataclass(frozen=True, eq=False)
class Bundle:
    """A quantised network. Raises ConfigError, naming layer and key, unless all of it fits together.

    `weights`, `biases` and `scales` are by layer name, as the module's text says; `biases` lacks layers without a
    bias, `scales` those whose weights have one power-of-two scale.
    """

    network: Network
    formats: dict[str, Format]
    weight_formats: dict[str, Format]
    weights: dict[str, Int8]
    biases: dict[str, Int32]
    scales: dict[str, UInt16] = field(default_factory=dict)
    accumulator_bits: dict[str, int] = field(default_factory=dict)
    rounding: fixed.Rounding = "half_up"
    dataset: str | None = None
    notes: dict[str, Note] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weighted = {layer.name: layer for layer in self.network.weighted_layers()}
        with_bias = {name for name, layer in weighted.items() if layer.bias}
        _same_keys("formats", self.formats, {INPUT, *(layer.name for layer in self.network.layers)})
        _same_keys("weight_formats", self.weight_formats, set(weighted))
        _same_keys("weights", self.weights, set(weighted))
        _same_keys("biases", self.biases, with_bias)
        _known_keys("scales", self.scales, set(weighted))
        _known_keys("accumulator_bits", self.accumulator_bits, set(weighted))
        for key, note in self.notes.items():
            if type(note) not in (str, int, float, bool):
                raise ConfigError(f"notes: {key}: must be plain text, a number or a truth value, got {note!r}")
        for layer in self.network.layers:
            if isinstance(layer, Weighted):
                self._check_weighted(layer)
            else:
                self._check_unweighted(layer)

    def _check_weighted(self, layer: Weighted) -> None:
        name = layer.name
        weights = self.weights[name]
        _check_array(f"{name}.weight", weights, np.int8, self.network.weight_shape(layer))
        bias = self.bias(name)
        _check_array(f"{name}.bias", bias, np.int32, (len(weights),))
        self.weight_formats[name].check(weights, f"{name}.weight")
        if name in self.scales:
            _check_array(f"{name}.scale", self.scales[name], np.uint16, (len(weights),))
            fixed.check_scales(self.scales[name], f"{name}.scale")
        if isinstance(layer, Conv):
            if layer.batch_norm:
                raise ConfigError(f"layer {name}: batch_norm: must be false, got true; fold it into weights and bias")
            check_support(weights, layer.make_support(), f"{name}.weight")
        fixed.check_shift(self.shift(name), f"layer {name}")
        needed, given = self._proved_bits(name), self.accumulator_bits.get(name)
        if given is not None:
            in_bits = self.formats[layer.input].bits
            fixed.check_accumulator(weights, bias, in_bits, given, f"layer {name}")
        if max(needed, given or 0) > fixed.MAX_ACC_BITS:
            raise ConfigError(f"layer {name}: accumulator must have at most {fixed.MAX_ACC_BITS} bits, got more")

    def _check_unweighted(self, layer: Layer) -> None:
        sources = [self.formats[source] for source in layer.sources]
        if layer.op == "add":
            fracs = [source.frac for source in sources]
            fixed.check_shift(max(fracs) - min(fracs), f"layer {layer.name}: inputs' fracs")
            fixed.check_shift(max(fracs) - self.formats[layer.name].frac, f"layer {layer.name}")
            return
        if any(source != self.formats[layer.name] for source in sources):
            raise ConfigError(
                f"layer {layer.name}: formats: must be {sources[0]}, the format of the input of a {layer.op}, "
                f"got {self.formats[layer.name]}"
            )

    def limits(self, name: str) -> tuple[int, int]:
        """The least and the greatest output of a layer."""
        layer, form = self.network.layer(name), self.formats[name]
        return form.limits(layer.relu, layer.clip) if isinstance(layer, Rectified) else (form.min, form.max)

    def bias(self, name: str) -> Int32:
        """int32 [cout], zeros where the layer has none."""
        return self.biases.get(name, np.zeros(len(self.weights[name]), np.int32))

    def shift(self, name: str) -> int:
        """Requantisation shift of a convolution or fully connected layer."""
        source = self.formats[self.network.weighted_layer(name).input]
        return source.frac + self.weight_formats[name].frac - self.formats[name].frac

    def acc_bits(self, name: str) -> int:
        """Accumulator bits of a layer: those configured, or the proved minimum."""
        return self.accumulator_bits.get(name) or self._proved_bits(name)

    def _proved_bits(self, name: str) -> int:
        in_bits = self.formats[self.network.weighted_layer(name).input].bits
        return fixed.accumulator_bits(self.weights[name], self.bias(name), in_bits)

    def save(self, path: Path) -> None:
        """Writes `path` (YAML) and the npz file of the same stem beside it, each atomically.

        The same bundle gives the same bytes. Raises ConfigError where `path` does not end in .yaml.
        """
        check_name(path)
        arrays: dict[str, Array] = {f"{name}.weight": array for name, array in self.weights.items()}
        arrays |= {f"{name}.bias": array for name, array in self.biases.items()}
        arrays |= {f"{name}.scale": array for name, array in self.scales.items()}
        packed = _npz_bytes(arrays)
        content: dict[str, Any] = {
            "psconv_bundle": SCHEMA,
            "network": self.network.spec(),
            "formats": _formats_dump(self.formats),
            "weight_formats": _formats_dump(self.weight_formats),
            "accumulator_bits": self.accumulator_bits,
            **({} if self.rounding == "half_up" else {"rounding": self.rounding}),
            "dataset": self.dataset,
            "notes": self.notes,
            "arrays": {"file": f"{path.stem}.npz", "sha256": hashlib.sha256(packed).hexdigest()},
        }
        write_atomically(path.with_suffix(".npz"), lambda target: target.write_bytes(packed))
        write_text(path, yaml_text(content, width=110))

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """The bundle in `path` (YAML) and its npz file. Raises ConfigError, naming file and key."""
        file = validated(_BundleFile, read_kind(path, BUNDLE), str(path))
        npz = path.parent / file.arrays.file
        arrays = read_npz(npz, file.arrays.sha256)
        kinds: dict[str, dict[str, Array]] = {"weight": {}, "bias": {}, "scale": {}}
        for key, array in arrays.items():
            name, _, kind = key.rpartition(".")
            if kind not in kinds:
                raise ConfigError(f"{npz}: arrays: must be called LAYER.weight, LAYER.bias or LAYER.scale, got {key!r}")
            kinds[kind][name] = array
        try:
            return cls(
                network=file.network,
                formats=file.formats,
                weight_formats=file.weight_formats,
                weights=kinds["weight"],
                biases=kinds["bias"],
                scales=kinds["scale"],
                accumulator_bits=file.accumulator_bits,
                rounding=file.rounding,
                dataset=file.dataset,
                notes=file.notes,
            )
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def check_name(path: Path) -> None:
    """Raises ConfigError where a bundle cannot have the name `path`."""
    if path.suffix != ".yaml":
        raise ConfigError(f"bundle: the name must end in .yaml, got {path}")


class _Arrays(Strict):
    file: Annotated[str, Field(pattern=r"^[^/\\]+\.npz$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _BundleFile(Strict):
    """The YAML file."""

    psconv_bundle: Annotated[Literal[1], Version1]
    network: Network
    formats: dict[str, Format]
    weight_formats: dict[str, Format]
    accumulator_bits: dict[str, int] = {}
    rounding: fixed.Rounding = "half_up"
    dataset: str | None = None
    notes: dict[str, Note] = {}
    arrays: _Arrays


def _formats_dump(formats: dict[str, Format]) -> dict[str, dict[str, int]]:
    return {name: {"bits": form.bits, "frac": form.frac} for name, form in formats.items()}


def _same_keys(what: str, found: Mapping[str, object], expected: set[str]) -> None:
    _known_keys(what, found, expected)
    if missing := sorted(expected - set(found)):
        raise ConfigError(f"{what}: {missing[0]}: this key is missing")


def _known_keys(what: str, found: Mapping[str, object], expected: set[str]) -> None:
    if unknown := sorted(set(found) - expected):
        raise ConfigError(f"{what}: must have keys of {', '.join(sorted(expected)) or 'none'}, got {unknown[0]!r}")


def _check_array(what: str, array: Array, dtype: type[np.integer[Any]], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype:
        raise ConfigError(f"{what}: type must be {np.dtype(dtype)}, got {array.dtype}")
    if array.shape != shape:
        raise ConfigError(f"{what}: shape must be {list(shape)}, got {list(array.shape)}")


def _npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """An npz file, the same for the same arrays: members sorted, each dated at the epoch of zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(arrays[name]), version=(1, 0))
            archive.writestr(member, data.getvalue(), compresslevel=9)
    return buffer.getvalue()
