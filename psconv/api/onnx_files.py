"""ONNX files to bundles and bundles to ONNX files, as the command line asks for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psconv.api.bundle import Bundle, Written, facts
from pymodel.common import bounds
from pymodel.common.arrays import Array, Floats
from pymodel.common.errors import NEEDS_TORCH, ConfigError
from pymodel.common.records import read_npz
from pymodel.frontend import onnx_file, onnx_run
from pymodel.frontend.from_onnx import graph_of
from pymodel.frontend.lower import FloatNetwork, lower
from pymodel.frontend.onnx_run import Deviation
from pymodel.frontend.pruned import with_supports
from pymodel.frontend.quantised import integers_of, to_bundle
from pymodel.frontend.to_onnx import write_onnx
from pymodel.golden import model as golden
from pymodel.network.bundle import check_name
from pymodel.network.topology import INPUT

COMPARED = 64  # images on which a bundle is compared with its file
CHECKED = 4  # images on which an exported file is compared with its bundle


@dataclass(frozen=True)
class ImportResult(Written):
    """What an import came to.

    kind: float, QONNX or QDQ. supports: of layers whose weights are largely zero. rounded: by layer, what of a
    quantised file's numbers a bundle has not exactly. deviations: of its outputs from the file's, in last places, on
    `compared` images: the calibration's, or some all over the input's range. Accuracies are of the calibration's
    images, where these have labels: file_accuracy is the file's own.
    """

    kind: str
    input_scale: float
    rounding: str
    supports: list[str]
    rounded: list[str]
    compared: int
    deviations: list[dict[str, Any]]
    file_accuracy: float | None
    fixed_accuracy: float | None


@dataclass(frozen=True)
class _Calibration:
    images: Floats | None = None
    labels: Array | None = None
    bits: dict[str, int] = field(default_factory=dict)
    per_channel: bool = False


@dataclass(frozen=True, eq=False)
class _Made:
    """A bundle, and what an ImportResult tells of how it was made."""

    bundle: Bundle
    scale: float
    rounding: str
    rounded: list[str]
    compared: int
    deviations: list[Deviation]


def import_onnx(
    path: Path,
    out: Path,
    calibration: Path | None = None,
    bits: dict[str, int] | None = None,
    per_channel: bool = False,
    masks: bool = False,
    finer: int | None = None,
) -> ImportResult:
    """Writes the bundle `out` of an ONNX file.

    calibration: .npz with `images` as the file takes them, which a float network needs, and, where there are, `labels`.
    bits, per_channel: of a float network, arguments of `psconv.quantize` by name. masks: pruned layers that no periodic
    support fits keep their mask. finer: of a quantised network, bits by which weights may get wider so that biases are
    finer. Raises ConfigError, which names all that cannot be built.
    """
    check_name(out)
    model = onnx_file.read_model(path)
    graph, pruned = with_supports(graph_of(onnx_file.simplified(model, path), str(path)), masks)
    kind = _kind(model)
    if kind != "float" and (bits or per_channel):
        raise ConfigError(f"bits, --per-channel: must be left out for {path}, which is quantised ({kind}) already")
    if kind == "float" and finer is not None:
        raise ConfigError(f"--finer: must be left out for {path}, a float network, whose biases have 32 bits")
    if kind == "float" and calibration is None:
        raise ConfigError(f"--calibration: must be given for {path}, a float network: an .npz with the array `images`")
    lowered = lower(graph)
    given = _read(calibration, graph.input_shape, bits or {}, per_channel)
    run = onnx_run.runner(model)
    made = _float(lowered, given) if kind == "float" else _quantised(lowered, run, given, graph.input_shape, finer or 0)
    bundle = made.bundle
    bundle.save(out)
    file_accuracy = fixed_accuracy = None
    if given.images is not None and given.labels is not None:
        best = run(given.images)[0].argmax(axis=1)
        file_accuracy = float((best == given.labels.reshape(best.shape)).mean())
        entering = given.images if kind == "float" else integers_of(given.images, lowered.quantisers[INPUT])
        fixed_accuracy = bundle.evaluate(entering.reshape(-1, *bundle.network.input.shape), given.labels)
    return ImportResult(
        **facts(bundle, out),
        kind=kind,
        input_scale=made.scale,
        rounding=made.rounding,
        supports=[str(one) for one in pruned],
        rounded=made.rounded,
        compared=made.compared,
        deviations=[asdict(one) for one in made.deviations],
        file_accuracy=file_accuracy,
        fixed_accuracy=fixed_accuracy,
    )


@dataclass(frozen=True)
class ExportResult:
    """What an export came to.

    identical_images: for which onnxruntime gave the golden model's integers; None where it is not installed.
    """

    onnx: str
    kind: str
    nodes: int
    identical_images: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_onnx(path: Path, onnx: Path, qonnx: bool) -> ExportResult:
    """Writes the ONNX file of the bundle in `path`, and runs it. Raises ConfigError; AssertionError where what it gives
    is not the golden model's: that is an error of this program."""
    bundle = Bundle.load(path)
    write_onnx(bundle, onnx, qonnx)
    model = onnx_file.read_model(onnx)
    return ExportResult(str(onnx), "QONNX" if qonnx else "QDQ", len(model.graph.node), _identical(bundle, model))


def _identical(bundle: Any, model: Any) -> int | None:
    try:
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError:
        return None
    form = bundle.formats[INPUT]
    rng = np.random.default_rng(0)
    images = rng.integers(form.min, form.max + 1, (CHECKED, *bundle.network.input.shape))
    expected = golden.run(bundle, images)
    for name, real in zip(bundle.network.outputs, onnx_run.runner(model)(form.real(images)), strict=True):
        ours = np.ldexp(real.astype(np.float64), bundle.formats[name].frac).reshape(expected[name].shape)
        if not np.array_equal(ours, expected[name]):
            raise AssertionError(f"layer {name}: the exported file does not give the golden model's integers")
    return CHECKED


def _kind(model: Any) -> str:
    if any(onnx_file.is_quant(node) for node in model.graph.node):
        return "QONNX"
    ops = {node.op_type for node in model.graph.node}
    return "QDQ" if ops & {"QuantizeLinear", "DequantizeLinear"} else "float"


def _read(path: Path | None, shape: tuple[int, ...], bits: dict[str, int], per_channel: bool) -> _Calibration:
    """Images and labels of an .npz file. Raises ConfigError, naming it."""
    for name, value in bits.items():
        bounds.TENSOR_BITS.check(value, name)
    if path is None:
        return _Calibration()
    arrays = read_npz(path)
    if "images" not in arrays:
        raise ConfigError(f"{path}: must hold an array 'images', got {', '.join(sorted(arrays)) or 'none'}")
    images, labels = arrays["images"], arrays.get("labels")
    if images.dtype.kind not in "fiu" or images.shape[1:] != shape or not len(images):
        wanted = ", ".join(map(str, shape))
        raise ConfigError(f"{path}: images: must be numbers [n, {wanted}], got {images.dtype} {list(images.shape)}")
    real = images.astype(np.float64)
    if not np.isfinite(real).all():
        raise ConfigError(f"{path}: images: must be finite, got {int((~np.isfinite(real)).sum())} values that are not")
    if labels is not None and (labels.dtype.kind not in "iu" or len(labels) != len(images)):
        raise ConfigError(f"{path}: labels: must be {len(images)} integers, got {labels.dtype} {list(labels.shape)}")
    return _Calibration(real, labels, bits, per_channel)


def _quantised(
    lowered: FloatNetwork, run: onnx_run.Run, given: _Calibration, shape: tuple[int, ...], finer: int
) -> _Made:
    """A network that was quantised, compared with its file."""
    entering = lowered.quantisers[INPUT]
    images = onnx_run.sample(entering, shape, COMPARED) if given.images is None else given.images[:COMPARED]
    reaches = {name: float(np.abs(real).max()) for name, real in zip(lowered.network.outputs, run(images), strict=True)}
    found = to_bundle(lowered, reaches, finer)
    rounded = [f"{name}: {what}" for name, all_of in found.rounded.items() for what in all_of]
    deviations = onnx_run.deviations(run, found, lowered.quantisers, images, entering)
    return _Made(Bundle.of(found.bundle), entering.scale, found.rounding, rounded, len(images), deviations)


def _float(lowered: FloatNetwork, given: _Calibration) -> _Made:
    """A float network, quantised with the scales that lose least on the images."""
    try:
        from psconv.api.models import QuantisedModel
        from pymodel.training.post_training import to_fixed_point
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"quantising a float network {NEEDS_TORCH}") from error
    assert given.images is not None
    images = given.images.reshape(-1, *lowered.network.input.shape)
    bits = {name: given.bits.get(name, 8) for name in ("weight_bits", "activation_bits", "output_bits")}
    fixed = to_fixed_point(lowered, images, **bits, per_channel=given.per_channel)
    bundle = QuantisedModel(fixed, lowered, len(images)).bundle()
    return _Made(bundle, bundle.formats[INPUT].scale, "half_up", [], 0, [])
