"""Names of layers that mean something else in C++, SystemVerilog or a network's top: they are built all the same."""

import re
import subprocess
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psconv.common.places import CSIM, ENGINE
from psconv.flow import csim
from psconv.flow.hls import Synthesised, compile_top
from pymodel.common.identifiers import identifiers
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from pymodel.top import cpp
from pymodel.top.dataflow import build
from rtl_tb.build import elaborated_ports

LAYER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
PARTS = ["a", "b", "a_to_b", "a_fork", "a_pe", "a_config", "b_split", "w", "w_a", "input_fork", "l0", "l1_a", "EOF"]
# Macros, words of C++ and of SystemVerilog, the top's own names, and names made of other layers' names.
NASTY = [
    "EOF",
    "assert",
    "psconv_network",
    "x",
    "w_EOF",
    "double",
    "c",
    "c_pe",
    "c_config",
    "c_to_d",
    "d",
    "l2_x",
    "clk",
    "logic",
]


def chain(names: list[str], forked: bool = True) -> Network:
    """A layer after the other; with `forked` every second one is added to the one before it, so that streams fork."""
    layers, last = [], "input"
    for at, name in enumerate(names):
        if forked and at % 2 and at > 1:
            layers.append({"op": "add", "name": name, "inputs": [last, layers[-1]["input"]]})
            last = name
            continue
        layers.append({"op": "conv", "name": name, "input": last, "out_channels": 2, "kernel": 1})
        last = name
    return Network(
        name="nasty */ ??/ \N{SNOWMAN} // [red]",
        input={"channels": 2, "height": 2, "width": 2},
        layers=layers,
        output=last,
    )


@given(
    st.lists(st.sampled_from(PARTS + NASTY) | st.from_regex(LAYER, fullmatch=True), min_size=1, max_size=8, unique=True)
)
def test_no_name_is_another_or_begins_with_another(names):
    given_names = identifiers(names)
    assert list(given_names) == names and len(set(given_names.values())) == len(names)
    for one, other in combinations(given_names.values(), 2):
        assert not one.startswith(f"{other}_") and not other.startswith(f"{one}_")


def test_usual_names_stay():
    names = ["conv1", "conv1_1", "s1b1_conv1", "s1b1_conv2", "s1b1_add", "fc", "Head", "layer"]
    assert {name: made for name, made in identifiers(names).items() if name != made} == {"conv1_1": "l1_conv1_1"}
    assert identifiers(["conv1_1", "conv1_2"]) == {"conv1_1": "conv1_1", "conv1_2": "conv1_2"}


@pytest.mark.parametrize("compiler", ["clang", "amd"])
def test_no_identifier_is_a_macro(compiler, tmp_path):
    """Every macro that the compilers and their headers define, taken as the name of a layer."""
    network = chain(["a"], False)
    bundle = random_bundle(network, 0)
    cpp.write(tmp_path, build(bundle, {"a": engine_shape(bundle, "a")}), network.name)
    command = [
        *csim.compiler_command(compiler),
        "-E",
        "-dM",
        "-std=gnu++17",
        f"-I{ENGINE}",
        f"-I{tmp_path}",
        str(CSIM / "csim.cpp"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    macros = {match[1] for match in re.finditer(r"^#define (\w+)", done.stdout, re.M)}
    names = sorted(name for name in macros if LAYER.fullmatch(name))
    assert len(macros) > 300 and "EOF" in names
    assert macros & set(identifiers(names).values()) == set()


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A network of these names, its top's sources."""
    bundle = random_bundle(chain(NASTY), seed=1)
    dataflow = build(bundle, {name: engine_shape(bundle, name) for name in bundle.weights})
    folder = tmp_path_factory.mktemp("nasty")
    cpp.write(folder, dataflow, bundle.network.name)
    return bundle, dataflow, folder


def test_the_program_is_exact(nasty):
    bundle, dataflow, folder = nasty
    x = np.random.default_rng(0).integers(-128, 128, (2, 2, 2, 2)).astype(np.int8)
    y = csim.run(csim.build(folder), x, dataflow.source.words, dataflow.sink.words)
    assert np.array_equal(y, golden.run(bundle, x)[bundle.network.output])
    assert list(dataflow.layers) == NASTY and set(dataflow.probes) == set(NASTY)


@pytest.mark.slow
def test_the_rtl_is_taken_by_verilator(nasty):
    _, dataflow, folder = nasty
    compile_top(dataflow, folder / "hls", clock_ns=5.0, jobs=1)
    rtl = Synthesised(folder / "hls").rtl
    assert {port.name for port in elaborated_ports(rtl, dataflow.top)} >= {"ap_clk", "x_TDATA", "y_TDATA"}
