"""What campaigns and benchmarks ask of the flow's designs."""

from __future__ import annotations

from psconv.flow.design import Design
from pymodel.common.errors import InternalError
from pymodel.top.units import EngineUnit


def engine_of(design: Design) -> EngineUnit:
    """The one engine of a layer's design. Raises InternalError for a design with more in it."""
    if design.engine is None:
        raise InternalError(f"{design.name}: must be one engine with its weights in ROM")
    return design.engine
