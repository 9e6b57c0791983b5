"""The bench on sound designs (exact cycle counts) and on bad ones (each defect has its message)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.errors import ConfigError
from rtl_tb import runner
from rtl_tb.ports import Ports, load_ports, parse_ports, vendor_ports
from rtl_tb.protocol import OutputMonitor
from rtl_tb.runner import elaborated_ports, simulate
from rtl_tb.scoreboard import Layout, compare_beats

RTL = Path(__file__).parent / "rtl"
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


def test_reset_that_resets_nothing_is_found(fifo) -> None:
    assert not fifo("no_reset", reset_after=BEATS + 5, backpressure=0.5).ok


def wire_run(out: Path, cache: Path, **options) -> runner.SimResult:
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


@pytest.mark.slow
def test_waves(cache: Path, tmp_path: Path) -> None:
    result = wire_run(tmp_path, cache, waves=True)
    assert result.ok and result.waves is not None and "m_axis_b_TDATA" in result.waves.read_text()


@pytest.mark.parametrize("options", [{}, {"backpressure": 0.3, "seed": 9}])
def test_long_silence_is_counted_exactly(cache: Path, tmp_path: Path, options: dict) -> None:
    """The bench waits for events in the silence; it must count as if it had looked at every edge."""
    rtl = [RTL / "axis_accumulate.sv"]
    ports = vendor_ports(
        "vitis", "axis_accumulate", {"x": "in", "y": "out"}, elaborated_ports(rtl, "axis_accumulate")
    )
    beats = np.random.default_rng(2).integers(0, 256, (64, 1), dtype=np.uint8)
    last = np.arange(64) % 32 == 31
    expected = beats.reshape(16, 4).sum(axis=1, dtype=np.uint8)[:, None]
    result = simulate(
        rtl, ports, beats, last, expected, 8, tmp_path, cache=cache, timeout_cycles=80, **options
    )
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
    runner.build(FIFO, fifo_ports, cache)
    plans = []

    def plan(command, folder, failure) -> None:
        if command[0] == "make":
            dry = [*command, "--dry-run"]
            plans.append(
                subprocess.run(
                    dry,
                    cwd=folder,
                    env=runner._tool_environment(),
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            raise StopIteration
        real(command, folder, failure)

    real = runner._run
    monkeypatch.setattr(runner, "_run", plan)
    with pytest.raises(StopIteration):
        other = fifo_ports.model_copy(update={"tie": {"fault": 0, "ap_rst_n": 1}})
        runner.build([*FIFO, RTL / "axis_pass.sv"], other, cache)
    assert len(plans) == 1 and "Vtop__ALL.cpp" in plans[0] and "verilated_vpi.cpp" not in plans[0]


def test_a_broken_design_is_one_clear_error(tmp_path: Path, fifo_ports: Ports) -> None:
    (tmp_path / "bad.sv").write_text("module axis_fifo(input ap_clk; endmodule")
    beats = np.zeros((4, 2), np.uint8)
    last = np.array([0, 0, 0, 1], bool)
    with pytest.raises(ConfigError, match=r"Verilator refuses axis_fifo:\n.*bad.sv:1"):
        simulate([tmp_path / "bad.sv"], fifo_ports, beats, last, beats, 4, tmp_path / "run")
    assert not list((tmp_path / "run" / "build").glob("axis_fifo-*"))
    with pytest.raises(ConfigError, match="no such file"):
        simulate([tmp_path / "absent.sv"], fifo_ports, beats, last, beats, 4, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"beats_in: uint8 \[beats > 0, 2\]"):
        simulate(FIFO, fifo_ports, beats[:, :1], last, beats, 4, tmp_path / "run")
    with pytest.raises(ConfigError, match="expected: 1 images of 3 beats"):
        simulate(FIFO, fifo_ports, beats, last, beats, 3, tmp_path / "run")
    with pytest.raises(ConfigError, match="idle"):
        simulate(FIFO, fifo_ports, beats, last, beats, 4, tmp_path / "run", idle=1.0)
    with pytest.raises(ConfigError, match=r"axes\['out'\]: 6 beats, but an image has 4"):
        simulate(FIFO, fifo_ports, beats, last, beats, 4, tmp_path / "run", axes={"out": [("row", 6)]})


def test_an_interrupt_leaves_no_simulator_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    monkeypatch.setattr(sleeper, "wait", _interrupted_once(sleeper.wait))
    with pytest.raises(KeyboardInterrupt):
        runner._wait(sleeper)
    assert sleeper.poll() is not None


def _interrupted_once(wait):
    calls = iter([KeyboardInterrupt])

    def patched(*arguments, **options):
        for error in calls:
            raise error
        return wait(*arguments, **options)

    return patched


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
    with pytest.raises(ConfigError, match="unknown HLS tool 'catapult'; known: open, vitis, bambu"):
        vendor_ports("catapult", "top", {"x": "in"}, [])
    with pytest.raises(ConfigError, match="no port 'ap_clk'"):
        vendor_ports("vitis", "top", {"x": "in"}, [])
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        load_ports(path)
    with pytest.raises(ConfigError, match="one stream of direction 'out' needed, found none"):
        parse_ports({**fifo_ports.model_dump(), "streams": [fifo_ports.stream("in").model_dump()]}).stream(
            "out"
        )


def test_monitor_finds_unknown_bits() -> None:
    """Verilator has no X; simulators that do must not be believed silently."""
    monitor = OutputMonitor("y", ("TDATA", "TLAST"))
    assert monitor.sample(1, 1, 1, ("0101", "0"))
    assert not monitor.sample(2, 1, 1, ("01x1", "0"))
    assert not monitor.sample(3, -1, 1, ())
    assert [error.split(": ")[-2:] for error in monitor.errors] == [
        ["TDATA has X or Z bits", "0b01x1"],
        ["y, cycle 3", "TVALID is X or Z"],
    ]


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
    assert (
        len(errors) == 1
        and f"{count} {kind}" in errors[0].replace("beat(s) ", "").replace("beats ", "")
        or (kind == "lost" and f"{count} beat(s) lost at image 0, beat {at}" in errors[0])
    ), errors
