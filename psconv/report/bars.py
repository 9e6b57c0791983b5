"""The plots of the page, as SVG: bars by layer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from psconv.report.columns import rows
from psconv.report.schema import LayerReport, RunReport

_BLUE, _GREY, _ORANGE, _INK = "#2f6fb0", "#b9c2cc", "#e08a3c", "#2b333b"


def plots(report: RunReport) -> list[tuple[str, str, str]]:
    """(title, explanation, SVG) of each plot that the run has data for."""
    shown = [row for row in rows(report) if row.layer.lanes]
    layers, names, found = [row.layer for row in shown], [row.layer.name for row in shown], []
    if all(row.alone for row in shown):
        cycles = [row.design.cycles_sim for row in shown]
        found.append(
            ("Cycles", "Per layer, all images; shorter is faster.", _bars(names, [("", cycles, _BLUE)], "cycles"))
        )
    if total(layers, "weight_bits", "index_bits", "index_bits_per_weight") is not None:
        kilobits = [
            [(getattr(layer, key) or 0) / 1000 for layer in layers]
            for key in ("weight_bits", "padding_bits", "index_bits", "index_bits_per_weight")
        ]
        overhead = [p + i for p, i in zip(kilobits[1], kilobits[2], strict=True)]
        found.append(
            (
                "Weight storage",
                "Bits stored for each layer. With periodic supports only the nonzero weights are stored, and the"
                " supports of one period; an engine without periodicity adds an index to every weight.",
                _stacks(
                    names,
                    [("index per weight", kilobits[0], kilobits[3]), ("periodic", kilobits[0], overhead)],
                ),
            )
        )
    use = [row.alone.utilisation if row.alone else row.layer.utilisation for row in shown]
    if all(value is not None for value in use):
        percents = [100 * (value or 0) for value in use]
        found.append(
            (
                "Lane utilisation",
                "Useful multiplications over lanes x cycles; what is missing to 100 % is fill, padding and the image's"
                " border, and in a network the wait for its slowest layer.",
                _bars(names, [("", percents, _BLUE)], "%", 100),
            )
        )
    if report.budgets and all(row.resources for row in shown):
        kinds = [
            kind
            for kind, budget in report.budgets.items()
            if budget and any((row.resources or {}).get(kind) for row in shown)
        ]
        series = [
            (
                kind,
                [100 * (row.resources or {}).get(kind, 0) / report.budgets[kind] for row in shown],
                colour,
            )
            for kind, colour in zip(kinds, (_BLUE, _GREY, _ORANGE, "#6aa84f", "#8e6bb0"), strict=False)
        ]
        found.append((f"Share of {report.target}", "Each layer's engine alone.", _bars(names, series, "% of device")))
    return found


def _axes(names: Sequence[str], rows: int):
    """Figure and axes for horizontal bars, `rows` of them per layer; first layer on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 0.9 + len(names) * (0.14 + 0.12 * rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6eaee", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _bars(
    names: Sequence[str],
    series: Sequence[tuple[str, list[float], str]],
    unit: str,
    top: float | None = None,
) -> str:
    figure, axes = _axes(names, len(series))
    height = 0.8 / len(series)
    for index, (label, values, colour) in enumerate(series):
        at = [row + (index - (len(series) - 1) / 2) * height for row in range(len(names))]
        axes.barh(at, values, height * 0.92, label=label, color=colour)
    return _svg(figure, axes, unit, top, legend=len(series) > 1)


def _stacks(names: Sequence[str], series: Sequence[tuple[str, list[float], list[float]]]) -> str:
    figure, axes = _axes(names, len(series))
    height = 0.8 / len(series)
    for index, (label, weights, overhead) in enumerate(series):
        at = [row + (index - (len(series) - 1) / 2) * height for row in range(len(names))]
        axes.barh(at, weights, height * 0.92, color=_BLUE if index else _GREY, label=f"{label}: weights")
        axes.barh(
            at,
            overhead,
            height * 0.92,
            left=weights,
            color=_ORANGE if index else "#d9b38c",
            label=f"{label}: indices" + (" and padding" if index else ""),
        )
    return _svg(figure, axes, "kbit", None, legend=True)


def _svg(figure: Any, axes: Any, unit: str, top: float | None, legend: bool) -> str:
    """The figure as an <svg> element; the same figure gives the same text."""
    import matplotlib

    axes.set_xlabel(unit)
    axes.set_xlim(0, top)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    if legend:
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    text = io.StringIO()
    style = {"svg.fonttype": "none", "svg.hashsalt": unit, "font.family": "sans-serif", "text.color": _INK}
    with matplotlib.rc_context(style):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def total(layers: Sequence[LayerReport], *keys: str) -> int | None:
    """The sum of these fields over layers; None where one of them is missing."""
    values = [getattr(layer, key) for layer in layers for key in keys]
    return None if not values or any(value is None for value in values) else sum(values)
