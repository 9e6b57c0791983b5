"""SynFlow and low rank: against their definitions, at equal weights, through training, bundle and counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.places import EXAMPLES

torch = pytest.importorskip("torch")

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.counts.complexity import compare_variants, complexity  # noqa: E402
from pymodel.counts.storage import network_storage, total  # noqa: E402
from pymodel.counts.traffic import network_traffic  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402
from pymodel.network.supports import MaskSupport, UnstructuredSupport  # noqa: E402
from pymodel.network.topology import Conv, Network  # noqa: E402
from pymodel.network.zoo import digits, mobilenet_v2, sparse_convs  # noqa: E402
from pymodel.nn import synflow  # noqa: E402
from pymodel.nn.baselines import initialised  # noqa: E402
from pymodel.nn.build import NetworkModule  # noqa: E402
from pymodel.nn.lowrank import choose_ranks, low_rank  # noqa: E402
from pymodel.nn.synflow import synflow_masks  # noqa: E402
from pymodel.nn.variants import family, make_network  # noqa: E402
from pymodel.training.config import Optimiser  # noqa: E402
from pymodel.training.folder import load_topology  # noqa: E402
from pymodel.training.optimiser import make_optimiser  # noqa: E402
from pymodel.training.quantise import quantise  # noqa: E402
from pymodel.training.train import train  # noqa: E402

torch.set_num_threads(1)  # tensors are tiny here: threads would only wait for each other

CONFIG = EXAMPLES / "digits" / "train.yaml"
BASELINES = ("SynFlow@PSD1_P16", "SVD@PSD1_P16")


def chain(seed: int) -> NetworkModule:
    """Three convolutions, two of them to be pruned, and a pool: small enough to try every weight."""
    layers = [
        Conv(name="a", input="input", out_channels=3, kernel=3, padding=1, relu=True, batch_norm=True, bias=False),
        Conv(name="b", input="a", out_channels=4, kernel=3, stride=2, padding=1, relu=True, bias=False),
        Conv(name="c", input="b", out_channels=2, kernel=3, padding=1, bias=False),
    ]
    torch.manual_seed(seed)
    source = {"channels": 2, "height": 5, "width": 4}
    return NetworkModule(Network(name="chain", input=source, layers=layers, output="c"))


def flow(network: NetworkModule) -> float:
    """R of the paper: the sum of outputs for ones, of the network of magnitudes."""
    x = torch.ones(1, 2, 5, 4, dtype=torch.float64)
    for name, stride in (("a", 1), ("b", 2), ("c", 1)):
        weight = network.layers[name].conv.weight.detach().double().abs()
        x = torch.nn.functional.conv2d(x, weight, stride=stride, padding=1)
    return float(x.sum())


def test_a_round_of_synflow_prunes_the_weights_that_carry_least(monkeypatch: pytest.MonkeyPatch) -> None:
    # R is linear in each weight: w * dR/dw is what R loses without w.
    network, losses = chain(3), []
    whole = flow(network)
    for name in ("b", "c"):
        weight = network.layers[name].conv.weight
        for index in np.ndindex(*weight.shape):
            saved = weight[index].item()
            with torch.no_grad():
                weight[index] = 0
                losses.append(whole - flow(network))
                weight[index] = saved
    monkeypatch.setattr(synflow, "ROUNDS", 1)
    keep = 50
    masks = synflow_masks(network, ("b", "c"), keep)
    found = np.concatenate([masks["b"].ravel(), masks["c"].ravel()])
    expected = np.zeros(len(losses), bool)
    expected[np.argsort(losses)[-keep:]] = True
    assert (found == expected).all()


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 180), st.integers(0, 5))
def test_synflow_keeps_exactly_as_many_and_cuts_no_layer_through(keep: int, seed: int) -> None:
    network = chain(seed)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    masks = synflow_masks(network, ("b", "c"), keep)
    assert sum(int(mask.sum()) for mask in masks.values()) == keep
    assert all(mask.any() for mask in masks.values())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_synflow_refuses_impossible_numbers() -> None:
    for keep in (0, 181):
        with pytest.raises(ConfigError, match="1 to 180"):
            synflow_masks(chain(0), ("b", "c"), keep)


@pytest.mark.parametrize("support", ["PSD1_P16", "PSD4_P8", "PS1_P9", "dense"])
def test_synflow_has_the_weights_of_the_support(support: str) -> None:
    pruned = make_network("digits", "digits", f"SynFlow@{support}")
    assert complexity(pruned).total("weights") == complexity(make_network("digits", "digits", support)).total("weights")
    changed = {layer.name for layer in pruned.layers if isinstance(layer, Conv) and layer.support != "dense"}
    assert changed <= set(sparse_convs(digits()))


def test_synflow_starts_from_the_dense_weights() -> None:
    dense, pruned = initialised(digits(), "dense", 7), initialised(digits(), "SynFlow@PSD2_P8", 7)
    for name, value in pruned.state_dict().items():
        whole = dense.state_dict()[name]
        assert torch.equal(value, whole if value.dim() < 4 else whole * (value != 0))
    other = initialised(digits(), "SynFlow@PSD2_P8", 8).network
    assert other != pruned.network == initialised(digits(), "SynFlow@PSD2_P8", 7).network


def test_low_rank_is_the_best_approximation() -> None:
    torch.manual_seed(0)
    dense = initialised(digits(), "dense", 5)
    layers = sparse_convs(dense.network)
    small = low_rank(dense, layers, 9000)
    for name in layers:
        weight = dense.layers[name].conv.weight.detach()
        basis, mix = (small.layers[part].conv.weight.detach() for part in (f"{name}_basis", name))
        product = torch.einsum("or,rihw->oihw", mix[:, :, 0, 0], basis)
        values = np.linalg.svd(weight.flatten(1).double().numpy(), compute_uv=False)
        error = float((weight - product).square().sum())
        assert error == pytest.approx((values[len(basis) :] ** 2).sum(), rel=1e-4)  # Eckart and Young
    x = torch.randn(2, 16, 8, 8)
    conv, (basis, mix) = dense.layers["conv2"].conv, (small.layers[name].conv for name in ("conv2_basis", "conv2"))
    product = torch.einsum("or,rihw->oihw", mix.weight[:, :, 0, 0], basis.weight)
    assert torch.allclose(mix(basis(x)), torch.nn.functional.conv2d(x, product, padding=conv.padding), atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 12000))
def test_low_rank_uses_the_weights_it_is_given(more: int) -> None:
    dense = initialised(digits(), "dense", 0)
    layers = sparse_convs(dense.network)
    least = sum(sum(dense.layers[name].conv.weight.flatten(1).shape) for name in layers)
    costs = [sum(dense.layers[name].conv.weight.flatten(1).shape) for name in layers]
    small = complexity(low_rank(dense, layers, least + more).network).total("weights")
    others = complexity(dense.network).total("weights") - sum(dense.layers[n].conv.weight.numel() for n in layers)
    used = small - others
    assert used <= least + more
    whole = sum(int(np.prod(dense.layers[name].conv.weight.shape)) for name in layers)
    assert used > min(least + more, whole - sum(costs)) - min(costs)
    with pytest.raises(ConfigError, match=f"must be at least {least}, rank 1 in every layer, got {least - 1}"):
        low_rank(dense, layers, least - 1)


def test_ranks_go_where_the_error_is() -> None:
    class Layer:
        cost, most = 10, 4

        def __init__(self, *errors: float) -> None:
            self.errors = errors

        def error(self, rank: int) -> float:
            return self.errors[rank - 1]

    layers = [Layer(0.5, 0.4, 0.3, 0.2), Layer(0.45, 0.1, 0.05, 0.0)]
    assert choose_ranks(layers, 29) == [1, 1]
    assert choose_ranks(layers, 30) == [2, 1]
    assert choose_ranks(layers, 40) == [2, 2]
    assert choose_ranks(layers, 50) == [3, 2]
    assert choose_ranks(layers, 1000) == [4, 4]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_pruned_weights_stay_zero(name: str) -> None:
    network = initialised(digits(), "SynFlow@PSD1_P16", 2)
    masks = {conv: network.layers[conv].conv.pruned for conv in ("conv2", "conv3", "conv4")}
    optimiser = make_optimiser(network, Optimiser(name=name, lr=0.05, weight_decay=0.1))
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        images, labels = torch.rand(8, 1, 8, 8, generator=generator), torch.randint(0, 10, (8,), generator=generator)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    for conv, pruned in masks.items():
        weight = network.layers[conv].conv.weight
        assert pruned.any() and not weight[pruned].any() and weight[~pruned].all()


@pytest.mark.parametrize("variant", BASELINES)
def test_train_quantise_and_bundle(variant: str, tmp_path: Path) -> None:
    run, options = tmp_path / "run", (f"network.variant={variant}", "epochs=6", "quantise.qat_epochs=1")
    result = train(CONFIG, run, overrides=options)
    assert result.test_accuracy > 0.8
    topology = load_topology(run)
    quantised = quantise(run, tmp_path / "b.yaml", qat=True)
    assert quantised.fixed_accuracy > result.test_accuracy - 0.05
    bundle = Bundle.load(tmp_path / "b.yaml")  # checks that the weights lie on the masks
    assert bundle.network == topology.folded()
    for layer in bundle.network.weighted_layers():
        if isinstance(layer, Conv):
            weights = bundle.weights[layer.name]
            assert not weights[~layer.make_support().mask(*weights.shape[:2])].any()
    again = train(CONFIG, run, resume=True, overrides=options)
    assert again.weights == result.weights == complexity(topology).total("weights")


def test_a_run_with_other_masks_is_not_resumed(tmp_path: Path) -> None:
    options = ("network.variant=SynFlow@PSD1_P16", "epochs=1", "schedule.warmup_epochs=0")
    train(CONFIG, tmp_path, overrides=options)
    other = initialised(digits(), "SynFlow@PSD1_P16", 99).network
    (tmp_path / "network.json").write_text(json.dumps(other.spec()))
    with pytest.raises(ConfigError, match="other masks or ranks"):
        train(CONFIG, tmp_path, resume=True, overrides=options)


def test_counted_beside_the_support() -> None:
    names = ("PSD1_P16", *BASELINES)
    sparse, synflow_, svd = compare_variants(family("digits", "digits", names)).values()
    assert sparse.reduction("weights") == synflow_.reduction("weights")
    assert svd.reduction("weights") == pytest.approx(sparse.reduction("weights"), rel=0.05)
    assert svd.origin.macs == sparse.total("dense_macs")
    assert svd.reduction("macs") == svd.origin.macs / svd.macs > 1


def test_stored_beside_the_support() -> None:
    sparse, pruned, small = (
        total(network_storage(make_network("digits", "digits", name))) for name in ("PSD1_P16", *BASELINES)
    )
    assert "periodic" not in pruned and pruned["bitmap"] == sparse["bitmap"]
    assert sparse["periodic"].bits < min(pruned[form].bits for form in ("per_weight", "bitmap", "csr"))
    assert small["dense"] == small["csr"] and small["dense"].index_bits == 0


@pytest.mark.parametrize("support", ["PS1_P9", "PSD4_P8"])
def test_an_ideal_indexed_engine_multiplies_the_weights_there_are(support: str) -> None:
    network = make_network("digits", "digits", f"SynFlow@{support}")
    traffic = {layer.name: layer for layer in network_traffic(network, "csr").layers}
    for layer in complexity(network).layers:
        pixels = layer.macs // layer.weights
        products, cout = traffic[layer.name].products, layer.out_shape[0]
        # The last multiplication of a filter may keep some multipliers waiting: at most all but one.
        assert layer.macs <= products < (layer.weights + cout * 72) * pixels
    with pytest.raises(ConfigError, match="cannot be stored in it"):
        network_traffic(network, "periodic")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("SynFlow@", "support: must be dense.*, got ''"),
        ("SynFlow", "support: must be dense.*, got 'SynFlow'"),
        ("Magnitude@PS1_P9", "SynFlow or SVD"),
        ("SVD@SVD@PS1_P9", "SynFlow or SVD"),
        ("SVD@PS9_P9", "support: must be dense.*, got 'PS9_P9'"),
    ],
)
def test_wrong_names(variant: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_network("digits", "digits", variant)


def test_grouped_convolutions_have_no_rank() -> None:
    with pytest.raises(ConfigError, match="layer s1b1_depth: groups: must be 1"):
        low_rank(initialised(mobilenet_v2(), "dense", 0), ("s1b1_depth",), 1000)
    with pytest.raises(ConfigError, match="SVD@PSD4_P8: mobilenet_v2 has no convolution that PSD4_P8 changes"):
        initialised(mobilenet_v2(), "SVD@PSD4_P8", 0)


def test_masks_in_files() -> None:
    mask = UnstructuredSupport(2, 3, 0).mask(5, 4)
    support = MaskSupport.of(mask)
    assert (support.mask(5, 4) == mask).all() and support.weights(5, 4) == 40
    source = {"channels": 4, "height": 6, "width": 6}
    layer = {"name": "a", "input": "input", "out_channels": 5, "kernel": 3, "support": support.spec()}
    network = Network(name="n", input=source, layers=[{"op": "conv", **layer}], output="a")
    assert Network(**network.spec()) == network
    for change, message in (
        ({"out_channels": 6}, r"layer a: .*a mask \[6, 4, 3, 3\]"),
        ({"support": {"mask": "no base64!"}}, "must be the base64 text"),
        ({"support": {"mask": "bm8gemxpYg=="}}, "must be the base64 text"),
    ):
        with pytest.raises(ConfigError, match=message):
            Network(name="n", input=source, layers=[{"op": "conv", **layer, **change}], output="a")
