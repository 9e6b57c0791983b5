"""HLS tools of the user, without them: complete projects, scripts of the documented syntax, clear refusals; and the
whole way through a fake tool, whose RTL comes from the open flow."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from psconv.common.places import CONSTRAINTS, ENGINE, HLS, INCLUDE
from psconv.flow import csim
from psconv.flow import run as flow
from psconv.flow import steps as steps
from psconv.flow.config import load
from psconv.flow.vectors import load_vectors, save_vectors
from psconv.report.render import render_html, render_markdown
from psconv.report.schema import parse_report
from psconv.synthesis.targets import known_targets, load_target
from psconv.vendor import project, step, tools
from psconv.vendor.bambu_sources import UNUSED, bambu_header, bambu_source, calls
from psconv.vendor.records import ToolReport
from pymodel.common.errors import ConfigError
from pymodel.engine import cpp as header
from pymodel.engine.cycles import pe_iterations
from pymodel.engine.packing import EngineShape
from pymodel.golden import model as golden
from tests.helpers import designs, networks, tcl
from tests.helpers.places import EXAMPLES, ROOT, TESTS
from tests.helpers.reports import design_of, run_of

SAMPLES = TESTS / "vendor"
TOP = "psconv_layer"
LAYER = {"in_channels": 4, "out_channels": 4, "height": 3, "width": 4, "support": "PS4_P4"}
POINTWISE = {"in_channels": 3, "out_channels": 5, "height": 3, "width": 3, "kernel": 1, "padding": 0, "stride": 2}

# Command -> (options that take a value, options that are flags, positional arguments at least, at most). UG1399 (Vitis
# HLS Command Reference, 2020.2 to 2025.2: what all of them have) and UG835 (Vivado Tcl Command Reference).
HLS_COMMANDS = {
    "open_project": ((), ("-reset",), 1, 1),
    "set_top": ((), (), 1, 1),
    "add_files": (("-cflags", "-csimflags"), ("-tb", "-blackbox"), 1, 1),
    "open_solution": (("-flow_target",), ("-reset",), 1, 1),
    "set_part": ((), (), 1, 1),
    "create_clock": (("-name", "-period"), (), 0, 0),
    "config_compile": (("-pipeline_style", "-pipeline_loops"), ("-unsafe_math_optimizations",), 0, 0),
    "csim_design": (("-argv", "-ldflags", "-mflags"), ("-O", "-clean", "-setup"), 0, 0),
    "csynth_design": ((), ("-dump_cfg", "-dump_post_cfg", "-synthesis_check"), 0, 0),
    "cosim_design": (("-argv", "-ldflags", "-rtl", "-tool", "-trace_level"), ("-O", "-setup", "-random_stall"), 0, 0),
    "export_design": (("-format", "-rtl", "-flow", "-output", "-vendor", "-library", "-version"), (), 0, 0),
    "exit": ((), (), 0, 1),
}
VIVADO_COMMANDS = {
    "read_verilog": (("-library",), ("-sv", "-quiet", "-verbose"), 1, 1),
    "read_mem": ((), ("-quiet", "-verbose"), 1, 1),
    "read_xdc": (("-cells", "-ref", "-mode"), ("-unmanaged", "-quiet", "-verbose"), 1, 1),
    "synth_design": (("-top", "-part", "-mode", "-directive", "-flatten_hierarchy"), ("-quiet",), 0, 0),
    "opt_design": (("-directive",), ("-quiet",), 0, 0),
    "place_design": (("-directive",), ("-quiet",), 0, 0),
    "phys_opt_design": (("-directive",), ("-quiet",), 0, 0),
    "route_design": (("-directive",), ("-quiet",), 0, 0),
    "report_utilization": (("-file", "-cells", "-format"), ("-hierarchical", "-append"), 0, 0),
    "report_timing_summary": (("-file", "-delay_type", "-max_paths"), ("-append", "-no_header"), 0, 0),
    "write_checkpoint": ((), ("-force", "-quiet"), 0, 1),
    "exit": ((), (), 0, 1),
}
# Keys of an HLS component's configuration (UG1702, "v++ mode hls": general, C synthesis, test bench, package options).
CFG_KEYS = {
    "": {"part"},
    "hls": {
        "flow_target",
        "clock",
        "syn.top",
        "syn.file",
        "syn.cflags",
        "syn.compile.pipeline_style",
        "tb.file",
        "tb.cflags",
        "package.output.format",
        "package.output.syn",
    },
}
REPEATED = {"tb.file", "syn.file"}


def run_file(folder: Path, layer: dict, **more) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"psconv": 1, "layer": layer, "images": {"count": 3}} | more))
    return path


def prepared(tmp_path: Path, layer: dict = LAYER, **more):
    """(design, settings) of a run in `tmp_path`/out, its golden vectors written."""
    simulators = tmp_path.parent.parent / "simulators"
    this = flow.prepare(
        load(run_file(tmp_path, layer, **more)), tmp_path / "run.yaml", tmp_path / "out", simulators=simulators
    )
    steps.golden_step(this.designs, this.settings, this.inputs)
    [design] = this.designs
    return design, this.settings


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path: Path) -> None:
    """No HLS tool anywhere, even on a machine that has one."""
    for kind in tools.KINDS.values():
        for variable in kind.variables:
            monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "path"
    folder.mkdir()
    programs = {program for kind in tools.KINDS.values() for programs in kind.sets for program in programs}
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            if program.name not in programs and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))


def check_syntax(calls: list[list[str]], table: dict) -> None:
    for name, *arguments in calls:
        valued, flags, least, most = table[name]
        positional, rest = 0, list(arguments)
        while rest:
            word = rest.pop(0)
            if word in valued:
                assert (rest and not rest[0].startswith("-")) or word in ("-cflags", "-ldflags"), (name, arguments)
                rest.pop(0)
            elif word.startswith("-"):
                assert word in flags, f"{name} {word}: not in the documented syntax"
            else:
                positional += 1
        assert least <= positional <= most, (name, arguments)


@pytest.mark.parametrize("target", ["zcu104", "pynq_z2", "u250"])
def test_hls_script_under_a_tcl_interpreter(target: str, tmp_path: Path) -> None:
    if tcl.interpreter() is None:
        pytest.skip("no Tcl interpreter: neither tclsh nor tkinter")
    folder = step.write_project("vitis", *prepared(tmp_path, target=target))
    made = tcl.calls(folder / "run_hls.tcl", HLS_COMMANDS, tmp_path)
    check_syntax(made, HLS_COMMANDS)
    names = [name for name, *_ in made]
    assert names == [
        "open_project",
        "set_top",
        *["add_files"] * 4,
        "open_solution",
        "set_part",
        "create_clock",
        "config_compile",
        "csim_design",
        "csynth_design",
        "cosim_design",
        "export_design",
        "exit",
    ]
    files = [call[-1] for call in made if call[0] == "add_files"]
    assert all((folder / file).is_file() for file in files) and len(set(files)) == 4
    [part] = [call[1] for call in made if call[0] == "set_part"]
    parts = {"zcu104": "xczu7ev-ffvc1156-2-e", "pynq_z2": "xc7z020clg400-1", "u250": "xcu250-figd2104-2L-e"}
    assert part == parts[target]
    [clock] = [call for call in made if call[0] == "create_clock"]
    assert clock[clock.index("-period") + 1] == str(load_target(target).clock_ns)


def test_vivado_script_under_a_tcl_interpreter(tmp_path: Path) -> None:
    if tcl.interpreter() is None:
        pytest.skip("no Tcl interpreter: neither tclsh nor tkinter")
    folder = step.write_project("vitis", *prepared(tmp_path, clock_ns=4.5))
    (folder / "rtl").mkdir()
    for name in ("psconv_layer.v", "psconv_layer_rom.v"):
        (folder / "rtl" / name).touch()
    without = tcl.calls(folder / "vivado_ooc.tcl", VIVADO_COMMANDS, tmp_path)
    check_syntax(without, VIVADO_COMMANDS)
    assert "read_mem" not in [name for name, *_ in without]
    (folder / "rtl" / "rom.dat").touch()
    made = tcl.calls(folder / "vivado_ooc.tcl", VIVADO_COMMANDS, tmp_path)
    check_syntax(made, VIVADO_COMMANDS)
    assert [name for name, *_ in made] == [
        "read_verilog",
        "read_mem",
        "read_xdc",
        "synth_design",
        "opt_design",
        "place_design",
        "phys_opt_design",
        "route_design",
        "report_utilization",
        "report_timing_summary",
        "write_checkpoint",
        "exit",
    ]
    sources = made[0][1].split()
    assert sorted(Path(name).name for name in sources) == ["psconv_layer.v", "psconv_layer_rom.v"]
    assert "-period 4.5 [get_ports ap_clk]" in (folder / "target.xdc").read_text()


def test_a_script_with_a_wrong_command_is_found(tmp_path: Path) -> None:
    """The recorder is not blind."""
    if tcl.interpreter() is None:
        pytest.skip("no Tcl interpreter: neither tclsh nor tkinter")
    script = tmp_path / "wrong.tcl"
    script.write_text("csynth_desing\n")
    with pytest.raises(AssertionError, match="csynth_desing"):
        tcl.calls(script, HLS_COMMANDS, tmp_path)
    script.write_text("cosim_design -rlt verilog\n")
    with pytest.raises(AssertionError, match="-rlt: not in the documented syntax"):
        check_syntax(tcl.calls(script, HLS_COMMANDS, tmp_path), HLS_COMMANDS)


def test_configuration_file_has_documented_keys_only(tmp_path: Path) -> None:
    folder = step.write_project("vitis", *prepared(tmp_path))
    section, found = "", {"": [], "hls": []}
    for line in (folder / "hls_config.cfg").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[section].append(key)
            assert value and (not key.endswith("file") or (folder / value).is_file()), line
    for section, keys in found.items():
        assert set(keys) == CFG_KEYS[section]
        assert all(keys.count(key) == 1 for key in keys if key not in REPEATED)


def test_streams_hold_two_words_at_least_for_vitis(tmp_path: Path) -> None:
    """Its FIFO of one word passes a word every second cycle; the open flow's has the depth of the cycle model."""
    design, settings = prepared(tmp_path, LAYER | {"out_channels": 32})
    made = (step.write_project("vitis", design, settings) / "src" / "config.hpp").read_text()

    def depths(text: str) -> list[int]:
        return [int(depth) for depth in re.findall(r"_DEPTH = (\d+);", text)]

    here = depths(design.sources["config.hpp"])
    assert 1 in here and depths(made) == [max(2, depth) for depth in here]


def test_the_trip_count_of_the_processing_element_is_the_true_one(tmp_path: Path) -> None:
    """As the compiler computes it, against the iterations of the cycle model; with windows whole and in pieces."""
    common = {"cin": 8, "cout": 8, "height": 3, "width": 4, "acc_bits": 28}
    shapes = [
        EngineShape(**common, kernel=3, padding=1, support="PS4_P4", feed="channels", fold=2),
        EngineShape(**common, kernel=3, stride=2, padding=1, support="PS4_P4", Tb=2, fold=3, To=2),
        EngineShape(**common, kernel=1, support="dense", Tb=8),
    ]
    structs, lines = [], []
    for at, shape in enumerate(shapes):
        weights, bias = np.zeros((8, 8, shape.kernel, shape.kernel), int), np.zeros(8, int)
        structs.append(header.engine_struct(f"C{at}", shape, weights, bias, prefix=f"c{at}_"))
        lines.append(f'  std::printf("%d\\n", psconv::Geometry<C{at}>::ITERATIONS + 0);')
    text = header.render_header("config.hpp", "a test", "configurations", 1024, structs)
    (tmp_path / "configurations.hpp").write_text(text)
    source = tmp_path / "count.cpp"
    source.write_text(
        '#include <cstdio>\n#include "configurations.hpp"\n#include "pe.hpp"\nint main() {\n'
        + "\n".join(lines)
        + "\n}\n"
    )
    command = [
        *csim.compiler_command("clang"),
        f"-I{ENGINE}",
        f"-I{INCLUDE}",
        "-w",
        "-std=c++17",
        source,
        "-o",
        tmp_path / "count",
    ]
    subprocess.run(command, check=True)
    printed = subprocess.run([tmp_path / "count"], capture_output=True, text=True, check=True).stdout
    assert list(map(int, printed.split())) == [pe_iterations(shape) for shape in shapes]


@pytest.mark.parametrize("tool", step.TOOLS)
def test_project_is_complete_and_has_no_absolute_path(tool: str, tmp_path: Path) -> None:
    folder = step.write_project(tool, *prepared(tmp_path))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes() and str(ROOT).encode() not in path.read_bytes(), path
    assert (folder / "run.sh").stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["sh", "-n", "run.sh"], cwd=folder).returncode == 0
    # What a source includes with quotes lies beside it, or is the tool's.
    elsewhere = {"ap_int.h", "ap_axi_sdata.h", "hls_stream.h"}
    for source in (folder / "src").iterdir():
        for name in re.findall(r'^#include "(.+)"', source.read_text(), re.MULTILINE):
            assert (source.parent / name).exists() or name in elsewhere, name
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    step.write_project(tool, *prepared(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before  # same inputs: left alone
    (folder / "rtl").mkdir()
    step.write_project(tool, *prepared(tmp_path, clock_ns=7.0))
    assert not (folder / "rtl").exists()  # what the tool made of other inputs goes


def compiled(folder: Path, command: list[str], standard: str) -> Path:
    """The project's C simulation as a program, by `command`, every warning an error."""
    program = folder / "csim_program"
    sources = ["src/csim.cpp", "src/top.cpp"]
    done = subprocess.run(
        [*command, f"-std={standard}", "-O1", *csim.WARNINGS, *sources, "-o", str(program)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


QUICK = {("amd", "c++14"), ("amd_clang", "c++17")}


@pytest.mark.skipif(csim.amd_include() is None, reason="AMD's ap_types (hls4ml) are not installed")
@pytest.mark.parametrize(
    ("compiler", "standard"),
    [
        pytest.param(compiler, standard, marks=() if (compiler, standard) in QUICK else pytest.mark.slow)
        for compiler in ("amd", "amd_clang")
        for standard in ("c++14", "c++17", "c++20")
    ],
)
def test_the_projects_csim_with_amds_headers_finds_a_wrong_vector(
    compiler: csim.Compiler, standard: str, tmp_path: Path
) -> None:
    """What csim_design and cosim_design compile and run; their verdict is the exit status."""
    layer = LAYER if compiler == "amd" else POINTWISE
    folder = step.write_project("vitis", *prepared(tmp_path, layer))
    moved = tmp_path / "another machine"
    shutil.copytree(folder, moved)
    program = compiled(moved, csim.compiler_command(compiler), standard)
    right = subprocess.run([program], cwd=moved, capture_output=True, text=True)
    assert right.returncode == 0 and "all as expected" in right.stdout, right.stderr
    vector = bytearray((moved / "y.dat").read_bytes())
    vector[-2] ^= 1
    (moved / "y.dat").write_bytes(vector)
    wrong = subprocess.run([program], cwd=moved, capture_output=True, text=True)
    assert wrong.returncode == 1 and re.search(r"output beat \d+, byte \d+: \d+ instead of \d+", wrong.stderr)
    (moved / "y.dat").write_bytes(vector[:-1])
    assert subprocess.run([program], cwd=moved, capture_output=True).returncode == 1
    (moved / "x.dat").unlink()
    lost = subprocess.run([program], cwd=moved, capture_output=True, text=True)
    assert lost.returncode == 1 and "cannot read x.dat" in lost.stderr


@pytest.mark.parametrize(
    "parallelism", [{}, pytest.param({"feed": "channels", "fold": 2}, marks=pytest.mark.slow)], ids=str
)
def test_bambus_sources_are_the_engine(parallelism: dict, tmp_path: Path) -> None:
    """Compiled with this project's own headers: translated pragmas and ROMs and wider words change no output."""
    folder = step.write_project("bambu", *prepared(tmp_path, parallelism=parallelism))
    command = [*csim.compiler_command("clang"), "-Wno-unknown-pragmas"]
    program = compiled(folder, command, "c++14")
    done = subprocess.run([program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "all as expected" in done.stdout, done.stderr


@pytest.mark.skipif("BAMBU_AC_TYPES" not in os.environ, reason="BAMBU_AC_TYPES names no folder of Bambu's ac_types")
@pytest.mark.parametrize("layer", [LAYER, POINTWISE])
def test_bambus_sources_with_bambus_headers(layer: dict, tmp_path: Path) -> None:
    folder = step.write_project("bambu", *prepared(tmp_path, layer))
    program = compiled(folder, ["g++", "-w", f"-I{os.environ['BAMBU_AC_TYPES']}"], "c++14")
    done = subprocess.run([program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "all as expected" in done.stdout, done.stderr


def test_padded_maxima_for_bambu() -> None:
    """Their feeder inverts signs, and only theirs."""
    _, dataflow = networks.made("padded pools and means of any size")
    found = {unit.name: [call["function"] for call in calls(unit)["calls"]] for unit in dataflow.units}
    assert found["largest"] == ["columns<largest_config, true>", "windows<largest_config>", "reduce<largest_config>"]
    assert found["mean"] == ["columns<mean_config>", "windows<mean_config>", "reduce<mean_config>"]
    assert found["a"] == ["columns<a_config>", "windows<a_config>", "pe<a_config>", "output<a_config>"]
    _, dataflow = networks.made("shuffled")
    both = next(unit for unit in dataflow.units if unit.name == "both")
    assert [call["function"] for call in calls(both)["calls"]] == ["concatenate<both_config>"]


@pytest.mark.parametrize("tool", step.TOOLS)
def test_several_outputs_are_refused(tool: str) -> None:
    bundle, dataflow = networks.made("outputs on the way")
    design = designs.design_of(dataflow)
    vectors = design.vectors(golden.run(bundle, networks.some_images(bundle, 1)))
    with pytest.raises(ConfigError, match=f"--hls {tool}: network: output: must be one layer, got a, b, y_c, f"):
        project.contents(tool, design, vectors, load_target("zcu104"), 3.333)


def test_pragmas_for_bambu() -> None:
    text = """\
void f() {
#pragma HLS INLINE
rows:
  for (int i = 0; i < 4; ++i) {
#pragma HLS UNROLL
    g(i);
  }
  for (int i = 0; i < 4; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter
    g(i);
  }
}
"""
    translated = bambu_source(text, "f.cpp")
    assert "rows:\n#pragma HLS unroll\n  for (int i" in translated
    assert not any(f"HLS {kind}" in translated for kind in UNUSED) and "INLINE" in UNUSED
    assert bambu_source(text.replace("UNROLL", "unroll"), "f.cpp") == translated
    for wrong in ("#pragma HLS INTERFACE mode=axis port=x\n", "  while (true) {\n#pragma HLS UNROLL\n"):
        with pytest.raises(ConfigError, match="f.cpp: #pragma HLS .* has no translation"):
            bambu_source(wrong, "f.cpp")
    assert bambu_header("struct engine_config {};\n") == "struct engine_config {};\n"


@pytest.mark.parametrize("tool", step.TOOLS)
def test_missing_tool_explains_itself_and_exits_with_3(tool: str, tmp_path: Path, psconv, nothing_installed) -> None:
    path, out = str(run_file(tmp_path, LAYER)), str(tmp_path / "out")
    code, _, err = psconv("synth", path, "--hls", tool, "--out", out)
    folder = tmp_path / "out" / tool / "layer"
    assert code == 3 and "Traceback" not in err
    for word in (tools.KINDS[tool].title, *tools.KINDS[tool].variables, "PATH", str(folder), "run.sh", "--hls open"):
        assert word in err, (word, err)
    assert (folder / "run.sh").exists() and (folder / "README.md").exists()
    code, said, _ = psconv("synth", path, "--hls", tool, "--out", out, "--script-only")
    assert code == 0 and "./run.sh" in said
    ran = subprocess.run(["./run.sh"], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 3 and "PATH" in ran.stderr


def test_wrong_use_exits_with_2(tmp_path: Path, psconv) -> None:
    path, out = str(run_file(tmp_path, LAYER)), str(tmp_path / "out")
    code, _, err = psconv("synth", path, "--hls", "vitis", "--out", out, "--target", "ulx3s_85f", "--script-only")
    assert code == 2 and "target: must be an AMD device, got ulx3s_85f" in err
    code, _, err = psconv("synth", path, "--hls", "vitis", "--out", out, "--tool", str(tmp_path / "nowhere"))
    assert code == 2 and "nowhere: no such file or folder" in err
    code, _, err = psconv("synth", path, "--out", out, "--script-only")
    assert code == 2 and "--script-only" in err


def test_tools_are_found(tmp_path: Path, monkeypatch, nothing_installed) -> None:
    def program(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    unified = [program(tmp_path / "Vitis" / "bin" / name) for name in ("v++", "vitis-run")]
    monkeypatch.setenv("XILINX_VITIS", str(tmp_path / "Vitis"))
    assert tools.find("vitis") == unified[0]
    unified[1].unlink()  # v++ alone is the linker of a kernel flow
    with pytest.raises(tools.ToolMissing):
        tools.find("vitis")
    classic = program(tmp_path / "HLS" / "bin" / "vitis_hls")
    assert tools.find("vitis", tmp_path / "HLS") == classic
    monkeypatch.setenv("XILINX_HLS", str(tmp_path / "HLS"))
    assert tools.find("vitis") == classic
    appimage = program(tmp_path / "bambu-2024.10.AppImage")
    assert tools.find("bambu", appimage) == appimage


# A fake tool: an executable in a temporary folder that records how it was called and leaves the open flow's RTL and the
# sample reports where Vitis HLS would leave its own. No figure of it is measured. FAILS in the environment names a step
# that ends with an error. Its Tcl is a real interpreter's.
FAKE_STEP = """\
#!/bin/sh
at=$1
[ "$2" = "$FAILS" ] && echo "ERROR: [HLS 200-1] $2 failed" && exit 1
mkdir -p $at/syn/verilog $at/syn/report
case $2 in
csynth)
    cp {rtl}/*.v $at/syn/verilog
    cp {samples}/top_csynth_sample.xml $at/syn/report/psconv_layer_csynth.xml
    cp {samples}/csynth_sample.xml $at/syn/report/csynth.xml ;;
cosim)
    mkdir -p $at/sim/report
    cp {samples}/cosim_sample.rpt $at/sim/report/psconv_layer_cosim.rpt ;;
esac
"""
FAKE_VITIS = """\
#!/bin/sh
echo "fake $*" >>"{log}"
[ "$1" = -version ] && echo "a fake vitis_hls 2099.1, written for a test" && exit 0
exec {tcl} {commands}
"""
FAKE_COMMANDS = """\
foreach name {{open_project set_top add_files open_solution set_part create_clock config_compile csim_design
               export_design}} {{ proc $name args {{}} }}
proc csynth_design args {{ exec >@stdout {step} hls/solution csynth }}
proc cosim_design args {{ exec >@stdout {step} hls/solution cosim }}
source run_hls.tcl
"""
FAKE_VPP = """\
#!/bin/sh
echo "v++ $*" >>"{log}"
[ "$1" = --version ] && echo "a fake v++ 2099.1, written for a test" && exit 0
exec {step} hls/hls csynth
"""
FAKE_VITIS_RUN = """\
#!/bin/sh
echo "vitis-run $*" >>"{log}"
case "$*" in *--cosim*) exec {step} hls/hls cosim ;; esac
"""
FAKE_VIVADO = """\
#!/bin/sh
echo "vivado $*" >>"{log}"
cp {samples}/utilization_sample.rpt reports/utilization.rpt
cp {samples}/timing_sample.rpt reports/timing.rpt
"""
FAKE_BAMBU = """\
#!/bin/sh
exec {python} {script} {rtl} {log} "$@"
"""


def fake(path: Path, text: str, **values: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(**values))
    path.chmod(0o755)
    return path


def fake_vitis(folder: Path, log: Path, rtl: Path) -> Path:
    """Both of the ways in which Vitis is called, in a folder: vitis_hls, and v++ with vitis-run. Returns the first."""
    command = tcl.interpreter()
    if command is None:
        pytest.skip("no Tcl interpreter: neither tclsh nor tkinter")
    step = fake(folder / "step", FAKE_STEP, rtl=rtl, samples=SAMPLES)
    fake(folder / "v++", FAKE_VPP, log=log, step=step)
    fake(folder / "vitis-run", FAKE_VITIS_RUN, log=log, step=step)
    commands = fake(folder / "commands.tcl", FAKE_COMMANDS, step=step)
    return fake(folder / "vitis_hls", FAKE_VITIS, log=log, tcl=shlex.join(command), commands=commands)


def open_rtl(design, settings, folder: Path) -> dict:
    """RTL of the open flow as .v files in `folder`; its ports."""
    steps.synth_step(design, settings)
    folder.mkdir()
    for source in (settings.layout.synth(design.name) / "rtl").glob("*.sv"):
        shutil.copy(source, folder / f"{source.stem}.v")
    return json.loads((settings.layout.synth(design.name) / "ports.json").read_text())


def test_the_whole_way_through_a_fake_vitis(tmp_path: Path, monkeypatch) -> None:
    design, settings = prepared(tmp_path)
    log, rtl = tmp_path / "log", tmp_path / "rtl"
    open_rtl(design, settings, rtl)
    tool = fake_vitis(tmp_path / "bin", log, rtl)
    fake(tmp_path / "bin" / "vivado", FAKE_VIVADO, log=log, samples=SAMPLES)
    monkeypatch.setenv("XILINX_VIVADO", str(tmp_path))
    assert step.stored("vitis", design, settings) is None

    record = step.run_design("vitis", design, settings, tool, False)
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [["fake", "-version"], ["fake", "-f"]]
    assert record.mismatches == 0 and record.errors == [] and record.cycles_sim > 0
    assert record.resources["BRAM"] == 3.5 and record.resources_by == "Vitis HLS, estimate"
    assert record.cosim == "Pass" and record.fmax_mhz is None
    assert record.provenance["tool"] == "a fake vitis_hls 2099.1, written for a test"

    routed = step.run_design("vitis", design, settings, None, True)  # copied back: synthesis is not run again
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["fake", "fake", "vivado"]
    assert routed.resources_by == "Vivado, routed" and routed.resources["LUT"] == 3131
    assert routed.fmax_mhz == 266.67 and routed.cycles_sim == record.cycles_sim
    assert step.stored("vitis", design, settings) == routed
    check_report(routed)
    other = prepared(tmp_path, clock_ns=9.0)
    assert step.stored("vitis", *other) is None  # of other inputs
    folder = settings.layout.vendor("vitis", design.name)
    (folder / "result.json").write_text('{"mismatches": 0}')
    with pytest.raises(ConfigError, match=r"result\.json: cycles_sim: this key is missing"):
        step.stored("vitis", design, settings)

    vectors = load_vectors(settings.layout, design)
    vectors.outputs[design.layer][0, 0, 0, 0] ^= 1  # the bench looks at the tool's RTL, not at what the tool says of it
    save_vectors(settings.layout, design, vectors)
    assert step.collect("vitis", folder, design, settings).mismatches == 1


@pytest.mark.parametrize("way", ["vitis_hls", "v++"])
def test_a_step_that_fails_loses_nothing_of_those_before(way: str, tmp_path: Path, monkeypatch) -> None:
    """And what an earlier run has left is not taken for this one's."""
    design, settings = prepared(tmp_path)
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    (rtl / "psconv_layer.v").write_text("module psconv_layer; endmodule\n")
    fake_vitis(tmp_path / "bin", tmp_path / "log", rtl)
    if way == "v++":
        (tmp_path / "bin" / "vitis_hls").unlink()
    folder = step.write_project("vitis", design, settings)
    for solution in ("solution", "hls"):
        old = folder / "hls" / solution / "syn" / "verilog" / "old.v"
        old.parent.mkdir(parents=True)
        old.touch()
    monkeypatch.setenv("FAILS", "cosim")
    with pytest.raises(ConfigError, match=r"failed with \d+:\nERROR: \[HLS 200-1\] cosim failed"):
        step.run_design("vitis", design, settings, tmp_path / "bin", False)
    assert not step.finished(folder)
    assert [path.name for path in (folder / "rtl").iterdir()] == ["psconv_layer.v"]
    kept = {path.name for path in (folder / "reports").iterdir()}
    assert {"psconv_layer_csynth.xml", "csynth.xml"} <= kept and "psconv_layer_cosim.rpt" not in kept


def check_report(record: ToolReport) -> None:
    """The report has a table of the tool, with who counted and where it ran; without a record it has none."""
    with_tool, without = (
        parse_report(run_of(design_of("conv", tools={"vitis": record}))),
        parse_report(run_of(design_of("conv"))),
    )
    for render in (render_markdown, render_html):
        text = render(with_tool)
        words = ("Other HLS tools", "vitis 2099.1", "3,131", "Vivado, routed", "266.7", "steps_folds", "a fake vitis")
        for word in words:
            assert word in text, word
        assert "Other HLS tools" not in render(without)


def test_the_whole_way_through_a_fake_bambu(tmp_path: Path) -> None:
    design, settings = prepared(tmp_path)
    log, rtl = tmp_path / "log", tmp_path / "rtl"
    inner = open_rtl(design, settings, rtl)
    for source in rtl.iterdir():
        source.write_text(re.sub(rf"\b{TOP}\b", "inner_engine", source.read_text()))
    (rtl / "wrapper.v").write_text(bambu_names(inner))
    (rtl / "ready.mem").write_text("1\n")
    tool = fake_bambu(tmp_path, rtl)
    record = step.run_design("bambu", design, settings, tool, False)
    assert record.mismatches == 0 and record.errors == [], record
    assert record.resources_by == "yosys" and record.resources["DSP"] == design.engine.shape.lanes
    called = log.read_text().splitlines()[1].split()
    options = {word.partition("=")[0] for word in called if word.startswith("--")}
    assert options == {
        "--top-fname",
        "--compiler",
        "--std",
        "--generate-interface",
        "--device-name",
        "--clock-period",
        "--reset-type",
        "--reset-level",
    }
    assert "--device-name=xcu55c-2Lfsvh2892-VVD" in called
    assert record.provenance["tool"].startswith("Version: PandA 2099.1")
    assert [function.model_dump() for function in record.functions] == [
        {
            "name": "columns",
            "control_steps": 7,
            "fmax_mhz": 206.11756924921215,
            "states": 6,
            "area": 1100,
            "dsp": 0,
            "ff": 197,
        },
        {"name": "psconv_engine", "control_steps": 3, "fmax_mhz": 412.5, "states": 2, "area": 12, "dsp": 4, "ff": 5},
    ]
    wide = record.provenance["cut by Bambu 2024.10 at -O2, being wider than 64 bits"]
    assert wide == f"column 96, window 288, weights {design.engine.shape.rom_word_bits}"
    report = parse_report(run_of(design_of("conv", tools={"bambu": record})))
    for render in (render_markdown, render_html):
        assert "control steps" in render(report) and "206.1" in render(report)


def fake_bambu(folder: Path, rtl: Path) -> Path:
    values = {"python": sys.executable, "script": TESTS / "helpers" / "fake_bambu.py", "log": folder / "log"}
    return fake(folder / "bambu.AppImage", FAKE_BAMBU, **values, rtl=rtl)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("accumulate.hpp", "#pragma HLS unroll", "#pragma HLS UNROLL", "PLEASE submit a bug report"),
        ("words.hpp", "  return ap_uint<BITS>(beat.data);", "#pragma HLS INLINE\n  return 0;", "INLINE in a template"),
        ("pe.hpp", "reload_requests.read() != 0", "reload_requests.read().to_bool()", "to_bool"),
        ("top.cpp", 'extern "C" ', "", "top function psconv_layer not found"),
    ],
)
def test_what_bambu_refuses_is_shown_in_its_words(file: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    """The stand-in is not blind: each of the changes that Bambu needs, undone."""
    design, settings = prepared(tmp_path)
    (tmp_path / "rtl").mkdir()
    tool = fake_bambu(tmp_path, tmp_path / "rtl")
    source = step.write_project("bambu", design, settings) / "src" / file
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=f"failed with 1:\nerror -> .*{message}"):
        step.run_design("bambu", design, settings, tool, False)


def test_what_bambu_keeps_is_of_whole_bytes(tmp_path: Path) -> None:
    """Elements of memories have a power of two of them; the open flow keeps words as wide as they are."""
    printed = {}
    for place in (ENGINE, HLS / "bambu"):
        source = tmp_path / "bits.cpp"
        source.write_text(
            '#include <cstdio>\n#include "storage.hpp"\nint main() {\n  for (int bits = 1; bits <= 300; ++bits)\n'
            '    std::printf("%d %d\\n", psconv::stored_bits(bits), psconv::streamed_bits(bits));\n}\n'
        )
        program = tmp_path / "bits"
        command = [*csim.compiler_command("clang"), f"-I{place}", "-std=c++14", str(source), "-o", str(program)]
        subprocess.run(command, check=True)
        text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        printed[place.name] = [tuple(map(int, line.split())) for line in text.splitlines()]
    assert printed["engine"] == [(bits, bits) for bits in range(1, 301)]
    for bits, (stored, streamed) in enumerate(printed["bambu"], 1):
        assert stored == next(size for size in (8, 16, 32, 64, 128, 256, 512) if size >= bits)
        assert streamed == next(size for size in range(8, 312, 8) if size >= bits)


def bambu_names(ports: dict) -> str:
    """A module with clock, reset, start_port and bare streams, as Bambu names them, around the open flow's."""
    widths = {stream["name"]: stream["signals"]["TDATA"]["width"] for stream in ports["streams"]}
    ones = f"{{{widths['x'] // 8}{{1'b1}}}}"
    return f"""\
module {TOP}(input clock, input reset, input start_port, output done_port,
  input [{widths["x"] - 1}:0] x_TDATA, input x_TVALID, output x_TREADY,
  output [{widths["y"] - 1}:0] y_TDATA, output y_TVALID, input y_TREADY);
  assign done_port = 1'b0;
  wire ready, valid;
  reg [0:0] table_of_1 [0:0];
  initial $readmemb("ready.mem", table_of_1);
  wire run = start_port & table_of_1[0];
  assign x_TREADY = ready & run;
  assign y_TVALID = valid;
  inner_engine engine(.ap_clk(clock), .ap_rst_n(reset), .x_TDATA(x_TDATA), .x_TVALID(x_TVALID & run),
    .x_TREADY(ready), .x_TLAST(1'b0), .x_TKEEP({ones}), .x_TSTRB({ones}),
    .y_TDATA(y_TDATA), .y_TVALID(valid), .y_TREADY(y_TREADY), .y_TLAST(), .y_TKEEP(), .y_TSTRB());
endmodule
"""


def test_a_tool_that_fails_is_one_clear_error(tmp_path: Path) -> None:
    design, settings = prepared(tmp_path)
    tool = fake(tmp_path / "bin" / "vitis_hls", "#!/bin/sh\necho 'ERROR: [HLS 200-1] no licence'\nexit 1\n")
    with pytest.raises(ConfigError, match=r"run\.log: \./run\.sh failed with 1:\nERROR: \[HLS 200-1\] no licence"):
        step.run_design("vitis", design, settings, tool, False)
    assert not step.finished(settings.layout.vendor("vitis", design.name))


def test_each_target_is_described_once() -> None:
    """Budgets name their document; the constraint file has the clock and nothing that the YAML file has too."""
    for name in known_targets():
        text = (CONSTRAINTS / f"{name}.yaml").read_text()
        assert re.search(r"^# .*Budgets.*(DS|FPGA-DS-|UG)\d+", text, re.MULTILINE), name
        constraint = (CONSTRAINTS / load_target(name).constraints).read_text()
        assert load_target(name).part.lower() not in constraint.lower()
    assert {path.suffix for path in CONSTRAINTS.iterdir()} == {".yaml", ".xdc", ".lpf", ".sdc"}


# Pragmas of hls/engine -> their options, in the forms that UG1399 of 2020.2 has and the later ones still take. A value
# None is a flag.
PRAGMAS = {
    "PIPELINE": {"II": "1"},
    "UNROLL": {},
    "INLINE": {},
    "DATAFLOW": {},
    "STREAM": {"variable": r"\w+", "depth": r"[\w:]+"},
    "ARRAY_PARTITION": {"variable": r"\w+", "complete": None, "dim": r"\d+"},
    "BIND_STORAGE": {"variable": r"\w+", "type": "ram_s2p|rom_1p", "impl": "uram|lutram"},
    "DEPENDENCE": {"variable": r"\w+", "inter": None, "RAW": None, "distance": r"[\w:]+", "true": None},
    "LOOP_TRIPCOUNT": {"min": r"[\w:]+", "max": r"[\w:]+"},
    "INTERFACE": {"axis": None, "ap_ctrl_none": None, "port": "x|y|return"},
}
ENGINE_SOURCES = sorted(ENGINE.glob("*.?pp"))


@pytest.mark.parametrize("path", ENGINE_SOURCES, ids=lambda path: path.name)
def test_pragmas_are_documented_ones(path: Path) -> None:
    text = path.read_text()
    for kind, rest in re.findall(r"^[ \t]*#pragma HLS (\w+)(.*)$", text, re.MULTILINE):
        for word in re.sub(r"\s*=\s*", "=", rest).split():
            key, equals, value = word.partition("=")
            pattern = PRAGMAS[kind][key]
            assert (pattern is None) == (not equals), f"{path.name}: {kind} {word}"
            assert re.fullmatch(pattern or "", value), f"{path.name}: {kind} {word}"


# Loops whose iterations depend on what comes in, or on a nest's last iteration.
OPEN_LOOPS = {"packet_parser.hpp", "loader.hpp"}


@pytest.mark.parametrize("path", ENGINE_SOURCES, ids=lambda path: path.name)
def test_loops_are_named_or_unrolled(path: Path) -> None:
    """A loop that becomes hardware in time has a label, which is its name in a tool's report.

    A constant bounds it, or it says how long it runs: a report has its latency.
    """
    lines = [line.strip() for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        if re.match(r"for \(", line):
            named = re.fullmatch(r"\w+:", lines[number - 1])
            assert named or lines[number + 1] == "#pragma HLS UNROLL", f"{path.name}:{number + 1}"
            if re.match(r"for \((\w+)<C> (\w+); !\2\.done;( \2\.next\(\))?\) \{", line):
                assert lines[number + 2].startswith("#pragma HLS LOOP_TRIPCOUNT"), line
                continue
            bound = re.match(r"for \((?:int|Index<[^;]+>) \w+ = [^;]+; \w+ [<>]=? ([^;]+);", line)
            assert bound, line
            for factor in re.split(r" [*/] ", bound[1]):
                assert re.fullmatch(r"[A-Z_]+|[\w:]+::\w+|(?:\w*Geometry|Packing)<C>::\w+|0", factor), line
        if re.match(r"(while|do)\b", line):
            assert path.name in OPEN_LOOPS and line == "do {", f"{path.name}:{number + 1}: {line}"
            assert re.fullmatch(r"\w+:", lines[number - 1]), f"{path.name}:{number + 1}"


def test_folders_of_scripts_as_json(psconv, tmp_path):
    config = EXAMPLES / "layers" / "cout1.yaml"
    code, out, err = psconv("synth", str(config), "--hls", "vitis", "--script-only", "--json", "--out", str(tmp_path))
    assert code == 0, err
    assert all((Path(folder) / "run.sh").is_file() for folder in json.loads(out).values())
