"""`psconv frontier`: trained networks on one device, accuracy beside frames per second, and what others have published.

Of each bundle the accuracy is what its training noted (the golden model on all test images), the rate is the highest
that `psconv explore` finds within the device's budgets: cycles of the exact model at a clock that is an assumption.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from matplotlib.figure import Figure
from pydantic import Field

from psconv.commands import explore
from psconv.common import plots
from psconv.common.tables import Row
from psconv.synthesis.targets import Target, load_target
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.files import write_text
from pymodel.common.records import read_yaml, write_json, yaml_text
from pymodel.network.bundle import Bundle

_PUBLISHED = Path(__file__).with_name("published.yaml")
_KINDS = ("LUT", "FF", "DSP", "BRAM", "URAM")
NOTE = (
    "Frames per second are cycles of the exact model at an assumed clock; LUT and FF are estimates until `psconv run` "
    "has built a point. No board was measured: this is no MLPerf result."
)


class Published(Strict):
    """A point that others have published. accuracy: a fraction of the test images; fps: as measured on the board."""

    name: str
    network: str
    dataset: str
    device: str
    fps: Annotated[float, Field(gt=0)]
    accuracy: Annotated[float, Field(gt=0, le=1)]
    source: str


class _Table(Strict):
    """published.yaml."""

    points: list[Published]


@dataclass(frozen=True)
class Point:
    """A bundle on the device. row: the choice of `psconv explore`; config: what `psconv run` takes to build it."""

    bundle: Path
    name: str
    dataset: str
    accuracy: float
    row: Row
    config: Path

    @property
    def fps(self) -> float:
        return float(self.row["frames_per_second"])


@dataclass(frozen=True)
class Frontier:
    """All points, the most accurate first, and what others have on the same data set."""

    target: Target
    clock_ns: float
    points: list[Point]
    published: list[Published]
    missing: dict[str, str]  # bundle -> why no folding of it fits

    def dominated(self, point: Point) -> bool:
        """Whether another point is as accurate and as fast, and better in one of both."""
        return any(
            other.accuracy >= point.accuracy
            and other.fps >= point.fps
            and (other.accuracy, other.fps) != (point.accuracy, point.fps)
            for other in self.points
        )

    @property
    def rows(self) -> list[Row]:
        return [
            {
                "network": point.name,
                "accuracy_percent": round(100 * point.accuracy, 2),
                "frames_per_second": point.row["frames_per_second"],
                "cycles": point.row["cycles"],
                **{kind: point.row[kind] for kind in _KINDS},
                "dominated": "yes" if self.dominated(point) else "no",
                "proof": point.row["proof"],
            }
            for point in self.points
        ]

    @property
    def peers(self) -> list[Row]:
        """What is published, a row each."""
        return [
            {
                "by": one.name,
                "network": one.network,
                "device": one.device,
                "accuracy_percent": round(100 * one.accuracy, 2),
                "frames_per_second": one.fps,
                "source": one.source,
            }
            for one in self.published
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "device": self.target.name,
            "clock_ns": self.clock_ns,
            "note": NOTE,
            "points": [
                row | {"frames_per_second": point.fps, "bundle": str(point.bundle), "config": str(point.config)}
                for row, point in zip(self.rows, self.points, strict=True)
            ],
            "published": [one.model_dump() for one in self.published],
            "missing": self.missing,
        }


def published() -> list[Published]:
    """The published points of psconv/commands/published.yaml."""
    return validated(_Table, read_yaml(_PUBLISHED), str(_PUBLISHED)).points


def frontier(
    bundles: Sequence[Path],
    device: str,
    out: Path,
    clock_ns: float | None = None,
    budget: Sequence[str] = (),
    minimise: str = "DSP",
    tell: Callable[[str], None] = lambda text: None,
) -> Frontier:
    """Explores each bundle on a device; writes OUT/NAME/, frontier.json and the plot. Raises ConfigError.

    bundles: files whose notes have `test_accuracy`, all of one data set, each of a name of its own. tell: how far it
    is.
    """
    target = load_target(device)
    loaded = [(path, *_judged(path)) for path in bundles]
    _check_names([path for path, *_ in loaded])
    if len({bundle.dataset for _, bundle, _ in loaded}) > 1:
        sets = ", ".join(f"{path}: {bundle.dataset}" for path, bundle, _ in loaded)
        raise ConfigError(f"bundles: must be of one data set, got {sets}")
    points, missing = [], {}
    for path, bundle, accuracy in loaded:
        own = out / path.stem
        config = own / "bundle.yaml"
        reference = os.path.relpath(path.resolve(), config.parent.resolve())
        text = yaml_text({"psconv": 1, "bundle": reference, "top": "network", "target": target.name}, width=118)
        write_text(config, text)
        request = explore.Request(None, minimise, tuple(budget), device=target.name, clock_ns=clock_ns, points=1)
        try:
            found = explore.explore(config, request, partial(_of, tell, path.stem))
        except explore.NothingFits as error:
            missing[str(path)] = str(error)
            continue
        chosen = explore.write_config(found, config, own / "chosen", request)
        points.append(Point(path, path.stem, bundle.dataset or "", accuracy, found.summary, chosen))
    points.sort(key=lambda point: (-point.accuracy, -point.fps, point.name))
    data = loaded[0][1].dataset if loaded else None
    peers = [one for one in published() if one.dataset == data]
    result = Frontier(target, clock_ns or target.clock_ns, points, peers, missing)
    write_json(out / "frontier.json", result.to_json())
    plots.write(_plot(result), out / "frontier")
    return result


def _judged(path: Path) -> tuple[Bundle, float]:
    """A bundle and the accuracy that its notes have. Raises ConfigError."""
    bundle = Bundle.load(path)
    accuracy = bundle.notes.get("test_accuracy")
    if not isinstance(accuracy, int | float) or isinstance(accuracy, bool) or not 0 <= accuracy <= 1:
        raise ConfigError(
            f"{path}: notes.test_accuracy: must be the accuracy of all test images from 0 to 1, as psconv quantize "
            f"notes it, got {accuracy!r}"
        )
    return bundle, float(accuracy)


def _of(tell: Callable[[str], None], name: str, text: str) -> None:
    tell(f"{name}: {text}")


def _check_names(paths: Sequence[Path]) -> None:
    names = [path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"bundles: must have names of their own, got {', '.join(twice)} more than once")


def _plot(found: Frontier) -> Figure:
    """Accuracy over frames per second: points of ours, dominated ones grey, and published ones."""
    ours = [(point.name, point.fps, 100 * point.accuracy, found.dominated(point)) for point in found.points]
    peers = [(f"{one.name} {one.network}, {one.device}", one.fps, 100 * one.accuracy) for one in found.published]
    title = f"{found.target.name} at {1e3 / found.clock_ns:.0f} MHz (assumed); others: as published, on their boards"
    return plots.accuracy_frontier(ours, peers, title)
