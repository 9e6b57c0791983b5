"""Every pragma, with each option, in each place: carried out, or refused with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openhls.common.errors import HlsError
from openhls.driver.compile import compile_hls
from openhls.frontend.pragmas import KNOWN, rewrite
from openhls.frontend.program import import_design
from openhls.tests.harness import INCLUDE, PATTERNS, compare

KERNELS = Path(__file__).parent / "kernels"
FAULTS = Path(__file__).parent / "faults" / "cpp"
LOOP = "void top() {\n  for (int i = 0; i < 4; ++i) {\n#pragma HLS %s\n    f(i);\n  }\n}\n"
FUNCTION = "void top() {\n  int a[4];\n#pragma HLS %s\n  f(a);\n}\n"
BLOCK = "void top() {\n  if (g()) {\n#pragma HLS %s\n    f(1);\n  }\n}\n"
CLASS = "struct S {\n  int a[4];\n#pragma HLS %s\n  void f() {}\n};\n"
OUTSIDE = "int a[4];\n\n#pragma HLS %s\nvoid top() {}\n"
BETWEEN = "void top() {\n  for (int i = 0; i < 4; ++i)\n#pragma HLS %s\n  { f(i); }\n}\n"

# The options of UG1399 and what becomes of them (None: accepted), in the place where the pragma belongs.
OPTIONS = {
    LOOP: {
        "PIPELINE": None,
        "PIPELINE II=1": None,
        "pipeline ii=1 rewind": None,
        "PIPELINE II=1 style=flp": None,
        "PIPELINE style=frp": None,
        "PIPELINE style=stp II=1": None,
        "PIPELINE enable_flush": None,
        "PIPELINE II=C::II": None,
        "PIPELINE II=2": "every loop is pipelined with II=1",
        "PIPELINE off": "every loop is pipelined with II=1",
        "PIPELINE II": "'ii=' lacks its value",
        "PIPELINE style=fast": "style=fast is not known",
        "PIPELINE style": "'style=' lacks its value",
        "PIPELINE rewind=1": "'rewind' takes no value",
        "PIPELINE II=1 II=2": "'ii' is given twice",
        "PIPELINE II=1 off": "'ii' and 'off' contradict each other",
        "PIPELINE I1=1": "has no option 'i1'",
        "UNROLL": None,
        "UNROLL factor=2": "partial unrolling",
        "UNROLL factor=4 skip_exit_check": "no option 'skip_",
        "UNROLL skip_exit_check": "has no option 'skip_exit_check'",
        "UNROLL region": "has no option 'region'",
        "UNROLL off=true": "has no option 'off'",
        "LOOP_FLATTEN": None,
        "LOOP_FLATTEN off": "every nest of loops is flattened",
        "LOOP_FLATTEN of": "has no option 'of'",
        "LOOP_TRIPCOUNT min=1 max=8": None,
        "LOOP_TRIPCOUNT min=1 max=8 avg=4": None,
        "LOOP_TRIPCOUNT max=N * 2": None,
        "LOOP_TRIPCOUNT": "needs min= or max=",
        "LOOP_TRIPCOUNT min": "'min=' lacks its value",
        "LOOP_TRIPCOUNT 4 8": "has no option '4'",
        "DEPENDENCE variable=a inter false": None,
        "DEPENDENCE variable=a inter RAW distance=C::N true": None,
        "DEPENDENCE variable=a type=intra direction=WAR dependent=true": None,
        "DEPENDENCE class=array inter": None,
        "DEPENDENCE variable=a inter intra": "'inter' and 'intra' contradict each other",
        "DEPENDENCE variable=a true false": "'true' and 'false' contradict each other",
        "DEPENDENCE variable=a type=outer": "type=outer is not known",
        "DEPENDENCE variable=a RAW WAW": "'raw' and 'waw' contradict each other",
    },
    FUNCTION: {
        "ARRAY_PARTITION variable=a complete": None,
        "ARRAY_PARTITION variable=a complete dim=0": None,
        "ARRAY_PARTITION variable = a type = complete dim = 1": None,
        "array_partition variable=a COMPLETE": None,
        "ARRAY_PARTITION variable=a block factor=2": "only complete partitioning",
        "ARRAY_PARTITION variable=a cyclic factor=2": "only complete partitioning",
        "ARRAY_PARTITION variable=a type=block factor=2": "only complete partitioning",
        "ARRAY_PARTITION variable=a": "only complete partitioning",
        "ARRAY_PARTITION variable=a complete factor=2": "has no factor=",
        "ARRAY_PARTITION variable=a complete dim=-1": "dim=-1 is not a number",
        "ARRAY_PARTITION variable=a complete dim=N": "dim=N is not a number",
        "ARRAY_PARTITION variable=a complete dim": "'dim=' lacks its value",
        "ARRAY_PARTITION complete": "needs variable=",
        "ARRAY_PARTITION variable=a complet": "has no option 'complet'",
        "ARRAY_PARTITION variable=a complete block": "'complete' and 'block' contradict each other",
        "ARRAY_PARTITION variable=a type=cyclic complete": "'type' and 'complete' contradict each other",
        "ARRAY_PARTITION variable=a complete=1": "'complete' takes no value",
        "ARRAY_PARTITION variable=a variable=b complete": "'variable' is given twice",
        "ARRAY_PARTITION variable=a complete dim=1 dim=2": "'dim' is given twice",
        "BIND_STORAGE variable=a type=ram_s2p impl=lutram": None,
        "BIND_STORAGE variable=a type=RAM_T2P impl=BRAM": None,
        "BIND_STORAGE variable=a type=ram_1p impl=uram latency=-1": None,
        "BIND_STORAGE variable=a type=rom_np": None,
        "BIND_STORAGE variable=a type=ram_s2p latency=2": "the schedule chooses the latency",
        "BIND_STORAGE variable=a type=ram_3p": "type=ram_3p is not known",
        "BIND_STORAGE variable=a type=fifo": "type=fifo is not known",
        "BIND_STORAGE variable=a type=ram_s2p impl=srl": "impl=srl is not known",
        "BIND_STORAGE variable=a type=ram_s2p impl=bram_ecc": "impl=bram_ecc is not known",
        "BIND_STORAGE variable=a type=ram_s2p impl=bram impl=uram": "'impl' is given twice",
        "BIND_STORAGE type=ram_s2p": "needs variable=",
        "BIND_STORAGE variable=a style=bram": "has no option 'style'",
        "STREAM variable=a depth=2": None,
        "STREAM variable=a depth=N + 1 type=fifo": None,
        "STREAM variable=a": "makes a FIFO of a stated depth",
        "STREAM variable=a depth=2 type=pipo": "makes a FIFO",
        "STREAM variable=a off depth=2": "has no option 'off'",
        "STREAM depth=2": "needs variable=",
        "STREAM variable=a depth=2 depth=4": "'depth' is given twice",
        "STREAM variable=a depth=2 type=ring": "type=ring is not known",
        "DATAFLOW": None,
        "DATAFLOW disable_start_propagation": "has no option 'disable_start_propagation'",
        "INLINE": None,
        "INLINE off": None,
        "INLINE recursive": "has no option 'recursive'",
        "INLINE region": "has no option 'region'",
        "PIPELINE II=1": None,
        "PIPELINE II=3": "every loop is pipelined with II=1",
        "INTERFACE axis port=a": None,
        "INTERFACE mode=axis port=a": None,
        "INTERFACE ap_ctrl_none port=return": None,
        "INTERFACE mode=AP_CTRL_NONE port=return": None,
        "INTERFACE ap_ctrl_none port=a": "INTERFACE ap_ctrl_none port=a is not supported",
        "INTERFACE axis port=return": "INTERFACE axis port=return is not supported",
        "INTERFACE mode=s_axilite port=return": "INTERFACE s_axilite port=return is not supported",
        "INTERFACE mode=m_axi port=a": "INTERFACE m_axi port=a is not supported",
        "INTERFACE ap_fifo port=a": "has no option 'ap_fifo'",
        "INTERFACE axis": "needs port=",
        "INTERFACE axis ap_ctrl_none port=a": "'axis' and 'ap_ctrl_none' contradict each other",
        "INTERFACE axis port=a register_mode=both": "has no option 'register_mode'",
        "INTERFACE axis port=a name=b": "has no option 'name'",
        "INTERFACE axis port=a port=b": "'port' is given twice",
        "INTERFACE port=a": "INTERFACE  port=a is not supported",
        "DEPENDENCE variable=a inter false": None,
        "RESOURCE variable=a core=RAM_1P": "unknown pragma HLS RESOURCE",
        "ARRAY_RESHAPE variable=a": "unknown pragma",
        "AGGREGATE variable=a": "unknown pragma",
        "": "empty #pragma HLS",
    },
}
# Where each pragma has no meaning.
ELSEWHERE = {
    "PIPELINE": {BLOCK: "stands in the braces of neither a loop nor a function"},
    "DATAFLOW": {BLOCK: "stands in the braces of neither a loop nor a function"},
    "UNROLL": {FUNCTION: "does not stand in the braces of a loop", BLOCK: "does not stand in the braces of a loop"},
    "LOOP_FLATTEN": {FUNCTION: "does not stand in the braces of a loop", BLOCK: "does not stand in the braces"},
    "LOOP_TRIPCOUNT max=4": {FUNCTION: "does not stand in the braces of a loop", BLOCK: "does not stand in the braces"},
    "INTERFACE axis port=a": {LOOP: "does not stand in the braces of a function", BLOCK: "does not stand in"},
    "INLINE": {},
    "STREAM variable=a depth=2": {},
    "ARRAY_PARTITION variable=a complete": {},
    "BIND_STORAGE variable=a type=ram_s2p": {},
    "DEPENDENCE variable=a inter false": {},
}


def outcome(place: str, pragma: str) -> None:
    rewrite('# 1 "kernel.cpp"\n' + place % pragma)


@pytest.mark.parametrize(
    "place, pragma, reason",
    [(place, pragma, reason) for place, pragmas in OPTIONS.items() for pragma, reason in pragmas.items()],
)
def test_options(place, pragma, reason):
    if reason is None:
        outcome(place, pragma)
        return
    with pytest.raises(HlsError, match=re.escape(reason)) as caught:
        outcome(place, pragma)
    assert str(caught.value.loc) == "kernel.cpp:3"


@pytest.mark.parametrize("pragma", ELSEWHERE)
def test_places(pragma):
    """Outside a function, in a class, between a loop's header and its body: no pragma; elsewhere as the table says."""
    places = dict.fromkeys((OUTSIDE, CLASS), "outside a function") | {BETWEEN: "between a loop's header and its body"}
    for place, reason in (places | ELSEWHERE[pragma]).items():
        with pytest.raises(HlsError, match=re.escape(reason)) as caught:
            outcome(place, pragma)
        assert str(caught.value.loc) == "kernel.cpp:3"


def test_the_tables_have_every_pragma():
    assert {p.split()[0] for p in ELSEWHERE} == set(KNOWN)
    assert set(KNOWN) <= {p.upper().split()[0] for pragmas in OPTIONS.values() for p in pragmas if p}


@pytest.mark.parametrize(
    "text",
    [
        "C::C() : a{1}, b(2) {\n#pragma HLS INLINE\n}",
        "template <class T> auto f(T x) -> T {\n#pragma HLS INLINE\n}",
        "namespace n { struct S { void f() const noexcept {\n#pragma HLS INLINE\n} }; }",
        "void f() { g([&](int i) {\n#pragma HLS INLINE\n}); }",
        "void f() { g([&](int i) { for (int k : {1, 2}) {\n#pragma HLS UNROLL\n} }); }",
        "void f() { do {\n#pragma HLS PIPELINE\n} while (g()); while (h()) {\n#pragma HLS PIPELINE\n} }",
        '#define X\nextern "C" {\nint operator+(S a, S b) {\n#pragma HLS INLINE\n} }',
    ],
)
def test_braces_of_functions_and_loops(text):
    rewrite(text)


@pytest.mark.parametrize(
    "text, line, reason",
    [
        ("void f() {\n#pragma HLS DATAFLOW\n#pragma HLS PIPELINE\n}", 3, "DATAFLOW and PIPELINE contradict each other"),
        ("void f() {\n#pragma HLS INLINE\n#pragma HLS INLINE off\n}", 3, "INLINE contradicts that of line 2"),
        (
            "void f() { for (;;) {\n#pragma HLS LOOP_TRIPCOUNT max=4\n#pragma HLS LOOP_TRIPCOUNT max=5\n} }",
            3,
            "LOOP_TRIPCOUNT contradicts that of line 2",
        ),
    ],
)
def test_contradictions_in_one_pair_of_braces(text, line, reason):
    with pytest.raises(HlsError, match=reason) as caught:
        rewrite('# 1 "kernel.cpp"\n' + text)
    assert str(caught.value.loc) == f"kernel.cpp:{line}"


def test_a_loop_under_a_pipeline_is_noted():
    """Vitis HLS unrolls it; where UNROLL says so there is nothing to note."""
    _, directives = rewrite("""# 1 "kernel.cpp"
void f() {
  for (int i = 0; i < 4; ++i) {
#pragma HLS PIPELINE II=1
    for (int j = 0; j < 4; ++j) {
      for (int k = 0; k < 4; ++k) {
#pragma HLS UNROLL
        g(i, j, k);
      }
    }
    for (int j = 0; j < 4; ++j) h(i);
    do { h(i); } while (h(0));
    while (h(1)) for (;;) { }
  }
  for (int i = 0; i < 4; ++i) { h(i); }
}
void whole() {
#pragma HLS PIPELINE
  for (int i = 0; i < 4; ++i) h(i);
}
""")
    found = {(loc.line, int(re.search(r"PIPELINE of line (\d+)", text)[1])) for loc, text in directives.notes}
    assert found == {(4, 3), (10, 3), (11, 3), (12, 3), (18, 17)}
    _, directives = rewrite("void f() { for (;;) {\n#pragma HLS PIPELINE\n#pragma HLS UNROLL\n} }")
    assert ["nothing is left for PIPELINE" in text for _, text in directives.notes] == [True]


# -- what clang and the IR know ----------------------------------------------------------------------------------------

TOP = "void top(hls::stream<int>& x, hls::stream<int>& y) {"
REFUSED = {  # body of a top whose line 2 has the pragma -> reason
    "int a[4]; int v = x.read();\n#pragma HLS ARRAY_PARTITION variable=b complete\ny.write(v);": (
        "undeclared identifier 'b'"
    ),
    "int a[4]; int v = x.read();\n#pragma HLS ARRAY_PARTITION variable=v complete\ny.write(v);": "'v' is no array",
    "int a[4]; int v = x.read();\n#pragma HLS ARRAY_PARTITION variable=a complete dim=2\ny.write(v);": (
        "'a' has no dimension 2"
    ),
    "{ int a[4]; } int v = x.read();\n#pragma HLS ARRAY_PARTITION variable=a complete\ny.write(v);": (
        "undeclared identifier 'a'"
    ),
    "int v = x.read();\n#pragma HLS BIND_STORAGE variable=x type=ram_s2p\ny.write(v);": "'x' is no array",
    "int v = x.read();\n#pragma HLS BIND_STORAGE variable=S::a type=ram_s2p\ny.write(v);": "undeclared identifier 'S'",
    "int v = x.read();\n#pragma HLS DEPENDENCE variable=a inter false\ny.write(v);": "undeclared identifier 'a'",
    "int a[4]; int v = x.read();\n#pragma HLS DEPENDENCE variable=a inter distance=0 true\ny.write(v);": (
        "distance= is less than 1"
    ),
    "int v = x.read(); for (int i = 0; i < 2; ++i) {\n#pragma HLS LOOP_TRIPCOUNT min=5 max=4\ny.write(v); }": (
        "not 0 <= min <= avg <= max"
    ),
    "int v = x.read(); for (int i = 0; i < 2; ++i) {\n#pragma HLS PIPELINE II=1 + 1\ny.write(v); }": (
        "every loop has II=1"
    ),
    "int v = x.read();\n#pragma HLS STREAM variable=x depth=2\ny.write(v);": "HLS STREAM inside the process 'top'",
    "static int a[4]; int v = x.read(), o = a[v & 3]; a[v & 3] = v;\n#pragma HLS BIND_STORAGE variable=a type=rom_1p\n"
    "y.write(o);": "type=rom_1p: 'a' is written",
    "static int a[4]; int v = x.read(), o = a[v & 3]; a[v & 3] = v;\n#pragma HLS BIND_STORAGE variable=a impl=uram\n\n"
    "#pragma HLS BIND_STORAGE variable=a impl=bram\ny.write(o);": None,  # line 4, in the name of line 2
}


def refusal(tmp_path: Path, text: str, top: str = "top") -> HlsError:
    (tmp_path / "kernel.cpp").write_text('#include "ap_int.h"\n#include "hls_stream.h"\n#line 1\n' + text)
    with pytest.raises(HlsError) as caught:
        compile_hls([tmp_path / "kernel.cpp"], top, [INCLUDE], {}, "xcup", 10.0, out=tmp_path / "out")
    assert caught.value.loc and Path(caught.value.loc.file).name == "kernel.cpp"
    return caught.value


@pytest.mark.parametrize("body, reason", REFUSED.items())
def test_refused_with_its_line(body, reason, tmp_path):
    error = refusal(tmp_path, f"{TOP} {body}\n}}\n")
    assert (reason or "BIND_STORAGE contradicts that of") in error.message
    assert error.loc.line == (2 if reason else 4), str(error)


RUN_TIME = {  # an array indexed at run time in a dimension that is partitioned: refused at the index, whatever its name
    "static": "static int a[2][4];\n#pragma HLS ARRAY_PARTITION variable=a complete dim=0\n",
    "second of two": "static int a[2][4];\n#pragma HLS ARRAY_PARTITION variable=a complete dim=1\n"
    "#pragma HLS ARRAY_PARTITION variable=a complete dim=2\n",
    "argument": "static int b[2][4];\nauto f = [&](int (&a)[2][4], int v, int w) {\n"
    "#pragma HLS ARRAY_PARTITION variable=a complete dim=2\nint o = a[0][v];\na[0][v] = w; return o; };",
}


@pytest.mark.parametrize("place", RUN_TIME)
def test_a_run_time_index_in_a_partitioned_dimension(place, tmp_path):
    use = "y.write(f(b, v & 3, v));" if place == "argument" else "y.write(a[0][v & 3]); a[0][v & 3] = v;"
    error = refusal(tmp_path, f"{TOP}\n{RUN_TIME[place]}\nint v = x.read();\n{use}\n}}\n")
    assert "is partitioned, but indexed at run time here" in error.message


def test_a_member_that_cannot_be_split_is_refused_with_the_pragmas_line(tmp_path):
    member = """struct Member {
  int rows[2][16];
  int step(int v, int i) {
#pragma HLS ARRAY_PARTITION variable=rows complete dim=1
    int old = rows[0][i];
    rows[0][i] = rows[1][i];
    rows[1][i] = v;
    return old;
  }
};
"""
    body = "static Member m; for (int i = 0; i < 16; ++i) y.write(m.step(x.read(), i)); }\n"
    error = refusal(tmp_path, f"{member}{TOP} {body}")
    assert "ARRAY_PARTITION of 'm' cannot be carried out" in error.message and error.loc.line == 4


def test_other_refusals(tmp_path):
    helper = "static int twice(int v) {\n#pragma HLS INLINE off\n  return 2 * v;\n}\n"
    error = refusal(tmp_path, helper + TOP + " y.write(twice(x.read())); }\n")
    assert "INLINE off in a function that is part of a process" in error.message and error.loc.line == 2
    helper = "static void copy(hls::stream<int>& x, hls::stream<int>& y) {\n#pragma HLS INTERFACE axis port=x\n"
    error = refusal(tmp_path, helper + "  y.write(x.read());\n}\n" + TOP + "\n#pragma HLS DATAFLOW\n copy(x, y);\n}\n")
    assert "INTERFACE in a function that is not the top" in error.message and error.loc.line == 2
    network = "\n#pragma HLS DATAFLOW\n hls::stream<int> s;\n#pragma HLS STREAM variable=s depth=4\n"
    copy = "static void copy(hls::stream<int>& x, hls::stream<int>& y) { y.write(x.read()); }\n"
    calls = "copy(x, s); copy(s, y); }\n"
    error = refusal(tmp_path, f"{copy}{TOP}{network}#pragma HLS STREAM variable=s depth=5\n{calls}")
    assert "'s' has a depth of 4 already" in error.message and error.loc.line == 6
    for depth in ("0", "-1", "2.5"):
        error = refusal(tmp_path, f"{copy}{TOP}{network.replace('=4', f'={depth}')}{calls}")
        assert error.message == "HLS STREAM: depth= is no positive number" and error.loc.line == 5
    loop = "\nint n = x.read(), s = 0;\nfor (int i = 0; i < n; ++i) {\n#pragma HLS UNROLL\ns += i * i % 7; }\n"
    error = refusal(tmp_path, f"{TOP}{loop}y.write(s); }}\n")
    assert "HLS UNROLL: the number of iterations is not known here" in error.message and error.loc.line == 3


def test_an_unknown_variable_is_the_faults_file(tmp_path):
    with pytest.raises(HlsError, match="partition_unknown.cpp:6: error: HLS ARRAY_PARTITION: .*'tabel'"):
        compile_hls([FAULTS / "partition_unknown.cpp"], "top", [INCLUDE], out=tmp_path)


def test_arrays_in_every_place(tmp_path):
    """Partition and storage are carried out wherever an array is declared, and the RTL is the program."""
    result = compare(KERNELS / "places.cpp", "places", 48, tmp_path, clock_ns=5.0, patterns=PATTERNS[:3])
    for process in result.schedule.processes:
        shapes = {(m.depth, m.width, m.style) for m in process.memories}
        assert len(process.memories) == 2 and shapes == {(16, 8, "distributed")}, process.name
    assert result.schedule.notes == ()


def test_a_static_array_of_two_rows_is_two_memories():
    (process,) = import_design([FAULTS / "partition_static.cpp"], "top", [INCLUDE], {}).processes
    assert sorted((m.name, m.depth) for m in process.memories.values()) == [("rows_0", 16), ("rows_1", 16)]


def test_notes_about_storage(tmp_path):
    (tmp_path / "kernel.cpp").write_text(f"""#include "hls_stream.h"
{TOP}
  static int gone[2], one[16];
#pragma HLS BIND_STORAGE variable=gone type=ram_s2p impl=bram
#pragma HLS BIND_STORAGE variable=one type=ram_1p impl=lutram
  int v = x.read();
  y.write(gone[0] + gone[1] + one[v & 15]);
  gone[0] = gone[1];
  gone[1] = v;
  one[v & 15] = v;
}}
""")
    notes = compile_hls([tmp_path / "kernel.cpp"], "top", [INCLUDE], out=tmp_path / "out").schedule.notes
    assert len(notes) == 2
    assert re.search(r"kernel.cpp:4: note: 'gone' needs no memory here", notes[0])
    assert re.search(r"kernel.cpp:5: note: 'one' has a port to read and one to write", notes[1])
