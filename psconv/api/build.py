"""From a bundle to checked RTL, from Python."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from openhls.system.locks import locked
from rich.console import Console

from psconv.api.bundle import Bundle, load, numbers
from psconv.flow.config import RunConfig
from psconv.flow.config import load as load_config
from psconv.flow.layout import Layout
from psconv.flow.run import prepare, run_steps
from psconv.report.collect import report as collect
from psconv.report.columns import rows, shown
from psconv.report.render import facts
from psconv.report.schema import RunReport
from pymodel.common.arrays import Array
from pymodel.common.errors import ConfigError, validated
from pymodel.common.files import write_text
from pymodel.common.records import write_npz, yaml_text
from pymodel.golden import model as golden

BUNDLE, IMAGES, CONFIG = "bundle.yaml", "images.npz", "run.yaml"


@dataclass(frozen=True)
class BuildResult:
    """What a build came to; shown as a table in a notebook. report: every number (docs/reference/interfaces.md).

    folder: with everything that was written: the RTL in synth/, the report in report/.
    """

    report: RunReport
    folder: Path

    @property
    def exact(self) -> bool:
        """Whether every value of every layer, in C and in RTL, is the golden model's, and every cycle the model's."""
        return self.report.ok

    @property
    def mismatches(self) -> int:
        """Output values, of C simulation and RTL, that are not the golden model's."""
        return sum(value or 0 for design in self.report.designs for value in design.mismatches.values())

    @property
    def cycles(self) -> int:
        """Cycles of the co-simulation of all images, first beat in to last beat out; of all designs together."""
        return sum(design.cycles_sim for design in self.report.designs)

    @property
    def interval(self) -> int:
        """Cycles from image to image; of the slowest design."""
        return max(design.interval_model for design in self.report.designs)

    @property
    def frames_per_second(self) -> float:
        """At the clock that the RTL is pipelined for."""
        return min(design.frames_per_second for design in self.report.designs)

    @property
    def resources(self) -> dict[str, float]:
        """LUT, FF, DSP, BRAM, URAM as yosys counts them on the target; of all designs together."""
        kinds = {kind for design in self.report.designs for kind in design.resources}
        return {kind: sum(one.resources.get(kind, 0) for one in self.report.designs) for kind in sorted(kinds)}

    @property
    def accuracy(self) -> float | None:
        """The fraction of images that the RTL got right, where labels were given."""
        found = self.report.accuracy
        return None if found is None or found.rtl is None else found.rtl / found.images

    @property
    def html(self) -> Path:
        """The page for people."""
        return Layout(self.folder).report / "report.html"

    def __str__(self) -> str:
        return "\n".join((self.report.title, *(f"{name}: {value}" for name, value in facts(self.report))))

    def _repr_html_(self) -> str:
        """The table of layers and what the run comes to, for a notebook."""
        lines = rows(self.report)
        columns = [column for column in shown(lines) if column.terminal]
        head = "".join(f"<th>{html.escape(column.heading)}</th>" for column in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(column.value(row))}</td>' for column in columns)}</tr>" for row in lines
        )
        said = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in facts(self.report)
        )
        return f"<table><tr>{head}</tr>{body}</table><table>{said}</table>"


def build(
    bundle: Bundle | Path | str,
    out: Path | str,
    *,
    images: Array | None = None,
    labels: Array | None = None,
    target: str = "zcu104",
    parallelism: Mapping[str, Any] | None = None,
    top: str = "network",
    clock_ns: float | None = None,
    progress: bool = False,
) -> BuildResult:
    """Builds the hardware of a bundle and checks it: golden model, C simulation, HLS, co-simulation, resources, report.

    bundle: or the name of its file. out: a folder for everything; what is there and still right is not done again.
    images: as `Bundle.predict` takes them; each is simulated cycle by cycle, so a few will do; None: two random ones.
    labels: int [n], for the accuracy of the RTL. target: a device of constraints/. parallelism: keys of the
    configuration's `parallelism`, such as {"fold": 4}, for all layers, and by layer, {"conv1": {"To": 2}}. top:
    network, one design; or layers, one for each layer with weights. clock_ns: instead of the target's. progress: shown.

    The same is `psconv run OUT/run.yaml --out OUT`, which this writes. Raises ConfigError: a layer that has no
    hardware, a parallelism that does not fit; InUse where another process writes in the folder.
    """
    folder = Path(out)
    with locked(folder):
        chosen = load(bundle) if isinstance(bundle, Path | str) else bundle
        content: dict[str, Any] = {"psconv": 1, "bundle": BUNDLE, "top": top, "target": target}
        if clock_ns is not None:
            content["clock_ns"] = clock_ns
        for key, value in (parallelism or {}).items():
            kind = "layers" if isinstance(value, Mapping) else "parallelism"
            content.setdefault(kind, {})[key] = dict(value) if kind == "layers" else value
        if images is not None:
            given = golden.as_input(chosen, numbers(images))
            if not len(given):
                raise ConfigError("images: must be 1 or more, got none")
            content["images"] = {"source": "file", "path": IMAGES, "count": len(given)}
        elif labels is not None:
            raise ConfigError("labels: must come with images")
        validated(RunConfig, content, "build")
        Layout(folder).sweep()
        chosen.save(folder / BUNDLE)
        if images is not None:
            write_npz(folder / IMAGES, images=given, **({} if labels is None else {"labels": numbers(labels)}))
        write_text(folder / CONFIG, yaml_text(content, width=110))
        run = prepare(load_config(folder / CONFIG), folder / CONFIG, folder)
        with _workers_apart():
            run_steps("all", run, Console(stderr=True, quiet=not progress, markup=False, emoji=False))
        return BuildResult(collect(run), folder)


@contextmanager
def _workers_apart() -> Iterator[None]:
    """Worker processes import what they work on, not the user's program, which would run once more in each."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
