"""The bench on sound designs (exact cycle counts) and on bad ones (each defect has its message)."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from rtl_tb import build, processes, records
from rtl_tb.build import elaborated_ports
from rtl_tb.ports import Ports, load_ports, parse_ports, vendor_ports
from rtl_tb.progress import Progress
from rtl_tb.runner import SimResult, simulate
from rtl_tb.scoreboard import Field, Layout, compare_beats, compare_words
from tests.helpers.places import RTL

FIFO = [RTL / "axis_fifo.sv"]
FAULTS = (
    "sound",
    "hang",
    "mute",
    "drop",
    "repeat",
    "reorder",
    "flip",
    "last_missing",
    "last_early",
    "unstable",
    "withdraw",
    "keep",
    "valid_in_reset",
    "no_reset",
    "babble",
    "too_many",
    "last_unstable",
)
IMAGES, BEATS = 3, 32


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of compiled simulators for all tests of this file."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fifo_ports() -> Ports:
    return vendor_ports("open", "axis_fifo", {"x": "in", "y": "out"}, elaborated_ports(FIFO, "axis_fifo"))


@pytest.fixture
def fifo(cache: Path, fifo_ports: Ports, tmp_path: Path):
    """Runs the FIFO with one of its faults on random beats, which are also what is expected."""
    beats = np.random.default_rng(5).integers(0, 256, (IMAGES * BEATS, 2), dtype=np.uint8)
    last = np.arange(len(beats)) % BEATS == BEATS - 1

    def run(fault: str = "sound", **options):
        ports = fifo_ports.model_copy(update={"tie": {"fault": FAULTS.index(fault)}})
        options.setdefault("timeout_cycles", 200)
        return simulate(FIFO, ports, beats, last, beats, BEATS, tmp_path, cache=cache, **options)

    return run


def test_sound_fifo_has_its_exact_cycle_count(fifo) -> None:
    result = fifo()
    assert result.ok and result.errors == []
    total, first = IMAGES * BEATS + 1, result.cycles["first_in"]
    assert result.cycles["total"] == total
    assert result.cycles["first_out"] == first + 1
    assert result.cycles["image_last"] == [first + BEATS * (i + 1) for i in range(IMAGES)]
    assert result.stalls == {"in_design_not_ready": 0, "out_bench_not_ready": 0}
    assert result.last.sum() == IMAGES


def test_idle_backpressure_and_reset_in_the_middle(fifo) -> None:
    result = fifo(idle=0.4, backpressure=0.4, reset_after=BEATS + 5, seed=3)
    assert result.ok
    assert result.stalls["out_bench_not_ready"] > 0 and result.stalls["in_design_not_ready"] > 0
    assert result.cycles["total"] > IMAGES * BEATS * 1.3


@pytest.mark.parametrize(
    ("fault", "options", "message"),
    [
        ("drop", {}, r"1 beat\(s\) lost at image 0, beat 21"),
        ("repeat", {}, r"1 repeated beat\(s\) before image 0, beat 22"),
        ("reorder", {}, "2 beats reordered at image 0, beat 21"),
        ("flip", {}, r"1 wrong beat\(s\) at image 0, beat 21"),
        ("last_missing", {}, "TLAST missing at image 0, beat 31"),
        ("last_early", {}, "TLAST too early at image 0, beat 21"),
        ("unstable", {"backpressure": 0.5}, "TDATA changed while the beat waited for TREADY"),
        ("last_unstable", {"backpressure": 0.5}, "TLAST changed while the beat waited for TREADY"),
        ("too_many", {}, "1 (repeated|extra) beats after the last expected one"),
        ("babble", {}, r"11\d extra beats after the last expected one"),
        ("withdraw", {"backpressure": 0.8}, "TVALID fell before TREADY"),
        ("keep", {}, "TKEEP marks bytes as not part of the beat: 0b00"),
        ("valid_in_reset", {}, "TVALID is not low in reset"),
        (
            "hang",
            {},
            "watchdog.*x: stuck at image 0, beat 21, 21 of 96.*the bench offers a beat, the design is not",
        ),
        (
            "mute",
            {},
            "watchdog.*y: stuck at image 0, beat 21 .row 5, column 1.*the bench is ready, the design offers",
        ),
    ],
)
def test_each_defect_is_named(fifo, fault: str, options: dict, message: str) -> None:
    axes = {"out": [("row", 8), ("column", 4)]}
    result = fifo(fault, axes=axes, **options)
    assert not result.ok
    assert any(re.search(message, error) for error in result.errors), result.errors


@pytest.mark.parametrize("fault", ["sound", "flip", "drop"])
def test_every_output_of_several_is_compared(fault: str, cache: Path, tmp_path: Path) -> None:
    """An image ends with the last beat of both; what is wrong with one is told by its name, of that one alone."""
    files, top = [*FIFO, RTL / "axis_fork.sv"], "axis_fork"
    ports = vendor_ports("open", top, {"x": "in", "y": "out", "z": "out"}, elaborated_ports(files, top))
    ports = ports.model_copy(update={"tie": {"fault": FAULTS.index(fault)}})
    beats = np.random.default_rng(5).integers(0, 256, (IMAGES * BEATS, 2), dtype=np.uint8)
    last = np.arange(len(beats)) % BEATS == BEATS - 1
    other = np.ascontiguousarray(beats[:, ::-1])

    def run(**options) -> SimResult:
        options = {"extra_outputs": {"z": (other, BEATS)}, "timeout_cycles": 200} | options
        return simulate(files, ports, beats, last, beats, BEATS, tmp_path, cache=cache, **options)

    result = run()
    wrong = {"sound": 0, "flip": 1}.get(fault)
    assert result.ok == (fault == "sound"), result.errors
    assert result.probes["y"]["mismatch_count"] == 0 and result.beats.tolist() == beats.tolist()
    if wrong is not None:
        assert result.mismatch_count == result.probes["z"]["mismatch_count"] == wrong
        assert int((result.extra_beats["z"] != other).any(axis=1).sum()) == wrong
    if fault != "sound":
        assert any(re.search(r"z: 1 (wrong|beat).* at image 0, beat 21", error) for error in result.errors), (
            result.errors
        )
        return
    first = result.cycles["first_in"]
    assert result.cycles["image_last"] == [first + BEATS * (i + 1) for i in range(IMAGES)]
    assert result.cycles["total"] == IMAGES * BEATS + 1
    assert run(idle=0.3, backpressure=0.5, reset_after=BEATS + 5, seed=2).ok
    with pytest.raises(ConfigError, match=r"extra_outputs\['z'\]: must be 3 images of 31 beats, got 96 beats"):
        run(extra_outputs={"z": (other, BEATS - 1)})
    with pytest.raises(ConfigError, match="must have one stream of direction 'out', got y, z"):
        run(extra_outputs={})


def test_reset_that_resets_nothing_is_found(fifo) -> None:
    assert not fifo("no_reset", reset_after=BEATS + 5, backpressure=0.5).ok


def wire_run(out: Path, cache: Path, **options) -> SimResult:
    rtl = [RTL / "axis_pass.sv"]
    ports = vendor_ports("bambu", "axis_pass", {"a": "in", "b": "out"}, elaborated_ports(rtl, "axis_pass"))
    assert ports.reset.name == "reset" and "TKEEP" not in ports.stream("out").signals
    beats = np.random.default_rng(1).integers(0, 256, (40, 3), dtype=np.uint8)
    return simulate(rtl, ports, beats, np.arange(40) % 10 == 9, beats, 10, out, cache=cache, **options)


def test_wire_with_vendor_names(cache: Path, tmp_path: Path) -> None:
    result = wire_run(tmp_path, cache, idle=0.2)
    assert result.ok, result.errors
    assert result.cycles["first_in"] == result.cycles["first_out"]
    assert result.waves is None


SKID = {
    "top": "axis_skid",
    "clock": "clk_i",
    "reset": {"name": "rst_i", "active_low": False},
    "tie": {"gain_i": 200},
    "streams": [
        {
            "name": name,
            "direction": direction,
            "signals": {
                "TDATA": {"name": f"{side}_data_i" if side == "s" else f"{side}_data_o", "width": 40},
                "TVALID": {"name": f"{side}_valid_i" if side == "s" else f"{side}_valid_o", "width": 1},
                "TREADY": {"name": f"{side}_ready_o" if side == "s" else f"{side}_ready_i", "width": 1},
            },
        }
        for name, direction, side in (("from", "in", "s"), ("to", "out", "m"))
    ],
}


@pytest.mark.parametrize(
    ("idle", "backpressure", "reset_after"),
    [(0.0, 0.0, None), (0.6, 0.1, 1), (0.1, 0.6, 77), (0.5, 0.5, 300), (0.0, 0.95, None)],
)
def test_skid_buffer_is_right_under_any_stalls(
    cache: Path, tmp_path: Path, idle: float, backpressure: float, reset_after: int | None
) -> None:
    """No TLAST, a reset that is active high, a tied input, and beats that do not fill whole words."""
    beats = np.random.default_rng(7).integers(0, 256, (300, 5), dtype=np.uint8)
    expected = beats.copy()
    expected[:, 0] += 200
    stalls = {"idle": idle, "backpressure": backpressure, "reset_after": reset_after}
    run = partial(simulate, [RTL / "axis_skid.sv"], SKID, beats, np.arange(300) % 50 == 49, expected, 50)
    result = run(tmp_path, cache=cache, seed=4, **stalls)
    assert result.ok, result.errors
    assert np.array_equal(result.beats, expected) and not result.last.any()
    if not (idle or backpressure):
        assert result.cycles["total"] == 301 and set(result.stalls.values()) == {0}
        return
    # Exact shares of stalled cycles would be a test of the generator; far-off ones are a fault of the bench.
    assert result.cycles["total"] > 300 / (1 - max(idle, backpressure)) * 0.8
    again, other = (run(tmp_path, cache=cache, seed=seed, **stalls) for seed in (4, 5))
    assert again.cycles == result.cycles and again.stalls == result.stalls
    assert other.ok and other.cycles["image_last"] != result.cycles["image_last"]


@pytest.fixture
def probed(cache: Path, tmp_path: Path):
    """Runs the design with two inner streams; `probes` may be changed by a function."""
    rtl = [RTL / "probed.sv"]
    ports = vendor_ports("open", "probed", {"x": "in", "y": "out"}, elaborated_ports(rtl, "probed"))
    beats = np.random.default_rng(3).integers(0, 256, (48, 2), dtype=np.uint8)
    doubled = (beats.astype(np.uint16) * 2).astype(np.uint8)
    biased = ((doubled.copy().view("<u2") & 0xFFF) + 1 & 0xFFF).astype("<u2").view(np.uint8)
    place = [("row", 4), ("column", 3), ("group", 2)]

    def run(fault: int, change=lambda probes: probes, **options) -> SimResult:
        probes = change({"doubled": doubled, "biased": biased})
        return simulate(
            rtl,
            ports.model_copy(update={"tie": {"fault": fault}}),
            beats,
            np.arange(48) % 24 == 23,
            biased,
            24,
            tmp_path,
            cache=cache,
            axes={"out": place, **dict.fromkeys(probes, place)},
            fields=dict.fromkeys(probes, ("channel", 4, 4)),
            timeout_cycles=100,
            probes=probes,
            **options,
        )

    return run


@pytest.mark.parametrize("options", [{}, {"idle": 0.3, "backpressure": 0.6, "reset_after": 20}])
def test_inner_streams_are_recorded(probed, options: dict) -> None:
    result = probed(0, **options)
    assert result.ok, result.errors
    assert {name: (probe["words"], probe["mismatch_count"]) for name, probe in result.probes.items()} == {
        "doubled": (48, 0),
        "biased": (48, 0),
    }


def test_the_first_inner_stream_that_differs_is_named(probed) -> None:
    result = probed(1, backpressure=0.4)
    # Word 13: row 2, column 0, group 1. Bit 13 lies in the fourth channel of group 1.
    where = "image 0, beat 13 (row 2, column 0, group 1)"
    assert result.errors[0].startswith(f"probe: doubled: 1 of 48 words differ, the first at {where}, channel 7, cycle ")
    first = result.probes["doubled"]["first"]
    assert (first["index"], first["image"]) == (13, 0)
    assert int(first["expected"], 16) ^ int(first["received"], 16) == 0x2000
    # The second stage drops that bit: only the probe sees the fault.
    assert result.probes["biased"]["mismatch_count"] == result.mismatch_count == 0 and not result.ok


def test_inner_words_too_many_or_too_few(probed) -> None:
    many = probed(2)
    assert many.probes["doubled"]["words"] == 49
    assert any("probe: doubled: 1 words after the last expected one" in error for error in many.errors)
    few = probed(3)
    assert few.probes["doubled"]["words"] == 47 and few.errors[0].startswith("watchdog:")
    assert any(
        "probe: doubled: 1 words missing, from image 1, beat 23 (row 3, column 2, group 1)" in error
        for error in few.errors
    )


def test_probes_are_checked(probed) -> None:
    with pytest.raises(ConfigError, match="no nets tripled_push and tripled_push_data; .*: biased, doubled"):
        probed(0, lambda probes: {"tripled": probes["doubled"]})
    with pytest.raises(ConfigError, match="words of biased have 12 bits, not 1 bytes"):
        probed(0, lambda probes: {"biased": probes["biased"][:, :1]})
    with pytest.raises(ConfigError, match=r"probes\['doubled'\]: .* of 2 equal images"):
        probed(0, lambda probes: {"doubled": probes["doubled"][:-1]})


def test_progress_is_told(fifo) -> None:
    told: list[Progress] = []
    assert fifo(progress=told.append).ok
    assert told[-1].beats == told[-1].expected == IMAGES * BEATS
    assert told[-1].cycles > IMAGES * BEATS and told[-1].cycles_per_second > 0 and told[-1].seconds_left == 0


@pytest.mark.slow
def test_two_threads_give_the_same_cycles(fifo) -> None:
    stalls = {"idle": 0.4, "backpressure": 0.3, "seed": 8}
    one, two = fifo(**stalls), fifo(**stalls, threads=2)
    assert two.ok and two.cycles == one.cycles and two.stalls == one.stalls


@pytest.mark.slow
def test_waves(cache: Path, tmp_path: Path) -> None:
    result = wire_run(tmp_path, cache, waves=True)
    assert result.ok and result.waves is not None and "m_axis_b_TDATA" in result.waves.read_text()


@pytest.mark.parametrize("options", [{}, {"backpressure": 0.3, "seed": 9}])
def test_long_silence_is_counted_exactly(cache: Path, tmp_path: Path, options: dict) -> None:
    rtl = [RTL / "axis_accumulate.sv"]
    ports = vendor_ports("vitis", "axis_accumulate", {"x": "in", "y": "out"}, elaborated_ports(rtl, "axis_accumulate"))
    beats = np.random.default_rng(2).integers(0, 256, (64, 1), dtype=np.uint8)
    last = np.arange(64) % 32 == 31
    expected = beats.reshape(16, 4).sum(axis=1, dtype=np.uint8)[:, None]
    result = simulate(rtl, ports, beats, last, expected, 8, tmp_path, cache=cache, timeout_cycles=80, **options)
    assert result.ok, result.errors
    # Each sum takes 4 beats, 50 idle cycles and 1 cycle of output, or more where the bench is not ready.
    assert result.cycles["total"] == 16 * 55 + result.stalls["out_bench_not_ready"]
    if not options:
        assert result.stalls["in_design_not_ready"] == 15 * 51
        late = simulate(rtl, ports, beats, last, expected, 8, tmp_path, cache=cache, timeout_cycles=40)
        assert "watchdog: no beat moved in 40 cycles" in late.errors[0]


def test_the_verilator_library_is_compiled_once(
    cache: Path, fifo_ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second design takes its objects from the cache (they are most of the compile time of a small one)."""
    build.build(FIFO, fifo_ports, cache)
    plans = []

    def plan(command, folder, failure) -> None:
        if command[0] == "make":
            dry = [*command, "--dry-run"]
            plans.append(
                subprocess.run(
                    dry,
                    cwd=folder,
                    env=build.tool_environment(),
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            raise StopIteration
        real(command, folder, failure)

    real = build.run_tool
    monkeypatch.setattr(build, "run_tool", plan)
    with pytest.raises(StopIteration):
        build.build([*FIFO, RTL / "axis_pass.sv"], fifo_ports, cache)
    assert len(plans) == 1 and "Vtop__ALL.cpp" in plans[0] and "verilated_vpi.cpp" not in plans[0]
    assert "-include headers.h.fast" in plans[0] and "c++-header" not in plans[0]


def test_no_function_of_a_simulator_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many registers a design has: g++ takes a function of all of them for minutes, and gigabytes."""
    words, functions = 6_000, []
    names = ", ".join(f"r{k}" for k in range(words))
    sums = "\n".join(f"        r{k} <= r{(k + 1) % words} + r{(7 * k + 3) % words};" for k in range(words))
    (tmp_path / "wide.sv").write_text(
        f"module wide(input logic clk, input logic [15:0] x, output logic [15:0] y);\n"
        f"    logic [15:0] {names};\n    assign y = r0 ^ x;\n"
        f"    always_ff @(posedge clk) begin\n{sums}\n    end\nendmodule\n"
    )
    (tmp_path / "main.cpp").write_text("")

    def sizes(command, folder, failure) -> None:
        if command[0] == "make":
            for path in folder.glob("Vtop*.cpp"):
                starts = [n for n, line in enumerate(path.read_text().splitlines()) if line.startswith(("void", "VL_"))]
                functions.extend(b - a for a, b in itertools.pairwise(starts))
            raise StopIteration
        real(command, folder, failure)

    real = build.run_tool
    monkeypatch.setattr(build, "run_tool", sizes)
    with pytest.raises(StopIteration):
        build.build_program([tmp_path / "wide.sv"], "wide", tmp_path / "main.cpp", tmp_path)
    assert words < sum(functions) and max(functions) < words


def test_a_broken_design_is_one_clear_error(tmp_path: Path, fifo_ports: Ports) -> None:
    (tmp_path / "bad.sv").write_text("module axis_fifo(input ap_clk; endmodule")
    beats = np.zeros((4, 2), np.uint8)
    last = np.array([0, 0, 0, 1], bool)
    with pytest.raises(ConfigError, match=r"Verilator refuses axis_fifo:\n.*bad.sv:1"):
        simulate([tmp_path / "bad.sv"], fifo_ports, beats, last, beats, 4, tmp_path / "run")
    assert not list((tmp_path / "run" / "build").glob("axis_fifo-*"))
    with pytest.raises(ConfigError, match="no such file"):
        simulate([tmp_path / "absent.sv"], fifo_ports, beats, last, beats, 4, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"beats_in: must be uint8 \[beats > 0, 2\]"):
        simulate(FIFO, fifo_ports, beats[:, :1], last, beats, 4, tmp_path / "run")
    with pytest.raises(ConfigError, match="expected: must be 1 images of 3 beats, got 4"):
        simulate(FIFO, fifo_ports, beats, last, beats, 3, tmp_path / "run")
    with pytest.raises(ConfigError, match="idle"):
        simulate(FIFO, fifo_ports, beats, last, beats, 4, tmp_path / "run", idle=1.0)
    with pytest.raises(ConfigError, match=r"axes\['out'\]: must have 4 beats, as an image, got 6"):
        simulate(FIFO, fifo_ports, beats, last, beats, 4, tmp_path / "run", axes={"out": [("row", 6)]})


def test_an_interrupt_leaves_no_simulator_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    command = ["sh", "-c", "echo $$; sleep 60"]
    with (tmp_path / "log").open("w+") as log, pytest.raises(KeyboardInterrupt):
        processes.run(command, tmp_path, {}, log, interrupted)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "log").read_text()), 0)


def test_ports_json_is_checked(tmp_path: Path, fifo_ports: Ports) -> None:
    path = tmp_path / "ports.json"
    path.write_text(fifo_ports.model_dump_json())
    assert load_ports(path) == fifo_ports
    data = json.loads(path.read_text())
    del data["streams"][0]["signals"]["TREADY"]
    with pytest.raises(ConfigError, match="TREADY"):
        parse_ports(data)
    data = json.loads(path.read_text())
    data["streams"][1]["signals"]["TDATA"]["width"] = 12
    with pytest.raises(ConfigError, match="whole bytes"):
        parse_ports(data)
    with pytest.raises(ConfigError, match="tool: must be one of open, vitis, bambu, got 'catapult'"):
        vendor_ports("catapult", "top", {"x": "in"}, [])
    with pytest.raises(ConfigError, match="no port 'ap_clk'"):
        vendor_ports("vitis", "top", {"x": "in"}, [])
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        load_ports(path)
    with pytest.raises(ConfigError, match="must have one stream of direction 'out', got none"):
        parse_ports({**fifo_ports.model_dump(), "streams": [fifo_ports.stream("in").model_dump()]}).stream("out")


beats_strategy = st.lists(st.integers(0, 255), min_size=1, max_size=60)


def as_beats(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1)


@given(beats_strategy, beats_strategy)
@settings(max_examples=300, deadline=None)
def test_scoreboard_accepts_equal_sequences_only(expected: list[int], other: list[int]) -> None:
    layout = Layout(7)
    assert compare_beats("y", as_beats(expected), as_beats(expected), None, layout).errors == []
    verdict = compare_beats("y", as_beats(expected), as_beats(other), None, layout)
    assert bool(verdict.errors) == bool(verdict.mismatch_count) == (expected != other)
    cut = compare_beats("y", as_beats(expected), as_beats(expected[:-1]), None, layout, complete=False)
    assert cut.errors == [] and cut.mismatch_count == 0


@given(st.integers(0, 49), st.integers(1, 5), st.sampled_from(["lost", "repeated", "extra", "wrong"]))
@settings(max_examples=100, deadline=None)
def test_scoreboard_names_single_deviations(at: int, count: int, kind: str) -> None:
    expected = np.random.default_rng(0).permutation(200)[:60]
    values = expected.tolist()
    if kind == "lost":
        received = values[:at] + values[at + count :]
    elif kind == "repeated":
        received = values[: at + 1] + [values[at]] * count + values[at + 1 :]
    elif kind == "extra":
        received = values[:at] + list(range(201, 201 + count)) + values[at:]
    else:
        received = values[:at] + list(range(201, 201 + count)) + values[at + count :]
    errors = compare_beats("y", as_beats(values), as_beats(received), None, Layout(60)).errors
    assert (len(errors) == 1 and f"{count} {kind}" in errors[0].replace("beat(s) ", "").replace("beats ", "")) or (
        kind == "lost" and f"{count} beat(s) lost at image 0, beat {at}" in errors[0]
    ), errors


def words(values: list[int]) -> np.ndarray:
    """Values as stream_probe would record them, one a cycle."""
    found = np.zeros(len(values), records.probe_type(1))
    found["cycle"], found["data"][:, 0] = np.arange(len(values)), values
    return found


@given(beats_strategy, beats_strategy)
@settings(max_examples=300, deadline=None)
def test_words_equal_only_themselves(expected: list[int], other: list[int]) -> None:
    layout = Layout(7, field=Field("channel", 3, 2))
    verdict = compare_words("s", as_beats(expected), words(other), layout)
    assert bool(verdict.errors) == bool(verdict.mismatch_count) == (expected != other)
    pairs = list(zip(expected, other, strict=False))
    index = next((i for i, (want, got) in enumerate(pairs) if want != got), None)
    assert (verdict.first and verdict.first["index"]) == index
    if index is not None:
        low = (expected[index] ^ other[index]) & -(expected[index] ^ other[index])
        place = "padding" if low >= 64 else f"channel {int(low >= 8)}"
        assert place in verdict.first["position"]
    cut = compare_words("s", as_beats(expected), words(expected[:-1]), layout, complete=False)
    assert cut.errors == [] and cut.mismatch_count == 0
