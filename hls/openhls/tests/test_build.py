"""Processes built side by side or taken from the cache: the same files, and only what changed is built again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from openhls.common.errors import HlsError
from openhls.driver import workers
from openhls.driver.compile import compile_hls
from openhls.frontend import clang, passes
from openhls.frontend.printed import PrintedModule
from openhls.tests.harness import INCLUDE

NESTED = Path(__file__).parent / "kernels" / "nested.cpp"

# Three layers; the words, ROMs and gains of each can be chosen without moving a line.
LAYERS = """#include "hls_stream.h"
typedef hls::stream<ap_uint<16>> Words;
static const ap_uint<12> ROM_A[4] = {{{a}, 1, 2, 3}};
static const ap_uint<{width}> ROM_B[4] = {{{b}, 5, 6, 7}};
static const ap_uint<14> ROM_C[64] = {{{c}, 9, 10, 11}};
static void first(Words& x, Words& y) {{ for (int i = 0; i < 4; ++i) y.write(x.read() + ROM_A[i]); }}
static void second(Words& x, Words& y) {{ for (int i = 0; i < 4; ++i) y.write(x.read() * ROM_B[i]); }}
static void third(Words& x, Words& y) {{ for (int i = 0; i < 64; ++i) y.write(x.read() ^ ROM_C[i]); }}
void top(Words& x, Words& y) {{
#pragma HLS DATAFLOW
  Words s, t;
#pragma HLS STREAM variable=t depth={depth}
  first(x, s);
  second(s, t);
  third(t, y);
}}
"""
CHOICE = {"a": 0, "b": 4, "c": 8, "width": 13, "depth": 2}


def files(folder: Path) -> dict[str, str]:
    """Everything a compilation wrote, without the seconds."""
    found = {p.name: p.read_text() for p in sorted((folder / "rtl").iterdir())}
    schedule = json.loads((folder / "schedule.json").read_text())
    del schedule["seconds"]
    return found | {"ports": (folder / "ports.json").read_text(), "schedule": json.dumps(schedule)}


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """The names of the processes built in this operating system process, as they are."""
    names: list[str] = []
    build = workers.build

    def spy(job):
        names.append(job.source.name)
        return build(job)

    monkeypatch.setattr(workers, "build", spy)
    return names


@pytest.fixture
def layers(tmp_path) -> Callable[..., dict[str, str]]:
    """Compiles LAYERS, always from the same file and with the same cache."""

    def run(target: str = "xcup", clock_ns: float = 3.33, **changes) -> dict[str, str]:
        (tmp_path / "layers.cpp").write_text(LAYERS.format(**CHOICE | changes))
        compile_hls(
            [tmp_path / "layers.cpp"],
            "top",
            target=target,
            clock_ns=clock_ns,
            out=tmp_path / "out",
            jobs=1,
            cache=tmp_path / "cache",
        )
        return files(tmp_path / "out")

    return run


def test_files_do_not_depend_on_workers_and_cache(tmp_path, monkeypatch):
    parallel, cache = [], tmp_path / "cache"
    in_parallel = workers.in_parallel

    def spy(jobs, count, told):
        parallel.append((len(jobs), count))
        return in_parallel(jobs, count, told)

    monkeypatch.setattr(workers, "in_parallel", spy)
    for name, options in {
        "alone": {"jobs": 1},
        "workers": {"jobs": 3, "cache": cache},
        "cached": {"cache": cache},
        "default": {},
    }.items():
        compile_hls([NESTED], "nested", [INCLUDE], out=tmp_path / name, **options)
    alone = files(tmp_path / "alone")
    assert len(alone) > 12
    assert parallel == [(9, 3)]  # by default nine processes are too few for a second worker
    for name in ("workers", "cached", "default"):
        assert files(tmp_path / name) == alone, name


@pytest.mark.parametrize(
    "changes, rebuilt",
    [
        ({}, []),
        ({"a": 99}, ["first"]),
        ({"width": 41}, ["second"]),  # other types and metadata in the middle of the module
        ({"depth": 7}, ["second", "third"]),  # the producer counts credits; the consumer's job knows of it
        ({"clock_ns": 5.0}, ["first", "second", "third"]),
        ({"target": "ecp5", "clock_ns": 6.4}, ["first", "second", "third"]),
    ],
)
def test_only_what_changed_is_built(changes, rebuilt, built, layers, tmp_path):
    layers()
    assert built == ["first", "second", "third"]
    built.clear()
    with_cache = layers(**changes)
    assert built == rebuilt
    (tmp_path / "cache").rename(tmp_path / "old")
    assert layers(**changes) == with_cache


def test_damaged_cache_is_not_used(built, layers, tmp_path):
    want = layers()
    entries = sorted((tmp_path / "cache").iterdir())
    assert len(entries) == 3
    for entry, damage in zip(entries, ["", '{"interface": {}}', "[1]"], strict=True):
        entry.write_text(damage)
    built.clear()
    assert layers() == want and sorted(built) == ["first", "second", "third"]


def test_cache_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(HlsError, match="cannot write to .*cache"):
        compile_hls([NESTED], "alone", [INCLUDE], out=tmp_path / "out", cache=tmp_path / "cache")


@pytest.mark.parametrize("jobs", [1, 2])
def test_first_error_in_the_order_of_calls(jobs, tmp_path):
    """Whichever process fails first in time."""
    (tmp_path / "bad.cpp").write_text("""#include "hls_stream.h"
typedef hls::stream<ap_uint<8>> Words;
static const int TABLE[2000] = {1};
static void late(Words& x, Words& y) { for (int i = 0; i < 2000; ++i) { y.write(x.read() + TABLE[i]); x.read(); } }
static void early(Words& x, Words& y) { y.write(x.read()); y.write(1); }
void top(Words& x, Words& y) {
#pragma HLS DATAFLOW
  Words s, t;
  early(x, s);
  late(s, t);
  early(t, y);
}
""")
    with pytest.raises(HlsError) as caught:
        compile_hls([tmp_path / "bad.cpp"], "top", [INCLUDE], out=tmp_path / "out", jobs=jobs)
    assert caught.value.message.startswith("second write of 's'") and caught.value.hint
    assert (Path(caught.value.loc.file).name, caught.value.loc.line) == ("bad.cpp", 5)
    assert not (tmp_path / "out").exists()


def test_slice_holds_what_a_function_needs(tmp_path):
    (tmp_path / "layers.cpp").write_text(LAYERS.format(**CHOICE))
    text, _ = clang.compile_ir(tmp_path / "layers.cpp", [], {})
    module = PrintedModule(text)
    for symbol in (s for s in module.functions if re.search("first|second|third|top", s)):
        slice_ = module.slice(symbol)
        passes.parse(slice_).verify()
        roms = set(re.findall(r"^@\w*ROM_(.)", slice_, re.MULTILINE))
        assert roms == {"first": {"A"}, "second": {"B"}, "third": {"C"}}.get(
            re.search("first|second|third|top", symbol)[0], {"A", "B", "C"}
        )
    [top] = [s for s in module.functions if "3top" in s]
    shallow = module.slice(top, callees=False)
    passes.parse(shallow)
    assert "ROM_" not in shallow and shallow.count("\ndefine ") == 1
