"""The campaign of random C++ kernels: what it draws, that it sees a fault, that it makes cases simpler."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import openhls
import pytest

from psconv.flow import csim
from scripts.hunt import kernel_bench, kernels, programs
from scripts.hunt.campaign import Declined, Fault

pytestmark = pytest.mark.skipif(csim.amd_include() is None, reason="AMD's ap_types (hls4ml) are not installed")

CAMPAIGN = programs.CAMPAIGN
FAULTY = Path(openhls.__file__).parent / "tests" / "faults" / "cpp"


def case_of(body: list, **parts: list) -> dict:
    kernel = {
        "inputs": [["x0", 8, False]],
        "outputs": [["y0", 16, True]],
        "words": [["v0", 8, False, 0]],
        "state": [],
        "structs": [],
        "arrays": [],
        "tables": [],
        "helpers": [],
        "body": [["read", "v0", "x0"], *body],
        **parts,
    }
    return {"target": "xcup", "clock": 15.0, "seed": 3, "idle": 0.2, "stall": 0.2, "kernel": kernel}


def run(cases: list[dict], folder: Path) -> int:
    """How many cases were met; others must be declined."""
    met = 0
    for k, case in enumerate(cases):
        (place := folder / str(k)).mkdir()
        try:
            CAMPAIGN.check(case, place)
            met += 1
        except Declined:
            pass
    return met


def test_a_seed_gives_one_case_and_json_holds_it() -> None:
    first, second = (CAMPAIGN.draw(np.random.default_rng(7)) for _ in range(2))
    assert first == second == json.loads(json.dumps(first))


def test_kernels_of_every_kind_are_drawn() -> None:
    drawn = [CAMPAIGN.draw(np.random.default_rng(seed))["kernel"] for seed in range(150)]
    kinds = {node[0] for kernel in drawn for node in kernels.nodes([kernel["body"], kernel["helpers"]])}
    assert kinds == set(kernels.CHILDREN)
    assert all(kernels.has_meaning(kernel) for kernel in drawn)
    hows = {array[4] for kernel in drawn for array in kernel["arrays"]}
    assert hows == {"", "static", "complete"} and {len(k["inputs"]) for k in drawn} == {1, 2}


def test_a_few_kernels(tmp_path: Path) -> None:
    assert run([CAMPAIGN.draw(np.random.default_rng(seed)) for seed in range(4)], tmp_path) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_more_kernels(part: int, tmp_path: Path) -> None:
    seeds = range(2009 + 13 * part, 2022 + 13 * part)
    assert run([CAMPAIGN.draw(np.random.default_rng(seed)) for seed in seeds], tmp_path) >= 7


def test_a_fault_is_found_and_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another kernel compiled to RTL than is run natively."""
    case = case_of(
        [
            [
                "loop",
                "i0",
                3,
                "PIPELINE II=1",
                [
                    ["if", ["bit", "v0", 0], [["op", "v0", "+", ["num", "3"]]], []],
                    ["write", "y0", ["bin", "+", ["var", "v0"], ["num", "5"]]],
                ],
            ]
        ]
    )
    original = kernels.text

    def planted(kernel: dict) -> str:
        return original(kernel).replace("v0 + 5", "v0 - 5")

    monkeypatch.setattr(kernels, "text", planted)
    compile_hls = programs.compile_hls

    def compiled(sources: list[Path], *arguments: object, **named: object) -> object:
        sources[0].write_text(original(case["kernel"]))
        return compile_hls(sources, *arguments, **named)

    monkeypatch.setattr(programs, "compile_hls", compiled)
    with pytest.raises(Fault, match="word 0 of y0") as fault:
        CAMPAIGN.check(case, tmp_path)
    assert fault.value.verdict == "wrong"


def test_simpler_cases_are_simpler_and_run(tmp_path: Path) -> None:
    case = case_of(
        [
            [
                "loop",
                "i0",
                4,
                "PIPELINE II=1",
                [
                    ["set", "v0", ["bin", "+", ["var", "v0"], ["rom", "t", [1, ["var", "v0"]]]]],
                    ["if", ["cmp", "<", ["var", "v0"], ["num", "9"]], [["setbit", "v0", 2, ["num", "1"]]], []],
                    ["write", "y0", ["var", "v0"]],
                ],
            ]
        ],
        tables=[["t", 5, True, [3, -7]]],
        words=[["v0", 8, False, 0], ["v1", 9, True, 1]],
    )
    before, seen, steps = copy.deepcopy(case), [], 0
    while following := list(CAMPAIGN.smaller(case)):
        assert all(json.dumps(c) != json.dumps(case) for c in following)
        seen.append(case := following[0])
        steps += 1
        assert steps < 60
    assert before["kernel"]["tables"] and not case["kernel"]["tables"]
    assert kernels.text(case["kernel"]).count("\n") < kernels.text(before["kernel"]).count("\n")
    assert run(seen[:2], tmp_path) >= 1


@pytest.mark.parametrize(
    ("reason", "expected"), [("II=1 impossible: store to 'a'", Declined), ("a pointer chosen at run time", Fault)]
)
def test_a_refusal_without_good_reason_is_a_fault(
    reason: str, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise programs.HlsError(reason)

    monkeypatch.setattr(programs, "compile_hls", refuses)
    with pytest.raises(expected):
        CAMPAIGN.check(case_of([["write", "y0", ["var", "v0"]]]), tmp_path)


def test_a_simulation_that_does_not_end_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of([["write", "y0", ["var", "v0"]]])
    original = kernel_bench.run_natively

    def more(*arguments: object) -> tuple:
        taken, made = original(*arguments)
        return taken, {name: [*words, 0] for name, words in made.items()}

    monkeypatch.setattr(kernel_bench, "run_natively", more)
    with pytest.raises(Fault, match="no end") as fault:
        CAMPAIGN.check(case, tmp_path)
    assert fault.value.verdict == "hang"


# Handed-in programs in which C++ and RTL differed from AMD's headers: their ports.
FAULTS = {
    "bit_shift": ([["x", 8, False]], [["y", 8, False]]),
    "not_bit": ([["x", 8, False]], [["y", 8, False]]),
    "const_range": ([["x", 8, False]], [["y", 8, False]]),
    "div": ([["a", 8, True], ["b", 8, True]], [["q", 9, True], ["r", 8, True]]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_handed_programs(name: str, tmp_path: Path) -> None:
    source = FAULTY / f"{name}.cpp"
    inputs, outputs = FAULTS[name]
    runs = 24
    rng = np.random.default_rng(5)
    words = {port: [128, 255, *map(int, rng.integers(1, 256, runs))] for port, *_ in inputs}
    words |= {"b": [255, 1, *words["b"][2:]]} if "b" in words else {}  # -128 / -1
    taken, expected = kernel_bench.run_natively(source.read_text(), inputs, outputs, words, runs, tmp_path)
    result = programs.compile_hls([source], "top", [programs.INCLUDE], {}, "xcup", 10.0, out=tmp_path / "out", jobs=1)
    count = {port: len(w) for port, w in expected.items()}
    assert kernel_bench.run_rtl(result, taken, count, tmp_path / "rtl", 1) == expected


LIBRARY = """#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>
#include "ap_int.h"
#include "hls_stream.h"
std::tuple<int, ap_uint<9>> both(int a) { return std::make_tuple(a + 1, ap_uint<9>(a * 2)); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_int<16>>& y) {
  std::array<int, 4> last = {1, 2, 3, 4};
  int32_t word = x.read().to_int();
  std::get<1>(last) = std::max(word, 9) - std::numeric_limits<int8_t>::max();
  int above;
  ap_uint<9> twice;
  std::tie(above, twice) = both(word);
  std::swap(last[0], last[1]);
  y.write(std::min(word, 7) + last[0] + std::plus<int>()(above, last[3]) - twice);
}
"""


def test_headers_of_the_standard_library(tmp_path: Path) -> None:
    """Some of them ask whether there is RTTI while they are preprocessed."""
    ports = [["x", 8, False]], [["y", 16, True]]
    (source := tmp_path / "library.cpp").write_text(LIBRARY)
    words = {"x": [0, 255, 7, 8, 9, 127, 128, 200, 1]}
    taken, expected = kernel_bench.run_natively(LIBRARY, *ports, words, 8, tmp_path)
    result = programs.compile_hls([source], "top", [programs.INCLUDE], {}, "xcup", 10.0, out=tmp_path / "out", jobs=1)
    assert kernel_bench.run_rtl(result, taken, {"y": 8}, tmp_path / "rtl", 1) == expected
