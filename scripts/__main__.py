"""`python -m scripts`: what is run on this repository: its measurements, and the hunt for faults.

Exit codes are those of `psconv`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from psconv.cli import main, show
from psconv.cli.options import Json, number
from psconv.vendor.tools import ToolMissing
from pymodel.common import bounds
from pymodel.common.errors import ConfigError
from pymodel.common.records import json_text
from scripts.benchmarks import BENCHMARKS

app = typer.Typer(
    help=__doc__.replace("\n\n", "\n\n\n"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="which; all: every one")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for NAME.json, NAME.md and scratch")] = Path("out/bench"),
    as_json: Json = False,
) -> None:
    """Measures: prints the tables and writes them with machine and versions. Without a name: says what there is."""
    from scripts.benchmarks.frame import load, measure

    console = show.console(as_json)
    if not names:
        rows = [{"name": name, "measures": what} for name, what in BENCHMARKS.items()]
        show.table("Benchmarks", rows, console, as_json)
        return
    if names != ["all"]:
        for name in names:  # what is wrong is said before anything runs
            load(name)
    show.keep(out)
    results, failures = [], {}
    for name in BENCHMARKS if names == ["all"] else names:
        try:
            with show.status(console, name) as tell:
                results.append(measure(name, out, tell))
        except (ConfigError, ToolMissing) as error:  # the others may do; one that was asked for by name must
            if names != ["all"]:
                raise
            failures[name] = error
            console.print(f"{name}: {error}")
            continue
        for table in results[-1]["tables"]:
            show.table(table["title"], table["rows"], console, False)
            for note in table["notes"]:
                console.print(note)
        console.print(f"Written: {out / name}.json")
    if len(results) + len(failures) > 1:
        took: list[dict[str, Any]] = [{key: result[key] for key in ("benchmark", "seconds")} for result in results]
        took += [{"benchmark": name, "seconds": None} for name in failures]
        show.table("Seconds of each", took, console, False)
    if as_json:
        print(json_text(results))
    if failures:
        report = "".join(f"\n  {name}: {error}" for name, error in failures.items())
        missing = all(isinstance(error, ToolMissing) for error in failures.values())
        raise (ToolMissing if missing else ConfigError)(f"bench: not run:{report}")


@app.command()
def hunt(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="which; all: every one")] = None,
    seed: Annotated[int, number("--seed", bounds.SEED, "of all that is random")] = 0,
    cases: Annotated[
        int | None, number("--cases", bounds.CASES, "of each campaign; none: what docs/measurements/hunt.md promises")
    ] = None,
    minutes: Annotated[
        float | None, number("--minutes", bounds.MINUTES, "for each campaign, whichever is reached first")
    ] = None,
    jobs: Annotated[int | None, number("--jobs", bounds.THREADS, "cases side by side; none: one for each core")] = None,
    case: Annotated[Path | None, typer.Option(metavar="FILE", help="judge this case again, nothing else")] = None,
    out: Annotated[Path, typer.Option("--out", help="folder for logs and faults")] = Path("out/hunt"),
    as_json: Json = False,
) -> None:
    """Hunts faults with random inputs, each against an independent answer. Without a name: says what there is.

    What was judged is kept in OUT and not judged again; a fault is written to OUT/faults in its smallest form. Exit 1
    where there are faults.
    """
    from scripts.hunt import CAMPAIGNS, runner
    from scripts.hunt.log import FAULTS

    console = show.console(as_json)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    if case:
        name, found = runner.read_case(case)
        outcome = runner.repeat(runner.load(name), found, out)
        row = {"campaign": name, "verdict": outcome.verdict, "seconds": outcome.seconds, "text": outcome.text}
        print(json_text(row)) if as_json else say(f"{name}: {outcome.verdict} {outcome.text}".rstrip())
        raise typer.Exit(outcome.verdict in FAULTS)
    if not names:
        campaigns = [runner.load(name) for name in CAMPAIGNS]
        rows = [{"name": campaign.name, "compares": campaign.help, "aim": campaign.aim} for campaign in campaigns]
        show.table("Campaigns", rows, console, as_json)
        return
    campaigns = [runner.load(name) for name in (CAMPAIGNS if names == ["all"] else names)]
    logs = []
    for campaign in campaigns:
        enough = campaign.aim if cases is None and minutes is None else cases
        request = runner.Hunt(seed, enough, minutes, jobs or os.cpu_count() or 1, out)
        logs.append(runner.hunt(campaign, request, say))
    show.table("Hunt", [log.row() for log in logs], console, as_json)
    reasons = [
        {"campaign": log.row()["campaign"], "declined because": reason, "cases": number}
        for log in logs
        for reason, number in log.reasons().most_common()
    ]
    if reasons and not as_json:
        show.table("Declined", reasons, console, False)
    if any(log.faults() for log in logs):
        raise typer.Exit(1)


if __name__ == "__main__":
    main(app)
