"""Puts the tables that `python -m scripts bench` wrote into documents, between lines that name it.

python -m scripts.benchmarks.document out/bench docs/measurements/*.md

<!-- bench golden -->
<!-- end -->

<!-- bench energy: Over the periodic format: vgg16 -->
<!-- end -->
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from scripts.benchmarks.frame import Table

_PLACE = re.compile(r"(?<=<!-- bench )(\w+)(?:: ([^\n]+?))? -->\n.*?(?=<!-- end -->)", re.DOTALL)


def documented(text: str, results: Path) -> str:
    """`text` with the tables of RESULTS/NAME in the place of each NAME, or the one table that is named beside it.

    A benchmark without results stays. Raises ConfigError: a table that the benchmark does not write.
    """

    def tables(place: re.Match[str]) -> str:
        whole, single = results / f"{place[1]}.md", results / f"{place[1]}.json"
        if not whole.exists():
            return place[0]
        if place[2] is None:
            return f"{place[1]} -->\n{whole.read_text(encoding='utf-8')}"
        found = {table["title"]: table for table in json.loads(single.read_text(encoding="utf-8"))["tables"]}
        if place[2] not in found:
            raise ConfigError(f"bench {place[1]}: table: must be one of {', '.join(found)}, got {place[2]!r}")
        return f"{place[1]}: {place[2]} -->\n{Table(**found[place[2]]).grid()}"

    return _PLACE.sub(tables, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder that `python -m scripts bench` wrote")
    parser.add_argument("documents", type=Path, nargs="+")
    arguments = parser.parse_args()
    for document in arguments.documents:
        write_text(document, documented(document.read_text(encoding="utf-8"), arguments.results))


if __name__ == "__main__":
    main()
