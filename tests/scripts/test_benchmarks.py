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
from scripts.benchmarks import BENCHMARKS, OPTIONAL, document, frame, growth, versus
from scripts.benchmarks.generated import PERIODIC
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


def test_growth_fits_its_series_and_plots_them(tmp_path, monkeypatch):
    """From made-up times: HLS grows with the square of the lanes and fails its aim, all else is linear or flat."""

    def times(size, key="HLS", power=1):
        return {f"{key} s": size**power, f"{key} processor s": size**power}

    def golden(size):
        return [{"pixels": n, "batch": n} | times(n, "kernel") | times(n, "numpy") for n in (1, 4)]

    def cells(function, calls):
        return [{"lanes": n, "LUT": 10 * n, "FF": n, "DSP": n, "BRAM": 1, "Fmax MHz": 100} for n, _ in calls]

    monkeypatch.setattr(growth.steps, "synth_step", lambda engine, settings: None)
    monkeypatch.setattr(growth, "_engine", lambda *arguments: (None, None))
    monkeypatch.setattr(growth, "in_workers", cells)
    monkeypatch.setattr(
        growth, "_tools", lambda n, out: {"lanes": n} | times(n, power=2) | times(n, "Verilator") | times(n, "cycle")
    )
    monkeypatch.setattr(
        growth, "_compile", lambda outputs, size, out: {"weights": outputs, "pixels": size * size} | times(3.0)
    )
    monkeypatch.setattr(growth, "_golden_images", lambda: {"layer": golden(1)})
    monkeypatch.setattr(growth, "_golden_batches", lambda: {"digits": golden(1)})
    fits, lanes, *_ = growth.run(tmp_path / "growth", lambda text: None)
    missed = [(row["series"], row["time of"]) for row in fits.rows if not row["met"]]
    assert missed == [("lanes", "HLS")] and fits.rows[0]["exponent"] == pytest.approx(2)
    cells_of = [10 * n if n in growth.SYNTHESISED else None for n in growth.PARALLELISM]
    assert [row["LUT"] for row in lanes.rows] == cells_of and None in cells_of
    assert lanes.markdown() and len(list((tmp_path / "growth").glob("*.png"))) == 7


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - set(OPTIONAL)))
def test_every_benchmark_can_be_loaded(name):
    assert callable(frame.load(name).run)


@pytest.mark.slow
def test_an_engine_in_the_comparison_has_the_cycles_of_its_loop_nest(tmp_path):
    row = versus._engine(16, 4, "periodic", PERIODIC, tmp_path / "versus")
    assert row["cycles"] == 4 * 4 * 16  # pixels x output channels: one block of 16 input channels, no fold


@pytest.mark.slow
def test_growth_counts_the_weights_of_the_engine_it_compiles(tmp_path):
    channels, nonzeros = 16, 9 + 7  # PSD1_P8: of eight kernels one is full, the others have one tap
    row = growth._compile(channels, 4, tmp_path / "engine")
    assert 0 < row["weights"] <= channels * growth.CHANNELS // 8 * nonzeros
