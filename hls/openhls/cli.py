"""python -m openhls SRC... --top T --out DIR: C++ to SystemVerilog; with --simulate, and whether it does the same.

Exit status: 1 where the RTL differs from the program, 2 with a message on stderr, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypedDict

from openhls import __version__
from openhls.backend.targets import DEFAULT_CLOCK_NS, DEFAULT_TARGET, known_targets
from openhls.common.errors import HlsError
from openhls.driver.compile import CompileResult, compile_hls
from openhls.driver.watch import ALL, PASSES
from openhls.system.caches import Unwritable


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    args = _parser().parse_args(arguments)
    try:
        return _simulated(args) if args.simulate else _compiled(args)
    except HlsError as error:
        print("\n".join(error.dumps), end="")
        print(error, file=sys.stderr)
    except Unwritable as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openhls", description="C++ to SystemVerilog at one iteration per cycle.")
    parser.add_argument("--version", action="version", version=f"openhls {__version__}")
    parser.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="C++ files")
    parser.add_argument("--top", required=True, help="the function to compile")
    parser.add_argument("-I", dest="include", action="append", default=[], type=Path, metavar="DIR")
    parser.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument(
        "--target", default=DEFAULT_TARGET, help=f"delay model: {', '.join(known_targets())}, or a path to a .yaml"
    )
    parser.add_argument("--clock", type=float, default=DEFAULT_CLOCK_NS, metavar="NS", help="clock period")
    parser.add_argument("--jobs", type=int, metavar="N", help="workers, side by side (default: as many as help)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep built processes here, and use them again")
    parser.add_argument(
        "--print-after",
        action="append",
        default=[],
        metavar="PASS",
        help=f"print the graph after a pass: {', '.join(PASSES)}, or {ALL}",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="rtl/, ports.json, schedule.json")
    simulation = parser.add_argument_group("simulation")
    simulation.add_argument(
        "--simulate",
        type=Path,
        metavar="WORDS",
        help="run program and RTL on the words of a .json or of a .py with words(rng), under random stalls",
    )
    simulation.add_argument("--runs", type=int, default=1, metavar="N", help="how often the top is called")
    simulation.add_argument("--seed", type=int, default=1, metavar="N", help="of words and stalls")
    return parser


class _Options(TypedDict):
    """What compiling and simulating have in common, but sources and top."""

    include_dirs: list[Path]
    defines: dict[str, str]
    target: str
    clock_ns: float
    out: Path
    jobs: int | None
    cache: Path | None
    print_after: list[str]


def _options(args: argparse.Namespace) -> _Options:
    return {
        "include_dirs": args.include,
        "defines": dict((d.split("=", 1) if "=" in d else (d, "1")) for d in args.defines),
        "target": args.target,
        "clock_ns": args.clock,
        "out": args.out,
        "jobs": args.jobs,
        "cache": args.cache,
        "print_after": args.print_after,
    }


def _compiled(args: argparse.Namespace) -> int:
    _show(compile_hls(args.sources, args.top, **_options(args)))
    return 0


def _simulated(args: argparse.Namespace) -> int:
    from openhls.simulation.compare import simulate  # asks for more packages

    found = simulate(args.sources, args.top, args.simulate, **_options(args), runs=args.runs, seed=args.seed)
    _show(found.result)
    print(found.text())
    return 0 if found.agrees else 1


def _show(result: CompileResult) -> None:
    print("\n".join(result.dumps), end="\n" if result.dumps else "")
    for note in result.schedule.notes:
        print(note, file=sys.stderr)
    print(result.schedule.table())
