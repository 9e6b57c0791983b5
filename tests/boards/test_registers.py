"""The map of the registers, and all that is made of it."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from psconv.boards.zynq.boards import BOARDS
from psconv.boards.zynq.hardware import FORMAT, c_header, described
from psconv.boards.zynq.ip_xact import LITE, SPIRIT, STREAM, component, pins
from psconv.boards.zynq.registers import (
    ADDRESS_BITS,
    MAGIC,
    REGISTER_BYTES,
    REGISTERS,
    VERSION,
    WHOLE,
    Access,
    Register,
)
from psconv.boards.zynq.wrapper import DMA_BYTES, FOLDER, RTL, dma_bytes, registers_rtl
from psconv.synthesis.targets import known_targets
from pymodel.common.errors import ConfigError
from pymodel.network.formats import Format
from pymodel.top.packets import weight_beats
from rtl_tb import build
from scripts.reference import documented, documents
from tests.helpers.zynq import shell_of, small_design


def faults(registers: Iterable[Register]) -> list[str]:
    """What is wrong with a map."""
    found, offsets, signals = [], set(), set()
    for register in registers:
        if register.offset % REGISTER_BYTES or not 0 <= register.offset < 1 << ADDRESS_BITS:
            found.append(f"{register.name}: offset")
        if register.offset in offsets:
            found.append(f"{register.name}: offset of another")
        offsets.add(register.offset)
        used = 0
        for field in register.fields:
            if used & field.mask or field.mask >> 32 or field.reset >= 1 << field.bits:
                found.append(f"{register.name}.{field.name}: bits")
            if register.signal(field) in signals:
                found.append(f"{register.name}.{field.name}: name of another")
            if (field.name == WHOLE) != (field.mask == 0xFFFFFFFF):
                found.append(f"{register.name}.{field.name}: the whole register, or a part of it")
            signals.add(register.signal(field))
            used |= field.mask
        if register.holds is not None and register.holds not in {one.name for one in registers}:
            found.append(f"{register.name}: holds")
    return found


def test_the_map_is_one() -> None:
    assert not faults(REGISTERS)
    first, second, *_ = REGISTERS
    assert faults([first, dataclasses.replace(second, offset=first.offset)])
    assert faults([dataclasses.replace(first, offset=2)]) and faults([first, first])
    control = next(register for register in REGISTERS if register.name == "control")
    enable, *rest = control.fields
    assert faults([dataclasses.replace(control, fields=(enable, dataclasses.replace(rest[0], low=enable.low)))])


def test_documents_have_the_map() -> None:
    [page] = [path for path in documents() if path.name == "zynq.md"]
    text = page.read_text()
    assert documented(text) == text
    for register in REGISTERS:
        assert f"`{register.name}" in text and f"0x{register.offset:02x}" in text


def test_the_header_is_c_and_has_the_map(tmp_path: Path) -> None:
    """A C compiler reads it, and gives what the map has."""
    wrapper, _ = shell_of("residual", loaded=True)
    (tmp_path / "psconv_registers.h").write_text(c_header(wrapper))
    expected = {f"PSCONV_{register.name.upper()}": register.offset for register in REGISTERS}
    expected |= {
        f"PSCONV_{register.name}_{field.name}_MASK".upper(): field.mask
        for register in REGISTERS
        for field in register.fields
        if field.name != WHOLE
    }
    expected |= {"PSCONV_THIS_IDENTITY": wrapper.identity, "PSCONV_THIS_MAGIC": MAGIC, "PSCONV_THIS_VERSION": VERSION}
    source = tmp_path / "main.c"
    lines = "".join(f'  printf("%s %u\\n", "{name}", (unsigned) {name});\n' for name in expected)
    source.write_text(f'#include <stdio.h>\n#include "psconv_registers.h"\nint main(void) {{\n{lines}  return 0;\n}}\n')
    program = tmp_path / "main"
    command = ["gcc", "-std=c99", "-Wall", "-Werror", str(source), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert {name: int(value) for name, value in map(str.split, printed.splitlines())} == expected


def test_what_the_driver_reads() -> None:
    wrapper, _ = shell_of("residual", loaded=True)
    form = Format(8, 4)
    facts = json.loads(json.dumps(described(wrapper, form, form, 10.0, "pynq_z2")))
    assert facts["registers"] == {register.name: register.offset for register in REGISTERS}
    assert facts["identity"] == wrapper.identity == wrapper.design.dataflow.packet_parser.identity
    assert facts["contents"] == 0 and facts["clock_mhz"] == 100
    design, bundle = small_design("residual", loaded=True)
    octets = weight_beats(design.dataflow, bundle)
    assert int.from_bytes(octets.tobytes()[:4], "little") == facts["identity"]
    assert facts["weight_bytes"] == len(octets) * facts["word_bytes"]
    text = (FOLDER / "driver.py").read_text()
    assert f"\nFORMAT = {FORMAT} " in text and "import psconv" not in text and "from psconv." not in text


def test_contents_tell_trainings_apart() -> None:
    """Any weight, bias or scale that differs makes another number; the hardware's identity stays."""
    wrapper, _ = shell_of("residual")
    [layer, *_] = wrapper.design.dataflow.engines
    changed, _ = shell_of("residual")
    changed.design.dataflow.engines[layer].weights.flat[0] ^= 1
    assert changed.contents != wrapper.contents and changed.identity == wrapper.identity
    assert shell_of("residual")[0].contents == wrapper.contents


@pytest.mark.parametrize("score_bits", [8, 32])
def test_ip_xact(score_bits: int) -> None:
    """ipyxact reads it; ports, registers and buses are those of the RTL, in a schema's order."""
    ipyxact = pytest.importorskip("ipyxact.ipyxact")
    wrapper, _ = shell_of("residual", score_bits=score_bits)
    text = component(wrapper, ["rtl/a.sv", "rtl/b.v"], BOARDS["zcu104"].family)
    loaded = ipyxact.Component()
    loaded.load(io.BytesIO(text.encode()))
    assert (loaded.vendor, loaded.name, loaded.version) == ("psconv", wrapper.module, "1.0")
    ports = {port.name: port for port in loaded.model.ports.port}
    assert set(ports) == {name for name, _, _ in pins(wrapper)}
    assert {name: port.wire.direction for name, port in ports.items()} == {name: way for name, way, _ in pins(wrapper)}
    root, s = ElementTree.fromstring(text), {"s": SPIRIT}
    vectors = {  # of a wire ipyxact knows those of IEEE 1685-2014 only
        port.find("s:name", s).text: tuple(int(end.text) for end in port.find("s:wire/s:vector", s))
        for port in root.iterfind("s:model/s:ports/s:port", s)
        if port.find("s:wire/s:vector", s) is not None
    }
    assert vectors == {name: (bits - 1, 0) for name, _, bits in pins(wrapper) if bits}
    mapped = [
        mapping.physicalPort.name for bus in loaded.busInterfaces.busInterface for mapping in bus.portMaps.portMap
    ]
    assert sorted(mapped) == sorted(ports)  # each pin belongs to one bus
    [block] = loaded.memoryMaps.memoryMap[0].addressBlock
    assert {one.name: int(one.addressOffset) for one in block.register} == {
        register.name: register.offset for register in REGISTERS
    }
    for register, one in zip(REGISTERS, block.register, strict=True):
        assert [(f.name, int(f.bitOffset), int(f.bitWidth)) for f in one.field] == [
            (field.name, field.low, field.bits) for field in register.fields
        ]
    files = [file.name for group in loaded.fileSets.fileSet for file in group.file]
    assert files == ["rtl/a.sv", "rtl/b.v"] * 2
    clock = next(p for p in root.iter() if p.tag.endswith("}parameter") and p[0].text == "ASSOCIATED_BUSIF")
    assert clock[1].text == "s_axi:s_axis:m_axis"


@pytest.mark.parametrize("loaded", [False, True])
def test_ports_are_those_of_the_rtl(loaded: bool, tmp_path: Path) -> None:
    """Verilator elaborates the top around an empty design, without a warning, and has the ports of component.xml."""
    wrapper, _ = shell_of("residual", loaded, 16)
    sources = wrapper.sources()
    streams = {
        signal.name: (signal.width, kind, port)
        for port in wrapper.ports.streams
        for kind, signal in port.signals.items()
    }
    inward = {"in": ("TDATA", "TVALID", "TLAST"), "out": ("TREADY",)}
    declared = [
        f"{'input' if kind in inward[port.direction] else 'output'} wire [{width - 1}:0] {name}"
        for name, (width, kind, port) in streams.items()
    ]
    driven = [f"  assign {line.split()[-1]} = '0;\n" for line in declared if line.startswith("output")]
    head = ", ".join([f"input wire {wrapper.ports.clock}", f"input wire {wrapper.ports.reset.name}", *declared])
    sources["core.sv"] = f"module {wrapper.ports.top} ({head});\n{''.join(driven)}endmodule\n"
    paths = []
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
        paths.append(tmp_path / name)
    found = build.elaborated_ports(paths, wrapper.module)
    assert [(port.name, port.direction.removesuffix("put"), port.width) for port in found] and {
        port.name: (port.direction.removesuffix("put"), port.width) for port in found
    } == {name: (direction, max(bits, 1)) for name, direction, bits in pins(wrapper)}
    quiet = ("UNUSEDSIGNAL", "DECLFILENAME", "PINCONNECTEMPTY", "SYMRSVDWORD")
    command = [build.verilator(), "--lint-only", "-Wall", *(f"-Wno-{name}" for name in quiet)]
    done = subprocess.run(
        [*command, "--top-module", wrapper.module, *map(str, paths)],
        env=build.tool_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "%Warning" not in done.stderr, done.stderr


def test_every_register_has_its_place_in_the_rtl() -> None:
    """Each field is a port; what is read is an input, what is written an output."""
    text = registers_rtl()
    for register in REGISTERS:
        for field in register.fields:
            signal = register.signal(field)
            kind = "input wire" if field.access is Access.READ else "output reg"
            width = "" if field.bits == 1 else f"[{field.bits - 1}:0] "
            assert f"    {kind} {width}{signal}" in text
    assert LITE and STREAM and all(path.stem in path.read_text() for path in RTL.glob("*.sv"))


def test_widths_are_those_of_the_dma() -> None:
    assert DMA_BYTES == (1, 2, 4, 8, 16, 32, 64, 128)
    assert [dma_bytes(n) for n in (1, 2, 3, 5, 16, 17, 128, 129, 1000)] == [1, 2, 4, 8, 16, 32, 128, 128, 128]


def test_boards_have_devices() -> None:
    for board in BOARDS.values():
        assert board.target in known_targets()


@pytest.mark.parametrize("bits", [0, 7, 64])
def test_widths_of_scores(bits: int) -> None:
    with pytest.raises(ConfigError, match=f"--score-bits: must be one of 8, 16, 32, got {bits}"):
        shell_of("residual", score_bits=bits)
