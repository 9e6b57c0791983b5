"""Models that cannot be built, each with all that must be told: module, operation, what to use instead."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="reads PyTorch models")

from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.frontend.from_torch import trace  # noqa: E402
from pymodel.frontend.lower import lower  # noqa: E402
from tests.helpers.places import ROOT  # noqa: E402

NAMES = sorted(path.stem for path in (ROOT / "tests" / "frontend" / "refused").glob("[a-z]*.py"))


def test_there_are_many() -> None:
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_all_that_cannot_be_built_is_told(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    case = importlib.import_module(f"tests.frontend.refused.{name}")
    model = case.make_model()
    with pytest.raises(ConfigError) as caught:
        lower(trace(model, case.SHAPE))
    first, *told = str(caught.value).splitlines()
    assert first == f"{type(model).__name__}: cannot be built:"
    assert told == [f"  {problem}" for problem in case.TOLD]
    assert capfd.readouterr() == ("", "")  # PyTorch's own words stay away
