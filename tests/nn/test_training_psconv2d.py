"""PSConv2d: the pruned taps, under everything that could make them nonzero."""

import faulthandler
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.network.supports import Support  # noqa: E402
from pymodel.network.topology import Conv  # noqa: E402
from pymodel.network.zoo import make_network, sparse_convs  # noqa: E402
from pymodel.nn.psconv2d import PSConv2d, convert, papers_rule  # noqa: E402
from pymodel.training.config import Optimiser  # noqa: E402
from pymodel.training.distributed import joined  # noqa: E402
from pymodel.training.optimiser import make_optimiser  # noqa: E402
from tests.helpers.places import ROOT  # noqa: E402

torch.set_num_threads(1)  # tensors are tiny here: threads would only wait for each other

VARIANTS = ("PSD1_P16", "PSD4_P8", "PS4_P4", "PS2_P6", "PS1_P9", "pSC2", "dense")


def small_model(support: str = "PSD1_P16") -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        PSConv2d(8, 12, 3, padding=1, support=support),
        nn.ReLU(),
        PSConv2d(12, 5, 3, stride=2, bias=False, support=support),
        nn.Flatten(),
        nn.LazyLinear(4),
    )


def random_batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 3, 7, 7, generator=generator), torch.randint(0, 4, (4,), generator=generator)


def pruned_weights(model: nn.Module) -> torch.Tensor:
    convs = [module for module in model.modules() if isinstance(module, PSConv2d)]
    return torch.cat([conv.weight.detach()[conv.pruned] for conv in convs])


def take_steps(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images, labels = random_batch(generator)
        optimiser.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
        values = pruned_weights(model)
        assert len(values) and torch.equal(values, torch.zeros_like(values))


@pytest.mark.parametrize("support", VARIANTS)
def test_equals_a_dense_convolution_of_masked_weights(support: str) -> None:
    conv = PSConv2d(7, 10, 3, stride=2, padding=1, support=support)
    x = torch.randn(2, 7, 9, 6)
    mask = torch.from_numpy(conv.support.mask(10, 7))
    expected = functional.conv2d(x, conv.weight * mask, conv.bias, 2, 1)
    assert torch.equal(conv(x), expected)
    if support != "pSC2":
        assert np.array_equal(mask, Support.parse(support, 3).mask(10, 7))


def test_grouped_convolution() -> None:
    conv, x = PSConv2d(8, 12, 3, groups=2, support="PSD2_P8"), torch.randn(2, 8, 5, 5)
    mask = torch.from_numpy(Support.parse("PSD2_P8", 3).mask(12, 4))
    assert torch.equal(conv(x), functional.conv2d(x, conv.weight * mask, conv.bias, groups=2))
    assert torch.equal(conv.pruned, ~mask)


@pytest.mark.parametrize("poison", [1.0, float("nan"), float("inf")])
def test_right_whatever_was_written_into_the_parameter(poison: float) -> None:
    conv, x = PSConv2d(6, 6, 3, support="PSD2_P8"), torch.randn(2, 6, 5, 5)
    clean = conv(x).detach()
    conv.weight.data[conv.pruned] = poison  # .data: not even autograd's version counter sees it
    conv.weight.grad = None
    result = conv(x)
    result.square().sum().backward()
    assert torch.equal(result, clean)
    assert not conv.weight.grad[conv.pruned].any()
    assert torch.isfinite(conv.weight.grad).all()
    assert not conv.state_dict()["weight"][conv.pruned].any()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_pruned_taps_stay_zero(name: str) -> None:
    model = small_model()
    model(torch.zeros(1, 3, 7, 7))  # gives the lazy layer its shape
    before = [parameter.detach().clone() for parameter in model.parameters()]
    options = Optimiser(name=name, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1)
    take_steps(model, make_optimiser(model, options), steps=200, seed=1)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_pruned_taps_stay_zero_with_adam_and_coupled_decay() -> None:
    model = small_model()
    model(torch.zeros(1, 3, 7, 7))
    take_steps(model, torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1), steps=200, seed=1)


def train_in_one_of_several_processes(folder: str) -> None:
    """What torchrun starts: each process has its own data, and says what weights it ends with."""
    faulthandler.dump_traceback_later(300, exit=True)  # whoever waits for ever says where
    torch.set_num_threads(1)
    with joined("cpu") as process:
        model = small_model()
        model(torch.zeros(1, 3, 7, 7))
        optimiser = make_optimiser(model, Optimiser(lr=0.01, weight_decay=0.1))
        together = process.wrap(model)
        generator = torch.Generator().manual_seed(process.rank)
        for _ in range(200):
            images, labels = random_batch(generator)
            optimiser.zero_grad()
            functional.cross_entropy(together(images), labels).backward()
            optimiser.step()
            values = pruned_weights(model)
            assert torch.equal(values, torch.zeros_like(values))
        torch.save(dict(model.named_parameters()), f"{folder}/{process.rank}.pt")


def test_pruned_taps_stay_zero_in_two_processes(tmp_path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", __name__, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)  # they did train together


def test_fan_in_is_that_of_the_support() -> None:
    torch.manual_seed(0)
    conv = PSConv2d(160, 64, 3, support="PSD1_P16")
    fan_in = 10 * 24  # ten periods of 16 channels, 24 nonzeros each
    on_support = conv.weight.detach()[~conv.pruned]
    bound = fan_in**-0.5
    assert len(on_support) == 64 * fan_in
    assert 0.99 * bound < on_support.abs().max() <= bound * (1 + 1e-6)
    assert abs(on_support.std() / (bound / 3**0.5) - 1) < 0.02
    assert conv.bias.abs().max() <= bound * (1 + 1e-6)


def test_state_dict_goes_to_the_dense_twin_and_back() -> None:
    sparse, dense = PSConv2d(5, 7, 3, support="PS2_P6"), nn.Conv2d(5, 7, 3)
    x = torch.randn(1, 5, 6, 6)
    assert list(sparse.state_dict()) == list(dense.state_dict())
    dense.load_state_dict(sparse.state_dict())
    assert torch.equal(dense(x), sparse(x))
    nn.init.ones_(dense.weight)
    sparse.load_state_dict(dense.state_dict())
    assert not sparse.weight[sparse.pruned].any()
    assert (sparse.weight[~sparse.pruned] == 1).all()


def test_convert_by_the_papers_rule() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 16, 1)), nn.Conv2d(16, 4, 3, bias=False)
    )
    convert(model, papers_rule(model, "PSD4_P8"))
    kinds = [type(module) for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert kinds == [nn.Conv2d, PSConv2d, nn.Conv2d, PSConv2d]
    assert model[2].bias is None
    assert not pruned_weights(model).any()
    assert "PSD4_P8" in repr(model)


def test_convert_leaves_dense_what_the_support_is_not_defined_for() -> None:
    """Larger and oblong kernels, groups, 1x1: the model is converted, and computes as many outputs as before."""
    sizes = [(3, 1), (3, 1), (5, 1), (7, 1), ((3, 1), 1), (1, 1), (3, 2), (3, 8), (3, 1)]
    model = nn.Sequential(*(nn.Conv2d(8, 8, size, groups=groups) for size, groups in sizes))
    convert(model, papers_rule(model, "PSD1_P16"))
    assert [type(conv) is PSConv2d for conv in model] == [False, True, *6 * [False], True]
    assert model(torch.zeros(1, 8, 32, 32)).shape[:2] == (1, 8)
    five = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 5))
    convert(five, papers_rule(five, Support.custom([[0, 24], [12]], 5)))
    assert [type(conv) is PSConv2d for conv in five] == [False, False, True]
    with pytest.raises(ConfigError, match="PSD3_P8"):
        papers_rule(five, "PSD3_P8")


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "shufflenet", "mobilenet_v2", "digits"])
def test_the_rule_is_one(name: str) -> None:
    """What `convert` makes of a dense network in PyTorch is the network that a variant's name describes."""
    network = make_network(name, "digits" if name == "digits" else "cifar10")
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    shapes = network.shapes()
    model = nn.ModuleDict()
    for conv in convs:
        model[conv.name] = nn.Conv2d(shapes[conv.input][0], conv.out_channels, conv.kernel, groups=conv.groups)
    convert(model, papers_rule(model, "PSD1_P16"))
    changed = [layer_name for layer_name, conv in model.items() if type(conv) is PSConv2d]
    assert changed == list(sparse_convs(network)) and not any(model[one].groups > 1 for one in changed)


def test_convert_keeps_what_lies_on_the_support() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3))
    original = model[0].weight.detach().clone()
    convert(model, lambda name, conv: "PS4_P4")
    kept = ~model[0].pruned
    assert torch.allclose(model[0].weight[kept], original[kept] * (9 / 4) ** 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 3, "support": "PSD3_P8"}, "PSD3_P8"),
        ({"kernel_size": (3, 1), "support": "dense"}, "square"),
        ({"kernel_size": 1, "support": "PSD4_P8"}, "1x1"),
    ],
)
def test_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PSConv2d(8, 8, **arguments)


@pytest.mark.slow
def test_masks_cost_at_most_five_percent() -> None:
    from pymodel.training.timing import measure

    assert measure("PSD1_P16", width=16, batch=64, steps=15).ratio <= 1.05


if __name__ == "__main__":
    train_in_one_of_several_processes(sys.argv[1])
