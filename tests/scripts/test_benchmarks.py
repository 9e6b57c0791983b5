"""The benchmarks' own arithmetic, and `python -m scripts bench all` where one of them cannot run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psconv import cli
from psconv.common import fresh as steps
from psconv.common import plots
from pymodel.common.errors import ConfigError
from scripts import __main__ as repository
from scripts.benchmarks import BENCHMARKS, OPTIONAL, document, frame, generated, growth, versus
from scripts.benchmarks.generated import CLOCK_NS, PERIODIC, generate
from scripts.benchmarks.stopwatch import exponent, shortest


@given(st.floats(-1, 3), st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_is_its_own(power, factor):
    sizes = [8, 32, 128, 512]
    assert exponent(sizes, [factor * size**power for size in sizes]) == pytest.approx(power, abs=1e-6)


def test_the_shortest_of_several_rounds_counts():
    rounds = iter([1_000_000, 1_000, 2_000_000])
    assert shortest(lambda: sum(range(next(rounds))), 3).processor < 0.01


def test_a_growth_plot_is_written_twice_and_has_its_curves(tmp_path):
    figure = plots.growth({"HLS": ([8, 64], [1.0, 4.0]), "numpy": ([8, 64], [2.0, 16.0])}, "lanes", "s", "title")
    svg, png = plots.write(figure, tmp_path / "lanes")
    assert png.stat().st_size > 1000
    assert all(word in svg.read_text() for word in ("HLS", "numpy", "lanes"))


def test_tables_go_where_a_document_names_their_benchmark(tmp_path):
    (tmp_path / "one.md").write_text("| 1 |\n")
    text = "a\n<!-- bench one -->\n| 0 |\nx\n<!-- end -->\nb\n<!-- bench two -->\n| 2 |\n<!-- end -->\n"
    found = document.documented(text, tmp_path)
    assert found == text.replace("| 0 |\nx\n", "| 1 |\n")
    assert document.documented(found, tmp_path) == found


@pytest.fixture
def three(monkeypatch):
    """Benchmarks of which the second cannot run."""

    def measure(name, out, progress):
        if name == "two":
            raise ConfigError("bench two: the package nowhere is missing")
        table = {"title": name, "rows": [{"value": 1}], "notes": []}
        return {"benchmark": name, "seconds": 2.5, "tables": [table]}

    monkeypatch.setattr(repository, "BENCHMARKS", dict.fromkeys(("one", "two", "three"), "nothing"))
    monkeypatch.setattr(frame, "measure", measure)


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["scripts", "bench", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main(repository.app)
    return left.value.code


def test_bench_all_goes_on_and_says_at_the_end_what_did_not_run(three, monkeypatch, capsys):
    assert call(monkeypatch, "all", "--json") == 2
    said = capsys.readouterr()
    assert [result["benchmark"] for result in json.loads(said.out)] == ["one", "three"]
    assert "Seconds of each" in said.err and "not run:\n  two: bench two: the package nowhere is missing" in said.err


def test_a_benchmark_asked_for_by_name_must_run(three, monkeypatch, capsys):
    assert call(monkeypatch, "two", "three") == 2
    assert "three" not in capsys.readouterr().out


def test_a_step_is_done_again_only_for_another_key(tmp_path):
    made = []

    @steps.step
    def write(text: str) -> steps.Work:
        def make() -> None:
            made.append(text)
            (tmp_path / "result").write_text(text)

        return steps.Work(tmp_path / "result", steps.content_key(text), make)

    for text in ("a", "a", "b"):
        write(text)
    assert made == ["a", "b"] and write.plan("b").done and not write.plan("a").done
    (tmp_path / "result").unlink()
    assert not write.plan("b").done


def times(size, key="HLS", power=1.0):
    """What a benchmark measures: 2 s * size^power of processor time, in twice that by the clock on the wall."""
    return {f"{key} s": 4 * size**power, f"{key} processor s": 2 * size**power}


def growing(hls):
    """Times of which HLS grows with the power `hls` of the lanes, and everything else as fast as it should."""
    cells = {"LUT": 10, "FF": 5, "DSP": 1, "Fmax MHz": 100}
    lanes = [
        {"lanes": n}
        | times(n, power=hls)
        | times(n, "Verilator")
        | times(n, "cycle")
        # As many cells for each lane; one engine is not synthesised.
        | {key: None if n == 32 else count * (1 if "Fmax" in key else n) for key, count in cells.items()}
        for n in (8, 32, 128)
    ]
    golden = {"model": [{"pixels": n, "batch": n} | times(n, "kernel") | times(n, "numpy") for n in (1, 4)]}
    flat = [{"weights": n, "pixels": n} | times(n, power=0) for n in (64, 256)]
    return growth.Measured(lanes, flat, flat, golden, golden)


def test_growth_finds_what_grows_too_fast(tmp_path):
    for power, missed in ((2, [("lanes", "HLS")]), (1, [])):
        fits, lanes, *rest = growth.evaluated(growing(power), tmp_path)
        assert [(row["series"], row["time of"]) for row in fits.rows if not row["met"]] == missed
        assert [fits.rows[0][key] for key in ("exponent", "of wall time")] == pytest.approx([power, power])
        linear, flat = [[row for row in fits.rows[1:] if row["aim"] == aim] for aim in (growth.LINEAR, growth.FLAT)]
        assert [len(linear), len(flat), len(rest)] == [2 + 4 + 3, 2, 4]
        assert [row["exponent"] for row in linear] == pytest.approx([1] * len(linear))
        assert [row["exponent"] for row in flat] == pytest.approx([0, 0], abs=1e-9)
        assert [row["LUT"] for row in lanes.rows] == [80, None, 1280] and all(table.markdown() for table in rest)
    names = {"lanes", "weights", "image", "golden_model_image", "golden_model_batch", "cells", "fmax"}
    assert {path.stem for path in tmp_path.glob("*.svg")} == {path.stem for path in tmp_path.glob("*.png")} == names


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - set(OPTIONAL)))
def test_every_benchmark_can_be_loaded(name):
    assert callable(frame.load(name).run)


@pytest.mark.slow
def test_an_engine_in_the_comparison_has_the_cycles_of_its_loop_nest(tmp_path):
    row = versus.measured(16, 4, "periodic", PERIODIC, tmp_path / "versus")
    assert row["cycles"] == 4 * 4 * 16  # pixels x output channels: one block of 16 input channels, no fold


@pytest.mark.slow
def test_growth_counts_the_weights_of_the_engine_it_compiles(tmp_path):
    channels, nonzeros = 16, 9 + 7  # PSD1_P8: of eight kernels one is full, the others have one tap
    row = growth.compiled(channels, 4, tmp_path / "engine")
    assert 0 < row["weights"] <= channels * growth.CHANNELS // 8 * nonzeros


def test_an_engine_is_scheduled_for_the_next_period_that_its_recurrences_leave(tmp_path, monkeypatch):
    """For ECP5's 6.4 ns as it is; where that is too short, for one that HLS takes, the same the next time."""
    made = generate(16, 4, PERIODIC, "ulx3s_85f", tmp_path / "clock")
    assert made.clock_ns == CLOCK_NS["ulx3s_85f"] == made.schedule["clock_ns"] and made.pe_stages > 3
    monkeypatch.setitem(generated.CLOCK_NS, "ulx3s_85f", 5.0)
    slower = generate(16, 4, PERIODIC, "ulx3s_85f", tmp_path / "clock")
    assert slower.clock_ns in (5.4, 5.8, 6.2) and slower.schedule["clock_ns"] == slower.clock_ns
    again = generate(16, 4, PERIODIC, "ulx3s_85f", tmp_path / "clock")
    assert (again.clock_ns, again.key) == (slower.clock_ns, slower.key)
