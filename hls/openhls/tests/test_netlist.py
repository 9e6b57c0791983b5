"""Modules and their instances: every name means one module, and the RTL of several products is the C++ program.

The check of the netlist is itself checked by damage: each way in which an instance and its module can disagree.
"""

from __future__ import annotations

import itertools
import random
import re
from functools import cache
from pathlib import Path

import pytest

from openhls.backend import netlist
from openhls.backend.primitives import Fifo, Multiplier
from openhls.common.errors import InternalError
from openhls.driver.compile import compile_hls
from openhls.tests.harness import INCLUDE, PATTERNS, compare

KERNELS = Path(__file__).parent / "kernels"
FAULTS = Path(__file__).parent / "faults" / "cpp"
STEADY = PATTERNS[:5]  # without a reset: the words of a RAM outlive it
# xcup, the 7 series and ECP5, each with the delay model that its device file names
DEVICES = {"zcu104": ("xcup", 3.33), "pynq_z2": ("xc7", 10.0), "ulx3s_85f": ("ecp5", 16.0)}


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_name_stands_for_one_text():
    """All small shapes: two of one name would be two of one text."""
    bits, flags = (1, 2, 11, 12), (False, True)
    shapes = [Multiplier(*s) for s in itertools.product(bits, bits, bits, flags, flags, flags)]
    shapes += [Fifo(*s) for s in itertools.product((1, 8, 18, 88), (1, 2, 8, 81, 188, 512), flags, flags)]
    texts: dict[str, str] = {}
    for shape in shapes:
        netlist.add(texts, shape.name("t"), shape.verilog("any"))
    assert len(texts) > len(bits) ** 3 * 8


def test_a_second_text_of_one_name_is_an_internal_error():
    modules = {"m": "a"}
    netlist.add(modules, "m", "a")
    with pytest.raises(InternalError, match="two different modules would be called 'm'"):
        netlist.add(modules, "m", "b")


def test_names_that_are_taken(tmp_path):
    """Keywords, macros, the compiler's own names, names that join to the same, letters beyond ASCII."""
    result = compare(KERNELS / "names.cpp", "taken", 60, tmp_path, runs=1, patterns=STEADY)
    assert all(re.fullmatch(r"\w+\.sv", path.name, re.ASCII) for path in result.rtl)
    assert [s.name for s in result.ports.streams] == ["reg", "wire"]


def test_a_top_with_letters_beyond_ascii(tmp_path):
    (tmp_path / "kernel.cpp").write_text(
        '#include "hls_stream.h"\nvoid größe(hls::stream<int>& länge, hls::stream<int>& y) { y.write(länge.read()); }\n'
    )
    result = compile_hls([tmp_path / "kernel.cpp"], "größe", [INCLUDE], out=tmp_path / "out")
    names = [result.ports.top, result.ports.streams[0].name]
    assert names == ["gr__u00f6__u00dfe", "l__u00e4nge"]


# -- several products, memories and FIFOs ------------------------------------------------------------------------------


def kernel_of_primitives(rng: random.Random, widest: int) -> str:
    """Two processes: products of values of many widths, signs and ages; then a ROM and a RAM behind a FIFO."""

    def integer(most: int) -> tuple[str, int]:
        width, kind = rng.randint(2, most), rng.choice(["int", "uint"])
        return f"ap_{kind}<{width}>", width

    values, lines, low = [], [], 0
    for k in range(6):
        kind, width = integer(widest)
        lines.append(f"{kind} v{k} = in({low + width - 1}, {low});")
        low += width
        values.append(f"v{k}")
    for k in range(6, 20):
        kind, _ = integer(widest)
        # small operands beside large ones, products of products beside sums and inputs
        a, b = rng.choice(values), rng.choice(values[-3:] if rng.random() < 0.5 else values)
        operator = "*" if rng.random() < 0.75 else rng.choice("+-^")
        lines.append(f"{kind} v{k} = {a} {operator} {b};")
        values.append(f"v{k}")
    out = values[-12:]
    packed = " ".join(f"out({8 * k + 7}, {8 * k}) = ap_uint<8>({v});" for k, v in enumerate(out))
    bits = 8 * len(out)
    rom, ram = rng.choice([16, 512]), rng.choice([8, 256])
    words = ", ".join(str(rng.getrandbits(11)) for _ in range(rom))
    return f"""#include "ap_int.h"
#include "hls_stream.h"
void products(hls::stream<ap_uint<{low}>>& x, hls::stream<ap_uint<{bits}>>& z) {{
  for (int i = 0; i < 5; ++i) {{
    ap_uint<{low}> in = x.read();
    ap_uint<{bits}> out = 0;
    {" ".join(lines)}
    {packed}
    z.write(out);
  }}
}}
void memories(hls::stream<ap_uint<{bits}>>& z, hls::stream<ap_uint<{bits}>>& y) {{
  static const ap_uint<11> rom[{rom}] = {{{words}}};
#pragma HLS BIND_STORAGE variable=rom type=rom_1p impl={rng.choice(["bram", "lutram", "auto"])}
  static ap_uint<19> ram[{ram}];
#pragma HLS BIND_STORAGE variable=ram type=ram_s2p impl={rng.choice(["bram", "lutram", "auto"])}
  for (int i = 0; i < 5; ++i) {{
    ap_uint<{bits}> v = z.read();
    ap_uint<19> old = ram[v(7, 0) % {ram}];
    ram[v(7, 0) % {ram}] = v(18, 0);
    v(18, 0) = old;
    v(40, 30) = rom[v(63, 55) % {rom}];
    y.write(v);
  }}
}}
void kernel(hls::stream<ap_uint<{low}>>& x, hls::stream<ap_uint<{bits}>>& y) {{
#pragma HLS DATAFLOW
  hls::stream<ap_uint<{bits}>> z;
#pragma HLS STREAM variable=z depth={rng.choice([1, 2, 9, 70])}
  products(x, z);
  memories(z, y);
}}
"""


def check_primitives(seed: int, device: str, folder: Path) -> None:
    rng = random.Random(seed)
    folder.mkdir(exist_ok=True)
    (folder / "kernel.cpp").write_text(kernel_of_primitives(rng, rng.choice([9, 18, 27])))
    target, clock_ns = DEVICES[device]
    compare(folder / "kernel.cpp", "kernel", 5, folder, target=target, clock_ns=clock_ns, runs=40, patterns=STEADY)


@pytest.mark.parametrize("device", DEVICES)
def test_products_and_memories_of_a_device(device, tmp_path):
    check_primitives(sorted(DEVICES).index(device), device, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(10, 18))
def test_more_products_and_memories(seed, device, tmp_path):
    check_primitives(seed, device, tmp_path)


def test_products_whose_names_were_one(tmp_path):
    """Their words are looked at with other faults' in test_openhls_operations."""
    result = compile_hls([FAULTS / "product_names.cpp"], "top", [INCLUDE], out=tmp_path)
    assert len([p for p in result.rtl if "__mul_" in p.name]) == 3


# -- the check of the netlist ------------------------------------------------------------------------------------------


@cache
def emitted(folder: Path) -> dict[str, str]:
    result = compile_hls([KERNELS / "names.cpp"], "taken", [INCLUDE], out=folder)
    return {path.stem: path.read_text() for path in result.rtl}


@pytest.fixture
def modules(tmp_path_factory) -> dict[str, str]:
    if not hasattr(emitted, "folder"):
        emitted.folder = tmp_path_factory.mktemp("emitted")
    return dict(emitted(emitted.folder))


def damaged(modules: dict[str, str], name: str, pattern: str, replacement: str) -> dict[str, str]:
    text, count = re.subn(pattern, replacement, modules[name], count=1, flags=re.MULTILINE)
    assert count == 1, f"{pattern} is not in {name}"
    return modules | {name: text}


def test_what_is_emitted_is_sound(modules):
    netlist.check(modules, "taken")


@pytest.mark.parametrize(
    "name, pattern, replacement, message",
    [
        ("taken", r"taken_a_b a_b \(", "taken_a_c a_b (", "module 'taken_a_c', which is not there"),
        ("taken", r"^    \.push +\(\w+\),\n", "", "port 'push' is not connected"),
        ("taken", r"\.push +\((\w+)\),", r".push (\1), .push (\1),", "port 'push' is connected twice"),
        ("taken", r"\.push +\(\w+\)", ".push ()", "port 'push' is not connected"),
        ("taken", r"\.push +\((\w+)\)", r".pish (\1)", "port 'pish' has no such port"),
        ("taken", r"\.push +\(\w+\)", ".push (nowhere)", "'nowhere' is not declared"),
        ("taken", r"\.push_data +\((\w+)\)", r".push_data (\1[6:0])", "port 'push_data' has 8 bits, '.*' has 7"),
        ("taken", r"\.push_data +\((\w+)\)", r".push_data ({\1, ap_clk})", "port 'push_data' has 8 bits, '.*' has 9"),
        ("taken", r"\.popped +\(\w+\)", ".popped (wire_TREADY)", "'wire_TREADY' has 2 drivers"),
        ("taken", r"\.popped +\(\w+\)", ".popped (~ap_clk)", "output 'popped' drives '~ap_clk', which is no net"),
        ("taken", r"^  taken_a_b a_b \([^;]*;", "", "has no driver"),
        ("taken_mul_8x8_8", r"^endmodule", "assign always_push = 1'h0;\nendmodule", "is driven, but not declared"),
        (
            "taken_mul_8x8_8",
            r"^  assign fifo_push = ",
            "  assign push_data_ready = ",
            "'push_data_ready' has 2 drivers",
        ),
        ("taken_a", r"^  assign a_push_data = [^;]*;", "", "'a_push_data' has no driver"),
        ("taken_mul_8x8_8", r"^  reg +valid0;", "  reg valid0;\n  wire valid0;", "'valid0' is declared twice"),
        ("taken__mul_8x8_8_ab", r"output wire", "input wire", "'p_q' |'p' has 2 drivers"),
        ("taken__mul_8x8_8_ab", r"\[7:0\] a,", "[8:0] a,", "port 'a' has 9 bits, '.*' has 8"),
        ("taken__mul_8x8_8_ab", r"signed \[7:0\] a,", "signed a,", "port 'a' has 1 bits, '.*' has 8"),
        ("taken__mul_8x8_8_ab", r"wire clk,", "wire clk, input wire more,", "port 'more' is not connected"),
        ("taken__mul_8x8_8_ab", r"a_q <= a;", "", "'a_q' has no driver"),
        (
            "taken__mul_8x8_8_ab",
            r"^endmodule",
            "endmodule\nmodule other (input wire a);\nendmodule",
            "the text of the module 'taken__mul_8x8_8_ab' defines taken__mul_8x8_8_ab, other",
        ),
        ("taken__mul_8x8_8_ab", r"module \w+", "module other", "the text of the module '.*' defines other"),
        ("taken_a__b_c", r"^ +initial begin[^$]*?end$", "", "'mem' has no driver"),
    ],
)
def test_damage_is_found(name, pattern, replacement, message, modules):
    with pytest.raises(InternalError, match=message):
        netlist.check(damaged(modules, name, pattern, replacement), "taken")


def test_every_port_of_every_instance_is_looked_at(modules):
    """A port renamed in its module, or a bit wider there: found for each module but the top."""
    looked_at = 0
    for name, text in modules.items():
        if name == "taken":
            continue
        header = text[: text.index(");")]
        for port in re.findall(r"(\w+)(?:,|\n\)?$)", re.sub(r"//.*", "", header), re.MULTILINE):
            renamed = modules | {name: re.sub(rf"\b{port}\b", f"{port}_other", text)}
            with pytest.raises(InternalError):
                netlist.check(renamed, "taken")
            looked_at += 1
    assert looked_at > 80


def test_a_module_that_nobody_instantiates_is_found(modules):
    with pytest.raises(InternalError, match="no instance of the module 'spare'"):
        netlist.check(modules | {"spare": "module spare (input wire clk);\nendmodule\n"}, "taken")
    missing = {name: text for name, text in modules.items() if name != "taken_EOF"}
    with pytest.raises(InternalError, match="instance 'EOF' of the module 'taken_EOF', which is not there"):
        netlist.check(missing, "taken")


@pytest.mark.parametrize(
    "expression, width",
    [
        ("a", 8),
        ("a[3]", 1),
        ("a[6:2]", 5),
        ("{a, b, 3'h5}", 20),
        ("{4{a[0]}}", 4),
        ("{{2{a}}, b}", 25),
        ("~a", 8),
        ("-b", 9),
        ("!a", 1),
        ("&a", 1),
        ("^b", 1),
        ("a + b", 9),
        ("a == b", 1),
        ("a <= b & b", 9),
        ("a >> b", 8),
        ("$signed(a) >>> 3'h1", 8),
        ("a ? b : a", 9),
        ("(a + a)", 8),
        ("a < b || b != a", 1),
        ("m", 12),
        ("m[1]", 4),
        ("m[b]", 4),
        ("m[1][2]", 1),
        ("m[2:1]", 8),
        ("12'sh4 * a", 12),
        ("a | {b}", 9),
        ("a - b ? a[0] : 1'h0", 1),
    ],
)
def test_width_of_an_expression(expression, width):
    """By the rules of IEEE 1800, table 11-21."""
    assert netlist.Width({"a": [8], "b": [9], "m": [3, 4]}, expression).whole() == width
