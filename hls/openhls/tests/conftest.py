"""Fixtures that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder for what all simulations have in common."""
    return tmp_path_factory.mktemp("verilator")
