"""Makes the files of this folder: python make.py. The versions that did stand in README.md; psconv itself needs none.

Small networks that brevitas trains on scikit-learn's handwritten digits, as QONNX, and a float network by torch's
exporter of programs, which needs onnxscript.
"""

from __future__ import annotations

from pathlib import Path

import brevitas.nn as qnn
import onnx
import torch
from brevitas.export import export_qonnx
from brevitas.nn.utils import merge_bn
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).parent
TRAINED = 1400  # of the 1,797 digits


class Digits(nn.Module):
    """A residual network at `bits` bits; power-of-two scales, or real ones and weights with one for each channel."""

    def __init__(self, bits: int, powers: bool, bias: bool) -> None:
        super().__init__()
        self.powers = powers
        weight = Int8WeightPerTensorFixedPoint if powers else Int8WeightPerChannelFloat
        signed = Int8ActPerTensorFixedPoint if powers else Int8ActPerTensorFloat
        unsigned = Uint8ActPerTensorFixedPoint if powers else Uint8ActPerTensorFloat
        biases = {"bias": True, "bias_quant": Int32Bias} if bias else {"bias": False}

        def conv(i: int, o: int, **more: int) -> nn.Module:
            return qnn.QuantConv2d(i, o, 3, padding=1, weight_quant=weight, weight_bit_width=bits, **biases, **more)

        def relu() -> nn.Module:
            return qnn.QuantReLU(act_quant=unsigned, bit_width=bits, return_quant_tensor=True)

        def act(width: int) -> nn.Module:
            return qnn.QuantIdentity(act_quant=signed, bit_width=width, return_quant_tensor=True)

        self.inp = act(8)
        self.c1, self.b1, self.r1 = conv(1, 8), nn.BatchNorm2d(8), relu()
        self.c2, self.b2, self.q2 = conv(8, 8), nn.BatchNorm2d(8), act(bits)
        quants = {"input_quant": signed, "output_quant": signed}
        self.add = qnn.QuantEltwiseAdd(**quants, return_quant_tensor=True)
        self.r2 = relu()
        self.pool = nn.MaxPool2d(2)
        self.c3, self.b3, self.r3 = conv(8, 16, stride=2), nn.BatchNorm2d(16), relu()
        self.fc = qnn.QuantLinear(
            16 * 4, 10, bias=True, weight_quant=weight, weight_bit_width=bits, bias_quant=Int32Bias if bias else None
        )
        self.out = act(8) if bias else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inp(x)
        x = y = self.r1(self.b1(self.c1(x)))
        y = self.q2(self.b2(self.c2(y)))
        x = self.r2(self.add(x, y))
        x = self.pool(x)
        x = self.r3(self.b3(self.c3(x)))
        return self.out(self.fc(x.flatten(1)))

    def merge(self) -> None:
        """Batch norm into the weights before it."""
        for number in (1, 2, 3):
            merge_bn(getattr(self, f"c{number}"), getattr(self, f"b{number}"))
            setattr(self, f"b{number}", nn.Identity())


class Plain(nn.Module):
    """A float network with what exporters write differently: batch norm, a mean, a shuffle, joined channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.left = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.right = nn.Conv2d(8, 8, 1)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = torch.relu(self.left(x)) + x
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = torch.cat([self.pool(y), self.pool(self.right(x))], 1)
        return self.head(x.mean((2, 3)))


def train(net: nn.Module, epochs: int, rate: float) -> float:
    """The fraction of the digits not trained on that is right afterwards."""
    data = load_digits()
    x, t = torch.tensor(data.images / 16, dtype=torch.float32)[:, None], torch.tensor(data.target)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    for _ in range(epochs):
        net.train()
        for chosen in torch.randperm(TRAINED).split(64):
            loss = nn.functional.cross_entropy(value(net(x[chosen])), t[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval()
    with torch.no_grad():
        return float((value(net(x[TRAINED:])).argmax(1) == t[TRAINED:]).float().mean())


def value(found: torch.Tensor) -> torch.Tensor:
    return getattr(found, "value", found)


def one_file(name: str) -> None:
    """Weights into the file, and nothing that says where it was made."""
    path = HERE / name
    model = onnx.load(path)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    for one in (*model.graph.input, *model.graph.output, *model.graph.value_info, model.graph, model):
        del one.metadata_props[:]
    del model.graph.value_info[:]
    path.with_name(f"{name}.data").unlink(missing_ok=True)
    onnx.save(model, path)


def main() -> None:
    torch.set_num_threads(1)
    for name, bits, powers, bias in (
        ("w4_powers", 4, True, False),
        ("w4_integer_bias", 4, True, True),
        ("w6_real", 6, False, False),
    ):
        torch.manual_seed(1)
        net = Digits(bits, powers, False)
        print(name, train(net, 4, 1e-2))
        if bias:
            merged = Digits(bits, powers, True)
            net.merge()
            merged.merge()
            merged.load_state_dict(net.state_dict(), strict=False)
            net = merged
            print(name, "merged", train(net, 3, 1e-3))
        export_qonnx(net.eval(), torch.zeros(1, 1, 8, 8), export_path=str(HERE / f"{name}.onnx"))
        one_file(f"{name}.onnx")
    torch.manual_seed(2)
    plain = Plain()
    plain(torch.randn(16, 3, 8, 8))  # statistics
    torch.onnx.export(
        plain.eval(),
        (torch.zeros(2, 3, 8, 8),),
        HERE / "plain_dynamo.onnx",
        opset_version=18,
        dynamic_shapes=({0: torch.export.Dim("n")},),
    )
    one_file("plain_dynamo.onnx")


if __name__ == "__main__":
    main()
