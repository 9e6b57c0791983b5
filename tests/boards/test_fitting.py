"""A network folded until a board's device has the multipliers: no fold that fits is faster."""

from __future__ import annotations

import pytest

from psconv.boards.fitting import fitting
from psconv.flow.config import RunConfig, load
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import Target, load_target
from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import pe_iterations
from tests.helpers.places import EXAMPLES

CONFIG = EXAMPLES / "digits" / "network.yaml"


def device(multipliers: int) -> Target:
    target = load_target("colorlight_i5")
    return target.model_copy(update={"budgets": target.budgets.model_copy(update={"DSP": multipliers})})


def sizes(config: RunConfig, target: Target) -> tuple[int, int]:
    """Interval and multipliers of a configuration."""
    shapes = engine_shapes(config, load_bundle(config, CONFIG), target).values()
    return max(map(pe_iterations, shapes)), sum(shape.multipliers for shape in shapes)


def test_what_fits_stays_as_it_is() -> None:
    config = load(CONFIG)
    found = fitting(config, load_bundle(config, CONFIG), load_target("ulx3s_85f"))
    assert found.config is config and not found.folds and found.multipliers == sizes(config, device(1))[1]


@pytest.mark.parametrize("multipliers", [5, 6, 11, 28, 60, 81])
def test_no_folding_that_fits_is_faster(multipliers: int) -> None:
    config, target = load(CONFIG), device(multipliers)
    bundle = load_bundle(config, CONFIG)
    found = fitting(config, bundle, target)
    interval, used = sizes(found.config, target)
    assert used == found.multipliers <= multipliers and found.folds
    # One layer after the other, in every fold: the fewest multipliers of each that are faster than what was found.
    layers = engine_shapes(config, bundle, target)
    least = 0
    for name, shape in layers.items():
        folds = range(1, shape.N * shape.Tb + 1)
        faster = []
        for fold in folds:
            setting = found.config.layers[name].model_copy(update={"fold": fold, "lanes": None})
            changed = found.config.model_copy(update={"layers": {**found.config.layers, name: setting}})
            other = engine_shapes(changed, bundle, target)[name]
            faster += [other.multipliers] * (pe_iterations(other) < interval)
        least += min(faster, default=multipliers + 1)
    assert least > multipliers


def test_a_device_with_too_few() -> None:
    config = load(CONFIG)
    with pytest.raises(ConfigError, match="at most 4 multipliers, colorlight_i5's, got 5 however it is folded"):
        fitting(config, load_bundle(config, CONFIG), device(4))
