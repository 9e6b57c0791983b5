"""A configuration that does not fit the multipliers of a board's device, folded until it does.

Only `fold` changes, and only upwards: of all ways to fold the layers the one with the shortest interval, and of these
one with the fewest multipliers. `psconv explore` chooses among more, on the devices that it has costs of.
"""

from __future__ import annotations

from dataclasses import dataclass

from psconv.flow.config import LayerSettings, RunConfig
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import Target
from pymodel.common.errors import ConfigError
from pymodel.engine.cycles import pe_iterations
from pymodel.engine.packing import EngineShape
from pymodel.network.bundle import Bundle


@dataclass(frozen=True)
class Folding:
    """A configuration that fits. folds: by layer, those that were changed; none: it fitted as it was."""

    config: RunConfig
    folds: dict[str, int]
    multipliers: int


def fitting(config: RunConfig, bundle: Bundle, target: Target) -> Folding:
    """The configuration, folded until `target` has the multipliers. Raises ConfigError where it cannot be."""
    shapes = engine_shapes(config, bundle, target)
    have = target.budgets.DSP
    needed = sum(map(_multipliers, shapes.values()))
    if needed <= have:
        return Folding(config, {}, needed)
    settings = {name: _settings(config, name) for name in shapes}
    ways = {name: _ways(config, bundle, target, name, settings[name], shapes[name]) for name in shapes}
    for interval in sorted({pe_iterations(shape) for folds in ways.values() for shape in folds.values()}):
        chosen = {
            name: min(fast, key=lambda fold: (_multipliers(folds[fold]), fold))
            for name, folds in ways.items()
            if (fast := [fold for fold, shape in folds.items() if pe_iterations(shape) <= interval])
        }
        total = sum(_multipliers(ways[name][fold]) for name, fold in chosen.items())
        if len(chosen) == len(ways) and total <= have:
            changed = {name: fold for name, fold in chosen.items() if fold != settings[name].fold}
            layers = {name: _folded(settings[name], fold) for name, fold in chosen.items()}
            return Folding(config.model_copy(update={"layers": {**config.layers, **layers}}), changed, total)
    least = sum(min(map(_multipliers, folds.values())) for folds in ways.values())
    raise ConfigError(
        f"--board {target.name}: the network must have at most {have} multipliers, {target.name}'s, got {least} "
        "however it is folded"
    )


def _settings(config: RunConfig, layer: str) -> LayerSettings:
    return config.layers.get(layer) or LayerSettings(**config.parallelism.model_dump())


def _folded(settings: LayerSettings, fold: int) -> LayerSettings:
    return settings.model_copy(update={"fold": fold, "lanes": None})


def _ways(
    config: RunConfig, bundle: Bundle, target: Target, name: str, settings: LayerSettings, shape: EngineShape
) -> dict[int, EngineShape]:
    """The engine of a layer by its fold, from the configured one up."""
    found = {settings.fold: shape}
    for fold in range(settings.fold + 1, shape.N * shape.Tb + 1):
        changed = {**config.layers, name: _folded(settings, fold)}
        try:
            found[fold] = engine_shapes(config.model_copy(update={"layers": changed}), bundle, target)[name]
        except ConfigError:  # not every fold goes with every other setting
            continue
    return found


def _multipliers(shape: EngineShape) -> int:
    """Multipliers of an engine, with those of the scales of its output channels."""
    return shape.multipliers + shape.scale_multipliers
