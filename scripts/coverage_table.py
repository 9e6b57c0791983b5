"""The lines that tests run, by package: a table from what `make coverage` has measured.

python -m scripts.coverage_table out/coverage/lines.json
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pymodel.common.records import read_json


def rows(files: Mapping[str, tuple[int, int]]) -> Iterable[tuple[str, int, int]]:
    """(package, lines, lines that were run) of every folder of modules, then of all; from those of each file's path."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for name, counts in files.items():
        found[str(Path(name).parent).removeprefix("hls/")].append(counts)
    for folder, modules in sorted(found.items()):
        yield folder.replace("/", "."), sum(lines for lines, _ in modules), sum(run for _, run in modules)
    yield "all", sum(lines for lines, _ in files.values()), sum(run for _, run in files.values())


def table(report: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]) -> str:
    """Markdown, from coverage's JSON report. A package without a line of code is left out."""
    files = {
        name: (file["summary"]["num_statements"], file["summary"]["covered_lines"])
        for name, file in report["files"].items()
    }
    lines = [f"| {name} | {count:,} | {run / count:.1%} |" for name, count, run in rows(files) if count]
    return "\n".join(["| package | statements | run by a test |", "|---|---:|---:|", *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="the JSON that coverage wrote")
    print(table(read_json(parser.parse_args().report)), end="")


if __name__ == "__main__":
    main()
