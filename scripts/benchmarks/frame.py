"""What all benchmarks share: tables, the machine, the files of a result."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from psconv.common.tables import numeric, shown
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.common.records import write_json
from scripts.benchmarks import BENCHMARKS, OPTIONAL


@dataclass(frozen=True)
class Table:
    """Rows with the same keys, of JSON values. notes: what the numbers are of, as sentences."""

    title: str
    rows: list[dict[str, Any]]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table as docs/measurements/performance.md shows it: under its title, above its notes."""
        return "\n".join([f"### {self.title}", "", self.grid(), *self.notes]) + "\n"

    def grid(self) -> str:
        """Its rows."""
        keys = list(self.rows[0])
        lines = [_line(key.replace("_", " ") for key in keys)]
        lines.append("|" + "|".join("--:" if numeric(self.rows, key) else "---" for key in keys) + "|")
        lines += [_line(shown(row[key]) for key in keys) for row in self.rows]
        return "\n".join(lines) + "\n"


def load(name: str) -> ModuleType:
    """The module of a benchmark. Raises ConfigError: an unknown name, a package of the benchmark that is missing."""
    if name not in BENCHMARKS:
        raise ConfigError(f"bench: must be one of {', '.join(BENCHMARKS)}, all, got {name!r}")
    try:
        return import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        extra = OPTIONAL.get(name, "test")
        raise ConfigError(
            f"bench {name}: the package {error.name} is missing: pip install -c requirements.lock -e '.[{extra}]'"
        ) from error


def measure(name: str, out: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Runs one benchmark and writes OUT/NAME.json and OUT/NAME.md. Returns what the JSON file holds.

    Raises ConfigError as `load`.
    """
    module = load(name)
    before, start = machine(), time.perf_counter()
    tables = module.run(out / name, progress)
    result = {
        "benchmark": name,
        "what": BENCHMARKS[name],
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": before | {"load_after": os.getloadavg()[0]},
        "versions": {package: version(package) for package in module.PACKAGES},
        "seconds": time.perf_counter() - start,
        "tables": [asdict(table) for table in tables],
    }
    write_json(out / f"{name}.json", result)
    write_text(out / f"{name}.md", "\n".join(table.markdown() for table in tables) + "\n" + _provenance(result))
    return result


def machine() -> dict[str, Any]:
    """What times depend on. load: processes that want a core, over the last minute."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return {"processor": model, "cores": os.cpu_count(), "load": load, "python": platform.python_version()}


def _provenance(result: Mapping[str, Any]) -> str:
    at, versions = result["machine"], result["versions"]
    return (
        f"`python -m scripts bench {result['benchmark']}`, {result['date']}, {result['seconds']:.0f} s; "
        f"{at['processor']}, {at['cores']} cores, load {at['load']:.1f} before and {at['load_after']:.1f} after; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".\n"
    )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
