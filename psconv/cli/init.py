"""Where a user begins: the examples that come with the package."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from psconv.cli import show
from psconv.cli.options import Json
from psconv.commands import init as starting
from pymodel.common.errors import ConfigError
from pymodel.common.records import json_text


def init(
    name: Annotated[str | None, typer.Argument(help="the example; none: lists them")] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="a new or empty folder for its files")] = None,
    as_json: Json = False,
) -> None:
    """Writes an example's files into a folder, to start from; without arguments, lists the examples."""
    if name is None:
        rows = [asdict(example) for example in starting.examples()]
        if not as_json:
            rows = [row | {"files": ", ".join(row["files"])} for row in rows]
        show.table("Examples: psconv init NAME DIR", rows, show.console(), as_json)
        return
    if folder is None:
        raise ConfigError(f"DIR: must be given: psconv init {name} DIR")
    written = starting.write(name, folder)
    if as_json:
        print(json_text({"files": list(map(str, written))}))
        return
    for path in written:
        show.console().print(f"Written: {path}", soft_wrap=True)
