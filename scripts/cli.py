"""`psconv`: from a quantised pSConv network to checked RTL, one step at a time or all of them.

Exit codes: 0 all well; 1 outputs differ or a simulation found an error; 2 wrong input; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from openhls.errors import HlsError
from pymodel.errors import ConfigError

app = typer.Typer(
    help=__doc__.replace("\n\n", "\n\n\n"), no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode="rich",
)  # fmt: skip

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a run; see docs/configuration.md")]
Out = Annotated[Path, typer.Option("--out", help="folder for everything that is written")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON, nothing else on standard output")]
Hls = Annotated[str, typer.Option("--hls", help="HLS tool: open (the embedded flow)")]
TargetName = Annotated[str | None, typer.Option("--target", help="device of constraints/ instead of the configured")]
Clock = Annotated[float | None, typer.Option("--clock", help="clock period in ns instead of the target's")]
Waves = Annotated[bool, typer.Option("--waves", help="keep a waveform (VCD) of each co-simulation")]
Pnr = Annotated[bool, typer.Option("--pnr", help="place and route with nextpnr for Fmax (ECP5 targets; slow)")]

STEPS = ("golden", "csim", "synth", "cosim", "resources")


def _flow(
    config: Path, out: Path, last: str, as_json: bool, hls: str = "open", target: str | None = None,
    clock: float | None = None, waves: bool = False, pnr: bool = False,
) -> tuple[Any, Console]:  # fmt: skip
    """Runs the steps up to `last`; those whose inputs have not changed are left out."""
    from . import flow  # the flow's packages take seconds to import; --help should not
    from .config import load

    if hls not in flow.HLS_TOOLS:
        raise ConfigError(f"--hls: {hls!r} is unknown: known are {', '.join(flow.HLS_TOOLS)}")
    console = Console(stderr=as_json)
    run = flow.prepare(load(config), config, out, target=target, clock_ns=clock, waves=waves, pnr=pnr)
    for name in STEPS[: STEPS.index(last) + 1]:
        flow.run_step(name, run, console)
    return run, console


@app.command()
def run(
    config: Config, out: Out = Path("out"), hls: Hls = "open", target: TargetName = None, clock: Clock = None,
    waves: Waves = False, pnr: Pnr = False, as_json: Json = False,
) -> None:  # fmt: skip
    """The whole flow: golden model, C simulation, HLS, co-simulation, resources, comparison, report."""
    from . import flow

    this, console = _flow(config, out, "resources", as_json, hls, target, clock, waves, pnr)
    _finish(flow.report(this), this, console, as_json)


@app.command()
def golden(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """The golden model: exact integer inputs and outputs of every layer, as OUT/golden/LAYER.npz."""
    this, console = _flow(config, out, "golden", as_json)
    rows = [
        {"layer": e.name, "engine": f"{e.shape.cin}->{e.shape.cout}", "images": len(e.y),
         "output": "x".join(map(str, e.y.shape[1:])), "lowest": int(e.y.min()), "highest": int(e.y.max()),
         "accumulator_bits": e.shape.acc_bits}
        for e in this.subject.engines
    ]  # fmt: skip
    _table("Golden model", rows, console, as_json)


@app.command()
def csim(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """C simulation: the engine's C++ compiled as a program, its outputs against the golden model's."""
    this, console = _flow(config, out, "csim", as_json)
    _compare(out / "golden", out / "csim", console, as_json)


@app.command()
def synth(
    config: Config, out: Out = Path("out"), hls: Hls = "open", target: TargetName = None, clock: Clock = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """HLS: C++ to SystemVerilog for every layer, with its schedule, as OUT/synth/LAYER/."""
    this, console = _flow(config, out, "synth", as_json, hls, target, clock)
    rows = []
    for engine in this.subject.engines:
        schedule = json.loads((this.settings.layout.synth(engine.name) / "schedule.json").read_text())
        for process in schedule["processes"]:
            rows.append({
                "layer": engine.name, "process": process["name"], "II": process["ii"], "stages": process["stages"],
                "iterations": process["iterations"], "register_bits": process["register_bits"],
                "multipliers": sum(m["count"] for m in process["multipliers"]),
                "memories": ", ".join(f"{m['name']} {m['depth']}x{m['width']}" for m in process["memories"]),
            })  # fmt: skip
    _table("Schedule", rows, console, as_json)


@app.command()
def cosim(
    config: Config, out: Out = Path("out"), waves: Waves = False, target: TargetName = None, clock: Clock = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Co-simulation: the RTL in Verilator under cocotb, each beat against the golden model."""
    this, console = _flow(config, out, "cosim", as_json, "open", target, clock, waves)
    rows = []
    for engine in this.subject.engines:
        record = json.loads(this.settings.layout.cosim(engine.name).with_suffix(".json").read_text())
        for name, result in record.items():
            rows.append({"layer": engine.name, "run": name, "images": result["images"],
                         "cycles": result["cycles"]["total"], "mismatches": result["mismatch_count"],
                         "errors": "; ".join(result["errors"])})  # fmt: skip
    _table("Co-simulation", rows, console, as_json)
    if any(row["mismatches"] or row["errors"] for row in rows):
        raise typer.Exit(1)


@app.command()
def report(
    config: Config, out: Out = Path("out"), hls: Hls = "open", target: TargetName = None, clock: Clock = None,
    pnr: Pnr = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Reports: OUT/report/report.json, report.md and report.html from the results in OUT (missing ones are made)."""
    run(config, out, hls, target, clock, False, pnr, as_json)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="folder of LAYER.npz files, or one .npz: the reference")],
    b: Annotated[Path, typer.Argument(help="folder or .npz to compare with it")],
    as_json: Json = False,
) -> None:
    """Compares outputs element for element: where they differ, how many, by how much. Exit 1 where they do."""
    _compare(a, b, Console(stderr=as_json), as_json)


@app.command()
def complexity(
    network: Annotated[str, typer.Option(help="resnet18, vgg16, shufflenet, mobilenet_v2, digits")] = "resnet18",
    dataset: Annotated[str, typer.Option(help="cifar10, tiny-imagenet, digits")] = "cifar10",
    variant: Annotated[str, typer.Option(help="such as PSD1_P16, or all")] = "all",
    storage: Annotated[bool, typer.Option("--storage", help="bits for weights and indices in five formats")] = False,
    bits: Annotated[int, typer.Option(help="bits of a weight, for --storage", min=1, max=64)] = 8,
    layers: Annotated[bool, typer.Option("--layers", help="a row per layer")] = False,
    as_json: Json = False,
) -> None:
    """Parameters and multiply-accumulates of a network, and the reductions against its dense twin."""
    from pymodel.complexity import compare_variants
    from pymodel.supports import PAPER_VARIANTS

    variants = PAPER_VARIANTS if variant == "all" else (variant,)
    counts = compare_variants(network, dataset, variants)
    title = f"{network}, {dataset}"
    if storage:
        _storage(title, network, dataset, variants, bits, as_json)
    elif as_json:
        print(json.dumps({"network": network, "dataset": dataset,
                          "variants": {name: count.to_json() for name, count in counts.items()}}, indent=2))  # fmt: skip
    elif layers:
        for name, count in counts.items():
            _table(f"{title}, {name}", [
                {"layer": x.name, "support": x.support, "output": "x".join(map(str, x.out_shape)),
                 "weights": x.weights, "of dense": f"{x.weights / x.dense_weights:.3f}", "MACs": x.macs}
                for x in count.layers
            ], Console(), False)  # fmt: skip
    else:
        _table(title, [
            {"variant": name, "weights": count.total("weights"), "fewer": f"{1 - 1 / count.reduction('weights'):.1%}",
             "conv only": f"{1 - 1 / count.reduction('conv_weights'):.1%}", "params": count.parameters,
             "params ÷": f"{count.reduction('parameters'):.2f}x", "MACs": count.macs,
             "MACs ÷": f"{count.reduction('macs'):.2f}x"}
            for name, count in counts.items()
        ], Console(), False)  # fmt: skip


def _storage(title: str, network: str, dataset: str, variants: tuple[str, ...], bits: int, as_json: bool) -> None:
    from pymodel.networks import make_network
    from pymodel.storage import FORMATS, network_storage, total

    rows = []
    for name in variants:
        totals = total(network_storage(make_network(network, dataset, name), bits))
        for form in FORMATS:
            if form in totals:
                part = totals[form]
                rows.append({"variant": name, "format": form, "weight_bits": part.weight_bits,
                             "index_bits": part.index_bits, "MiB": round(part.bits / 8 / 2**20, 3)})  # fmt: skip
    _table(f"Storage: {title}, {bits}-bit weights", rows, Console(), as_json)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file of a training; see docs/training.md")],
    out: Out = Path("out/train"),
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill, to the same weights")] = False,
    sets: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the file's, repeatable")] = None,
    as_json: Json = False,
) -> None:
    """Trains a pSConv network in PyTorch (needs the package's `train` extra)."""
    training = _training("train")
    _result("Training", training.train(config, out, resume, tuple(sets or ())).to_json(), as_json)


@app.command()
def quantize(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a training run")],
    out: Annotated[Path, typer.Option("--out", help="the bundle's .yaml file")],
    weight_bits: Annotated[int | None, typer.Option(help="2 to 8")] = None,
    activation_bits: Annotated[int | None, typer.Option(help="2 to 8")] = None,
    qat: Annotated[bool | None, typer.Option("--qat/--no-qat", help="quantisation-aware training")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill")] = False,
    as_json: Json = False,
) -> None:
    """Turns a trained network into a fixed-point bundle that golden model and engine run."""
    quantise = _training("quantise")
    result = quantise.quantise(run_dir, out, weight_bits=weight_bits, activation_bits=activation_bits, qat=qat,
                               resume=resume)  # fmt: skip
    _result("Bundle", result.to_json(), as_json)


def _training(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"pymodel.training.{module}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError("training needs PyTorch: pip install -c requirements.lock -e '.[train]'") from error


def _finish(result: dict[str, Any], this: Any, console: Console, as_json: bool) -> None:
    from .report import terminal_table

    if as_json:
        print(json.dumps(result, indent=2))
    else:
        for part in terminal_table(result):
            console.print(part)
        console.print(f"Report: {this.settings.layout.report / 'report.html'}")
    if not result["ok"]:
        raise typer.Exit(1)


def _compare(a: Path, b: Path, console: Console, as_json: bool) -> None:
    from .compare import compare as compare_outputs

    result = compare_outputs(a, b)
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        console.print(result.render())
    if not result.equal:
        raise typer.Exit(1)


def _table(title: str, rows: list[dict[str, Any]], console: Console, as_json: bool) -> None:
    """One definition of rows for people and for machines."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for key in rows[0] if rows else ():
        number = all(isinstance(row[key], int | float) for row in rows)
        table.add_column(key.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()))
    console.print(table)


def _result(title: str, result: dict[str, Any], as_json: bool) -> None:
    _table(title, [{"result": key, "value": json.dumps(value)} for key, value in result.items()], Console(), False) \
        if not as_json else print(json.dumps(result, indent=2))  # fmt: skip


def main() -> None:
    """Entry point: errors become one message and an exit code."""
    try:
        sys.exit(_call(lambda: app(standalone_mode=False)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _call(command: Callable[[], Any]) -> int:
    import click

    try:
        return command() or 0
    except (ConfigError, HlsError) as error:
        print(error if isinstance(error, HlsError) else f"error: {error}", file=sys.stderr)
        return 2
    except (click.exceptions.Exit, typer.Exit) as leave:
        return leave.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    main()
