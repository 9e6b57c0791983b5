"""Convolution over a periodic support by the compiled kernel: against PyTorch's dense one, by every instruction set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from pymodel.common import compiled  # noqa: E402
from pymodel.common.compiled import Native  # noqa: E402
from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.network.supports import Support  # noqa: E402
from pymodel.nn import periodic  # noqa: E402
from pymodel.nn.native import convolution  # noqa: E402
from pymodel.nn.native.build import KERNEL  # noqa: E402
from pymodel.nn.psconv2d import PSConv2d, convert, papers_rule  # noqa: E402

NATIVES = [Native(KERNEL.load(), number) for number in KERNEL.supported()]
SETS = [KERNEL.instruction_sets[native.instruction_set] for native in NATIVES]
# Of sums of a thousand products of numbers about 1, relative to the largest of them.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 3e-6, torch.bfloat16: 2**-8}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    periodic.use("auto")


@dataclass(frozen=True)
class Case:
    """A convolution."""

    support: Support
    images: int
    cin: int
    cout: int
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]  # left, right, top, bottom
    dilation: tuple[int, int]
    dtype: torch.dtype = torch.float32
    seed: int = 0

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x, weights (nonzero off the support as well), bias."""
        generator = torch.Generator().manual_seed(self.seed)
        kernel = self.support.kernel
        shapes = ((self.images, self.cin, *self.size), (self.cout, self.cin, kernel, kernel), (self.cout,))
        x, weight, bias = (torch.randn(shape, generator=generator).to(self.dtype) for shape in shapes)
        return x, weight, bias

    def dense(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """By PyTorch, in float64, of the masked weights."""
        masked = weight.double() * torch.from_numpy(self.support.mask(self.cout, self.cin))
        padded = functional.pad(x.double(), self.padding)
        return functional.conv2d(padded, masked, bias.double(), self.stride, 0, self.dilation)

    def window(self) -> convolution.Window:
        kernel = self.support.kernel
        return convolution.Window(
            tuple(self.support.elements()),
            self.support.period,
            (kernel, kernel),
            self.stride,
            (self.padding[2], self.padding[0]),
            self.dilation,
        )


@st.composite
def supports(draw: st.DrawFn) -> Support:
    if draw(st.booleans()):
        name = draw(st.sampled_from(["PSD1_P16", "PSD4_P8", "PS4_P4", "PS2_P6", "PS1_P9", "PSD2_P16", "PSD1_P33"]))
        return Support.parse(name, 3)
    kernel = draw(st.sampled_from([2, 3, 5]))
    taps = st.lists(st.integers(0, kernel**2 - 1), min_size=1, unique=True).map(sorted)
    return Support.custom(draw(st.lists(taps, min_size=1, max_size=20)), kernel)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    support, dilation = draw(supports()), draw(st.tuples(*[st.integers(1, 2)] * 2))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    least = [(support.kernel - 1) * step + 1 for step in dilation]
    size = tuple(
        draw(st.integers(max(1, reach - before - after), 11))
        for reach, before, after in zip(least, padding[2::-2], padding[3::-2], strict=True)
    )
    return Case(
        support,
        images=draw(st.integers(1, 6)),
        cin=draw(st.integers(1, 70)),
        cout=draw(st.integers(1, 150)),
        size=size,
        stride=draw(st.tuples(*[st.integers(1, 3)] * 2)),
        padding=padding,
        dilation=dilation,
        dtype=draw(st.sampled_from(list(TOLERANCE))),
        seed=draw(st.integers(0, 1 << 20)),
    )


def close(made: torch.Tensor, expected: torch.Tensor) -> None:
    """Within what rounding of operands that are exact in `made`'s type allows."""
    assert made.shape == expected.shape
    error = (made.double() - expected).abs().max() / expected.abs().max().clamp(min=1)
    assert error <= TOLERANCE[made.dtype], float(error)


WIDE = Case(Support.parse("PSD1_P16", 3), 3, 80, 144, (17, 40), (1, 1), (1, 1, 1, 1), (1, 1))  # several bands of rows


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@given(case=cases())
@example(case=WIDE)
@example(case=Case(Support.parse("PSD1_P16", 3), 9, 512, 512, (4, 4), (1, 1), (1, 1, 1, 1), (1, 1)))
@example(case=Case(Support.parse("PS1_P9", 3), 2, 64, 64, (8, 8), (2, 2), (1, 1, 1, 1), (1, 1), torch.bfloat16))
@settings(max_examples=40, deadline=None)
def test_equals_the_dense_convolution_and_its_gradients(native: Native, case: Case) -> None:
    x, weight, bias = (tensor.requires_grad_() for tensor in case.tensors())
    expected = case.dense(x, weight, bias)
    given_gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(case.dtype)
    by_x, by_weight = torch.autograd.grad(expected, (x, weight), given_gradient.double())
    with torch.no_grad():
        size = (expected.shape[2], expected.shape[3])
        close(convolution.forward(native, case.window(), x, weight, bias, size), expected)
        close(convolution.input_gradient(native, case.window(), given_gradient, weight, x.shape), by_x.double())
        made = convolution.weight_gradient(native, case.window(), given_gradient, x, weight)
        close(made, by_weight.double())
        mask = torch.from_numpy(case.support.mask(case.cout, case.cin))
        assert not made[~mask].any()


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_the_same_bits_with_any_number_of_threads(native: Native, dtype: torch.dtype) -> None:
    case = Case(Support.parse("PSD1_P16", 3), 5, 40, 72, (9, 10), (2, 1), (1, 1, 1, 1), (1, 1), dtype)
    x, weight, bias = case.tensors()
    gradient = torch.randn(5, 72, 5, 10).to(dtype)

    def results(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        return [
            convolution.forward(native, case.window(), x, weight, bias, (5, 10)),
            convolution.input_gradient(native, case.window(), gradient, weight, x.shape),
            convolution.weight_gradient(native, case.window(), gradient, x, weight),
        ]

    alone = results(1)
    for threads in (2, 3, 7):
        assert all(torch.equal(one, two) for one, two in zip(alone, results(threads), strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_layout_of_images_and_weights(layout: torch.memory_format) -> None:
    case = Case(Support.parse("PSD4_P8", 3), 2, 20, 24, (7, 6), (1, 2), (1, 1, 1, 1), (1, 1))
    x, weight, bias = case.tensors()
    gradient = torch.randn(2, 24, 7, 3)
    native, window = NATIVES[-1], case.window()
    plain = convolution.forward(native, window, x, weight, bias, (7, 3))
    by_weight = convolution.weight_gradient(native, window, gradient, x, weight)
    x, weight, gradient = (value.contiguous(memory_format=layout) for value in (x, weight, gradient))
    bias, every_other = torch.stack([bias, bias], 1)[:, 0], torch.stack([weight, weight], 4)[..., 0]
    assert torch.equal(convolution.forward(native, window, x, every_other, bias, (7, 3)), plain)
    for own in (weight, every_other):
        assert torch.equal(convolution.weight_gradient(native, window, gradient, x, own), by_weight)


def test_what_is_not_a_number_stays_where_it_is() -> None:
    """Neither weights off the support nor other images and channels of a shorter last block are touched."""
    case = Case(Support.parse("PSD1_P16", 3), 3, 21, 18, (6, 6), (1, 1), (1, 1, 1, 1), (1, 1))
    x, weight, bias = case.tensors()
    native, window = NATIVES[-1], case.window()
    clean = convolution.forward(native, window, x, weight, bias, (6, 6))
    weight[torch.from_numpy(~case.support.mask(18, 21))] = float("nan")
    x[1] = float("inf")
    poisoned = convolution.forward(native, window, x, weight, bias, (6, 6))
    assert torch.equal(poisoned[[0, 2]], clean[[0, 2]])
    assert torch.isfinite(convolution.input_gradient(native, window, clean, weight, x.shape)).all()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("support", ["PSD1_P16", "PS1_P9"])
def test_gradcheck(stride: int, support: str) -> None:
    periodic.use("sparse")
    conv = PSConv2d(9, 5, 3, stride=stride, padding=1, support=support, dtype=torch.float64)
    x = torch.randn(2, 9, 4, 3, dtype=torch.float64, requires_grad=True)

    def function(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return conv.convolve(x, weight, bias)

    assert periodic.applies(x, conv.weight, conv.support)
    assert torch.autograd.gradcheck(function, (x, conv.weight, conv.bias))


@pytest.mark.parametrize("kernels", ["sparse", "auto"])
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 1, 2, 0)])
def test_the_operators_are_what_pytorch_expects(
    kernels: periodic.Kernels, padding: periodic.Padding, monkeypatch: pytest.MonkeyPatch
) -> None:
    periodic.use(kernels)
    x, weight, bias = torch.randn(2, 17, 5, 6), torch.randn(20, 17, 3, 3), torch.randn(20)
    arguments = ("PSD4_P8", [1, 2], list(padding), [1, 1])
    out = torch.ops.psconv.conv2d(x, weight, bias, *arguments)
    operands = [value.requires_grad_() for value in (x, weight, bias)]
    torch.library.opcheck(torch.ops.psconv.conv2d.default, (*operands, *arguments), rtol=1e-4, atol=1e-4)
    for gradient in (torch.ops.psconv.conv2d_input, torch.ops.psconv.conv2d_weight):
        given_gradient = torch.randn_like(out)
        checks = ("test_schema", "test_faketensor")
        torch.library.opcheck(gradient.default, (given_gradient, x, weight, *arguments), test_utils=checks)


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 1, 2, 0)])
def test_both_ways_of_each_operator_agree_and_a_choice_is_kept(padding: periodic.Padding) -> None:
    support = Support.parse("PSD2_P8", 3)
    x, weight = torch.randn(2, 17, 7, 6, requires_grad=True), torch.randn(20, 17, 3, 3, requires_grad=True)

    def results() -> list[torch.Tensor]:
        out = periodic.conv2d(x, weight, None, support, (2, 1), padding)
        return [out, *torch.autograd.grad(out.square().sum(), (x, weight))]

    first = results()
    found = {key: value for key, value in periodic.choices().items() if "[17, 7, 6], 20," in key}
    assert len(found) >= 3
    assert all(torch.equal(one, two) for one, two in zip(first, results(), strict=True))
    periodic.restore(dict.fromkeys(found, True))
    ours = results()
    periodic.restore(dict.fromkeys(found, False))
    theirs = results()
    assert any(not torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))  # they round differently
    for one, two in zip(ours, theirs, strict=True):
        assert one.stride() == two.stride()
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_the_slower_way_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    support, slow = Support.parse("PSD1_P8", 3), convolution.forward
    x, weight = torch.randn(3, 16, 9, 5), torch.randn(16, 16, 3, 3)

    def sleepy(*arguments: object) -> torch.Tensor:
        calls.append(1)
        time.sleep(0.05)
        return slow(*arguments)

    calls: list[int] = []
    monkeypatch.setattr(convolution, "forward", sleepy)
    for _ in range(3):
        periodic.conv2d(x, weight, None, support)
    assert len(calls) == periodic.PROBE_ROUNDS


def test_where_it_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(8, 64, 32, 32), torch.randn(64, 64, 3, 3)
    support = Support.parse("PSD1_P16", 3)
    assert periodic.applies(x, weight, support)
    assert not periodic.applies(x[:1, :, :8, :8], weight, support)  # small
    assert not periodic.applies(x.half(), weight.half(), support)
    assert not periodic.applies(x.double(), weight.double(), support)
    assert not periodic.applies(x, weight.double(), support)
    assert not periodic.applies(x[0], weight, support)
    assert not periodic.applies(x, weight, Support.parse("dense", 3))
    assert not periodic.applies(x, weight, PSConv2d(64, 64, 3, support="pSC2").support)
    with torch.autocast("cpu", torch.bfloat16):
        assert periodic.applies(x, weight, support)
    with torch.autocast("cpu", torch.float16):
        assert not periodic.applies(x, weight, support)
    periodic.use("sparse")
    assert periodic.applies(x.double(), weight.double(), support)
    assert not periodic.applies(x[:0], weight, support)
    periodic.use("dense")
    assert not periodic.applies(x, weight, support)
    periodic.use("auto")
    monkeypatch.setenv(KERNEL.switch, "off")
    assert not periodic.applies(x, weight, support) and KERNEL.describe() == "none (PSCONV_TRAINING=off)"
    monkeypatch.setenv(KERNEL.switch, "sse9")
    with pytest.raises(ConfigError, match="environment: PSCONV_TRAINING: must be off or one of plain, avx2, avx512"):
        periodic.applies(x, weight, support)


def test_without_a_compiler_all_is_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> Path:
        raise compiled.Unavailable("no c++")

    for cached in ("_chosen", "_load"):
        monkeypatch.setattr(compiled, cached, getattr(compiled, cached).__wrapped__)
    monkeypatch.setattr(compiled, "build", fails)
    conv, x = PSConv2d(64, 64, 3, support="PSD1_P16"), torch.randn(8, 64, 32, 32)
    assert not periodic.applies(x, conv.weight, conv.support)
    assert KERNEL.describe() == "none (no c++)"
    assert torch.equal(conv(x), functional.conv2d(x, conv.masked_weight, conv.bias))


def test_the_instruction_sets_are_those_that_the_system_reports() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].splitlines()[0].split())
    assert ("avx2" in SETS) == ({"avx2", "fma"} <= flags)
    assert ("avx512" in SETS) == ({"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= flags)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("padding", [2, (1, 0), "same", "valid"])
def test_every_padding_of_the_module(mode: str, padding: int | tuple[int, int] | str) -> None:
    conv = PSConv2d(12, 14, 3, padding=padding, padding_mode=mode, dilation=(1, 2), support="PSD1_P8")
    x = torch.randn(2, 12, 8, 9)
    expected = conv(x)
    periodic.use("sparse")
    assert periodic.applies(x, conv.weight, conv.support)
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-5)


def test_autocast_rounds_operands_as_for_a_dense_convolution() -> None:
    conv, x = PSConv2d(16, 32, 3, support="PSD1_P16"), torch.randn(2, 16, 6, 6)
    rounded = functional.conv2d(
        x.bfloat16().double(), conv.masked_weight.bfloat16().double(), conv.bias.bfloat16().double()
    )
    periodic.use("sparse")
    with torch.autocast("cpu", torch.bfloat16):
        made = conv(x)
    assert made.dtype == torch.bfloat16
    close(made, rounded)
    made.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32 and not conv.weight.grad[conv.pruned].any()


def small_network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.Flatten(), nn.Linear(24 * 36, 4)
    )
    return convert(model, papers_rule(model, "PSD4_P8"))


def test_an_exported_program_needs_nothing_of_this_package() -> None:
    periodic.use("sparse")
    model, x = small_network(), torch.randn(2, 3, 6, 6)
    exported = torch.export.export(model, (x,))
    assert "psconv" not in exported.graph_module.code
    torch.testing.assert_close(exported.module()(x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::DeprecationWarning")  # of PyTorch's compiler, by itself
def test_compiled_by_torch() -> None:
    periodic.use("sparse")
    model, x = small_network(), torch.randn(2, 3, 6, 6)
    expected = model(x)
    expected.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    made = torch.compile(model, fullgraph=True)(x)
    made.square().sum().backward()
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-4)
