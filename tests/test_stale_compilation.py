"""What is compiled is what lies on the disk now: no tool takes an object, a header or a table of an earlier run."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openhls import clang
from openhls.__main__ import main as openhls

from psconv.flow import csim
from psconv.synthesis.resources import synthesise_modules
from psconv.synthesis.targets import load_target
from pymodel.engine.packing import EngineShape
from pymodel.golden.native import build as native
from pymodel.top import cpp
from pymodel.top.dataflow import single
from rtl_tb.build import build_program, elaborated_ports

FAULTS = Path(__file__).parent / "faults" / "cache"
SOURCE = """\
#include "h.h"
#if __has_include("x.h")
#include "x.h"
#else
#define X 0
#endif
#if __has_include(<y.h>)
#include <y.h>
#else
#define Y 0
#endif
found K X Y
"""
FOLDERS = ("src", "a", "b", "environment")  # in the order in which "h.h" is looked for; the last one never
MACRO = {"h.h": "K", "x.h": "X", "y.h": "Y"}


def compiled(out: Path, *arguments: str) -> str:
    """All RTL that openhls makes."""
    assert openhls([*arguments, "--top", "top", "--out", str(out)]) == 0
    return "\n".join(path.read_text() for path in sorted((out / "rtl").glob("*.sv")))


def adds(rtl: str, number: int) -> bool:
    return re.search(rf"\+ \d+'h0*{number:x}\b", rtl, re.IGNORECASE) is not None


def test_the_same_relative_names_in_two_folders(tmp_path, monkeypatch):
    shutil.copytree(FAULTS, tmp_path / "cache")
    for folder, number in (("A", 55), ("B", 66), ("A", 55)):
        monkeypatch.chdir(tmp_path / "cache" / folder)
        rtl = compiled(Path("out"), "../src/k.cpp", "-I", "inc")
        assert [adds(rtl, 55), adds(rtl, 66)] == [number == 55, number == 66]


def test_a_header_that_comes_to_lie_in_front(tmp_path, monkeypatch):
    shutil.copytree(FAULTS / "shadow", tmp_path / "shadow")
    monkeypatch.chdir(tmp_path / "shadow")
    assert adds(compiled(Path("out"), "k.cpp", "-I", "a", "-I", "b"), 1)
    (tmp_path / "shadow" / "a").mkdir()
    (tmp_path / "shadow" / "a" / "h.h").write_text("#define K 2\n")
    assert adds(compiled(Path("out"), "k.cpp", "-I", "a", "-I", "b"), 2)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from(tuple(MACRO)), st.none() | st.integers(1, 9)), max_size=4
    ),
    kept=st.booleans(),
)
def test_the_preprocessor_sees_the_disk(changes, kept, tmp_path, monkeypatch):
    """Each place that it looks at: a file added, changed (with its old date and size), removed, at each moment."""
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
    for variable in ("CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH"):
        monkeypatch.setenv(variable, str(tmp_path / "environment"))
    there = {("src", "k.cpp"): SOURCE, ("b", "h.h"): "#define K 1\n"}
    for folder, file, number in [(None, None, None), *changes]:
        if number is None:
            there.pop((folder, file), None)
        else:
            there[folder, file] = f"#define {MACRO[file]} {number}\n"
        if ("b", "h.h") not in there:
            there["b", "h.h"] = "#define K 1\n"  # there is always one
        _write(tmp_path, there, kept)
        right = []
        for file in MACRO:
            places = FOLDERS[file == "y.h" : -1]  # <y.h> is not looked for beside the source
            texts = [there[place, file] for place in places if (place, file) in there]
            right.append(texts[0].split()[2] if texts else "0")
        text = clang.preprocessed(Path("src/k.cpp"), [Path("a"), Path("b")], {})
        assert re.search(r"^found (.*)$", text, re.MULTILINE)[1].split() == right


def _write(root: Path, files: dict[tuple[str, str], str], kept: bool) -> None:
    """Exactly these files; with `kept` all of one date."""
    for folder in FOLDERS:
        for path in (root / folder).glob("*"):
            if (folder, path.name) not in files:
                path.unlink()
    for (folder, file), text in files.items():
        path = root / folder / file
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        if kept:
            os.utime(path, (1_700_000_000, 1_700_000_000))


def test_c_simulation_of_the_same_relative_folder(tmp_path, monkeypatch):
    """Two folders, other weights in each; and a variable that would put another header in front."""
    shape = EngineShape(cin=1, height=2, width=2, cout=1, kernel=1, support="dense", acc_bits=16)
    (tmp_path / "environment").mkdir()
    for variable in ("CPATH", "CPLUS_INCLUDE_PATH"):
        monkeypatch.setenv(variable, str(tmp_path / "environment"))
    (tmp_path / "environment" / "cstdint").write_text("#error taken from the environment\n")
    x = np.ones((1, 1, 2, 2), np.int8)
    for folder, weight in (("A", 3), ("B", 5)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        weights = np.full((1, 1, 1, 1), weight, np.int8)
        cpp.write(Path("out"), single("layer", shape, weights, np.zeros(1, np.int32)), "a layer")
        y = csim.run(csim.build(Path("out")), x, shape.in_words, shape.out_words)
        assert np.array_equal(y, np.full((1, 1, 2, 2), weight))


def test_verilator_reads_the_files_of_this_folder(tmp_path, monkeypatch):
    for folder, width in (("A", 5), ("B", 7)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Path("top.sv").write_text(f"module top(input [{width - 1}:0] x, output y); assign y = ^x; endmodule\n")
        assert [port.width for port in elaborated_ports([Path("top.sv")], "top")] == [width, 1]


@pytest.mark.slow
def test_simulators_and_cells_are_kept_by_content(tmp_path, monkeypatch):
    """One cache for two folders whose files are called the same."""
    programs, luts = [], []
    main = '#include "Vtop.h"\nint main() { VerilatedContext c; Vtop t(&c); t.x = 1; t.eval(); return t.y; }\n'
    for folder, value in (("A", "x[0]"), ("B", "~x[0]"), ("C", "x[0]")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Path("top.sv").write_text(f"module top(input [3:0] x, output y);\n  assign y = {value};\nendmodule\n")
        Path("main.cpp").write_text(main)
        programs.append(build_program([Path("top.sv")], "top", Path("main.cpp"), tmp_path / "simulators"))
        luts.append(synthesise_modules([Path("top.sv")], "top", load_target("zcu104"), tmp_path / "cells"))
    assert [os.waitstatus_to_exitcode(os.system(str(program))) for program in programs] == [1, 0, 1]
    assert programs[0] == programs[2] != programs[1]
    assert [found["total"]["LUT"] for found in luts] == [0, 1, 0] and luts[2]["synthesised"] == 0


def test_the_native_kernel_is_of_these_sources(tmp_path, monkeypatch):
    """The library's name is made of the sources' contents and of the compilers, not of where they lie."""
    made = native.build(tmp_path / "cache")
    other = tmp_path / "convolution.cpp"
    other.write_text(native._SOURCE.read_text() + "\n// changed\n")
    monkeypatch.setattr(native, "_SOURCES", (other, native._SOURCES[1]))
    assert native.build(tmp_path / "cache") != made
