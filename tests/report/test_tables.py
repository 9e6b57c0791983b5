"""Tables for people: nothing of a value is lost, however narrow the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from psconv.common import tables

KEYS = st.lists(st.text("abcdef_ ", min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=24, unique=True)


@given(KEYS, st.integers(60, 160), st.data())
def test_every_number_is_whole_and_no_line_too_long(keys, width, data):
    values = {key: data.draw(st.integers(10**6, 10**9)) for key in keys}
    console = Console(width=width)
    with console.capture() as capture:
        for table in tables.terminal("t", [values], console.width):
            console.print(table)
    printed = capture.get()
    assert all(tables.shown(value) in printed.split() for value in values.values())
    assert max(map(len, printed.splitlines())) <= width


def test_parts_of_a_wide_table_begin_with_the_first_column():
    rows = [{"engine": "dense"} | {f"count {at}": 10**at for at in range(8)}]
    parts = list(tables.terminal("t", rows, 40))
    assert len(parts) > 1
    assert all(part.columns[0].header == "engine" for part in parts)
    assert [column.header for part in parts for column in part.columns[1:]] == [f"count\n{at}" for at in range(8)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (14156.0, "14,156"),
        (1.894e6, "1,894,000"),
        (999.96, "1000"),
        (0.98765, "0.9877"),
        (3.5, "3.5"),
        (12345, "12,345"),
        (True, "yes"),
        (None, "–"),
        ("dense", "dense"),
        (-2048.4, "-2,048"),
    ],
)
def test_values_for_people(value, text):
    assert tables.shown(value) == text


def test_no_rows_make_an_empty_table():
    [table] = tables.terminal("t", [], 80)
    assert table.title == "t" and not table.columns
