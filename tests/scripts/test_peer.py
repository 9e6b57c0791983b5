"""The benchmark against NNgen: what it says without NNgen, its memory, and its rows of a real design."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtl_tb.build import build_program
from scripts.benchmarks import BENCHMARKS, OPTIONAL, frame
from tests.helpers.places import ROOT

BEATS, SOURCE, COPY = 6, 0, 64  # of tests/rtl/axi_copy.sv
START, ENABLE = "16", "40=1"


@pytest.fixture
def without_nngen(monkeypatch):
    """As if NNgen were not installed; the list of the benchmarks that were run."""
    ran = []
    monkeypatch.setitem(sys.modules, "nngen", None)
    for module in ("peer", "nngen_layer"):
        monkeypatch.delitem(sys.modules, f"scripts.benchmarks.{module}", raising=False)

    def measure(name, out, progress):
        frame.load(name)
        ran.append(name)
        return {"benchmark": name, "seconds": 0.0, "tables": []}

    monkeypatch.setattr(frame, "measure", measure)
    return ran


@pytest.mark.parametrize("names", [("peer",), ("packing", "peer")])
def test_a_missing_extra_is_said_before_anything_runs(names, without_nngen, on_repository, tmp_path):
    code, _out, err = on_repository("bench", *names, "--out", str(tmp_path / "out"))
    assert code == 2 and "Traceback" not in err
    assert "bench peer: the package nngen is missing: pip install -c requirements.lock -e '.[peer]'" in err
    assert not without_nngen and not (tmp_path / "out").exists()


def test_all_goes_on_without_a_missing_extra_and_says_so(without_nngen, on_repository, tmp_path):
    code, _, err = on_repository("bench", "all", "--out", str(tmp_path))
    assert code == 2 and "not run:\n  peer: bench peer: the package nngen is missing" in err
    assert without_nngen == [name for name in BENCHMARKS if name not in OPTIONAL]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Runs axi_copy.sv in a memory of so many bytes: the program's outcome, memory before and after."""
    cache = tmp_path_factory.mktemp("simulators")
    program = build_program(
        [ROOT / "tests" / "rtl" / "axi_copy.sv"], "axi_copy", ROOT / "scripts" / "benchmarks" / "axi_memory.cpp", cache
    )

    def run(size: int, *registers: str) -> tuple[subprocess.CompletedProcess, np.ndarray, np.ndarray | None]:
        before = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
        before.tofile(cache / "before")
        (cache / "after").unlink(missing_ok=True)
        command = [program, cache / "before", cache / "after", "100", START, *registers, "+verilator+rand+reset+2"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        return done, before, np.fromfile(cache / "after", np.uint8) if (cache / "after").exists() else None

    return run


def test_the_memory_is_ideal_and_exact(copy):
    """A cycle for the addresses, one for each beat, one for the response: none lost. Strobes are kept to."""
    done, expected, after = copy(128, ENABLE)
    assert json.loads(done.stdout) == {"cycles": 1 + BEATS + 1, "bytes_read": 4 * BEATS, "bytes_written": 4 * BEATS}
    for beat in range(BEATS):
        expected[COPY + 4 * beat + 1 : COPY + 4 * beat + 4] = expected[SOURCE + 4 * beat + 1 : SOURCE + 4 * beat + 4]
    assert np.array_equal(after, expected)


@pytest.mark.parametrize(
    "size, registers, words",
    [
        (128, [], "not done after 100 cycles"),
        (COPY + 4 * BEATS - 1, [ENABLE], f"access beyond the memory: address {COPY + 4 * BEATS - 1}"),
        (128, ["40:1"], "ADDRESS=VALUE expected, got 40:1"),
    ],
)
def test_a_run_that_fails_says_why(copy, size, registers, words):
    done, _, after = copy(size, *registers)
    assert done.returncode == 1 and words in done.stderr and after is None


@pytest.fixture(scope="module")
def peer():
    pytest.importorskip("nngen", reason="needs the extra 'peer'")
    from scripts.benchmarks import peer

    return peer


@pytest.mark.slow
def test_a_design_of_nngen_and_its_row(peer, tmp_path, monkeypatch):
    """A real design, all but its synthesis: exact outputs, every byte moved once, and a wrong weight is noticed."""
    cells = {"LUT": 100, "FF": 200, "DSP": 11, "BRAM": 0}
    layer = peer.Layer(4, 4, 4)
    case = peer.Case(layer, peer.PEER, "dense", {"par_ich": 1, "par_och": 1})
    engine, x, y = peer.layer_vectors(layer.config("dense"), Path("layer.yaml"))
    here = tmp_path / case.name
    built = peer.nngen_layer.generate(engine, peer.nngen_layer.Parallelism(1, 1, peer.BUS_BITS), here)
    # Generated once: names in NNgen's Verilog are numbered on, and another design would be compiled again.
    monkeypatch.setattr(peer.nngen_layer, "generate", lambda engine, parallelism, folder: built)
    monkeypatch.setattr(peer, "synthesise", lambda rtl, top, target: {"total": cells})
    row = peer.measure(case, tmp_path)
    macs = 4 * 4 * 4 * 4 * 9
    assert row["multipliers"] == 9 and row["MACs"] == macs and row["cycles"] == row["cycles with weights"]
    assert 0 < row["MACs per multiplier and cycle"] == macs / (9 * row["cycles"]) < 1
    assert {kind: row[kind] for kind in cells} == cells

    ours = row | {"by": peer.OURS, "cycles": 2 * row["cycles"], "LUT": 50}
    [ratio] = peer.ratios([row, ours])
    assert ratio["LUT"] == 2 and ratio["cycles"] == 0.5 and ratio["BRAM"] is None
    assert ratio["NNgen is better at"] == "cycles"

    weights = engine.weights.copy()
    weights[0, 0, 1, 1] ^= 64
    [right] = peer.nngen_layer.simulate(built, engine, x, here, here / "simulators")
    [wrong] = peer.nngen_layer.simulate(built, replace(engine, weights=weights), x, here, here / "simulators")
    assert np.array_equal(right.y, y[0]) and not np.array_equal(wrong.y, y[0])
    assert right.cycles == wrong.cycles == row["cycles"]
    assert right.bytes_read == x[0].nbytes + engine.weights.nbytes + engine.bias.nbytes
    assert right.bytes_written == y[0].nbytes


@pytest.mark.slow
def test_a_design_of_ours_and_its_row(peer, tmp_path):
    """Through the whole flow: its 9 lanes, its cells, and a port that its weights and biases would come by."""
    row = peer.measure(peer.Case(peer.Layer(4, 4, 4), peer.OURS, "dense", {}), tmp_path)
    weights, macs = 4 * 4 * 9, 4 * 4 * 4 * 4 * 9
    assert row["multipliers"] == 9 and row["MACs"] == macs and row["support"] == "dense"
    assert row["cycles with weights"] - row["cycles"] == (8 * weights + 32 * 4) // 32
    assert 0 < row["MACs per multiplier and cycle"] == macs / (9 * row["cycles"]) < 1
    assert all(row[kind] > 0 for kind in ("LUT", "FF", "DSP"))


@pytest.mark.slow
def test_a_layer_with_other_rounding_is_refused(peer, tmp_path):
    config = peer.Layer(4, 4, 4).config("dense")
    engine, _, _ = peer.layer_vectors(config, Path("layer.yaml"))
    other = replace(engine, shape=engine.shape.model_copy(update={"relu": False}))
    with pytest.raises(peer.nngen_layer.ConfigError, match="ReLU"):
        peer.nngen_layer.generate(other, peer.nngen_layer.Parallelism(1, 1, 32), tmp_path)
