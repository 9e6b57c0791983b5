"""The table of coverage: sums by package, of a report that was added up on paper."""

from __future__ import annotations

from scripts.coverage_table import table


def test_lines_are_summed_by_package() -> None:
    counts = {"a/x.py": (10, 10), "a/y.py": (30, 20), "hls/b/c/z.py": (1000, 1), "a/d/__init__.py": (0, 0)}
    files = {name: {"summary": {"num_statements": n, "covered_lines": run}} for name, (n, run) in counts.items()}
    assert table({"files": files}).splitlines()[2:] == [
        "| a | 40 | 75.0% |",
        "| b.c | 1,000 | 0.1% |",
        "| all | 1,040 | 3.0% |",
    ]
