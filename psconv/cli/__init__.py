"""`psconv`: from a quantised pSConv network to checked RTL, one step at a time or all of them.

Exit codes: 0 all well; 1 outputs differ or a simulation found an error; 2 wrong input, or no memory for it; 3 a tool
that the user has to install is missing; 70 an internal error, to be reported; 129 the terminal is gone; 130
interrupted; 143 terminated.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from openhls import HlsError

from psconv import __version__
from psconv.cli import board, counts, flow, hardware, init, onnx, show, training
from psconv.vendor.tools import ToolMissing
from pymodel.common.errors import told
from pymodel.common.output import own_stdout

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"psconv {__version__}")
        raise typer.Exit


@app.callback(help=__doc__.replace("\n\n", "\n\n\n"))
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="and exit")] = False,
) -> None:
    pass


for command in (
    init.init,
    flow.run,
    flow.golden,
    flow.csim,
    flow.synth,
    flow.cosim,
    flow.resources,
    flow.report,
    flow.compare,
    counts.complexity,
    counts.energy,
    hardware.explore,
    hardware.fits,
    hardware.frontier,
    hardware.pack_weights,
    board.bitstream,
    board.flash,
    board.classify,
    hardware.board,
    training.train,
    training.quantize,
    training.sweep,
):
    app.command()(command)
app.command("import")(onnx.import_onnx)
app.command("export")(onnx.export_onnx)


def main(commands: typer.Typer = app) -> None:
    """Entry point: errors become one message and an exit code; a request to end is met as Ctrl-C is."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    own_stdout()
    with show.kept:
        sys.exit(call(lambda: commands(standalone_mode=False)))


def call(command: Callable[[], Any]) -> int:
    """The exit code of a command, and one message for whatever it raises."""
    try:
        return command() or 0
    except ToolMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except HlsError as error:  # says "file:line: error: ..." itself
        print(error, file=sys.stderr)
        return 2
    except typer.Exit as leave:
        return leave.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except typer.Abort as abort:  # so typer calls Ctrl-C, and the unforeseen end of a file
        if isinstance(abort.__cause__, EOFError):
            return _tell(abort.__cause__)
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()  # wrong use of the command line: typer's own words
            return int(error.exit_code)
        return _tell(error)


def _tell(error: Exception) -> int:
    code, message = told(error)
    print(message, file=sys.stderr)
    return code
