"""Plots of storage, energy and the frontier: functions from rows (see analysis.py) to figures; one writes a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Row = Mapping[str, Any]

_INK = "#2b333b"
FORMAT_COLOURS = {
    "dense": "#b9c2cc",
    "periodic": "#2f6fb0",
    "per_weight": "#e08a3c",
    "bitmap": "#5d9c74",
    "csr": "#a05a8c",
}
RESOURCE_COLOURS = {"DSP": "#2f6fb0", "BRAM": "#e08a3c", "LUT": "#5d9c74", "FF": "#a05a8c", "URAM": "#7a7a7a"}
# Parts of an Energy, in the order in which a bar stacks them: (label, keys of a row, colour).
ENERGY_PARTS = (
    ("DRAM weights", ("dram_weights_uJ",), "#1f4e79"),
    ("DRAM indices", ("dram_indices_uJ",), "#c0504d"),
    ("DRAM activations", ("dram_activations_uJ",), "#7f9db9"),
    ("on-chip weights", ("weights_uJ",), "#5b9bd5"),
    ("on-chip indices", ("indices_uJ",), "#e8a09a"),
    ("on-chip activations and sums", ("activations_uJ", "sums_uJ"), "#b9c2cc"),
    ("MACs", ("macs_uJ",), "#5d9c74"),
)


def storage_bars(rows: Sequence[Row], title: str) -> Figure:
    """Bits by variant, one bar a format: weights, indices hatched above. Rows: analysis.storage_rows."""
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    width = 0.85 / len(FORMAT_COLOURS)
    figure, axes = _axes(max(6.0, 1.0 + 0.85 * len(variants)), 4.2, title)
    for at, (form, colour) in enumerate(FORMAT_COLOURS.items()):
        chosen = [row for row in rows if row["format"] == form]
        if not chosen:
            continue
        x = np.array([variants.index(row["variant"]) for row in chosen]) + (at - 2) * width
        weights = np.array([row["weight_bits"] for row in chosen]) / 1e6
        indices = np.array([row["index_bits"] for row in chosen]) / 1e6
        axes.bar(x, weights, width, color=colour, label=form.replace("_", " "))
        axes.bar(x, indices, width, bottom=weights, color=colour, hatch="////", edgecolor="white", linewidth=0)
    axes.bar(0, 0, color="white", hatch="////", edgecolor=_INK, linewidth=0, label="of these, indices")
    axes.set_xticks(range(len(variants)), variants, rotation=30, ha="right")
    axes.set_ylabel("Mbit")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def energy_bars(rows: Sequence[Row], title: str) -> Figure:
    """Energy by variant and format, one bar each, split by where it goes. Rows: analysis.energy_rows."""
    figure, axes = _axes(9.0, 1.6 + 0.24 * len(rows), title)
    y = np.arange(len(rows))
    left = np.zeros(len(rows))
    for label, keys, colour in ENERGY_PARTS:
        part = np.array([sum(row[key] for key in keys) for row in rows])
        axes.barh(y, part, left=left, height=0.75, color=colour, label=label)
        left += part
    axes.set_yticks(y, [f"{row['variant']}  {row['format'].replace('_', ' ')}" for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("uJ")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def frontier(rows: Sequence[Row], budget: Mapping[str, float], title: str) -> Figure:
    """Share of each resource that is taken over frames per second: of its budget; without any, of the most of a row.

    Rows: explore.Exploration.rows.
    """
    figure, axes = _axes(7.0, 4.2, title)
    x = [float(row["frames_per_second"]) for row in rows]
    limited = any(budget.get(kind) for kind in RESOURCE_COLOURS)
    of = budget if limited else {kind: max(row[kind] for row in rows) for kind in RESOURCE_COLOURS}
    for kind, colour in RESOURCE_COLOURS.items():
        if of.get(kind) and any(row[kind] for row in rows):
            y = [100 * row[kind] / of[kind] for row in rows]
            axes.plot(x, y, marker="o", markersize=4, color=colour, label=kind)
    axes.axhline(100, color=_INK, linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("frames/s")
    axes.set_ylabel("% of the budget" if limited else "% of the most")
    axes.legend(frameon=False, fontsize=8)
    return figure


def accuracy_frontier(
    ours: Sequence[tuple[str, float, float, bool]], peers: Sequence[tuple[str, float, float]], title: str
) -> Figure:
    """Accuracy in percent over frames per second. ours: name, frames/s, accuracy, whether another is better in both."""
    figure, axes = _axes(7.6, 4.8, title)
    for name, fps, accuracy, dominated in ours:
        colour = "#b9c2cc" if dominated else "#2f6fb0"
        axes.scatter([fps], [accuracy], color=colour, s=32, zorder=3)
        axes.annotate(name, (fps, accuracy), xytext=(5, 4), textcoords="offset points", fontsize=7, color=colour)
    best = sorted((fps, accuracy) for _, fps, accuracy, dominated in ours if not dominated)
    axes.plot([fps for fps, _ in best], [accuracy for _, accuracy in best], color="#2f6fb0", linewidth=0.9)
    for at, (name, fps, accuracy) in enumerate(sorted(peers, key=lambda peer: (peer[2], peer[1]))):
        axes.scatter([fps], [accuracy], color="#e08a3c", marker="^", s=32, zorder=3)
        place = (5, -9) if at % 2 else (5, 4)  # points of one accuracy are neighbours: their names above and below
        axes.annotate(name, (fps, accuracy), xytext=place, textcoords="offset points", fontsize=7, color="#a05a1c")
    axes.set_xscale("log")
    axes.set_xlabel("frames/s")
    axes.set_ylabel("% of the test images")
    axes.margins(x=0.18, y=0.12)
    return figure


Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # sizes and values by name


def growth(curves: Curves, x: str, y: str, title: str) -> Figure:
    """Costs over logarithmic axes; a dashed line through each one's first point grows linearly."""
    figure, axes = _over_sizes(curves, x, y, title)
    for (sizes, values), line in zip(curves.values(), list(axes.lines), strict=True):
        ends, linear = [sizes[0], sizes[-1]], [values[0], values[0] * sizes[-1] / sizes[0]]
        axes.plot(ends, linear, color=line.get_color(), linewidth=0.7, linestyle="--", alpha=0.6)
    axes.set_yscale("log")
    return figure


def against(curves: Curves, x: str, y: str, title: str) -> Figure:
    """Values from zero up, over sizes on a logarithmic axis."""
    figure, axes = _over_sizes(curves, x, y, title)
    axes.set_ylim(0, 1.1 * max(max(values) for _, values in curves.values()))
    return figure


def write(figure: Figure, stem: Path) -> list[Path]:
    """Writes STEM.svg and STEM.png and their folder; returns both paths. Equal figures give equal files."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": stem.name}):
        figure.savefig(paths[0], metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], dpi=150, metadata={"Software": None})
    return paths


def _over_sizes(curves: Curves, x: str, y: str, title: str) -> tuple[Figure, Axes]:
    figure, axes = _axes(6.0, 4.2, title)
    for (name, (sizes, values)), colour in zip(curves.items(), RESOURCE_COLOURS.values(), strict=False):
        axes.plot(sizes, values, marker="o", markersize=4, color=colour, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, fontsize=8)
    return figure, axes


def _axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
