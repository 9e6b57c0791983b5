"""What a network's rate is limited by: a layer that can have no more lanes, or a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape
from pymodel.explore.network import Network, allowed
from pymodel.explore.options import MOST_PIXELS, Option
from pymodel.explore.solve import AXES, Answer
from pymodel.top.cycles import slowest

_MORE = ("To", "R", "Tb", "Tx")  # what more lanes come of


def limits(network: Network, answer: Answer, budget: Mapping[str, float]) -> list[str]:
    """Why a choice is no faster, for each of its slowest layers, or the unit between layers that is the slowest."""
    choice = answer.chosen
    dataflow = network.dataflow(choice)
    interval, slow = dataflow.interval, slowest(dataflow)
    found = []
    for name, option in choice.items():
        if dataflow.engines[name].interval < interval:
            continue
        faster = [one for one in network.options[name] if one.cycles < option.cycles]
        if not faster:
            found.append(f"layer {name}: {no_faster(network.shapes[name], network.options[name])}")
            continue
        instead = answer.cost - option.cost + min(faster, key=lambda one: one.cost.vector).cost
        most, takes = allowed(budget, interval), dict(zip(AXES, instead.in_units, strict=True))
        over = [
            f"{kind} {takes[kind]:,.10g} of {most[kind]:,.10g}"
            for kind in AXES
            if takes[kind] > most.get(kind, takes[kind])
        ]
        found.append(f"layer {name}: a faster one takes {', '.join(over) or 'more, with the streams around it'}")
    return found or [f"{slow.name}: {slow.iterations:,} cycles of an image with these words around it"]


def no_faster(shape: EngineShape, options: Sequence[Option]) -> str:
    """Why a layer has no option of fewer cycles than the fastest: what EngineShape says of twice as much at once."""
    fastest = min(options, key=lambda option: (option.cycles, option.multipliers))
    key = fastest.key
    fields = {name: getattr(shape, name) for name in EngineShape.model_fields} | key.of_engine
    more = {name: 2 * getattr(key, name) for name in _MORE}
    if more["Tx"] > MOST_PIXELS:
        del more["Tx"]
    refused = [_refusal(fields | {name: value, "fold": 1, "packing": 1}) for name, value in more.items()]
    least = f"{fastest.cycles:,} cycles at least"
    if key.fold == 1 and all(refused):
        return f"{least}, with {fastest.lanes:,} lanes; no more lanes: {'; '.join(filter(None, refused))}"
    return f"{least}, with {fastest.multipliers:,} multipliers; more lanes take more than the budget has"


def _refusal(fields: Mapping[str, Any]) -> str | None:
    """What is wrong with an engine; None: nothing."""
    try:
        EngineShape(**fields)
    except ConfigError as error:
        return str(error).removeprefix("EngineShape: ")
    return None
