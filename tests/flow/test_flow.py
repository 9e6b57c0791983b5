"""The whole path for one layer: C++ -> RTL -> Verilator, equal to the golden model, in exactly the predicted cycles."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from psconv.flow import run as flow
from psconv.flow import steps
from psconv.flow.bench import Disturbance, run_bench, synthesised
from psconv.flow.config import load
from psconv.flow.hls import Synthesised
from psconv.flow.vectors import load_outputs, load_vectors, save_vectors
from psconv.report.collect import design_report
from pymodel.common.errors import ConfigError
from pymodel.top import cycles
from tests.helpers.places import ROOT

EXAMPLES = sorted((ROOT / "examples" / "layers").glob("*.yaml"))
# As deep in the engine's corners as one image of a few cycles can go.
CORNERS = {
    "one pixel, one channel": {"in_channels": 1, "out_channels": 1, "height": 1, "width": 1},
    "one row": {"in_channels": 4, "out_channels": 5, "height": 1, "width": 7, "support": "PS4_P4"},
    "one column, stride 2": {
        "in_channels": 4,
        "out_channels": 4,
        "height": 7,
        "width": 1,
        "stride": 2,
        "support": "PS4_P4",
    },
    "fold 8 of two blocks": (
        {"in_channels": 8, "out_channels": 8, "height": 4, "width": 4, "support": "PS4_P4"},
        {"To": 2, "Tb": 2, "fold": 8},
    ),
    "fold with an idle multiplier": (
        {"in_channels": 8, "out_channels": 3, "height": 3, "width": 4, "support": "PSD1_P8"},
        {"fold": 5},
    ),
    "fold of one output channel": ({"in_channels": 2, "out_channels": 1, "height": 1, "width": 1}, {"fold": 3}),
    "groups of two block sets": (
        {"in_channels": 16, "out_channels": 8, "height": 3, "width": 4, "support": "PS4_P4", "groups": 2},
        {"R": 2, "fold": 2},
    ),
    "depthwise, two of four outputs of a channel at once": (
        {"in_channels": 5, "out_channels": 20, "height": 4, "width": 3, "groups": 5},
        {"R": 2, "To": 2, "fold": 3},
    ),
    "two products in a multiplier, folded": (
        {"in_channels": 8, "out_channels": 16, "height": 4, "width": 4, "support": "PSD1_P8"},
        {"To": 2, "fold": 2, "packing": 2},
    ),
    "four products in a multiplier": (
        {
            "in_channels": 4,
            "out_channels": 16,
            "height": 3,
            "width": 4,
            "weight_bits": 4,
            "activation_bits": 4,
            "support": "PS4_P4",
        },
        {"To": 4, "packing": 4},
    ),
    "channel by channel": (
        {"in_channels": 12, "out_channels": 8, "height": 4, "width": 5, "support": "PS4_P4"},
        {"feed": "channels"},
    ),
    "channel by channel, folded, stride 2": (
        {"in_channels": 18, "out_channels": 18, "height": 5, "width": 6, "stride": 2, "support": "PS1_P9"},
        {"Tb": 2, "fold": 2, "feed": "channels"},
    ),
    "channel by channel, one set": (
        {"in_channels": 4, "out_channels": 5, "height": 1, "width": 1, "support": "PS4_P4"},
        {"feed": "channels"},
    ),
    "5x5 kernel": {
        "in_channels": 3,
        "out_channels": 2,
        "height": 5,
        "width": 6,
        "kernel": 5,
        "padding": 2,
        "support": {"taps": [[0, 12, 24], [4, 20], [7]]},
    },
    "1x1, stride 2": {
        "in_channels": 3,
        "out_channels": 4,
        "height": 5,
        "width": 4,
        "kernel": 1,
        "stride": 2,
        "padding": 0,
    },
    "rows that no output needs": {
        "in_channels": 2,
        "out_channels": 2,
        "height": 6,
        "width": 6,
        "stride": 2,
        "padding": 0,
    },
    "extreme, two bits": {
        "in_channels": 4,
        "out_channels": 4,
        "height": 3,
        "width": 3,
        "weights": "min",
        "activation_bits": 2,
        "weight_bits": 2,
        "output_bits": 2,
        "support": "PS4_P4",
    },
}


@pytest.fixture(scope="session")
def simulators(tmp_path_factory) -> Path:
    """One Verilator library for all tests, of all workers."""
    return tmp_path_factory.getbasetemp().parent / "simulators"


def synthesised_run(path: Path, out: Path, simulators: Path | None = None):
    """A run of one design, its golden vectors and its RTL made."""
    this = flow.prepare(load(path), path, out, simulators=simulators)
    steps.golden_step(this.designs, this.settings, this.inputs)
    [design] = this.designs
    steps.synth_step(design, this.settings)
    return this, design


def run(path: Path, out: Path, simulators: Path):
    """The records of both co-simulations of a configuration, the schedule, the design and its vectors."""
    this, design = synthesised_run(path, out, simulators)
    steps.cosim_step(design, this.settings)
    record = json.loads(this.layout.simulation(design.name).read_text())
    schedule = Synthesised(this.layout.synth(design.name)).schedule
    vectors = load_vectors(this.layout, design)
    assert np.array_equal(load_outputs(this.layout, design, "cosim")[design.layer], vectors.outputs[design.layer])
    return record, schedule, design, vectors


def check(path: Path, out: Path, simulators: Path) -> None:
    record, schedule, design, vectors = run(path, out, simulators)
    shape, weights = design.engine.shape, design.engine.weights
    for name, result in record.items():
        assert result["mismatch_count"] == 0 and not result["errors"], (name, result)
    free = record["free"]
    predicted = cycles.latency(design.dataflow, schedule, len(vectors.x), free["start"])
    assert free["cycles"]["total"] == predicted.total
    if "stalled" in record and shape.in_beats > 8:
        assert record["stalled"]["stalls"]["out_bench_not_ready"] + record["stalled"]["stalls"]["in_design_not_ready"]
    assert {p["ii"] for p in schedule["processes"]} == {1}
    # Taps that only ever see padding, and weights that are all equal, need no multiplier: the compiler finds them.
    multipliers = {p["name"]: sum(m["count"] for m in p["multipliers"]) for p in schedule["processes"]}
    found, scaling = multipliers.pop("engine_pe"), multipliers.pop("engine_output")
    plain = min(vectors.x.shape[2:]) >= shape.kernel and len(np.unique(weights)) > 2
    assert found == shape.multipliers if plain else found <= shape.multipliers
    # A scale that is the same in every step is a constant.
    assert scaling == shape.scale_multipliers if shape.steps > 1 else scaling <= shape.scale_multipliers
    assert not any(multipliers.values())


def write(folder: Path, layer: dict, parallelism: dict | None = None, **more) -> Path:
    path = folder / "run.yaml"
    stalls = {"images": 3, "input": 0.4, "output": 0.4}
    path.write_text(
        yaml.safe_dump(
            {"psconv": 1, "layer": layer, "images": {"count": 3}, "stalls": stalls, "parallelism": parallelism or {}}
            | more
        )
    )
    return path


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.stem != "sustained"], ids=lambda path: path.stem)
def test_examples(path, tmp_path, simulators):
    check(path, tmp_path, simulators)


@pytest.mark.parametrize("name", CORNERS)
def test_corners(name, tmp_path, simulators):
    case = CORNERS[name]
    check(write(tmp_path, *(case if isinstance(case, tuple) else (case,))), tmp_path / "out", simulators)


@pytest.mark.slow
def test_a_resnet18_layer_sustains_one_step_per_cycle(tmp_path, simulators):
    path = ROOT / "examples" / "layers" / "sustained.yaml"
    record, schedule, design, _ = run(path, tmp_path, simulators)
    predicted = cycles.latency(design.dataflow, schedule, 1, record["free"]["start"])
    assert predicted.least_interval == 262_144
    assert record["free"]["cycles"]["total"] == 262_144 + predicted.fill
    assert record["free"]["mismatch_count"] == 0 and not record["free"]["errors"]


@pytest.mark.parametrize("target, clock_ns", [("ulx3s_85f", 8.0), ("zcu104", 2.2), ("zcu104", 20.0)])
def test_other_targets_and_clocks(target, clock_ns, tmp_path, simulators):
    layer = {"in_channels": 8, "out_channels": 8, "height": 4, "width": 4, "support": "PSD1_P8", "relu": True}
    check(write(tmp_path, layer, target=target, clock_ns=clock_ns), tmp_path / "out", simulators)


@pytest.mark.parametrize("after", [1, 17, 40])
def test_reset_in_the_middle_of_an_image(after, tmp_path, simulators):
    """After it the same images come out right, from the first."""
    layer = {"in_channels": 8, "out_channels": 8, "height": 4, "width": 5, "support": "PS4_P4"}
    path = write(tmp_path, layer)
    this, design = synthesised_run(path, tmp_path / "out", simulators)
    rtl = synthesised(this.layout.synth(design.name), design)
    disturbance = Disturbance(idle=0.2, backpressure=0.2, reset_after=after, seed=after)
    vectors = load_vectors(this.layout, design)
    result = run_bench(design, vectors, rtl, this.settings, tmp_path / "sim", disturbance)
    assert result.ok, (result.errors, result.mismatches)


def test_a_wrong_expectation_is_found(tmp_path, simulators):
    """The bench is not blind: one wrong element of the golden output is one mismatch, and its place is named."""
    layer = {"in_channels": 2, "out_channels": 3, "height": 3, "width": 4, "kernel": 1, "padding": 0}
    path = write(tmp_path, layer)
    this, design = synthesised_run(path, tmp_path / "out", simulators)
    vectors = load_vectors(this.layout, design)
    vectors.outputs[design.layer][1, 2, 1, 3] ^= 1
    save_vectors(this.layout, design, vectors)
    steps.cosim_step(design, this.settings)
    record = json.loads(this.layout.simulation(design.name).read_text())
    assert record["free"]["mismatch_count"] == 1
    beat = (1 * 4 + 3) * 3 + 2  # row, column, group
    assert {"image": 1, "beat": beat}.items() <= record["free"]["mismatches"][0].items()


def test_rtl_that_stops_is_told_and_reported(tmp_path: Path, simulators: Path) -> None:
    """Nothing out of it is one clear error; with some images there is a report of what was found."""
    layer = {"in_channels": 2, "out_channels": 3, "height": 3, "width": 4, "kernel": 1, "padding": 0}
    this, design = synthesised_run(write(tmp_path, layer, stalls={"images": 0}), tmp_path / "out", simulators)
    [top] = (this.layout.synth(design.name) / "rtl").glob(f"{design.dataflow.top}.sv")
    text = top.read_text()
    assert ".valid     (y_TVALID)" in text

    def stop_after(beats: int) -> None:
        """Simulates RTL that lets so many output beats through."""
        gate = f"""
  reg [15:0] taken;
  always @(posedge ap_clk) taken <= ~ap_rst_n ? 16'd0 : taken + (y_TVALID & y_TREADY);
  assign y_TVALID = there & taken < 16'd{beats};
endmodule"""
        gated = text.replace(".valid     (y_TVALID)", ".valid     (there)").replace("endmodule", gate)
        top.write_text(gated.replace(");", ");\n  wire there;", 1))
        steps.cosim_step(design, this.settings)

    stop_after(0)
    with pytest.raises(ConfigError, match=r"\.json: nothing came out of the RTL: .*stuck"):
        design_report(design, this.settings)
    stop_after(design.dataflow.out_beats)
    steps.csim_step(design, this.settings)
    steps.resources_step(design, this.settings)
    found = design_report(design, this.settings)
    assert not found.ok and found.errors and not found.image_ends_agree
    assert found.interval_sim is None
    assert found.mismatches == {"csim": 0, "cosim": 2 * design.dataflow.out_beats}  # those of the images that are lost


# target, bits of weights and activations, parallelism -> lanes, DSP blocks
PACKED = {
    "int8 by two": ("zcu104", 8, 8, {"To": 2, "packing": 2}, 48, 24),
    "int8 by two, folded": ("zcu104", 8, 8, {"To": 2, "fold": 2, "packing": 2}, 24, 12),
    "4 bits by four": ("zcu104", 4, 4, {"To": 4, "packing": 4}, 96, 24),
    "int8 by two in a DSP48E1": ("pynq_z2", 8, 8, {"To": 2, "packing": 2}, 48, 24),
    "4 x 8 bits by two on an ECP5": ("ulx3s_85f", 4, 8, {"To": 2, "packing": 2}, 48, 24),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKED)
def test_packed_engines_take_one_block_for_several_products(name, tmp_path):
    target, weight_bits, activation_bits, parallelism, lanes, blocks = PACKED[name]
    layer = {
        "in_channels": 16,
        "out_channels": 64,
        "height": 3,
        "width": 4,
        "support": "PSD1_P16",
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
    }
    path = write(tmp_path, layer, parallelism, target=target)
    this, design = synthesised_run(path, tmp_path / "out")
    steps.resources_step(design, this.settings)
    found, shape = json.loads(this.layout.resources(design.name).read_text()), design.engine.shape
    assert (shape.lanes, shape.multipliers, found["total"]["DSP"]) == (lanes, blocks, blocks)
    operands = found["operands"]
    assert operands["multipliers"] == operands["weights_from_memory"] == blocks
    assert operands["packing_adders"] == blocks * (shape.packing - 1)
    assert operands["multiplexer_free"] or shape.fold > 1


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_layers(data, tmp_path_factory, simulators):
    draw = data.draw
    kernel = draw(st.sampled_from([1, 3, 3, 3]))
    names = ["dense", "PS4_P4", "PS2_P6", "PS1_P9", "PSD1_P8", "PSD2_P8", "PSD4_P8", "PSD1_P16", "PS1_P3"]
    layer = {
        "in_channels": draw(st.integers(1, 20)),
        "out_channels": draw(st.integers(1, 17)),
        "height": draw(st.integers(1, 7)),
        "width": draw(st.integers(1, 7)),
        "kernel": kernel,
        "stride": draw(st.integers(1, 2)),
        "padding": draw(st.integers(0, kernel // 2)),
        "support": draw(st.sampled_from(names)) if kernel == 3 else "dense",
        "relu": draw(st.booleans()),
        "activation_bits": draw(st.integers(2, 8)),
        "weight_bits": draw(st.integers(2, 8)),
        "output_bits": draw(st.integers(2, 8)),
        "weights": draw(st.sampled_from(["random", "min", "max"])),
        "scale": draw(st.sampled_from(["none", "per_channel"])),
    }
    parallelism = {
        "To": draw(st.integers(1, 2)),
        "Tb": draw(st.integers(1, 3)),
        "fold": draw(st.integers(1, 9)),
        "packing": draw(st.integers(1, 2)),
    }
    folder = tmp_path_factory.mktemp("layer")
    path = write(folder, layer, parallelism, seed=draw(st.integers(0, 1000)))
    try:
        flow.prepare(load(path), path, folder / "out")
    except ConfigError:
        assume(False)  # no such engine
    check(path, folder / "out", simulators)
