"""`psconv`: from a quantised pSConv network to checked RTL, one step at a time or all of them.

Exit codes: 0 all well; 1 outputs differ or a simulation found an error; 2 wrong input, or no memory for it; 3 a tool
that the user has to install is missing; 70 an internal error, to be reported; 129 the terminal is gone; 130
interrupted; 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from openhls.errors import HlsError
from openhls.locks import locked
from rich.console import Console
from rich.status import Status
from rich.text import Text

from psconv.common import tables
from psconv.vendor.tools import ToolMissing
from pymodel.common import bounds
from pymodel.common.errors import NEEDS_TORCH, ConfigError, told
from pymodel.common.records import json_text, read_json, reading
from pymodel.explore.constants import exactness
from scripts.benchmarks import BENCHMARKS

app = typer.Typer(
    help=__doc__.replace("\n\n", "\n\n\n"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _number(name: str, within: bounds.Bounds, text: str = "") -> Any:
    """An option that is a number within bounds, which its help shows."""
    return typer.Option(name, help=f"{text}{', ' if text else ''}{within}", callback=within.option(name))


Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a run; see docs/configuration.md")]
Out = Annotated[Path, typer.Option("--out", help="folder for everything that is written")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON, nothing else on standard output")]
Hls = Annotated[str, typer.Option("--hls", help="HLS tool: open (the embedded flow), vitis, bambu")]
ScriptOnly = Annotated[bool, typer.Option("--script-only", help="with vitis, bambu: only write what would be run")]
ToolPath = Annotated[Path | None, typer.Option("--tool", help="folder of Vitis, or Bambu's AppImage")]
Implement = Annotated[bool, typer.Option("--implement", help="with vitis: Vivado synthesis and implementation too")]
TargetName = Annotated[str | None, typer.Option("--target", help="device of constraints/ instead of the configured")]
Clock = Annotated[float | None, _number("--clock", bounds.CLOCK_NS, "clock period instead of the target's")]
Waves = Annotated[bool, typer.Option("--waves", help="keep a waveform (VCD) of each co-simulation")]
Pnr = Annotated[bool, typer.Option("--pnr", help="place and route with nextpnr for Fmax (ECP5 targets; slow)")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over the file's, repeatable")]

_kept = ExitStack()  # locks, until the command has ended

STEPS = ("golden", "csim", "synth", "cosim", "resources")


def _flow(
    config: Path,
    out: Path,
    last: str,
    as_json: bool,
    hls: str = "open",
    target: str | None = None,
    clock: float | None = None,
    waves: bool = False,
    pnr: bool = False,
) -> tuple[Any, Console]:
    """Runs the steps up to `last`; those whose inputs have not changed are left out."""
    from psconv.common.fresh import Layout
    from psconv.flow import run as flow  # the flow's packages take seconds to import; --help should not
    from psconv.flow.config import load

    if hls not in flow.HLS_TOOLS:
        raise ConfigError(f"--hls: {hls!r} is unknown: known are {', '.join(flow.HLS_TOOLS)}")
    console, content = _console(as_json), load(config)
    _keep(out)
    Layout(out).sweep()
    run = flow.prepare(content, config, out, target=target, clock_ns=clock, waves=waves, pnr=pnr)
    for name in STEPS[: STEPS.index(last) + 1]:
        flow.run_step(name, run, console)
    return run, console


def _keep(folder: Path) -> None:
    """Nobody else writes in `folder` until this command has ended. Raises InUse, which says who does."""
    _kept.enter_context(locked(folder))


@app.command()
def run(
    config: Config,
    out: Out = Path("out"),
    hls: Hls = "open",
    target: TargetName = None,
    clock: Clock = None,
    waves: Waves = False,
    pnr: Pnr = False,
    tool: ToolPath = None,
    implement: Implement = False,
    as_json: Json = False,
) -> None:
    """The whole flow: golden model, C simulation, HLS, co-simulation, resources, comparison, report."""
    from psconv.flow import run as flow

    this, console = _flow(config, out, "resources", as_json, hls, target, clock, waves, pnr)
    if hls != "open":
        _vendor(this, hls, tool, implement, console)
    _finish(flow.report(this), this, console, as_json)


@app.command()
def golden(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """The golden model: exact integer inputs and outputs of every layer, as OUT/golden/LAYER.npz."""
    this, console = _flow(config, out, "golden", as_json)
    subject = this.subject
    shapes = subject.whole.dataflow.shapes if subject.whole else {e.name: e.shape for e in subject.engines}
    rows = [
        {
            "layer": name,
            "engine": shape.summary,
            "images": len(subject.outputs[name]),
            "output": "x".join(map(str, subject.outputs[name].shape[1:])),
            "lowest": int(subject.outputs[name].min()),
            "highest": int(subject.outputs[name].max()),
            "accumulator_bits": shape.acc_bits,
        }
        for name, shape in shapes.items()
    ]
    _table("Golden model", rows, console, as_json)


@app.command()
def csim(config: Config, out: Out = Path("out"), as_json: Json = False) -> None:
    """C simulation: the engine's C++ compiled as a program, its outputs against the golden model's."""
    this, console = _flow(config, out, "csim", as_json)
    layout, whole = this.settings.layout, this.subject.whole
    if whole:
        _compare(layout.golden(whole.name), layout.csim(whole.name), console, as_json)
    else:
        _compare(out / "golden", out / "csim", console, as_json)


@app.command()
def synth(
    config: Config,
    out: Out = Path("out"),
    hls: Hls = "open",
    target: TargetName = None,
    clock: Clock = None,
    script_only: ScriptOnly = False,
    tool: ToolPath = None,
    implement: Implement = False,
    as_json: Json = False,
) -> None:
    """HLS: C++ to RTL for every layer: OUT/synth/LAYER/ by the open flow, OUT/vitis/LAYER/ or OUT/bambu/LAYER/."""
    if hls != "open":
        this, console = _flow(config, out, "golden", as_json, hls, target, clock)
        records = _vendor(this, hls, tool, implement, console, script_only, as_json)
        _table(f"HLS: {hls}", [_tool_row(layer, record) for layer, record in records.items()], console, as_json)
        if any(record["mismatches"] or record["errors"] for record in records.values()):
            raise typer.Exit(1)
        return
    if script_only or tool or implement:
        raise ConfigError("--script-only, --tool, --implement: for --hls vitis or bambu")
    this, console = _flow(config, out, "synth", as_json, hls, target, clock)
    rows = []
    for design in this.subject.designs:
        path = this.settings.layout.synth(design.name) / "schedule.json"
        with reading(path):
            rows += [
                {
                    "design": design.name,
                    "process": process["name"],
                    "II": process["ii"],
                    "stages": process["stages"],
                    "iterations": process["iterations"],
                    "register_bits": process["register_bits"],
                    "multipliers": sum(m["count"] for m in process["multipliers"]),
                    "memories": ", ".join(f"{m['name']} {m['depth']}x{m['width']}" for m in process["memories"]),
                }
                for process in read_json(path)["processes"]
            ]
    _table("Schedule", rows, console, as_json)


@app.command()
def cosim(
    config: Config,
    out: Out = Path("out"),
    waves: Waves = False,
    target: TargetName = None,
    clock: Clock = None,
    as_json: Json = False,
) -> None:
    """Co-simulation: the RTL in Verilator under cocotb, each beat against the golden model."""
    this, console = _flow(config, out, "cosim", as_json, "open", target, clock, waves)
    rows = []
    for design in this.subject.designs:
        path = this.settings.layout.cosim(design.name).with_suffix(".json")
        with reading(path):
            rows += [
                {
                    "design": design.name,
                    "run": name,
                    "images": result["images"],
                    "cycles": result["cycles"]["total"],
                    "mismatches": result["mismatch_count"],
                    "errors": "; ".join(result["errors"]),
                }
                for name, result in read_json(path).items()
            ]
    _table("Co-simulation", rows, console, as_json)
    if any(row["mismatches"] or row["errors"] for row in rows):
        raise typer.Exit(1)


@app.command()
def report(
    config: Config,
    out: Out = Path("out"),
    hls: Hls = "open",
    target: TargetName = None,
    clock: Clock = None,
    pnr: Pnr = False,
    as_json: Json = False,
) -> None:
    """Reports: OUT/report/report.json, report.md and report.html from the results in OUT (missing ones are made)."""
    run(config, out, hls, target, clock, pnr=pnr, as_json=as_json)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="folder of LAYER.npz files, or one .npz: the reference")],
    b: Annotated[Path, typer.Argument(help="folder or .npz to compare with it")],
    as_json: Json = False,
) -> None:
    """Compares outputs element for element: where they differ, how many, by how much. Exit 1 where they do."""
    _compare(a, b, _console(as_json), as_json)


@app.command()
def complexity(
    network: Annotated[str, typer.Option(help="resnet18, vgg16, shufflenet, mobilenet_v2, digits")] = "resnet18",
    dataset: Annotated[str, typer.Option(help="cifar10, tiny-imagenet, digits")] = "cifar10",
    variant: Annotated[str, typer.Option(help="such as PSD1_P16,SynFlow@PSD1_P16; or all")] = "all",
    storage: Annotated[bool, typer.Option("--storage", help="bits for weights and indices in five formats")] = False,
    bits: Annotated[int, _number("--bits", bounds.COUNTED_BITS, "of a weight, for --storage")] = 8,
    layers: Annotated[bool, typer.Option("--layers", help="a row per layer")] = False,
    as_json: Json = False,
) -> None:
    """Parameters and multiply-accumulates of a network, and the reductions against its dense twin."""
    from pymodel.counts.complexity import compare_variants
    from pymodel.network.supports import PAPER_VARIANTS

    variants = PAPER_VARIANTS if variant == "all" else tuple(variant.split(","))
    counts = compare_variants(network, dataset, variants)
    title = f"{network}, {dataset}"
    if storage:
        from psconv.commands.analysis import storage_rows

        rows = storage_rows(network, dataset, variants, bits)
        _table(f"Storage: {title}, {bits}-bit weights", rows, _console(), as_json)
    elif as_json:
        by_variant = {name: count.to_json() for name, count in counts.items()}
        print(json_text({"network": network, "dataset": dataset, "variants": by_variant}))
    elif layers:
        for name, count in counts.items():
            _table(
                f"{title}, {name}",
                [
                    {
                        "layer": x.name,
                        "support": x.support,
                        "output": "x".join(map(str, x.out_shape)),
                        "weights": x.weights,
                        "of dense": f"{x.weights / x.dense_weights:.3f}",
                        "MACs": x.macs,
                    }
                    for x in count.layers
                ],
                _console(),
                False,
            )
    else:
        _table(
            title,
            [
                {
                    "variant": name,
                    "weights": count.total("weights"),
                    "fewer": f"{1 - 1 / count.reduction('weights'):.1%}",
                    "conv only": f"{1 - 1 / count.reduction('conv_weights'):.1%}",
                    "params": count.parameters,
                    "params ÷": f"{count.reduction('parameters'):.2f}x",
                    "MACs": count.macs,
                    "MACs ÷": f"{count.reduction('macs'):.2f}x",
                }
                for name, count in counts.items()
            ],
            _console(),
            False,
        )


@app.command()
def energy(
    network: Annotated[str, typer.Option(help="resnet18, vgg16, digits")] = "resnet18",
    dataset: Annotated[str, typer.Option(help="cifar10, tiny-imagenet, digits")] = "cifar10",
    variant: Annotated[str, typer.Option(help="such as PSD1_P16,SynFlow@PSD1_P16; or all")] = "all",
    multipliers: Annotated[int, _number("--multipliers", bounds.MULTIPLIERS, "of each layer's engine")] = 72,
    weights_kib: Annotated[
        int, _number("--weights-kib", bounds.KIB, "on-chip buffer that keeps weights between images")
    ] = 0,
    activations_kib: Annotated[int, _number("--activations-kib", bounds.KIB, "on-chip buffer for activations")] = 256,
    costs: Annotated[Path | None, typer.Option(help="YAML file of costs per access instead of the published")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="write plots (SVG and PNG) there")] = None,
    as_json: Json = False,
) -> None:
    """Memory traffic and energy of an image, in each weight format: a model from published costs, not measured."""
    from psconv.commands import analysis
    from pymodel.counts.energy import Costs
    from pymodel.counts.traffic import Buffers, EngineOptions
    from pymodel.network.supports import PAPER_VARIANTS

    variants = PAPER_VARIANTS if variant == "all" else tuple(variant.split(","))
    prices = Costs.load(costs) if costs else Costs.load()
    buffers = Buffers(weights_kib=weights_kib, activations_kib=activations_kib)
    setting = analysis.Setting(EngineOptions(multipliers=multipliers), buffers, prices)
    rows = analysis.energy_rows(network, dataset, variants, setting)
    _table(f"Energy of an image: {network}, {dataset}", rows, _console(), as_json)
    if plot:
        analysis.plot_storage(network, dataset, plot, variants)
        analysis.plot_energy(network, dataset, plot, variants, setting)


@app.command(name="pack-weights")
def pack_weights(
    config: Config,
    out: Annotated[Path, typer.Option("--out", help="file for the beats, as bytes in the order of TDATA")],
    bundle: Annotated[Path | None, typer.Option(help="another training of the network; none: CONFIG's")] = None,
    as_json: Json = False,
) -> None:
    """The weights of a bundle as beats for a network that loads them (weights: loaded; docs/weights.md)."""
    from psconv.commands import pack_weights as loading
    from psconv.flow.config import load

    record = loading.pack(load(config), config, bundle, out)
    if as_json:
        print(json_text(record))
    else:
        _table("Weights", [record], _console(), False)


@app.command()
def explore(
    config: Config,
    fps: Annotated[
        float | None,
        _number("--fps", bounds.FRAMES_PER_SECOND, "frames/s to reach with the least; none: as many as fit"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="device of constraints/ instead of the configured")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="KIND=AMOUNT or KIND=none over the device's")] = None,
    minimise: Annotated[str, typer.Option(help="DSP, BRAM, LUT or FF")] = "DSP",
    maximise: Annotated[str | None, typer.Option(help="utilisation: of the lanes, at --fps or more")] = None,
    packing: Annotated[bool, typer.Option(help="outputs may share multipliers")] = True,
    channels: Annotated[bool, typer.Option(help="rings may lie in memories (feed: channels)")] = True,
    clock: Clock = None,
    points: Annotated[int, _number("--points", bounds.POINTS, "of the frontier")] = 8,
    out: Annotated[Path | None, typer.Option("--out", help="folder for the configuration and the plot")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="scheduler of a Dask cluster to work on")] = None,
    as_json: Json = False,
) -> None:
    """Chooses the parallelism of every layer, provably the best, for a frame rate or a device (docs/explore.md)."""
    from psconv.commands import explore as exploration

    console = _console(as_json)
    if out:
        _keep(out)
    wish = exploration.Wish(
        fps, minimise, tuple(budget or ()), maximise, device, clock, points, dask, packing, channels
    )
    with _status(console, "explore"):
        found = exploration.explore(config, wish)
    written = []
    if out:
        written = [exploration.write_config(found, config, out, wish), *exploration.plot(found, out)]
    if as_json:
        print(json_text(found.to_json() | {"files": list(map(str, written))}))
        return
    where = f"{found.network} on {found.target.name}, {found.clock_ns:g} ns"
    _table(f"Frontier, engines and streams together: {where}", found.rows, console, False)
    _table("Chosen, engines and streams together", [found.summary], console, False)
    _table("Its layers", found.layers, console, False)
    console.print(f"{exactness('DSP, BRAM, URAM', found.upper_bounds)}; LUT, FF estimates (docs/explore.md)")
    for path in written:
        console.print(f"Written: {path}")


@app.command()
def fits(
    config: Config,
    device: Annotated[str | None, typer.Option(help="device of constraints/ instead of the configured")] = None,
    as_json: Json = False,
) -> None:
    """Whether a network with its weights in ROM fits a device, and whether its dense twin would at the same pace."""
    from psconv.commands import fits as fitting

    console = _console(as_json)
    with _status(console, "fits"):
        found = fitting.fits(config, device)
    if as_json:
        print(json_text(found.to_json()))
        return
    _table(f"{found.network} on {found.target.name}, {found.interval:,} cycles an image", found.rows, console, False)
    console.print(f"{found.note}. {exactness('DSP, BRAM', found.upper_bounds)}; LUT, FF estimates (docs/explore.md)")


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="which; all: every one")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for NAME.json, NAME.md and scratch")] = Path("out/bench"),
    as_json: Json = False,
) -> None:
    """Measures: prints the tables and writes them with machine and versions. Without a name: says what there is."""
    from scripts.benchmarks.frame import load, measure

    console = _console(as_json)
    if not names:
        rows = [{"name": name, "measures": what} for name, what in BENCHMARKS.items()]
        _table("Benchmarks", rows, console, as_json)
        return
    if names != ["all"]:
        for name in names:  # what is wrong is said before anything runs
            load(name)
    _keep(out)
    results, failures = [], {}
    for name in BENCHMARKS if names == ["all"] else names:
        try:
            with _status(console, name) as status:
                results.append(measure(name, out, lambda text, name=name: status.update(Text(f"{name}: {text}"))))
        except (ConfigError, ToolMissing) as error:  # the others may do; one that was asked for by name must
            if names != ["all"]:
                raise
            failures[name] = error
            console.print(f"{name}: {error}")
            continue
        for table in results[-1]["tables"]:
            _table(table["title"], table["rows"], console, False)
            for note in table["notes"]:
                console.print(note)
        console.print(f"Written: {out / name}.json")
    if len(results) + len(failures) > 1:
        rows = [{"benchmark": result["benchmark"], "seconds": result["seconds"]} for result in results]
        rows += [{"benchmark": name, "seconds": None} for name in failures]
        _table("Seconds of each", rows, console, False)
    if as_json:
        print(json_text(results))
    if failures:
        report = "".join(f"\n  {name}: {error}" for name, error in failures.items())
        missing = all(isinstance(error, ToolMissing) for error in failures.values())
        raise (ToolMissing if missing else ConfigError)(f"bench: not run:{report}")


@app.command()
def hunt(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="which; all: every one")] = None,
    seed: Annotated[int, _number("--seed", bounds.SEED, "of all that is random")] = 0,
    cases: Annotated[
        int | None, _number("--cases", bounds.CASES, "of each campaign; none: what docs/hunt.md promises")
    ] = None,
    minutes: Annotated[
        float | None, _number("--minutes", bounds.MINUTES, "for each campaign, whichever is reached first")
    ] = None,
    jobs: Annotated[
        int | None, _number("--jobs", bounds.THREADS, "cases side by side; none: one for each core")
    ] = None,
    case: Annotated[Path | None, typer.Option(metavar="FILE", help="judge this case again, nothing else")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for logs and faults")] = Path("out/hunt"),
    as_json: Json = False,
) -> None:
    """Hunts faults with random inputs, each against an independent answer. Without a name: says what there is.

    What was judged is kept in OUT and not judged again; a fault is written to OUT/faults in its smallest form. Exit 1
    where there are faults.
    """
    from scripts.hunt import CAMPAIGNS, runner

    console = _console(as_json)
    say = lambda text: console.print(text, markup=False, highlight=False)  # noqa: E731
    if case:
        name, found = runner.read_case(case)
        outcome = runner.repeat(runner.load(name), found, out)
        row = {"campaign": name, "verdict": outcome.verdict, "seconds": outcome.seconds, "text": outcome.text}
        print(json_text(row)) if as_json else say(f"{name}: {outcome.verdict} {outcome.text}".rstrip())
        raise typer.Exit(outcome.verdict in runner.FAULTS)
    if not names:
        campaigns = [runner.load(name) for name in CAMPAIGNS]
        rows = [{"name": campaign.name, "compares": campaign.help, "aim": campaign.aim} for campaign in campaigns]
        _table("Campaigns", rows, console, as_json)
        return
    campaigns = [runner.load(name) for name in (CAMPAIGNS if names == ["all"] else names)]
    logs = []
    for campaign in campaigns:
        enough = campaign.aim if cases is None and minutes is None else cases
        wish = runner.Hunt(seed, enough, minutes, jobs or os.cpu_count() or 1, out)
        logs.append(runner.hunt(campaign, wish, say))
    _table("Hunt", [log.row() for log in logs], console, as_json)
    reasons = [
        {"campaign": log.row()["campaign"], "declined because": reason, "cases": number}
        for log in logs
        for reason, number in log.reasons().most_common()
    ]
    if reasons and not as_json:
        _table("Declined", reasons, console, False)
    if any(log.faults() for log in logs):
        raise typer.Exit(1)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file of a training; see docs/training.md")],
    out: Out = Path("out/train"),
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill, to the same weights")] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Trains a pSConv network in PyTorch (needs the package's `train` extra)."""
    training = _training("train")
    _result("Training", training.train(config, out, resume, tuple(sets or ())).to_json(), as_json)


@app.command()
def quantize(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a training run")],
    out: Annotated[Path, typer.Option("--out", help="the bundle's .yaml file")],
    weight_bits: Annotated[int | None, _number("--weight-bits", bounds.TENSOR_BITS)] = None,
    activation_bits: Annotated[int | None, _number("--activation-bits", bounds.TENSOR_BITS)] = None,
    qat: Annotated[bool | None, typer.Option("--qat/--no-qat", help="quantisation-aware training")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue after a kill")] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Turns a trained network into a fixed-point bundle that golden model and engine run."""
    quantise = _training("quantise")
    result = quantise.quantise(
        run_dir,
        out,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        qat=qat,
        resume=resume,
        overrides=tuple(sets or ()),
    )
    if result:  # none in the other processes of torchrun
        _result("Bundle", result.to_json(), as_json)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="YAML file of a training")],
    variants: Annotated[list[str], typer.Argument(help="such as dense PSD1_P16 PS1_P9")],
    results: Annotated[Path, typer.Option(help="results file (.json) to add to; a table and a plot come beside it")],
    out: Out = Path("out/sweep"),
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Trains, quantises and judges several variants of a network, side by side."""
    result = _training("sweep").sweep(config, out, tuple(variants), results, tuple(sets or ()))
    if result:
        _result("Sweep", result.to_json(), as_json)


def _vendor(
    this: Any,
    hls: str,
    tool: Path | None,
    implement: bool,
    console: Console,
    script_only: bool = False,
    as_json: bool = False,
) -> dict[str, dict[str, Any]]:
    """The record of every layer through an HLS tool of the user. Raises ToolMissing when all projects are written."""
    from psconv.vendor import step

    if this.subject.whole:
        raise ConfigError(f"--hls {hls}: top: network goes through the open flow only; set top: layers for {hls}")
    engines, settings = this.subject.engines, this.settings
    folders = {engine.name: step.write_project(hls, engine, settings) for engine in engines}
    for engine in engines:
        if hls == "bambu" and (wide := ", ".join(step.project.wide_words(engine.shape))):
            console.print(
                f"Warning: layer {engine.name} has words of more than 64 bits: {wide}. Bambu 2024.10 cuts "
                "these at -O2: outputs differ unless yours is mended (docs/bambu.md)"
            )
    if script_only:
        console.print(f"Written, one folder for each layer: {', '.join(map(str, folders.values()))}")
        console.print(
            "Each is complete: copy it to a machine with the tool and call ./run.sh in it (README.md there)."
            " Copied back, it is taken up by the same command without --script-only."
        )
        if as_json:
            print(json_text({layer: str(folder) for layer, folder in folders.items()}))
        raise typer.Exit(0)
    try:
        step.check_tools(hls, list(folders.values()), tool, implement)
    except ToolMissing as missing:
        raise ToolMissing(
            f"{missing}\nWhat it would run is complete on disk: {', '.join(map(str, folders.values()))}\n"
            "Instead: copy these folders to a machine that has the tool and call ./run.sh in each (README.md there),"
            " or use the embedded flow: --hls open, which needs no tool (make: HLS=open)."
        ) from missing
    records = {}
    for engine in engines:
        with _status(console, f"{hls}: {engine.name}"):
            records[engine.name] = step.run_layer(hls, engine, settings, tool, implement)
    return records


def _tool_row(layer: str, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "layer": layer,
        "mismatches": record["mismatches"],
        "cycles": record["cycles_sim"],
        **record["resources"],
        "counted by": record["resources_by"],
        "its co-simulation": record.get("cosim"),
        "Fmax MHz": record.get("fmax_mhz"),
        "errors": "; ".join(record["errors"]),
    }


def _training(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"pymodel.training.{module}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(f"training {NEEDS_TORCH}") from error


def _finish(result: dict[str, Any], this: Any, console: Console, as_json: bool) -> None:
    from psconv.report.render import terminal_table

    if as_json:
        print(json_text(result))
    else:
        for part in terminal_table(result):
            console.print(part)
        console.print(f"Report: {this.settings.layout.report / 'report.html'}")
    if not result["ok"]:
        raise typer.Exit(1)


def _compare(a: Path, b: Path, console: Console, as_json: bool) -> None:
    from psconv.commands.compare import compare as compare_outputs

    result = compare_outputs(a, b)
    if as_json:
        print(json_text(result.to_json()))
    else:
        console.print(result.render())
    if not result.equal:
        raise typer.Exit(1)


def _console(stderr: bool = False) -> Console:
    """Standard output, or standard error; a pipe gets lines of 120 columns. Brackets, in a name say, are brackets."""
    console = Console(stderr=stderr, markup=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, markup=False, emoji=False, width=120)


def _status(console: Console, text: str) -> Status:
    """rich takes brackets in a status for markup whatever its console says."""
    return console.status(Text(text))


def _table(title: str, rows: list[dict[str, Any]], console: Console, as_json: bool) -> None:
    """One definition of rows for people and for machines."""
    if as_json:
        print(json_text(rows))
        return
    for table in tables.terminal(title, rows, console.width):
        console.print(table)


def _result(title: str, result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json_text(result))
        return
    rows = [{"result": key, "value": json_text(value, indent=None)} for key, value in result.items()]
    _table(title, rows, _console(), False)


def main() -> None:
    """Entry point: errors become one message and an exit code; a request to end is met as Ctrl-C is."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    with _kept:
        sys.exit(_call(lambda: app(standalone_mode=False)))


def _call(command: Callable[[], Any]) -> int:
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
            return error.exit_code
        return _tell(error)


def _tell(error: Exception) -> int:
    code, message = told(error)
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
