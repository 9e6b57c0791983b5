"""Markers of tests by the tools that their code can reach; set only where `-m` asks for one of them."""

from __future__ import annotations

from functools import cache

import pytest

from tests.helpers.imports import MARKERS, markers, modules


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by them
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any(name in config.option.markexpr for name in MARKERS):
        return
    names = {path: name for name, path in modules().items()}
    shared = modules()["tests.conftest"].read_text()
    found = cache(markers)
    for item in items:
        own = {names[item.path]}
        if any(f"def {fixture}(" in shared for fixture in getattr(item, "fixturenames", ())):
            own.add("tests.conftest")
        for marker in found(frozenset(own)):
            item.add_marker(marker)
