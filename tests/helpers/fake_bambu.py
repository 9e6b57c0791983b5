"""A stand-in for PandA Bambu 2024.10 in the tests. No figure of it is measured.

It refuses what that release was seen to refuse (docs/guide/bambu.md), says so as it does, and leaves Verilog beside
tables.

    fake_bambu.py RTL LOG ARGUMENTS...     RTL: folder of the Verilog to leave; LOG: gets the arguments
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BANNER = """\
*******************************************************************
                 a fake, written for a test
*******************************************************************
                         Copyright (C) 2004-2099
  Command line help: --help
Version: PandA 2099.1 - Revision 0123456789abcdef - Date 2099-01-01
"""
DEVICES = ("xcu55c-2Lfsvh2892-VVD", "xc7z020-1clg484-VVD", "LFE5U85F8BG756C")
LOG = """\
  Scheduling Information of function {name}:
    Number of control steps: {steps}
    Minimum slack: 0.1
    Estimated max frequency (MHz): {mhz}
  Time to perform scheduling: 0.11 seconds

  State Transition Graph Information of function {name}:
    Number of operations: 428
    Number of basic blocks: 10
    Number of states: {states}
    Done port is registered
  Time to perform creation of STG: 0.45 seconds

  Module binding information for function {name}:
    Number of modules instantiated: 104
    Estimated resources area (no Muxes and address logic): 1100
    Total estimated area: {area}
    Estimated number of DSPs: {dsp}
  Time to perform module binding: 0.00 seconds

  Total number of flip-flops in function {name}: {ff}
"""
FUNCTIONS = (
    {"name": "columns", "steps": 7, "mhz": 206.11756924921215, "states": 6, "area": 1100, "dsp": 0, "ff": 197},
    {"name": "psconv_engine", "steps": 3, "mhz": 412.5, "states": 2, "area": 12, "dsp": 4, "ff": 5},
)


def refusal(arguments: list[str]) -> str:
    """Why the tool ends with an error; empty: it does not."""
    options = dict(word.partition("=")[::2] for word in arguments if word.startswith("--"))
    top = Path(next(word for word in arguments if word.endswith(".cpp")))
    texts = {path.name: path.read_text() for path in sorted(top.parent.iterdir())}
    for name, text in texts.items():
        if re.search(r"^[ \t]*#pragma HLS UNROLL", text, re.MULTILINE):
            return f"{name}: PLEASE submit a bug report to the LLVM project"  # its clang 16 crashes
        if "#pragma HLS INLINE" in text and re.search(r"^template", text, re.MULTILINE):
            return f"{name}: INLINE in a template"
        if ".to_bool()" in text:
            return f"{name}: no member named 'to_bool'"
        if re.search(r"^[ \t]*#pragma HLS PIPELINE", text, re.MULTILINE):
            return f"{name}: PIPELINE in a loop"
    if not re.search(rf'^extern "C" void {options["--top-fname"]}\(', texts[top.name], re.MULTILINE):
        return f"top function {options['--top-fname']} not found"
    if options["--device-name"] not in DEVICES:
        return f"device {options['--device-name']} has no such memory"
    return ""


def main(rtl: Path, log: Path, arguments: list[str]) -> int:
    with log.open("a") as record:
        record.write(f"fake {' '.join(arguments)}\n")
    if arguments == ["--version"]:
        print(BANNER)
        return 0
    if reason := refusal(arguments):
        print(f"error -> {reason}")
        return 1
    for function in FUNCTIONS:
        print(LOG.format(**function))
    for path in rtl.iterdir():
        Path(path.name).write_bytes(path.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
