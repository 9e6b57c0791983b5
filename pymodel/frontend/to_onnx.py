"""Bundles as ONNX files that give the golden model's integers, to the last place, in whatever runs them.

Images and results are real numbers: integers * 2**-frac. Weights and outputs of layers go through quantisers: pairs of
QuantizeLinear and DequantizeLinear (QDQ, which onnxruntime runs), or QONNX's Quant. ONNX rounds halves to the even
integer, a bundle upwards, so what is rounded is first made the integers themselves,

    floor(x * (1 / s) + 0.5) * s        with s = 2**-frac, the scale of the output

and a quantiser behind it only limits them. `from_onnx` reads this form back. All of it is exact: sums of less than
2**23 as float32, products with the scales of channels, longer sums and means as double; where a layer's sums could
leave 24 bits, its convolution is one of integers (ConvInteger, MatMulInteger).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError
from pymodel.frontend.from_onnx import NEAR
from pymodel.frontend.onnx_file import onnx_module
from pymodel.network import formats as fixed
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.topology import INPUT, Conv, Layer, Linear, Weighted

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 18, 9
SINGLE_BITS = 24  # of sums, sign included, to which a half can be added in float32
INTEGER_BITS = 32  # of ConvInteger's sums
FAR_APART = 12  # fractional bits between the inputs of an addition, above which it is made in double
_FLOAT, _DOUBLE, _UINT8 = 1, 11, 2  # onnx.TensorProto's numbers


def write_onnx(bundle: Bundle, path: Path, qonnx: bool = False) -> None:
    """Writes the file `path`. Raises ConfigError: another ending than .onnx; what `to_onnx` refuses."""
    if path.suffix != ".onnx":
        raise ConfigError(f"--onnx: the name must end in .onnx, got {path}")
    model = to_onnx(bundle, qonnx)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx_module().save(model, str(path))


def to_onnx(bundle: Bundle, qonnx: bool = False) -> ModelProto:
    """The model of a bundle: input float32 `input` [n, C, H, W], or [1, C, H, W] in QONNX, whose tools want to know it;
    outputs float32, called as their layers.

    Raises ConfigError, naming the layer, where sums need more than 32 bits.
    """
    return _Writer(bundle, qonnx).model()


class _Writer:
    def __init__(self, bundle: Bundle, qonnx: bool) -> None:
        self.onnx = onnx_module()
        self.bundle, self.qonnx = bundle, qonnx
        self.shapes = bundle.network.shapes()
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.tensors: dict[str, str] = {}  # of layers, [n, C, H, W]; of linear ones [n, C]
        self.flat: set[str] = set()  # of those, [n, C]
        self.half_up = getattr(bundle, "rounding", "half_up") == "half_up"

    def model(self) -> ModelProto:
        """The whole model."""
        helper, network = self.onnx.helper, self.bundle.network
        batch = 1 if self.qonnx else "n"
        form = self.bundle.formats[INPUT]
        self.tensors[INPUT] = self._quantised("images", form, self._rounded(INPUT, form, "images", False), "images")
        for layer in network.layers:
            self.tensors[layer.name] = getattr(self, layer.op)(layer)
        output: Any = network.output
        names = [output] if isinstance(output, str) else list(output)
        results = []
        for name in names:
            self._node("Identity", [self.tensors[name]], name, name)
            own = self.shapes[name]
            shape = [batch, *(own[:1] if self.tensors[name] in self.flat else own)]
            results.append(helper.make_tensor_value_info(name, _FLOAT, shape))
        graph = helper.make_graph(
            self.nodes,
            network.name,
            [helper.make_tensor_value_info(INPUT, _FLOAT, [batch, *network.input.shape])],
            results,
            [self.onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if self.qonnx:
            opsets.append(helper.make_opsetid("qonnx.custom_op.general", 1))
        model: ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="psconv"
        )
        return model

    def _node(self, op: str, inputs: list[str], out: str, name: str, **keys: Any) -> str:
        """A node; the name of its result."""
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [out], name=f"{name}/{op}", **keys))
        return out

    def _constant(self, name: str, value: Any, kind: type[np.generic] = np.float32) -> str:
        """The name of a constant; those of one name have one value."""
        self.constants[name] = np.asarray(value, kind)
        return name

    def _number(self, value: float, kind: type[np.generic] = np.float32) -> str:
        """A constant that is one number, named after it."""
        return self._constant(f"{value!r}_{np.dtype(kind).name}", value, kind)

    # Rounding and limits.

    def _rounded(self, source: str, form: Format, name: str, double: bool) -> str:
        """A tensor rounded to multiples of a format's scale, as the bundle rounds; `double`: it is one."""
        kind = np.float64 if double else np.float32
        if not self.half_up and not double:
            return source  # the quantiser itself rounds so
        whole = self._node("Mul", [source, self._number(1 / form.scale, kind)], f"{name}.scaled", f"{name}/scaled")
        if self.half_up:
            whole = self._node("Add", [whole, self._number(0.5, kind)], f"{name}.half", f"{name}/half")
            whole = self._node("Floor", [whole], f"{name}.whole", name)
        else:
            whole = self._node("Round", [whole], f"{name}.whole", name)
        return self._real(whole, form, name, double)

    def _real(self, whole: str, form: Format, name: str, double: bool) -> str:
        """Integers as the real numbers that they stand for, in float32; limited first, where they may be too large."""
        kind = np.float64 if double else np.float32
        if double:  # float32 keeps 24 bits: far outside the limits it may round, inside it never does
            ends = [self._number(end, kind) for end in NEAR]
            whole = self._node("Clip", [whole, *ends], f"{name}.near", f"{name}/near")
        real = self._node("Mul", [whole, self._number(form.scale, kind)], f"{name}.real", f"{name}/real")
        return self._node("Cast", [real], f"{name}.single", f"{name}/single", to=_FLOAT) if double else real

    def _quantised(self, name: str, form: Format, source: str, out: str) -> str:
        """A quantiser of a format: the tensor that comes out of it."""
        scale = self._number(form.scale)
        if self.qonnx:
            return self._quant(name, source, scale, form, f"{out}.quantised")
        if form.bits < 8:
            ends = [self._number(end * form.scale) for end in (form.min, form.max)]
            source = self._node("Clip", [source, *ends], f"{out}.limited", f"{name}/limits")
        zero = self._number(0, np.int8)
        integers = self._node("QuantizeLinear", [source, scale, zero], f"{out}.integers", name)
        return self._node("DequantizeLinear", [integers, scale, zero], f"{out}.quantised", name)

    def _quant(self, name: str, source: str, scale: str, form: Format, out: str) -> str:
        return self._node(
            "Quant",
            [source, scale, self._number(0), self._number(form.bits)],
            out,
            name,
            domain="qonnx.custom_op.general",
            signed=1,
            narrow=0,
            rounding_mode="ROUND",
        )

    def _finished(self, layer: Layer, source: str, double: bool) -> str:
        """What every layer that computes ends with: ReLU, rounding, limits."""
        name, form = layer.name, self.bundle.formats[layer.name]
        if getattr(layer, "relu", False):
            source = self._relu(layer, source, np.float64 if double else np.float32)
        rounded = self._rounded(source, form, name, double)
        return self._quantised(name, form, rounded, name)

    def _relu(self, layer: Layer, source: str, kind: type[np.generic] = np.float32) -> str:
        """ReLU, or where the layer has an upper bound below its format's, a clip."""
        form, high = self.bundle.formats[layer.name], self._high(layer)
        if high == form.max:
            return self._node("Relu", [source], f"{layer.name}.positive", layer.name)
        top = high * form.scale or float(
            getattr(layer, "clip", 0)
        )  # one that is rounded to 0 afterwards is not 0 itself
        ends = [self._number(end, kind) for end in (0.0, top)]
        return self._node("Clip", [source, *ends], f"{layer.name}.positive", layer.name)

    def _high(self, layer: Layer) -> int:
        """The greatest integer of a layer with a ReLU."""
        form, bound = self.bundle.formats[layer.name], getattr(layer, "clip", None)
        return form.max if bound is None else min(form.max, int(form.quantise(np.array(bound))))

    # Layers; each gives the tensor of its output.

    def conv(self, layer: Conv) -> str:
        keys = {
            "kernel_shape": [layer.kernel] * 2,
            "strides": [layer.stride] * 2,
            "pads": _pads(layer.padding),
            "group": layer.groups,
        }
        return self._weighted(layer, self._image(layer.input), keys)

    def linear(self, layer: Linear) -> str:
        source = self.tensors[layer.input]
        if source not in self.flat:
            source = self._node("Flatten", [source], f"{layer.name}.vector", layer.name, axis=1)
        found = self._weighted(layer, source, None)
        self.flat.add(found)
        return found

    def _weighted(self, layer: Weighted, source: str, keys: dict[str, Any] | None) -> str:
        """A convolution, with its attributes, or a fully connected layer."""
        name, bundle = layer.name, self.bundle
        into, form = bundle.formats[layer.input], bundle.weight_formats[name]
        bits = fixed.accumulator_bits(bundle.weights[name], bundle.bias(name), into.bits)
        scales = bundle.scales.get(name)
        unit = math.ldexp(1.0, -(into.frac + form.frac))  # the real value of a sum's integer 1
        if bits > SINGLE_BITS + 1:
            sums = self._integer_sums(layer, source, keys, bits, unit)
        else:
            weight = self._weights(name, form)
            inputs = [source, weight]
            if layer.bias:
                inputs.append(
                    self._constant(f"{name}.bias", np.ldexp(bundle.biases[name].astype(np.float64), _exponent(unit)))
                )
            if keys is None:
                sums = self._node("Gemm", inputs, f"{name}.sums", name, transB=1)
            else:
                sums = self._node("Conv", inputs, f"{name}.sums", name, **keys)
        double = bits > SINGLE_BITS or scales is not None
        if double and bits <= SINGLE_BITS + 1:
            sums = self._node("Cast", [sums], f"{name}.sums_double", f"{name}/sums_double", to=_DOUBLE)
        if scales is not None:
            each = scales.astype(np.float64).reshape(-1, *([] if keys is None else [1, 1]))
            factor = self._constant(f"{name}.scale", each, np.float64)
            sums = self._node("Mul", [sums, factor], f"{name}.products", f"{name}/scale")
        return self._finished(layer, sums, double)

    def _weights(self, name: str, form: Format) -> str:
        """The weights as real numbers, behind a quantiser."""
        scale, out = self._number(form.scale), f"{name}.weight"
        if self.qonnx:
            real = self._constant(f"{name}.weight_real", form.real(self.bundle.weights[name]))
            return self._quant(f"{name}/weight", real, scale, form, out)
        integers = self._constant(f"{name}.weight_integers", self.bundle.weights[name], np.int8)
        zero = self._number(0, np.int8)
        return self._node("DequantizeLinear", [integers, scale, zero], out, f"{name}/weight")

    def _integer_sums(self, layer: Weighted, source: str, keys: dict[str, Any] | None, bits: int, unit: float) -> str:
        """Sums that float32 does not hold, as double. Raises ConfigError where int32 does not either."""
        name, bundle = layer.name, self.bundle
        if bits > INTEGER_BITS:
            raise ConfigError(
                f"layer {name}: sums must have at most {INTEGER_BITS} bits, which ConvInteger has, got {bits}"
            )
        scale = self._number(1 / bundle.formats[layer.input].scale)
        whole = self._node("Mul", [source, scale], f"{name}.in_scaled", f"{name}/in_scaled")
        whole = self._node("Add", [whole, self._number(128.0)], f"{name}.in_shifted", f"{name}/in_shifted")
        integers = self._node("Cast", [whole], f"{name}.in_integers", f"{name}/in_integers", to=_UINT8)
        weights, zero = bundle.weights[name], self._number(128, np.uint8)
        if keys is None:
            inputs = [integers, self._constant(f"{name}.weight_integers", weights.T, np.int8), zero]
            sums = self._node("MatMulInteger", inputs, f"{name}.int32", name)
        else:
            inputs = [integers, self._constant(f"{name}.weight_integers", weights, np.int8), zero]
            sums = self._node("ConvInteger", inputs, f"{name}.int32", name, **keys)
        sums = self._node("Cast", [sums], f"{name}.int_double", f"{name}/int_double", to=_DOUBLE)
        if layer.bias:
            each = bundle.biases[name].astype(np.float64).reshape(-1, *([] if keys is None else [1, 1]))
            bias = self._constant(f"{name}.bias", each, np.float64)
            sums = self._node("Add", [sums, bias], f"{name}.int_biased", f"{name}/bias")
        return self._node("Mul", [sums, self._number(unit, np.float64)], f"{name}.sums", f"{name}/unit")

    def add(self, layer: Layer) -> str:
        left, right = (self._alike(layer, source) for source in layer.sources)
        flat = left in self.flat
        fracs = [self.bundle.formats[source].frac for source in layer.sources]
        double = max(*fracs, self.bundle.formats[layer.name].frac) - min(fracs) > FAR_APART
        if double:
            left, right = (
                self._node("Cast", [one], f"{layer.name}.{side}", f"{layer.name}/{side}", to=_DOUBLE)
                for side, one in (("left", left), ("right", right))
            )
        total = self._node("Add", [left, right], f"{layer.name}.sums", layer.name)
        found = self._finished(layer, total, double)
        if flat:
            self.flat.add(found)
        return found

    def relu(self, layer: Layer) -> str:
        (source,) = layer.sources
        found = self._relu(layer, self.tensors[source])
        if not self._high(layer):  # what is limited to such a bound is no number of the format
            form = self.bundle.formats[layer.name]
            found = self._quantised(layer.name, form, self._rounded(found, form, layer.name, False), layer.name)
        if self.tensors[source] in self.flat:
            self.flat.add(found)
        return found

    def maxpool(self, layer: Any) -> str:
        return self._node("MaxPool", [self._image(layer.input)], f"{layer.name}.largest", layer.name, **_window(layer))

    def avgpool(self, layer: Any) -> str:
        keys = _window(layer) | {"count_include_pad": 1}
        mean = self._node("AveragePool", [self._image(layer.input)], f"{layer.name}.mean", layer.name, **keys)
        return self._mean(layer, mean, layer.kernel**2)

    def global_avgpool(self, layer: Any) -> str:
        mean = self._node("GlobalAveragePool", [self._image(layer.input)], f"{layer.name}.mean", layer.name)
        _, height, width = self.shapes[layer.input]
        return self._mean(layer, mean, height * width)

    def _mean(self, layer: Layer, mean: str, count: int) -> str:
        """A mean, which float32 does not always hold, to the nearest integer: its sum is found again, and divided."""
        name, form = layer.name, self.bundle.formats[layer.name]
        double = self._node("Cast", [mean], f"{name}.double", f"{name}/double", to=_DOUBLE)
        factor = self._number(count / form.scale, np.float64)
        near = self._node("Mul", [double, factor], f"{name}.near_sum", f"{name}/sum")
        total = self._node("Round", [near], f"{name}.sum", f"{name}/sum")
        if self.half_up:
            twice = self._node("Mul", [total, self._number(2.0, np.float64)], f"{name}.twice", f"{name}/twice")
            odd = self._node("Add", [twice, self._number(float(count), np.float64)], f"{name}.odd", f"{name}/odd")
            parts = self._node("Div", [odd, self._number(2.0 * count, np.float64)], f"{name}.parts", name)
            whole = self._node("Floor", [parts], f"{name}.whole", name)
        else:
            parts = self._node("Div", [total, self._number(float(count), np.float64)], f"{name}.parts", name)
            whole = self._node("Round", [parts], f"{name}.whole", f"{name}/whole")
        return self._quantised(name, form, self._real(whole, form, name, True), name)

    def concat(self, layer: Layer) -> str:
        images = [self._image(source) for source in layer.sources]
        return self._node("Concat", images, f"{layer.name}.joined", layer.name, axis=1)

    def channel_shuffle(self, layer: Any) -> str:
        channels, height, width = self.shapes[layer.name]
        split = self._constant(
            f"{layer.name}.split", [0, layer.groups, channels // layer.groups, height, width], np.int64
        )
        whole = self._constant(f"{layer.name}.shape", [0, channels, height, width], np.int64)
        parts = self._node("Reshape", [self._image(layer.input), split], f"{layer.name}.parts", f"{layer.name}/split")
        turned = self._node("Transpose", [parts], f"{layer.name}.turned", layer.name, perm=[0, 2, 1, 3, 4])
        return self._node("Reshape", [turned, whole], f"{layer.name}.shuffled", layer.name)

    def _image(self, source: str) -> str:
        """A layer's output as [n, C, H, W]."""
        tensor = self.tensors[source]
        if tensor not in self.flat:
            return tensor
        image = f"{tensor}.image"
        if not any(image in node.output for node in self.nodes):
            axes = self._constant("image_axes", [2, 3], np.int64)
            self._node("Unsqueeze", [tensor, axes], image, f"{source}/image")
        return image

    def _alike(self, layer: Layer, source: str) -> str:
        """An input of an addition: vectors where all inputs are, else images."""
        vectors = all(self.tensors[one] in self.flat for one in layer.sources)
        return self.tensors[source] if vectors else self._image(source)


def _pads(padding: Any) -> list[int]:
    """A topology's padding as ONNX has it: top, left, bottom, right."""
    return [padding] * 4 if isinstance(padding, int) else list(padding)


def _window(layer: Any) -> dict[str, Any]:
    return {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": _pads(layer.padding)}


def _exponent(power: float) -> int:
    """k of 2**k."""
    return math.frexp(power)[1] - 1
