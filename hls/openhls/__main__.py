"""python -m openhls SRC... --top T [-I DIR] [-D K=V] [--target T] [--clock NS] [--jobs N] [--cache DIR] --out DIR"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from openhls.backend.report import table
from openhls.backend.targets import TARGETS
from openhls.common.errors import HlsError
from openhls.driver.compile import compile_hls
from openhls.system.caches import Unwritable


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status: 0, or 2 with a message on stderr."""
    parser = argparse.ArgumentParser(prog="openhls", description="C++ to SystemVerilog at one iteration per cycle.")
    parser.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="C++ files")
    parser.add_argument("--top", required=True, help="the function to compile")
    parser.add_argument("-I", dest="include", action="append", default=[], type=Path, metavar="DIR")
    parser.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("--target", default="xcup", help=f"delay model: {', '.join(TARGETS)}")
    parser.add_argument("--clock", type=float, default=3.33, metavar="NS", help="clock period")
    parser.add_argument("--jobs", type=int, metavar="N", help="workers, side by side (default: as many as help)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep built processes here, and use them again")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="rtl/, ports.json, schedule.json")
    args = parser.parse_args(arguments)
    defines = dict((d.split("=", 1) if "=" in d else (d, "1")) for d in args.defines)
    try:
        result = compile_hls(
            args.sources,
            args.top,
            args.include,
            defines,
            args.target,
            args.clock,
            out=args.out,
            jobs=args.jobs,
            cache=args.cache,
        )
    except HlsError as error:
        print(error, file=sys.stderr)
        return 2
    except Unwritable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for note in result.schedule["notes"]:
        print(note, file=sys.stderr)
    print(table(result.schedule))
    return 0


if __name__ == "__main__":
    sys.exit(main())
