"""What is compiled is what lies on the disk now: no tool takes an object, a header or a table of an earlier run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from psconv.flow import csim
from psconv.synthesis.resources import synthesise_modules
from psconv.synthesis.targets import load_target
from pymodel.common import compiled
from pymodel.engine.packing import EngineShape
from pymodel.golden.native.build import KERNEL
from pymodel.top import cpp
from pymodel.top.dataflow import single
from rtl_tb.build import build_program, elaborated_ports


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


def test_the_native_kernel_is_of_these_sources(tmp_path):
    """The library's name is made of the sources' contents and of the compilers, not of where they lie."""
    made = compiled.build(tmp_path / "cache", KERNEL.sources)
    copies = tuple(Path(shutil.copy(source, tmp_path)) for source in KERNEL.sources)
    assert compiled.build(tmp_path / "cache", copies) == made
    for copy in copies:
        copy.write_text(copy.read_text() + "\n// changed\n")
        changed = compiled.build(tmp_path / "cache", copies)
        assert changed != made
        made = changed
