"""The benchmarks' own arithmetic, and `psconv bench all` where one of them cannot run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymodel.errors import ConfigError
from scripts import cli, plots, steps
from scripts.benchmarks import frame
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


@pytest.fixture
def three(monkeypatch):
    """Benchmarks of which the second cannot run."""
    def measure(name, out, progress):
        if name == "two":
            raise ConfigError("bench two: the package nowhere is missing")
        table = {"title": name, "rows": [{"value": 1}], "notes": []}
        return {"benchmark": name, "seconds": 2.5, "tables": [table]}

    monkeypatch.setattr(cli, "BENCHMARKS", dict.fromkeys(("one", "two", "three"), "nothing"))
    monkeypatch.setattr(frame, "measure", measure)


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["psconv", "bench", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
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
