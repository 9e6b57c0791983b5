"""Progress where the output is no terminal: lines while something runs, not only when it has ended."""

import io
import time

import pytest
from openhls import compile_hls
from rich.console import Console
from rich.progress import BarColumn

from psconv.common import progress
from psconv.common.progress import Progress


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.05)
    monkeypatch.setattr(progress, "EVERY", 0.05)


def waited(file: io.StringIO, text: str) -> bool:
    """Whether the text appears within ten seconds."""
    end = time.monotonic() + 10
    while text not in file.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    return text in file.getvalue()


def test_lines_come_while_it_runs() -> None:
    file = io.StringIO()
    with Progress(BarColumn(), console=Console(file=file)) as shown:
        task = shown.add_task("HLS   ", total=None, state="")
        assert waited(file, "HLS: 0, 0:00\n")
        shown.update(task, total=7, completed=3, state="[processes]")
        assert waited(file, "HLS: 3 of 7 [processes], 0:0")
        shown.update(task, completed=7)
        time.sleep(0.1)
        ended = file.getvalue()
        time.sleep(0.2)
        assert file.getvalue() == ended  # nothing of what has ended


def test_a_terminal_has_its_bar_and_no_lines() -> None:
    file = io.StringIO()
    with Progress(BarColumn(), console=Console(file=file, force_terminal=True)) as shown:
        shown.add_task("HLS", total=2, state="x")
        time.sleep(0.3)
    assert "HLS: 0 of 2" not in file.getvalue()


def test_an_error_ends_the_lines() -> None:
    file = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress(BarColumn(), console=Console(file=file)) as shown:
        shown.add_task("HLS", total=2, state="")
        raise ZeroDivisionError
    ended = file.getvalue()
    time.sleep(0.2)
    assert file.getvalue() == ended


def test_hls_tells_how_many_processes_are_built(tmp_path) -> None:
    """Also of those that were built before."""
    kernel = tmp_path / "kernel.cpp"
    kernel.write_text("""#include "hls_stream.h"
typedef hls::stream<int> S;
static void one(S& x, S& y) { y.write(x.read() + 1); }
static void two(S& x, S& y) { y.write(x.read() * 3); }
void top(S& x, S& y) {
#pragma HLS DATAFLOW
  S between;
  one(x, between);
  two(between, y);
}
""")
    for expected in ([(0, 2), (1, 2), (2, 2)], [(2, 2)]):
        told = []
        compile_hls(
            [kernel],
            "top",
            out=tmp_path / "out",
            cache=tmp_path / "cache",
            done=lambda *now, told=told: told.append(now),
        )
        assert told == expected
