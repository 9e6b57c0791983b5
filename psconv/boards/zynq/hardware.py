"""What software knows of the hardware: the JSON file of the driver, and a C header."""

from __future__ import annotations

from typing import Any

from psconv.boards.zynq.registers import REGISTERS, WHOLE, Register
from psconv.boards.zynq.wrapper import Wrapper
from pymodel.engine.words import Words
from pymodel.network.formats import Format
from pymodel.top.status import Status

FORMAT = 1  # of the JSON file, as driver.py has it
IP, DMA = "psconv_0", "axi_dma_0"  # cells of the block design
LENGTH_BITS = 26  # of a transfer of the DMA, the most that AXI DMA has (AMD PG021)


def described(wrapper: Wrapper, inputs: Format, outputs: Format, clock_ns: float, board: str) -> dict[str, Any]:
    """The contents of the JSON file."""
    y = wrapper.y
    flat = y.height == y.width == 1
    return {
        "psconv_hardware": FORMAT,
        "what": wrapper.design.what,
        "board": board,
        "clock_mhz": round(1000 / clock_ns, 6),
        "ip": IP,
        "dma": DMA,
        **wrapper.facts,
        "word_bytes": wrapper.word_bytes,
        "beat_bytes": wrapper.x.word_bytes,
        "transfer_bytes": (1 << LENGTH_BITS) - 1,
        "input": _words(wrapper.x) | {"shape": _shape(wrapper.x), "bits": inputs.bits, "frac": inputs.frac},
        "output": _words(y)
        | {"shape": [y.channels] if flat else _shape(y), "words": _shape(y)}
        | {"bits": outputs.bits, "frac": outputs.frac, "score_bits": wrapper.score_bits},
        "registers": {register.name: register.offset for register in REGISTERS},
        "fields": {register.name: _masks(register) for register in REGISTERS if _masks(register)},
        "meanings": {
            "errors": {field.name: field.meaning for field in _named("errors").fields},
            "response": {
                str(status.bit): status.meaning for status in Status if status not in (Status.GOOD, Status.RELOADED)
            },
        },
    }


def c_header(wrapper: Wrapper) -> str:
    """The registers, and what this hardware has in those that never change, for programs in C."""
    lines = [
        f"/* {wrapper.design.what}: registers of the AXI4-Lite port, written by psconv. */",
        "#ifndef PSCONV_REGISTERS_H",
        "#define PSCONV_REGISTERS_H",
        "",
    ]
    for register in REGISTERS:
        lines.append(f"#define PSCONV_{register.name.upper()} 0x{register.offset:02x}u")
        for field in register.fields:
            if field.name != WHOLE:
                name = f"PSCONV_{register.name}_{field.name}".upper()
                lines += [f"#define {name}_SHIFT {field.low}", f"#define {name}_MASK 0x{field.mask:08x}u"]
    lines.append("")
    for name, value in wrapper.facts.items():
        lines.append(f"#define PSCONV_THIS_{name.upper()} 0x{int(value):08x}u")
    return "\n".join([*lines, "", "#endif", ""])


def _masks(register: Register) -> dict[str, int]:
    return {field.name: field.mask for field in register.fields if field.name != WHOLE}


def _named(name: str) -> Register:
    return next(register for register in REGISTERS if register.name == name)


def _shape(words: Words) -> list[int]:
    return [words.channels, words.height, words.width]


def _words(words: Words) -> dict[str, int]:
    return {"group": words.group, "per_pixel": words.per_pixel, "at_once": words.at_once}
