"""Puts the tables that `psconv bench` wrote into documents, each between two lines that name its benchmark.

    python -m scripts.benchmarks.document out/bench docs/performance.md docs/comparison.md

    <!-- bench golden -->
    <!-- end -->
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pymodel.files import write_text

_PLACE = re.compile(r"(?<=<!-- bench )(\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def documented(text: str, results: Path) -> str:
    """`text` with the tables of RESULTS/NAME.md in the place of each NAME. A benchmark without results stays."""

    def tables(place: re.Match[str]) -> str:
        result = results / f"{place[1]}.md"
        return f"{place[1]} -->\n{result.read_text(encoding='utf-8')}" if result.exists() else place[0]

    return _PLACE.sub(tables, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder that `psconv bench` wrote")
    parser.add_argument("documents", type=Path, nargs="+")
    arguments = parser.parse_args()
    for document in arguments.documents:
        write_text(document, documented(document.read_text(encoding="utf-8"), arguments.results))


if __name__ == "__main__":
    main()
