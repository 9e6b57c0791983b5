"""psconv explore against exhaustive search, against yosys' counts and against the model of the whole network."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openhls.backend.primitives import Fifo, Ram, Rom

from psconv.commands import explore
from psconv.common.places import CONSTRAINTS
from psconv.flow.config import load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.resources import synthesise
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.counts.complexity import compare_variants
from pymodel.engine.cycles import sequences
from pymodel.engine.memories import Memory, half_blocks, memories, total_half_blocks, totals
from pymodel.engine.packing import EngineShape
from pymodel.explore import technology as technology_module
from pymodel.explore.costs import (
    Cost,
    calibration,
    engine_cost,
    fifo_cost,
    fit,
    known_cost,
    lut_features,
    multiplier_blocks,
    port_cost,
)
from pymodel.explore.network import Network, cheapest, conflicts, fastest
from pymodel.explore.options import CHANNELS, WINDOWS, Option, Parallelism, by_words, engines, options, pareto
from pymodel.explore.solve import AXES, LANES, Price, Problem, minimise, total
from pymodel.explore.streams import inner_half_blocks, streams_cost
from pymodel.explore.technology import SERIES_7, TECHNOLOGIES, calibrated, technology_of
from pymodel.explore.utilisation import most_utilised
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Conv, InputSpec
from pymodel.network.topology import Network as Layers
from pymodel.network.zoo import make_network
from pymodel.nn.variants import family
from pymodel.top.cycles import slowest
from pymodel.top.dataflow import Form, build
from pymodel.top.memory import needed
from scripts import calibrate_costs as calibrate
from tests.helpers import networks
from tests.helpers.choices import TECHNOLOGY, built, cost_of, every_technology, explored
from tests.helpers.places import ROOT

DIGITS = ROOT / "examples" / "digits" / "network.yaml"


def shape_of(cin, cout, size, support="dense", **keys):
    keys = {"kernel": 3, "padding": 1} | keys
    return EngineShape(cin=cin, cout=cout, height=size, width=size, support=support, acc_bits=24, **keys)


def small_network(channels, supports, size=4):
    """A chain of 3x3 convolutions."""
    names = [f"c{at}" for at in range(len(supports))]
    layers = [
        Conv(name=name, input=source, out_channels=count, kernel=3, padding=1, support=support, relu=True)
        for name, source, count, support in zip(names, ["input", *names], channels[1:], supports, strict=False)
    ]
    spec = InputSpec(channels=channels[0], height=size, width=size)
    return random_bundle(Layers(name="chain", input=spec, layers=layers, output=names[-1]), 0, 8, 8)


# Memories, multipliers: exact


@pytest.mark.parametrize(
    ("depth", "width", "written", "halves"),
    [
        (1024, 18, True, 1),
        (1025, 72, True, 6),
        (128, 256, True, 8),
        (256, 768, True, 22),
        (4096, 21, True, 6),
        (600, 256, True, 15),
        (70, 100, True, 3),
        (1024, 192, False, 11),
        (2048, 40, False, 5),
        (3000, 48, False, 8),
        (513, 36, False, 2),
        (600, 100, False, 6),
    ],
)
def test_block_rams_as_yosys_maps_them(depth, width, written, halves):
    """Counted by yosys (synth_xilinx -family xcup) on openhls' Ram and Rom of these sizes."""
    assert half_blocks(depth, width, written) == halves


# Of memories and FIFOs nothing is fitted: their rules hold before a technology is calibrated.
described = pytest.mark.parametrize("technology", TECHNOLOGIES.values(), ids=lambda each: each.name)


def module_counts(module, folder, technology=TECHNOLOGY):
    """What yosys makes of a primitive of openhls, by itself."""
    path = folder / "memory_under_test.sv"
    path.write_text(module.verilog(path.stem))
    return synthesise([path], path.stem, load_target(technology.device))["total"]


@pytest.mark.slow
@described
@pytest.mark.parametrize("seed", range(4))
def test_memories_of_random_sizes_as_yosys_maps_them_today(seed, technology, tmp_path):
    """Block RAMs of openhls' Ram, Rom and Fifo, and a distributed Ram with the flip-flops behind it."""
    rng = np.random.default_rng([seed, 14])
    depth, width = int(2 ** rng.uniform(1, 13)), int(2 ** rng.uniform(0, 9))
    words = tuple(int.from_bytes(rng.bytes(64)) % (1 << width) for _ in range(depth))
    for written in (False, True):
        memory = Memory("m", depth, width, written)
        style, latency = ("block", 2) if memory.block else ("distributed", 1)
        made = (
            Ram(width, depth, style, False, False, True, None)
            if written
            else Rom(width, depth, style, latency, True, words)
        )
        found = module_counts(made, tmp_path, technology)
        assert found["BRAM"] == memory.half_blocks / 2
        if written and not memory.block:
            assert found["LUTRAM"] == memory.luts(technology.lut_ram) and found["FF"] == memory.registers


@pytest.mark.slow
@described
@pytest.mark.parametrize("seed", range(4))
def test_fifos_of_random_sizes_as_yosys_maps_them_today(seed, technology, tmp_path):
    """With a register and without: flip-flops exact, look-up tables but for a few of control."""
    rng = np.random.default_rng([seed, 16])
    depth, width = int(2 ** rng.uniform(0, 6)), int(2 ** rng.uniform(2, 9))
    for direct in (False, True):
        found, cost = (
            module_counts(Fifo(width, depth, direct=direct), tmp_path, technology),
            fifo_cost(depth, width, technology, direct),
        )
        assert (found["BRAM"], found["FF"]) == (cost.BRAM, cost.FF)
        assert abs(found["LUT"] - cost.LUT) <= {"ultrascale_plus": 8, "series_7": 10}[technology.name]
    deep = int(2 ** rng.uniform(12, 13)) // width + 65
    found, cost = module_counts(Fifo(width, deep), tmp_path, technology), fifo_cost(deep, width, technology)
    assert found["BRAM"] == cost.BRAM and abs(found["FF"] - cost.FF) <= 4


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), [(2, 300), (3, 300), (4, 300), (8, 100), (8, 3000), (12, 600), (20, 200)])
def test_roms_of_few_words_have_few_columns_as_yosys_finds(depth, width, tmp_path):
    rng = np.random.default_rng([depth, width])
    words = tuple(int.from_bytes(rng.bytes(400)) % (1 << width) for _ in range(depth))
    found = module_counts(Rom(width, depth, "distributed", 1, True, words), tmp_path)
    memory = Memory("m", depth, width, False)
    assert found["FF"] == pytest.approx(memory.registers, rel=0.05)
    luts = memory.luts(TECHNOLOGY.lut_ram)
    assert found["LUT"] <= luts and (depth < 8 or found["LUT"] == pytest.approx(luts, rel=0.05))


@given(st.integers(65, 70000), st.integers(1, 3000), st.booleans())
def test_block_rams_hold_all_bits(depth, width, written):
    assert half_blocks(depth, width, written) * 18 * 1024 >= depth * width


@pytest.mark.parametrize(
    ("technology", "name"),
    [(one, name) for one in calibrated() for name in sorted(calibration(one).measured)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_multipliers_and_block_rams_equal_what_yosys_counted(technology, name):
    record = calibration(technology).measured[name]
    shape = EngineShape(**record["shape"])
    assert multiplier_blocks(shape, technology) == record["DSP"]
    assert (total_half_blocks(memories(shape)) + inner_half_blocks(shape)) / 2 == record["BRAM"]


def test_the_calibration_has_packing_and_rings_in_memories_of_all_kinds():
    shapes = [EngineShape(**record["shape"]) for record in calibration(TECHNOLOGY).measured.values()]
    kinds = {(s.packing, s.weight_bits, s.in_bits, s.feed, s.fold > 1) for s in shapes if s.packing > 1 or s.pieces > 1}
    assert {kind[:3] for kind in kinds} == {
        (1, 8, 8),
        (1, 4, 6),
        (2, 8, 8),
        (2, 4, 8),
        (3, 4, 8),
        (2, 4, 4),
        (4, 4, 4),
        (3, 2, 2),
    }
    assert {(kind[0] > 1, *kind[3:]) for kind in kinds} >= {
        (packed, feed, folded)
        for packed in (False, True)
        for feed in (WINDOWS, CHANNELS)
        for folded in (False, True)
        if packed or feed == CHANNELS
    }


def test_the_calibration_has_rotations_of_all_kinds():
    shapes = [EngineShape(**record["shape"]) for record in calibration(TECHNOLOGY).measured.values()]
    found = {(s.R, s.P, s.packing > 1, s.fold > 1, s.NB > 1, s.pieces > 1, s.in_bits) for s in shapes if s.R > 1}
    assert {kind[:2] for kind in found} >= {(2, 16), (4, 16), (8, 16), (16, 16), (2, 8), (4, 8), (8, 8)}
    for at in range(2, 6):
        assert {kind[at] for kind in found} == {False, True}
    assert {kind[-1] for kind in found} >= {3, 4, 8}
    assert max(s.lanes for s in shapes) == 768


@given(
    st.sampled_from(["PSD1_P16", "PS4_P4", "dense"]),
    st.sampled_from([1, 2]),
    st.sampled_from([8, 40, 200]),
    st.sampled_from([WINDOWS, CHANNELS]),
)
def test_what_memories_take_is_the_sum_over_them(support, Tb, size, feed):
    kinds = ("half_blocks", "registers", "ultras")
    for weights in ({}, {"loaded": True}, {"loaded": True, "ultra_weights": True}):
        shape = shape_of(32, 64, size, support, Tb=Tb, feed=feed, **weights)
        found = totals(shape, TECHNOLOGY.lut_ram)
        every = memories(shape)
        luts = sum(memory.luts(TECHNOLOGY.lut_ram) for memory in every)
        assert found.luts == luts
        assert all(getattr(found, what) == sum(getattr(memory, what) for memory in every) for what in kinds)
        assert bool(found.ultras) == ("ultra_weights" in weights)


@pytest.mark.slow
@every_technology
@pytest.mark.parametrize("seed", range(2))
def test_the_calibration_is_of_the_engine_of_today(seed, technology, tmp_path):
    """One of its engines, drawn at random, through HLS and yosys again."""
    name = str(np.random.default_rng([seed, 14]).choice(sorted(calibration(technology).measured)))
    assert calibrate.measure(name, technology, tmp_path) == calibration(technology).measured[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"Tb": 3, "fold": 5},
        {"To": 4, "Tb": 2, "fold": 3, "packing": 2, "feed": "channels"},
        {"R": 8, "fold": 2},
        {"To": 2, "R": 4, "packing": 2},
        {"R": 2, "Tb": 2, "feed": "channels"},
        {"R": 4, "packing": 2},
    ],
)
def test_an_engine_that_the_calibration_has_not_seen(keys, tmp_path):
    name, engine = "unseen", calibrate.layer_engine(48, 96, 12, "PSD2_P8", **keys)
    calibrate.ENGINES[name] = engine
    try:
        record = calibrate.measure(name, TECHNOLOGY, tmp_path)
    finally:
        del calibrate.ENGINES[name]
    shape = EngineShape(**record["shape"])
    cost = engine_cost(shape, TECHNOLOGY) + port_cost(shape, TECHNOLOGY)
    assert (cost.DSP, cost.BRAM + inner_half_blocks(shape) / 2) == (record["DSP"], record["BRAM"])
    for kind, error in (("LUT", calibration(TECHNOLOGY).LUT), ("FF", calibration(TECHNOLOGY).FF)):
        estimate = cost.to_json()[kind]
        assert abs(estimate / record[kind] - 1) * 100 <= 2 * error.unseen_worst_percent


@pytest.mark.slow
def test_a_single_word_of_weights_takes_adders_in_the_place_of_multipliers(tmp_path):
    """16 -> 16 channels, all rotations at once: DSP blocks and flip-flops at most as many, look-up tables near."""
    calibrate.ENGINES["constants"] = calibrate.layer_engine(16, 16, 8, "PSD1_P16", R=16)
    try:
        record = calibrate.measure("constants", TECHNOLOGY, tmp_path)
    finally:
        del calibrate.ENGINES["constants"]
    shape = EngineShape(**record["shape"])
    cost = engine_cost(shape, TECHNOLOGY) + port_cost(shape, TECHNOLOGY)
    assert 0 < record["DSP"] < cost.DSP == 384 and record["FF"] <= cost.FF
    assert abs(cost.LUT / record["LUT"] - 1) * 100 <= 2 * calibration(TECHNOLOGY).LUT.unseen_worst_percent


def test_technologies_have_the_multipliers_of_their_devices():
    targets = [load_target(path.stem) for path in CONSTRAINTS.glob("*.yaml")]
    known = {family: one for one in TECHNOLOGIES.values() for family in one.families}
    of = [target for target in targets if target.family in known]
    assert {target.family for target in of} == set(known) and len(of) >= 4
    assert all(max(target.multiplier) == known[target.family].multiplier_bits for target in of)
    assert all(technology_of(load_target(one.device).family) is one for one in calibrated())
    assert all(known[target.family].ultra_ram or not target.budgets.URAM for target in of)


def test_a_family_without_a_calibrated_technology_is_refused_with_the_commands(monkeypatch):
    """One that is described, but not measured; and one that is not described."""
    described = replace(SERIES_7, name="unmeasured", families=("planned",))
    monkeypatch.setattr(technology_module, "TECHNOLOGIES", TECHNOLOGIES | {"unmeasured": described})
    assert described not in calibrated()
    with pytest.raises(ConfigError, match=r"family: must be one of zynq_uplus, .* got 'planned'.* zcu104") as caught:
        technology_of("planned")
    scripts = ("costs", "units", "streamed")
    commands = ", ".join(f"python -m scripts.calibrate_{script} unmeasured" for script in scripts)
    assert str(caught.value).endswith(f"or calibrate unmeasured: {commands}")
    with pytest.raises(ConfigError, match=r"describe a technology .* python -m scripts.calibrate_units NAME"):
        technology_of("stratix")


@pytest.mark.parametrize("at", range(3))
def test_a_technology_that_lacks_one_model_is_not_calibrated(monkeypatch, tmp_path, at):
    """Each way of holding weights is priced for each technology that is offered."""
    monkeypatch.setattr(technology_module, "FOLDER", tmp_path)
    paths = list(SERIES_7.calibrations.values())
    assert len(set(paths)) == 3 and {path.parent for path in paths} == {tmp_path}
    for path in paths[:at] + paths[at + 1 :]:
        path.touch()
    assert calibrated() == []
    paths[at].touch()
    assert calibrated() == [SERIES_7]


@every_technology
def test_the_coefficients_in_the_file_are_those_of_its_measurements_and_of_the_features_of_today(technology):
    model = calibration(technology)
    again = fit(model.measured, technology)
    for found, expected in ((model.LUT, again["LUT"]), (model.FF, again["FF"])):
        assert found.coefficients == pytest.approx(expected.pop("coefficients"), abs=0.01)
        assert found.model_dump(exclude={"coefficients"}) == pytest.approx(expected, abs=0.11)


def counted(per_feature):
    """Measurements of the calibration's engines as if look-up tables came to so many for each feature."""
    records = {}
    for name, record in calibration(TECHNOLOGY).measured.items():
        shape = EngineShape(**record["shape"])
        known = (known_cost(shape, TECHNOLOGY) + port_cost(shape, TECHNOLOGY)).LUT
        logic = sum(per_feature[key] * value for key, value in lut_features(shape).items())
        records[name] = record | {"LUT": known + logic}
    return records


def test_the_fit_finds_the_coefficients_that_made_the_counts_and_an_error_that_was_put_in():
    per_feature = {name: 0.25 + 0.125 * at for at, name in enumerate(calibration(TECHNOLOGY).LUT.coefficients)}
    found = fit(counted(per_feature), TECHNOLOGY)["LUT"]
    assert found["coefficients"] == pytest.approx(per_feature, abs=0.01)
    assert found["worst_percent"] == found["mean_percent"] == found["unseen_worst_percent"] == 0
    # One engine twice as large: by a fit to all the others it is half of what it should be.
    records = counted(per_feature)
    records["stem"]["LUT"] *= 2
    found = fit(records, TECHNOLOGY)["LUT"]
    assert found["unseen_worst_percent"] == 50 and 0 < found["worst_percent"] <= 50
    assert 0 < found["mean_percent"] < found["worst_percent"]


def test_packing_halves_the_multipliers_and_rings_in_memories_save_flip_flops():
    plain = shape_of(64, 64, 32, "PSD1_P16", To=2)
    packed, channels = (plain.model_copy(update=keys) for keys in ({"packing": 2}, {"feed": CHANNELS}))
    costs = [engine_cost(shape, TECHNOLOGY) for shape in (plain, packed, channels)]
    assert [cost.DSP for cost in costs] == [48, 24, 48]
    assert costs[1].FF > costs[0].FF > 2 * costs[2].FF and costs[0].LUT > costs[2].LUT


def test_a_ring_that_stands_still_takes_no_multiplexers():
    turning, standing = (shape_of(64, 64, 32, "PSD1_P16", R=R) for R in (8, 16))
    assert (lut_features(turning)["ring"], lut_features(standing)["ring"]) == (9 * 16 * 8, 0)
    once = shape_of(16, 16, 32, "PSD1_P16", R=8)  # as often as it has channels to turn by
    assert lut_features(once)["ring"] > 0 == lut_features(shape_of(16, 8, 32, "PSD1_P16", R=8))["ring"]
    dense = shape_of(64, 64, 32, "dense")
    assert lut_features(dense)["ring"] == 0


@pytest.mark.parametrize("R", [1, 4, 12])
def test_a_depthwise_layer_takes_nine_multipliers_for_each_channel_at_once(R):
    shape = shape_of(12, 12, 8, groups=12, R=R)
    assert engine_cost(shape, TECHNOLOGY).DSP == shape.multipliers == 9 * R
    features = lut_features(shape)
    assert (features["ring"], features["select"], features["carried"]) == (0, 0, 0)
    folded = shape_of(12, 12, 8, groups=12, R=R, fold=3)
    assert engine_cost(folded, TECHNOLOGY).DSP == 3 * R and lut_features(folded)["select"] == 3 * R * 8 * 2


# Options


BITS = st.sampled_from([(8, 8), (4, 8), (4, 4), (2, 3)])  # weights, activations
SUPPORTS = st.sampled_from(["dense", "PS4_P4", "PSD2_P8"])


def parallelism(engine):
    return Parallelism(engine.To, engine.Tb, engine.fold, engine.packing, engine.feed, engine.R, engine.Tx)


def legal(shape, **parallelism):
    """The engine with this parallelism, or None."""
    try:
        return EngineShape(**(shape.model_dump() | parallelism))
    except ConfigError:
        return None


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 16), SUPPORTS, st.integers(1, 2), BITS, st.sampled_from([18, 25, 27]))
def test_options_are_the_legal_engines_and_their_cycles_are_the_engines(cin, cout, support, stride, bits, multiplier):
    """All of them are tried, all products that could share a multiplier, both feeds, and pixels at once included."""
    shape = shape_of(
        cin, cout, 4, support, stride=stride, weight_bits=bits[0], in_bits=bits[1], multiplier_bits=multiplier
    )
    technology = next((one for one in calibrated() if one.multiplier_bits == multiplier), TECHNOLOGY)
    found = {option.key: option for option in options(shape, 1 << 16, technology)}
    least = {}  # with each number of lanes
    for To, R, Tb in itertools.product(range(1, cout + 1), range(1, shape.P + 1), range(1, shape.blocks + 1)):
        if not legal(shape, To=To, R=R, Tb=Tb):
            continue
        # With fewer rotations at once a window set takes a single step, too.
        if any(legal(shape, To=To, R=fewer) and fewer * To >= cout for fewer in range(1, R)):
            continue
        for packing, feed, Tx in itertools.product(range(1, max(To * R, 4) + 1), (WINDOWS, CHANNELS), (1, 2, 4)):
            for fold in range(1, shape.N * Tb + 1):
                if Tx > 1 and (fold > 1 or feed == CHANNELS):
                    continue
                engine = legal(shape, To=To, R=R, Tb=Tb, fold=fold, packing=packing, feed=feed, Tx=Tx)
                if engine and (feed == WINDOWS or engine.pieces > 1):
                    least.setdefault((To, R, Tb, packing, feed, Tx, engine.lanes), engine)
    assert set(found) == {parallelism(engine) for engine in least.values()}
    for engine in least.values():
        option = found[parallelism(engine)]
        assert option.cycles == max(sequence.iterations for sequence in sequences(engine))
        assert (option.lanes, option.multipliers) == (engine.lanes, engine.multipliers)
        assert option.cost == engine_cost(engine, technology)


@pytest.mark.parametrize(("groups", "cout", "Rs"), [(6, 12, [1, 2, 3, 6]), (3, 12, [1]), (2, 4, [1])])
def test_options_of_groups(groups, cout, Rs):
    """What divides the channels of a group; of depthwise layers the words have R channels, and R = 1, 2, 3, 6."""
    shape = shape_of(6, cout, 4, groups=groups)
    found = {option.key: option for option in options(shape, 1 << 16, TECHNOLOGY)}
    keys = {
        (To, R, Tb)
        for To, R, Tb in itertools.product(range(1, cout + 1), Rs, range(1, 7))
        if legal(shape, To=To, R=R, Tb=Tb)
    }
    assert {(key.To, key.R, key.Tb) for key in found} == keys and len(keys) >= 4
    for key, option in found.items():
        engine = legal(shape, **key.of_engine)
        assert option.cycles == max(sequence.iterations for sequence in sequences(engine))
        assert (option.lanes, option.cost) == (engine.lanes, engine_cost(engine, TECHNOLOGY))
        assert engine.lanes * option.cycles >= shape.macs


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([8, 16, 48, 64]),
    st.sampled_from([1, 7, 16, 32, 96, 128]),
    SUPPORTS | st.just("PSD1_P16"),
    BITS,
    st.sampled_from([1, 3]),
    st.data(),
)
def test_whatever_an_engine_can_be_is_an_option(cin, cout, support, bits, kernel, data):
    """Any engine that EngineShape takes has, in larger shapes, an option with its lanes that is no slower."""
    support = support if kernel == 3 else "dense"
    shape = shape_of(cin, cout, 6, support, kernel=kernel, padding=kernel // 2, weight_bits=bits[0], in_bits=bits[1])
    drawn = Parallelism(
        data.draw(st.sampled_from([1, 2, 3, 4, 6, 8])),
        data.draw(st.sampled_from([1, 2, 3, 4])),
        data.draw(st.integers(1, 40)),
        data.draw(st.integers(1, 6)),
        data.draw(st.sampled_from([WINDOWS, CHANNELS])),
        data.draw(st.sampled_from([1, 2, 3, 4, 8, 16])),
    )
    engine = legal(shape, **drawn.of_engine)
    found = [parallelism(e) for e in engines(shape, 1 << 16)]
    assert len(set(found)) == len(found)
    if engine is None:
        assert drawn not in found
        return
    feed = drawn.feed if engine.pieces > 1 else WINDOWS
    # Of the rotations with which one step is all, the least: the others have more lanes with nothing to do.
    alike = [R for R in range(1, drawn.R + 1) if engine.P % R == 0 and (R == drawn.R or R * engine.To >= cout)]
    same = drawn._replace(fold=0, feed=feed, R=alike[0])
    packings = [drawn.packing] if alike[0] == drawn.R else range(1, drawn.packing + 1)
    keys = [key for key in found if any(key._replace(fold=0) == same._replace(packing=q) for q in packings)]
    least = [key.of(shape) for key in keys if key.of(shape).lanes * drawn.R == engine.lanes * alike[0]]
    assert all(other.fold <= drawn.fold for other in least)
    assert min(other.multipliers for other in least) <= engine.multipliers
    assert len({other.packing for other in least}) == len(least)


def test_the_limit_of_multipliers_holds():
    shape = shape_of(64, 64, 8, "PSD1_P16")
    found = options(shape, 24, TECHNOLOGY)
    assert max(option.multipliers for option in found) == 24 and max(option.lanes for option in found) == 48
    assert list(engines(shape, 0)) == []


def test_options_can_be_kept_out():
    shape = shape_of(64, 64, 8, "PSD1_P16")
    for packing, channels in itertools.product((False, True), repeat=2):
        found = options(shape, 24, TECHNOLOGY, packing, channels)
        assert any(option.key.packing > 1 for option in found) == packing
        assert any(option.key.feed == CHANNELS for option in found) == channels


def option(key, cycles, *cost, words=((1, 1), (1, 1))):
    return Option(Parallelism(*key), cost[0], cost[0], cycles, Cost(*cost), words)


def test_pareto_keeps_what_is_not_dominated_and_one_of_equals():
    a, b = option((1, 1, 1), 10, 4, 2, 9, 9), option((1, 1, 2), 20, 2, 2, 9, 9)
    c, d = option((1, 1, 3), 20, 2, 3, 9, 9), option((1, 1, 4), 20, 2, 2, 9, 9)
    assert pareto([a, b, c, d], 20) == [b]
    assert pareto([a, b, c, d], 10) == [a]
    other = option((1, 1, 5), 20, 5, 5, 9, 9, words=(Form(2, 1), Form(1, 1)))
    assert other in pareto([a, b, other], 20, by_words) and other not in pareto([a, b, other], 20)


# The solver against exhaustive search


costs = st.tuples(*[st.integers(0, 9)] * len(AXES))
layer_options = st.lists(st.tuples(st.integers(1, 6), costs, st.integers(1, 2)), min_size=1, max_size=5)


def made(lists):
    return {
        f"l{at}": [
            option((1, 1, k + 1), cycles, *cost, words=(Form(group, 1),) * 2)
            for k, (cycles, cost, group) in enumerate(each)
        ]
        for at, each in enumerate(lists)
    }


def exhaustive(layers, budget, interval, cuts=(), prices=()):
    """Every choice that is legal, as (cost vector, choice)."""
    for picks in itertools.product(*layers.values()):
        choice = dict(zip(layers, picks, strict=True))
        if max(o.cycles for o in picks) > interval or any(meets(choice, cut) for cut in cuts):
            continue
        parts = {}  # of each, axis by axis, the most that its prices say
        for price in prices:
            if meets(choice, price.where):
                parts[price.part] = [
                    max(pair) for pair in zip(parts.get(price.part, (0,) * len(AXES)), price.cost.vector, strict=True)
                ]
        vector = tuple(map(sum, zip(total(picks).vector, *parts.values(), strict=True)))
        if all(vector[AXES.index(kind)] <= most * (2 if kind == "BRAM" else 1) for kind, most in budget.items()):
            yield vector, choice


def meets(choice, where):
    return all(choice[layer].words[0 if trait == "reads" else 1] == value for (layer, trait), value in where.items())


budgets = st.fixed_dictionaries({}, optional={axis: st.integers(0, 25) for axis in AXES})
words = st.fixed_dictionaries({("l0", "reads"): st.integers(1, 2), ("l1", "writes"): st.integers(1, 2)})
price_lists = st.lists(
    st.builds(Price, st.integers(0, 1), words, st.builds(Cost, *[st.integers(0, 9)] * len(AXES))), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(layer_options, min_size=2, max_size=3),
    budgets,
    st.integers(1, 6),
    st.sampled_from(AXES),
    st.lists(words, max_size=3),
    price_lists,
)
def test_the_solver_equals_exhaustive_search(lists, budget, interval, resource, cuts, prices):
    layers = made(lists)
    order = [AXES.index(resource), *(at for at, axis in enumerate(AXES) if axis != resource)]
    legal = [tuple(vector[at] for at in order) for vector, _ in exhaustive(layers, budget, interval, cuts, prices)]
    answer = minimise(Problem(layers, budget, tuple(cuts), tuple(prices)), interval, resource)
    assert answer.proved
    if not legal:
        assert answer.choice is None
        return
    assert tuple(answer.cost.vector[at] for at in order) == min(legal)
    assert answer.bound == answer.cost.in_units[AXES.index(resource)]


@settings(max_examples=30, deadline=None)
@given(st.lists(layer_options, min_size=2, max_size=3), budgets, st.integers(1, 6), st.data())
def test_multipliers_are_minimised_like_a_resource(lists, budget, interval, data):
    """They need not be the DSPs: narrow products lie in look-up tables, and scales take DSPs of their own."""
    layers = {
        name: [replace(o, lanes=data.draw(st.integers(1, 9))) for o in each] for name, each in made(lists).items()
    }
    legal = [sum(o.lanes for o in choice.values()) for _, choice in exhaustive(layers, budget, interval)]
    answer = minimise(Problem(layers, budget), interval, LANES)
    assert answer.proved and (answer.choice is None) == (not legal)
    if legal:
        assert answer.bound == min(legal) == sum(o.lanes for o in answer.choice.values())


def test_the_solver_without_time_does_not_claim_a_proof():
    layers = made([[(1, (k % 7, k * 5 % 11, k * 3 % 13, k), 1) for k in range(60)]] * 40)
    answer = minimise(Problem(layers, {"BRAM": 60, "LUT": 150}, seconds=0.0), 5, "DSP")
    least = 0 if answer.choice is None else answer.cost.DSP
    assert answer.bound <= least or answer.proved


# Networks


def within(cost, budget):
    return all(cost.to_json()[kind] <= most for kind, most in budget.items())


@pytest.mark.parametrize("feed", [WINDOWS, CHANNELS])
def test_packing_changes_neither_cycles_nor_streams_of_a_network(feed):
    network = explored(small_network((8, 8, 8), ("PS4_P4", "PS4_P4"), size=3))
    for option in network.options["c0"]:
        if option.key.packing > 1 and option.key.feed == feed:
            plain = next(o for o in network.options["c0"] if o.key == option.key._replace(packing=1))
            rest = {"c1": network.options["c1"][0]}
            packed, other = (network.dataflow({"c0": way} | rest) for way in (option, plain))
            assert slowest(packed).iterations == slowest(other).iterations
            assert streams_cost(packed, TECHNOLOGY) == streams_cost(other, TECHNOLOGY)


@every_technology
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([2, 3, 4, 6]),
    st.sampled_from([4, 6]),
    st.sampled_from([4, 6]),
    st.tuples(*[st.sampled_from(["dense", "PS4_P4", "PS2_P6"])] * 2),
    st.integers(40, 400),
)
def test_networks_equal_exhaustive_search_over_the_network_as_built(technology, cin, middle, cout, supports, budget):
    """Every pair of foldings is built as a network; its slowest process, of whatever unit, is its interval."""
    bundle = small_network((cin, middle, cout), supports, size=3)
    network = explored(bundle, multipliers=5, technology=technology)
    limits = {"DSP": budget / 10, "LUT": budget * 20}
    legal = [(cycles, cost.DSP) for _, cycles, cost in built(network) if within(cost, limits)]
    best = fastest(network, limits, "DSP")
    if not legal:
        assert best is None
        return
    assert best.proved and (best.interval, best.answer.cost.DSP) == min(legal)
    at = 2 * best.interval
    assert cheapest(network, limits, at, "DSP").cost.DSP == min(dsp for cycles, dsp in legal if cycles <= at)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(calibrated()),
    st.sampled_from([2, 6]),
    st.sampled_from([4, 6]),
    st.sampled_from(["dense", "PS4_P4"]),
    st.sampled_from([100, 400, 2000]),
    st.sampled_from(AXES),
)
def test_the_few_options_of_an_interval_lead_to_the_same_choice(technology, cin, middle, support, interval, resource):
    bundle = small_network((cin, middle, 4), (support, "dense"), size=3)
    network = explored(bundle, multipliers=24, technology=technology)
    few = network.at(interval)
    assert all(set(kept) <= set(network.options[name]) for name, kept in few.options.items())
    first, second = (cheapest(each, {"DSP": 30}, interval, resource) for each in (network, few))
    assert (first.choice and first.cost) == (second.choice and second.cost) and first.bound == second.bound


def test_units_between_engines_are_obeyed():
    """Words of 9 and 4 channels: a split to single channels between them, 576 iterations, slower than either engine."""
    everything = explored(small_network((2, 36, 2), ("dense", "dense")))
    first = [o for o in everything.options["c0"] if o.key == Parallelism(9, 2, 1)]
    second = [o for o in everything.options["c1"] if o.key in (Parallelism(2, 4, 1), Parallelism(2, 9, 1))]
    network = Network(everything.bundle, everything.shapes, {"c0": first, "c1": second}, TECHNOLOGY)
    narrow, wide = sorted(second, key=lambda o: o.lanes)
    pair = {"c0": first[0], "c1": narrow}
    assert max(o.cycles for o in pair.values()) < 220 < network.interval(pair) == 16 * 36
    assert conflicts(network.dataflow(pair), pair, 220) == [{("c0", "writes"): Form(9, 1), ("c1", "reads"): Form(4, 1)}]
    assert cheapest(network, {}, 576, "DSP").choice["c1"] == narrow
    assert cheapest(network, {}, 575, "DSP").choice["c1"] == wide
    assert fastest(network, {"DSP": first[0].lanes + narrow.lanes}, "DSP").interval == 576


def every_product(network, limits, interval=1 << 62):
    """(lanes * cycles, cycles) of every choice within limits, as built."""
    return [
        (sum(o.lanes for o in picks) * cycles, cycles)
        for picks, cycles, cost in built(network)
        if within(cost, limits) and cycles <= interval
    ]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([2, 3, 4, 6]),
    st.sampled_from([4, 6]),
    st.sampled_from([4, 6]),
    st.tuples(*[st.sampled_from(["dense", "PS4_P4", "PS2_P6"])] * 2),
    st.integers(40, 400),
    st.sampled_from([1 << 62, 900, 200]),
)
def test_the_best_use_of_multipliers_equals_exhaustive_search(cin, middle, cout, supports, budget, interval):
    network = explored(small_network((cin, middle, cout), supports, size=3), multipliers=5)
    limits = {"DSP": budget / 10, "LUT": budget * 20}
    legal = every_product(network, limits, interval)
    best = most_utilised(network, limits, interval)
    if not legal:
        assert best is None
        return
    assert (best.product, best.interval) == min(legal) and best.bound == best.product
    assert network.interval(best.answer.choice) == best.interval


def test_the_interval_of_a_unit_between_engines_is_an_interval():
    """576 cycles are no engine's: the units of test_units_between_engines_are_obeyed; nothing else is as well used."""
    everything = explored(small_network((2, 36, 2), ("dense", "dense")))
    first = [o for o in everything.options["c0"] if o.key == Parallelism(9, 2, 1)]
    second = [o for o in everything.options["c1"] if o.key in (Parallelism(2, 4, 1), Parallelism(2, 3, 4))]
    network = Network(everything.bundle, everything.shapes, {"c0": first, "c1": second}, TECHNOLOGY)
    best = most_utilised(network, {})
    assert (best.product, best.interval) == min(every_product(network, {}))
    slow = replace(network, options={"c0": first, "c1": [o for o in second if o.key == Parallelism(2, 4, 1)]})
    assert most_utilised(slow, {}).interval == 576 and most_utilised(slow, {}, 575) is None


@pytest.mark.parametrize(("variant", "N"), [("PSD2_P16", 39), pytest.param("PSD4_P8", 37, marks=pytest.mark.slow)])
def test_numbers_that_are_not_round_cost_nothing(variant, N):
    """Every layer with the variant is busy in every cycle, and the search asks the solver for few intervals."""
    network = explored(random_bundle(make_network("resnet18", "cifar10", variant), 0, 8, 8), 1728)
    best, shapes = most_utilised(network, {"DSP": 1728}), network.shapes
    assert best.product == best.bound and best.solved * 10 < best.intervals
    assert sum(shape.macs for shape in shapes.values()) > 0.998 * best.product
    assert {shape.N for shape in shapes.values() if shape.P > 1} == {N}
    for name, o in best.answer.choice.items():
        if shapes[name].P > 1:
            assert o.lanes * best.interval == shapes[name].macs


@cache
def lanes_of_resnet18(variant):
    """The least lanes at 262,144 cycles per image, a multiplier for each; checked layer by layer."""
    bundle = random_bundle(make_network("resnet18", "cifar10", variant), 0, 8, 8)
    network = explored(bundle, 160, packing=False, channels=False)
    answer = cheapest(network, {}, 262144, "DSP")
    lanes = sum(o.lanes for o in answer.choice.values())
    assert answer.proved and answer.bound == lanes
    # Independently: the least of each layer by itself, and where every multiplier works in every cycle.
    alone = [min(o.lanes for o in each if o.cycles <= 262144) for each in network.options.values()]
    assert sum(alone) == lanes
    full = 24 if variant == "PSD1_P16" else 144
    for name, o in answer.choice.items():
        shape = network.shapes[name]
        if shape.kernel == 3 and name != "stem":
            assert o.lanes == full // shape.stride
        assert o.lanes >= shape.macs / 262144
    return lanes


@pytest.mark.parametrize(("variant", "lanes"), [("PSD1_P16", 380), ("dense", 2120)])
def test_resnet18_at_262144_cycles(variant, lanes):
    """24 lanes for each 3x3 layer of stride 1 (dense: 144), 12 (72) for stride 2, 8 for projections, 7 stem, 1 fc."""
    assert lanes_of_resnet18(variant) == lanes


def test_the_ratio_of_multipliers_is_the_papers_flop_reduction():
    """5.6x fewer FLOPs for PSD1_P16 [T], as multiply-accumulates are counted and as multipliers at one frame rate."""
    counts = compare_variants(family("resnet18", "cifar10", ("PSD1_P16", "dense")))
    flops = counts["dense"].total("macs") / counts["PSD1_P16"].total("macs")
    assert lanes_of_resnet18("dense") / lanes_of_resnet18("PSD1_P16") == pytest.approx(flops, rel=0.01)
    assert round(flops, 1) == 5.6


def test_resnet18_packed_at_262144_cycles():
    """Two products in a multiplier: half of them in each layer, rounded up where a lane is alone (7 stem, 1 fc)."""
    bundle = random_bundle(make_network("resnet18", "cifar10", "PSD1_P16"), 0, 8, 8)
    network = explored(bundle, 160)
    answer = cheapest(network, {}, 262144, "DSP")
    lanes = [24] * 13 + [12] * 3 + [8] * 3 + [7, 1]
    assert answer.proved and answer.bound == 191 == sum(-(-each // 2) for each in lanes)
    # A ring in memories takes 16 cycles more in each image, which nothing can spare here.
    assert all(o.key.feed == WINDOWS for o in answer.choice.values())
    slower = cheapest(network, {}, 262160, "LUT", engines_alone=True)
    assert any(o.key.feed == CHANNELS for o in slower.choice.values())


# The command


def command(*words, **keys):
    run = [sys.executable, "-m", "psconv", "explore", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False, **keys)


def test_the_command_writes_a_configuration_that_run_takes(tmp_path):
    done = command(DIGITS, "--fps", 20000, "--points", 2, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    path = tmp_path / "network.yaml"
    config = load(path)
    assert config.top == "network" and load_bundle(config, path).network.name == "digits"
    keys = (*sorted({*Parallelism._fields} - {"ultra_weights", "streamed"}), "lanes")  # these two say where weights are
    assert all("ultra_weights" not in row for row in result["layers"])
    written = {name: [getattr(request, key) for key in keys] for name, request in config.layers.items()}
    assert written == {row["layer"]: [row[key] for key in keys] for row in result["layers"]}
    assert any(w.packing == 2 and w.feed == CHANNELS for w in config.layers.values())
    # What `psconv run` builds from it is as fast and as large as promised.
    bundle = load_bundle(config, path)
    shapes = engine_shapes(config, bundle)
    dataflow = build(bundle, shapes)
    interval = slowest(dataflow).iterations
    cost = cost_of(dataflow)
    assert cost.to_json() == {kind: result["chosen"][kind] for kind in ("DSP", "BRAM", "LUT", "FF", "URAM")}
    assert cost.DSP == sum(shape.multipliers for shape in shapes.values()) < sum(s.lanes for s in shapes.values())
    # Two sets of P channels for each element of the layers of P = 16.
    rings = [s.elements * 2 * 16 * s.in_bits for s in shapes.values() if s.pieces > 1]
    assert needed(dataflow)["rings"] == sum(rings)
    assert interval == result["chosen"]["cycles"] and 1e9 / (interval * config.clock_ns) >= 20000
    assert sum(shape.lanes for shape in shapes.values()) == result["chosen"]["lanes"]
    assert result["chosen"]["proof"] == "optimal"
    rates = [row["frames_per_second"] for row in result["frontier"]]
    assert rates == sorted(rates, reverse=True)
    assert (tmp_path / "frontier.svg").read_text().count("<svg") == 1


@pytest.mark.slow
@pytest.mark.parametrize("device", [technology.device for technology in calibrated()])
def test_a_chosen_network_is_built_as_predicted(device, tmp_path):
    """Packed layers and rings in memories: exact in every value and cycle, DSPs and block RAM as yosys counts them."""
    fps = round(66.66e6 / load_target(device).clock_ns / 1000)  # about as many cycles for an image on each
    done = command(DIGITS, "--device", device, "--fps", fps, "--points", 1, "--out", tmp_path, "--json")
    chosen = json.loads(done.stdout)["chosen"]
    path = tmp_path / "network.yaml"
    data = yaml.safe_load(path.read_text()) | {"images": {"source": "digits", "count": 6}, "stalls": {"images": 2}}
    path.write_text(yaml.safe_dump(data))
    run = [sys.executable, "-m", "psconv", "run", str(path), "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    built = json.loads((tmp_path / "run" / "report" / "report.json").read_text())["designs"][0]
    assert not any(built["mismatches"].values()) and built["cycles_sim"] == built["cycles_model"]
    assert built["interval_sim"] == chosen["cycles"] and built["lanes"] == chosen["lanes"]
    assert {kind: built["resources"][kind] for kind in ("DSP", "BRAM")} == {
        kind: chosen[kind] for kind in ("DSP", "BRAM")
    }
    for kind in ("LUT", "FF"):  # units between the engines included
        assert chosen[kind] == pytest.approx(built["resources"][kind], rel=0.15)


def test_the_command_finds_the_best_use_of_multipliers():
    done = command(DIGITS, "--maximise", "utilisation", "--fps", 10000, "--budget", "DSP=60", "--points", 1, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    chosen, rows = result["chosen"], result["layers"]
    network = explored(load_bundle(load(DIGITS), DIGITS), 60)
    best = most_utilised(network, {"DSP": 60}, 30003)  # cycles of 3.333 ns, 10,000 times a second
    macs = sum(shape.macs for shape in network.shapes.values())
    assert chosen["cycles"] * chosen["lanes"] == best.product == best.bound
    assert chosen["proof"] == "optimal" and chosen["frames_per_second"] >= 10000 and chosen["DSP"] <= 60
    assert chosen["utilisation"] == chosen["at_most"] == round(macs / best.product, 5)
    assert sum(row["utilisation"] * row["lanes"] for row in rows) == pytest.approx(
        chosen["utilisation"] * chosen["lanes"], abs=0.01
    )


def test_the_same_exploration_gives_the_same_file(tmp_path):
    texts = set()
    for name in ("a", "b"):
        request = explore.Request(None, "DSP", ("DSP=40",), points=1)
        texts.add(explore.write_config(explore.explore(DIGITS, request), DIGITS, tmp_path / name, request).read_bytes())
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "DSP"], "--budget: DSP: must be a number or 'none', got ''"),
        (["--budget", "GPU=3"], "KIND one of"),
        (["--budget", "BRAM=lots"], "--budget: BRAM: must be a number or 'none', got 'lots'"),
        (["--minimise", "SRL"], "--minimise: must be one of DSP, BRAM, LUT, FF, URAM, traffic, got 'SRL'"),
        (["--maximise", "speed"], "--maximise: must be 'utilisation', got 'speed'"),
        (["--fps", "1e9"], "--fps: must be at most one frame per clock cycle"),
        (["--fps", "290000", "--budget", "DSP=20"], "no folding"),
        (["--budget", "DSP=4"], "no folding"),
        (["--device", "ulx3s_85f"], "target: family: must be one of zynq_uplus, virtex_uplus"),
        (["--device", "nowhere"], "target: must be one of"),
    ],
)
def test_wrong_wishes_are_refused_in_words(words, said, monkeypatch, capsys):
    from psconv import cli

    monkeypatch.setattr(explore, "in_workers", lambda function, calls, _: [function(*call) for call in calls])
    monkeypatch.setattr(sys, "argv", ["psconv", "explore", str(DIGITS), *words])
    with pytest.raises(SystemExit) as leave:
        cli.main()
    assert leave.value.code == 2
    assert said in capsys.readouterr().err


def test_the_configuration_itself_is_not_overwritten(tmp_path):
    request = explore.Request(None, "DSP", (), points=1)
    source = tmp_path / "net.yaml"
    source.write_text(yaml.safe_dump({"psconv": 1, "network": {"name": "digits", "dataset": "digits"}}))
    with pytest.raises(ConfigError, match="--out: must not be the folder of the configuration"):
        explore.write_config(None, source, tmp_path, request)


def test_a_single_layer_has_nothing_to_explore():
    with pytest.raises(ConfigError, match="layer: must be left out"):
        explore.explore(ROOT / "examples" / "layers" / "dense.yaml", explore.Request(None, "DSP", ()))


def test_budgets_of_the_device_can_be_changed_and_lifted():
    target = explore.load_target("zcu104")
    device = {"LUT": 230400, "FF": 460800, "DSP": 10, "URAM": 96}
    assert explore.budgets(target, ("DSP=10", "BRAM=none"), 4.0) == device
    assert explore.budgets(target, ("DSP=10", "BRAM=none", "MB/s=1000"), 4.0) == device | {"traffic": 4.0}


def test_a_cluster_without_dask_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ConfigError, match="needs Dask"):
        explore.evaluate(max, [(1, 2)], "tcp://127.0.0.1:8786")


def test_a_cluster_computes_the_same():
    distributed = pytest.importorskip("distributed")
    options_of_one = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options_of_one) as cluster:
        shapes = [shape_of(4, 8, 4), shape_of(8, 4, 4)]
        calls = [(shape, 64, TECHNOLOGY) for shape in shapes]
        assert explore.evaluate(options, calls, cluster.scheduler_address) == [options(*call) for call in calls]


def test_multipliers_of_means_are_counted() -> None:
    """One for each channel of a word; none where a mean is a shift. yosys counts as many of this network."""
    _, dataflow = networks.made("padded pools and means of any size")
    # A mean of 9 of two pixels at once, one of 36 of one pixel, one of 35 pixels; maxima have none.
    assert streams_cost(dataflow, TECHNOLOGY).DSP == 2 + 1 + 1
    _, dataflow = networks.made("pools")  # means of 4 and of 8
    assert streams_cost(dataflow, TECHNOLOGY).DSP == 0
