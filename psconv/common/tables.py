"""Rows of values as tables for people: on a terminal, however wide they are, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

LONGEST = 48  # characters of a line of text in a cell; longer texts are folded
GAP = 2  # between columns: padding and the box's own
Row = dict[str, Any]


def shown(value: Any) -> str:
    """A value of a table for people: thousands apart, no fraction beyond four digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:,}"  # exact, to be given back
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def numeric(rows: Sequence[Row], key: str) -> bool:
    """Whether a column has nothing but numbers, and gaps."""
    return all(isinstance(row[key], int | float | Decimal | None) for row in rows)


def terminal(title: str, rows: Sequence[Row], width: int) -> Iterator[Table]:
    """A table, or several where there are too many columns for `width` characters; each has the first column."""
    for keys in _parts(rows, width):
        table = Table(
            title=title,
            title_justify="left",
            header_style="bold",
            pad_edge=False,
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_edge=False,
        )
        for key in keys:
            table.add_column(
                "\n".join(_words(key)),
                justify="right" if numeric(rows, key) else "left",
                min_width=_width(rows, key),
                no_wrap=numeric(rows, key),
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(shown(row[key]) for key in keys))
        yield table


def _parts(rows: Sequence[Row], width: int) -> list[list[str]]:
    """The columns, in groups that are no wider than asked where that can be."""
    keys = list(rows[0]) if rows else []
    parts: list[list[str]] = [[]]
    for key in keys:
        if len(parts[-1]) > 1 and sum(_width(rows, other) + GAP for other in [*parts[-1], key]) > width + GAP:
            parts.append(keys[:1])
        parts[-1].append(key)
    return parts


def _width(rows: Sequence[Row], key: str) -> int:
    """Characters that a column needs."""
    longest = max(len(shown(row[key])) for row in rows)
    return max(*map(len, _words(key)), longest if numeric(rows, key) else min(longest, LONGEST))


def _words(key: str) -> list[str]:
    """The lines of a column's head."""
    return key.replace("_", " ").split() or [""]
