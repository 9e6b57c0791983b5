"""A run of the flow: what it works on, and its steps one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

from psconv.common.fresh import Step
from psconv.common.parallel import in_workers
from psconv.common.progress import Progress
from psconv.flow import steps
from psconv.flow.config import RunConfig
from psconv.flow.design import Design, make_designs
from psconv.flow.inputs import Inputs, load_inputs
from psconv.flow.layout import DESIGNS, Layout
from psconv.flow.settings import Settings
from psconv.synthesis.place_route import nextpnr_options
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.common.records import write_json
from rtl_tb.progress import Progress as SimProgress

# Name -> what it is called while it runs. In their order; each needs those before it, but for synth and resources,
# which need no images.
STEPS = {
    "golden": "golden model",
    "csim": "C simulation",
    "synth": "HLS: C++ to RTL",
    "cosim": "co-simulation (Verilator)",
    "resources": "resources (yosys)",
}
_BY_DESIGN: dict[str, Step[...]] = {
    "csim": steps.csim_step,
    "synth": steps.synth_step,
    "cosim": steps.cosim_step,
    "resources": steps.resources_step,
}
NEEDS = {
    "golden": ("golden",),
    "csim": ("golden", "csim"),
    "synth": ("synth",),
    "cosim": ("golden", "synth", "cosim"),
    "resources": ("synth", "resources"),
    "all": tuple(STEPS),
}


@dataclass(frozen=True)
class Run:
    """One run of the flow: its configuration, what goes in, what is made, and the settings of its steps."""

    config: RunConfig
    path: Path
    inputs: Inputs
    designs: list[Design]
    settings: Settings

    @property
    def layout(self) -> Layout:
        return self.settings.layout


def prepare(
    config: RunConfig,
    path: Path,
    out: Path,
    *,
    target: str | None = None,
    clock_ns: float | None = None,
    waves: bool = False,
    pnr: bool = False,
    simulators: Path | None = None,
) -> Run:
    """The run that `config`, read from `path`, describes; writes the resolved configuration. Raises ConfigError."""
    try:
        chosen = load_target(config.target if target is None else target)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if target is None else f"--{error}") from error
    if pnr:
        nextpnr_options(chosen)
    period = next(period for period in (clock_ns, config.clock_ns, chosen.clock_ns) if period is not None)
    settings = Settings(Layout(out), chosen, period, config.seed, config.stalls, waves, pnr, simulators)
    try:
        inputs = load_inputs(config, path)
        designs = make_designs(config, inputs.bundle, chosen)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    resolved = config.model_dump() | {"target": chosen.name, "clock_ns": period}
    names = [design.name for design in designs]
    write_json(settings.layout.config, {"file": str(path), **resolved, DESIGNS: names})
    return Run(config, path, inputs, designs, settings)


def run_steps(last: str, run: Run, console: Console) -> None:
    """Runs a step, or "all", and those before it that it needs, where they are not done; shows progress."""
    for name in NEEDS[last]:
        run_step(name, run, console)


def run_step(name: str, run: Run, console: Console) -> None:
    """Runs a step, unless it is done; what it needs is there. Shows progress."""
    if name == "golden":
        _golden(run, console)
    elif len(run.designs) == 1:
        _one(name, run, console)
    else:
        _each(name, run, console)


def missing(run: Run) -> list[str]:
    """The steps of which a result is missing, or of another configuration."""
    try:
        done = {"golden": steps.golden_step.plan(run.designs, run.settings, run.inputs).done}
    except (ConfigError, OSError):
        done = {"golden": False}
    for name, step in _BY_DESIGN.items():
        try:
            done[name] = all(step.plan(design, run.settings).done for design in run.designs)
        except (ConfigError, OSError):  # what the step would read is not there
            done[name] = False
    return [name for name in STEPS if not done[name]]


def _golden(run: Run, console: Console) -> None:
    with _progress(console) as progress:
        task = progress.add_task(f"{STEPS['golden']:<28}", total=len(run.designs), state="")
        steps.golden_step(run.designs, run.settings, run.inputs)
        progress.update(task, completed=len(run.designs))


def _each(name: str, run: Run, console: Console) -> None:
    """A step for every design that it is not done for, one on each core, the largest first."""
    step = _BY_DESIGN[name]
    with _progress(console) as progress:
        task = progress.add_task(f"{STEPS[name]:<28}", total=len(run.designs), state="")
        largest_first = sorted(run.designs, key=lambda design: -design.dataflow.lanes)
        todo = [design for design in largest_first if not step.plan(design, run.settings).done]
        progress.update(task, advance=len(run.designs) - len(todo))
        in_workers(
            step,
            [(design, run.settings) for design in todo],
            lambda at: progress.update(task, advance=1, state=todo[at].name),
        )


def _one(name: str, run: Run, console: Console) -> None:
    """A step for the only design; those that take long tell how far they are."""
    with _progress(console) as progress:
        task = progress.add_task(f"{STEPS[name]:<28}", total=1, state="")

        def show(now: SimProgress) -> None:
            left = "" if now.seconds_left is None else f", {now.seconds_left:,.0f} s left"
            state = f"{now.cycles:,} cycles, {now.cycles_per_second:,.0f}/s{left}"
            progress.update(task, total=now.expected, completed=now.beats, state=state)

        def count(what: str) -> Callable[[int, int], None]:
            return lambda now, all: progress.update(task, total=all, completed=now, state=what)

        told: dict[str, list[Callable[..., None]]] = {
            "synth": [count("processes")],
            "cosim": [show],
            "resources": [count("modules")],
        }
        _BY_DESIGN[name](run.designs[0], run.settings, *told.get(name, []))
        progress.update(task, total=1, completed=1, state="")


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=False,
    )
