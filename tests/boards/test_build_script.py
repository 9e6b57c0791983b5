"""build.tcl under a real Tcl interpreter, in a Vivado that is a table of commands, IPs, pins and parameters."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from psconv.boards.zynq import project
from psconv.boards.zynq.boards import BOARDS
from psconv.boards.zynq.ip_xact import SPIRIT, name_of
from psconv.boards.zynq.project import Project, frequency
from pymodel.common.errors import ConfigError
from pymodel.network.formats import Format
from tests.helpers import tcl
from tests.helpers.places import TESTS
from tests.helpers.zynq import shell_of

MODEL = TESTS / "boards" / "vivado.tcl"
pytestmark = pytest.mark.skipif(tcl.interpreter() is None, reason="needs tclsh, or Python's tkinter")


@cache
def wrapped():
    return shell_of("residual")


def written(board: str, folder: Path, clock_ns: float = 10.0) -> Path:
    wrapper, rtl = wrapped()
    form = Format(8, 4)
    project.write(Project(wrapper, BOARDS[board], clock_ns, form, form, rtl), folder)
    return folder


def own_pins(folder: Path) -> str:
    """Tcl that adds the IP to the tables, from component.xml."""
    names = {"s": SPIRIT}
    root = ElementTree.parse(folder / "component.xml").getroot()
    interfaces, single = [], []
    physical = {}
    for bus in root.iterfind(".//s:busInterface", names):
        name = bus.find("s:name", names).text
        side = "Master" if bus.find("s:master", names) is not None else "Slave"
        kind = bus.find("s:busType", names).get(f"{{{SPIRIT}}}library")
        if kind == "interface":
            interfaces += [name, side]
        else:
            physical[name] = side
    single = [word for name, side in physical.items() for word in (name, "O" if side == "Master" else "I")]
    ip = name_of(wrapped()[0])
    tables = {"INTERFACES": " ".join(interfaces), "PINS": " ".join(single), "PARAMETERS": ""}
    return "".join(f"set {table}({ip}) {{{words}}}\n" for table, words in tables.items())


def run(folder: Path, arguments: str = "", files: bool = True, progress: str = "100%", slack: str = "0.5"):
    """Runs the script; the lines that the model says, exit status, what went wrong."""
    start = folder.parent / "start.tcl"
    start.write_text(
        f"source {MODEL}\n{own_pins(folder)}set BOARD_FILES {int(files)}\nset WORK {folder}\n"
        f"set RUN {{PROGRESS {progress} STATUS {{synth_design ERROR}} STATS.WNS {slack}}}\n"
        f"set argv {{{arguments}}}\nsource {folder / 'build.tcl'}\n"
    )
    done = subprocess.run([*tcl.interpreter(), str(start)], capture_output=True, text=True, timeout=60)
    said = [line.removeprefix("did:").split("|") for line in done.stdout.splitlines() if line.startswith("did:")]
    return said, done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("files", [True, False])
def test_the_block_design(board: str, files: bool, tmp_path: Path) -> None:
    folder = written(board, tmp_path / board)
    said, status, text = run(folder, files=files)
    assert status == 0, text
    assert (
        ["validate_bd_design"] in said
        and ["exit", "0"] in said
        and ["launch_runs", "impl_1", "write_bitstream"] in said
    )
    assert (folder / "psconv.bit").exists() and (folder / "psconv.hwh").exists()
    assert ("WARNING: Vivado has no board files" in text) is not files
    [(_, project_name, part)] = [one for one in said if one[0] == "create_project"]
    assert (
        project_name == "psconv"
        and part
        == {
            "pynq_z2": "xc7z020clg400-1",
            "zcu104": "xczu7ev-ffvc1156-2-e",
            "kv260": "xck26-sfvc784-2LV-c",
        }[board]
    )
    assert ["property", "board_part", BOARDS[board].files.replace("*", "1.1")] in said or not files
    values = {tuple(one[1:3]): one[3] for one in said if one[0] == "value"}
    wrapper, _ = wrapped()
    assert int(values["axi_dma_0", "c_m_axis_mm2s_tdata_width"]) == 8 * wrapper.in_bytes
    assert int(values["axi_dma_0", "c_s_axis_s2mm_tdata_width"]) == 8 * wrapper.out_bytes
    for way in ("mm2s", "s2mm"):
        stream = next(int(v) for (_, key), v in values.items() if way in key and "tdata" in key)
        assert int(values["axi_dma_0", f"c_m_axi_{way}_data_width"]) >= stream
    streams = [one[1:] for one in said if one[0] == "stream"]
    assert ["axi_dma_0/M_AXIS_MM2S", "psconv_0/s_axis"] in streams and [
        "psconv_0/m_axis",
        "axi_dma_0/S_AXIS_S2MM",
    ] in streams
    # As PYNQ wants it: the lines through a controller, and that alone at the first line of the processor.
    nets = [one[1:] for one in said if one[0] == "net"]
    assert ["psconv_0/interrupt", "interrupts/In2"] in nets and ["interrupts/dout", "controller/intr"] in nets
    line = {"pynq_z2": "ps/IRQ_F2P"}.get(board, "ps/pl_ps_irq0")
    assert [one for one in nets if one[1] == line] == [["controller/irq", line]]


def test_up_to_the_design(tmp_path: Path) -> None:
    said, status, text = run(written("pynq_z2", tmp_path / "b"), "design")
    assert status == 0, text
    assert not [one for one in said if one[0] == "launch_runs"] and not (tmp_path / "b" / "psconv.bit").exists()
    _, status, text = run(tmp_path / "b", "everything")
    assert status and "must be told design or bitstream, got everything" in text


@pytest.mark.parametrize(
    "options, message",
    [
        ({"progress": "45%"}, "no bitstream: synth_design ERROR; see "),
        ({"slack": "-0.25"}, "the clock of 100 MHz is missed by 0.25 ns"),
    ],
)
def test_what_fails_is_told(options: dict[str, str], message: str, tmp_path: Path) -> None:
    folder = written("pynq_z2", tmp_path / "b")
    _, status, text = run(folder, **options)
    assert status and message in text and not (folder / "psconv.bit").exists()


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("CONFIG.c_include_sg", "CONFIG.c_includes_sg", "has no CONFIG.c_includes_sg"),
        ("c_sg_length_width {26}", "c_sg_length_width {27}", "cannot be 27"),
        ("control/M01_AXI axi_dma_0/S_AXI_LITE", "", "is open|wanted"),
        ("psconv_0/s_axis\n", "psconv_0/s_axi_stream\n", "no such pin"),
        ("    axi_dma_0/m_axi_s2mm_aclk\n", "", "m_axi_s2mm_aclk is open"),
        ("xilinx.com:ip:smartconnect control", "xilinx.com:ip:smart_connect control", "no such PINS"),
        ("ipx::save_core", "ipx::save_ip", "invalid command"),
    ],
)
def test_the_model_sees_what_is_wrong(old: str, new: str, message: str, tmp_path: Path) -> None:
    folder = written("pynq_z2", tmp_path / "b")
    script = folder / "build.tcl"
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))
    _, status, told = run(folder)
    assert status and any(part in told for part in message.split("|")), told


def test_a_clock_that_the_processor_does_not_take() -> None:
    assert frequency(BOARDS["pynq_z2"], 4.0) == 250 and frequency(BOARDS["kv260"], 3.0) == 333.333333
    with pytest.raises(ConfigError, match=r"clock_ns: must be at least 4 on pynq_z2, .* take 250 MHz, got 3\.333"):
        frequency(BOARDS["pynq_z2"], 3.333)
