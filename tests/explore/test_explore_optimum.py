"""psconv explore and fits on small networks: the optimum with streams, what the top builds, rates given back."""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import numpy as np
import pytest
import yaml
from openhls.backend.targets import known_targets, least_period, load_target

from psconv.commands import explore, fits
from psconv.synthesis.targets import load_target as load_device
from pymodel.engine.shape_of import engine_shape
from pymodel.explore import network as network_module
from pymodel.explore import streams as streams_module
from pymodel.explore.costs import Cost
from pymodel.explore.network import top_shapes
from pymodel.explore.options import options
from pymodel.explore.rates import cycles_at, rate
from pymodel.explore.technology import calibrated
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network as Layers
from pymodel.top.dataflow import build
from scripts.hunt.campaign import Declined, Fault
from scripts.hunt.explore import CAMPAIGN
from tests.helpers.choices import TECHNOLOGY, built, cost_of, explored
from tests.helpers.places import FAULTS

NETWORKS = FAULTS / "networks"


@pytest.fixture
def here(monkeypatch):
    """The command's work in this process: starting workers takes longer than it."""
    monkeypatch.setattr(explore, "in_workers", lambda function, calls, _: [function(*call) for call in calls])


def chosen(path, *budget, **request):
    return explore.explore(
        path, explore.Request(**{"fps": None, "minimise": "DSP", "budget": budget} | request)
    ).to_json()


# The campaign


def case(number):
    return CAMPAIGN.draw(np.random.default_rng([11, number]))


def judged(number, tmp_path):
    """Whether case `number` was judged, and not declined."""
    try:
        CAMPAIGN.check(case(number), tmp_path)
    except Declined:
        return False
    return True


def test_a_sample_of_the_campaign(tmp_path):
    assert sum(judged(number, tmp_path) for number in range(12)) >= 6


@pytest.mark.slow
def test_a_larger_sample_of_the_campaign(tmp_path):
    assert sum(judged(number, tmp_path) for number in range(12, 300)) >= 150


def test_the_campaign_sees_streams_that_are_left_out(monkeypatch, tmp_path):
    """The search believes that streams are free, as the engines alone; the enumeration knows better."""
    free = network_module.Streams(Cost(), {}, 0)
    monkeypatch.setattr(network_module.Streams, "of", lambda dataflow, technology: free)
    monkeypatch.setattr(network_module, "least_prices", lambda dataflow, interval, technology: [])
    with pytest.raises(Fault):
        for number in range(12):
            judged(number, tmp_path)


def test_the_campaign_sees_a_bound_that_is_none(monkeypatch, tmp_path):
    """What words cost at least is taken for more than it is: right choices are ruled out, or the search sees it."""
    true = streams_module.least_prices
    dear = Cost(LUT=40)
    monkeypatch.setattr(
        network_module,
        "least_prices",
        lambda *asked: [network_module.Price(price.part, price.where, price.cost + dear) for price in true(*asked)],
    )
    with pytest.raises((Fault, ArithmeticError)):
        for number in range(12):
            judged(number, tmp_path)


def test_simpler_cases_are_cases():
    assert all(set(simple) == set(case(3)) for simple in CAMPAIGN.smaller(case(3)))


@pytest.mark.slow
@pytest.mark.parametrize("device", [technology.device for technology in calibrated()])
@pytest.mark.parametrize("name", ["split", "addition", "mean"])
def test_what_is_promised_is_built(name, device, tmp_path, psconv):
    """DSPs and block RAMs as yosys counts them and the interval of the RTL, of the fastest choice of a tiny network."""
    tiny(name).save(tmp_path / "b.yaml")
    config = {
        "psconv": 1,
        "bundle": "b.yaml",
        "top": "network",
        "images": {"source": "random", "count": 12},
        "stalls": {"images": 0},
    }
    (tmp_path / "n.yaml").write_text(yaml.safe_dump(config))
    request = explore.Request(None, "LUT", ("DSP=30",), device=device, points=1)
    found = explore.explore(tmp_path / "n.yaml", request)
    path = explore.write_config(found, tmp_path / "n.yaml", tmp_path / "chosen", request)
    code, _, err = psconv("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 0, err
    built = json.loads((tmp_path / "run" / "report" / "report.json").read_text())["designs"][0]
    promised = found.best.answer.cost.to_json() | {"cycles": found.best.interval}
    assert not any(built["mismatches"].values()) and built["cycles_sim"] == built["cycles_model"]
    assert {kind: built["resources"][kind] for kind in ("DSP", "BRAM")} == {
        kind: promised[kind] for kind in ("DSP", "BRAM")
    }
    assert built["interval_sim"] == promised["cycles"]


def tiny(name):
    """A network with a split, with a fork and an addition, or with a mean before its last layer."""
    conv = {"op": "conv", "kernel": 3, "padding": 1}
    first = conv | {"name": "a", "input": "input", "out_channels": 4, "relu": True}
    layers = {
        "split": [
            first | {"out_channels": 6},
            conv | {"name": "b", "input": "a", "out_channels": 4, "support": "PS1_P2"},
        ],
        "addition": [
            first,
            conv | {"name": "b", "input": "a", "out_channels": 4},
            {"op": "add", "name": "s", "inputs": ["b", "a"], "relu": True},
        ],
        "mean": [
            conv | {"name": "b", "input": "input", "out_channels": 8, "support": "PS4_P4"},
            {"op": "global_avgpool", "name": "g", "input": "b"},
            {"op": "linear", "name": "f", "input": "g", "out_features": 3},
        ],
    }[name]
    spec = {"channels": 3, "height": 4, "width": 4}
    return random_bundle(Layers(name=name, input=spec, layers=layers, output=layers[-1]["name"]), 0)


# What was found


def test_a_choice_is_found_where_streams_of_another_would_not_fit(here):
    """As many LUTs as the cheapest of all choices takes: a search that reserved what other streams took had none."""
    path = NETWORKS / "ex26" / "run.yaml"
    costs = [(cycles, cost.LUT) for _, cycles, cost in built(explored(Bundle.load(path.parent / "b.yaml")))]
    least = min(luts for _, luts in costs)
    found = chosen(path, f"LUT={least}", device="zcu104")["chosen"]
    assert found["LUT"] == least and found["proof"] == "optimal"
    nothing = [f"{kind}=none" for kind in ("DSP", "BRAM", "LUT", "FF", "URAM")]
    found = chosen(path, *nothing, fps=75e6, minimise="LUT")["chosen"]
    fast = min(luts for cycles, luts in costs if cycles <= cycles_at(75e6, load_device("zcu104").clock_ns))
    assert found["LUT"] == found["least_LUT"] == fast and found["proof"] == "optimal"
    assert found["frames_per_second"] >= 75e6


def test_layers_that_the_top_does_not_build_count_nowhere(here, psconv, monkeypatch):
    path = NETWORKS / "unneed" / "run.yaml"
    candidates = fits.fits(path).candidates
    assert [candidate.cost.DSP for candidate in candidates] == [9, 9]
    one = 4 * 4 * 9 * 8  # bits of the weights of one of the two layers
    assert [candidate.weight_bits for candidate in candidates] == [one, one]
    found = chosen(path, "DSP=40", device="zcu104")
    assert round(found["chosen"]["frames_per_second"]) == 9_375_938 and found["chosen"]["DSP"] == 36
    assert [row["layer"] for row in found["layers"]] == ["a"]
    bundle = Bundle.load(NETWORKS / "unneed" / "b.yaml")
    assert set(top_shapes(bundle, 27)) == {"a"}


def test_multipliers_of_look_up_tables_are_no_blocks(here, tmp_path):
    """Products of 2 by 3 bits: a device without a single DSP block has room for all of them."""
    network = Layers(
        name="n",
        input={"channels": 2, "height": 3, "width": 3},
        output="a",
        layers=[{"op": "conv", "name": "a", "input": "input", "out_channels": 2, "kernel": 3, "padding": 1}],
    )
    weights = np.random.default_rng(1).integers(-2, 2, (2, 2, 3, 3)).astype(np.int8)
    bundle = Bundle(
        network,
        {"input": Format(3, 0), "a": Format(3, 0)},
        {"a": Format(2, 4)},
        {"a": weights},
        {"a": np.zeros(2, np.int32)},
    )
    bundle.save(tmp_path / "b.yaml")
    (tmp_path / "n.yaml").write_text("{psconv: 1, bundle: b.yaml, top: network}")
    found = chosen(tmp_path / "n.yaml", "DSP=0", points=1)["chosen"]
    assert found["DSP"] == 0 and found["lanes"] == 36 and found["cycles"] == 15  # as fast as windows come: 3 rows of 5


# Rates


@pytest.mark.parametrize("clock", [3.333, 4.8, 1.7, 10.0, 2.5, 0.7])
def test_rates_lead_back_to_their_cycles(clock):
    rng = np.random.default_rng(5)
    for cycles in [*range(1, 400), *(int(2 ** rng.uniform(8, 44)) for _ in range(400))]:
        printed = rate(cycles, clock)
        back = float(str(printed))  # through a shell, or JSON
        assert cycles_at(back, clock) == cycles
        assert 0 <= 10**9 - Fraction(printed) * cycles * Fraction(str(clock)) < Fraction(10**9, cycles + 1)


def test_every_rate_of_a_frontier_can_be_asked_for(here):
    path = NETWORKS / "ex26" / "run.yaml"
    for row in chosen(path)["frontier"]:
        again = chosen(path, fps=row["frames_per_second"], points=1)["chosen"]
        assert (again["frames_per_second"], again["DSP"]) == (row["frames_per_second"], row["DSP"])


def test_the_table_shows_the_rate_that_can_be_asked_for(here, monkeypatch, capsys):
    from psconv import cli

    monkeypatch.setattr(sys, "argv", ["psconv", "explore", str(NETWORKS / "ex26" / "run.yaml"), "--budget", "LUT=680"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "50,005,000.500" in capsys.readouterr().out


@pytest.mark.parametrize("name", known_targets())
def test_the_least_period_leaves_room_for_a_read_and_nothing_less_does(name):
    model, period = load_target(name), least_period(name)
    assert period - model.overhead >= model.issue > period - 0.002 - model.overhead


def test_a_clock_that_the_delay_model_rules_out_is_refused(here):
    path = NETWORKS / "ex26" / "run.yaml"
    for clock in (0.6, 1.34):
        with pytest.raises(explore.ConfigError, match=r"at least 1\.35 ns .*delay model of zcu104"):
            chosen(path, clock_ns=clock, device="zcu104")
    assert chosen(path, clock_ns=1.35, device="zcu104", points=1)["clock_ns"] == 1.35


# The dense twin


def mixed():
    """Two layers of other bits each, and scales on one of them."""
    conv = {"op": "conv", "kernel": 3, "padding": 1, "support": "PS1_P9"}
    network = Layers(
        name="n",
        input={"channels": 9, "height": 6, "width": 6},
        output="b",
        layers=[
            conv | {"name": "a", "input": "input", "out_channels": 9},
            conv | {"name": "b", "input": "a", "out_channels": 2},
        ],
    )
    rng, weights = np.random.default_rng(3), {}
    for layer, bits in zip(network.layers, (2, 8), strict=True):
        shape = network.weight_shape(layer)
        values = rng.integers(-(1 << bits - 1), 1 << bits - 1, shape) * layer.make_support().mask(*shape[:2])
        weights[layer.name] = values.astype(np.int8)
    return Bundle(
        network,
        {"input": Format(2, 0), "a": Format(5, 0), "b": Format(8, 0)},
        {"a": Format(2, 2), "b": Format(8, 8)},
        weights,
        {"a": np.ones(9, np.int32), "b": np.zeros(2, np.int32)},
        {"b": np.array([300, 5], np.uint16)},
        {"a": 20},
    )


def test_the_dense_twin_has_the_formats_biases_and_scales_of_each_layer(tmp_path):
    bundle = mixed()
    twin = fits.dense_twin(bundle, 0)
    assert twin.formats == bundle.formats and twin.weight_formats == bundle.weight_formats
    assert twin.biases is bundle.biases and twin.scales is bundle.scales
    for name in ("a", "b"):
        shape, dense = (engine_shape(one, name) for one in (bundle, twin))
        assert dense.support.name == "dense" and dense.N == 9
        for what in ("weight_bits", "in_bits", "out_bits", "scale_bits", "shift", "cin", "cout"):
            assert getattr(dense, what) == getattr(shape, what)
        kept = bundle.weights[name] != 0
        assert (twin.weights[name][kept] == bundle.weights[name][kept]).all() and (twin.weights[name] != 0).mean() > 0.5
        assert twin.weights[name].min() >= bundle.weight_formats[name].min


def test_fits_prices_the_twin_by_its_own_layers(here, tmp_path):
    """Weights of 2 by 2 bits need no DSP block, those of 8 do; with the widest bits everywhere all would."""
    bundle = mixed()
    bundle.save(tmp_path / "b.yaml")
    (tmp_path / "n.yaml").write_text("{psconv: 1, bundle: b.yaml, top: network, parallelism: {To: 1, Tb: 1, fold: 1}}")
    own, twin = fits.fits(tmp_path / "n.yaml").candidates
    shapes = {name: engine_shape(bundle, name) for name in ("a", "b")}
    assert own.cost == cost_of(build(bundle, shapes))
    # a: 9 channels of 9 weights of 2 bits; b: 2 of 9 x 9 weights of 8 bits; dense, of the same.
    assert twin.weight_bits == 9 * 9 * 9 * 2 + 2 * 9 * 9 * 8
    interval = fits.fits(tmp_path / "n.yaml").interval
    dense = [engine_shape(fits.dense_twin(bundle, 0), name) for name in ("a", "b")]
    least = [
        min(o.cost.DSP for o in options(shape, 1 << 16, TECHNOLOGY, False, False) if o.cycles <= interval)
        for shape in dense
    ]
    assert twin.cost.DSP == sum(least) and least[0] == 0 < least[1]
