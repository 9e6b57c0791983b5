"""How much of each layer works at once, as a configuration asks for it: nothing is chosen here.

`psconv explore` writes such a configuration (pymodel.explore chooses); a user may write it by hand.
"""

from __future__ import annotations

from psconv.flow.config import RunConfig
from psconv.synthesis.targets import Target, load_target
from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.top.dataflow import needed_layers
from pymodel.top.packets import in_ultra_ram, loadable


def engine_shapes(config: RunConfig, bundle: Bundle, target: Target | None = None) -> dict[str, EngineShape]:
    """The engine of each layer with weights that is built, by its name, for `target` or the configured one.

    Raises ConfigError.
    """
    device = target or load_target(config.target)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    built = {layer.name for layer in needed_layers(bundle.network)} if config.top == "network" else set(names)
    if unknown := sorted(set(config.layers) - set(names)):
        raise ConfigError(f"layers: must name layers with weights ({', '.join(names)}), got {unknown[0]}")
    shapes = {}
    for name in filter(built.__contains__, names):
        requested = config.layers.get(name, config.parallelism)
        engine = config.layer.engine if config.layer else "periodic"
        key = f"layers.{name}" if name in config.layers else "parallelism"
        try:
            shape = engine_shape(
                bundle,
                name,
                requested.To,
                requested.Tb,
                requested.fold,
                R=requested.R,
                Tx=requested.Tx,
                engine=engine,
                packing=requested.packing,
                feed=requested.feed,
                multiplier_bits=max(device.multiplier),
                lanes=requested.lanes,
            )
        except ConfigError as error:
            raise ConfigError(f"{key}: {device.name}: {error}") from error
        shapes[name] = loadable(shape) if config.weights == "loaded" else shape
    if config.weights == "loaded":
        chosen = {
            name: one.ultra_weights
            for name, one in config.layers.items()
            if name in shapes and one.ultra_weights is not None
        }
        if any(chosen.values()) and not device.budgets.URAM:
            name = next(name for name, ultra in chosen.items() if ultra)
            raise ConfigError(f"layers.{name}.ultra_weights: must be false for {device.name}, which has no UltraRAM")
        return in_ultra_ram(shapes, device.budgets.URAM, chosen)
    return shapes
