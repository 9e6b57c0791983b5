"""What topologies have or have not: tests of models that need more are skipped where they have not."""

from __future__ import annotations

import pytest

from pymodel.common.errors import ConfigError
from pymodel.network.topology import Conv, Network


def _takes(**keys: object) -> bool:
    try:
        Conv(name="a", input="input", out_channels=1, **{"kernel": 3} | keys)
    except ConfigError:
        return False
    return True


def _several() -> bool:
    conv = {"op": "conv", "name": "a", "input": "input", "out_channels": 1, "kernel": 1}
    other = conv | {"name": "b"}
    try:
        Network(name="n", input={"channels": 1, "height": 1, "width": 1}, layers=[conv, other], output=["a", "b"])
    except ConfigError:
        return False
    return True


CLIP = _takes(relu=True, clip=6.0)
PADS = _takes(kernel=2, padding=[0, 0, 1, 1])  # that differ from side to side; even kernels
OUTPUTS = _several()

# Model of tests.helpers.models -> the mark of its tests.
NEEDS = {
    "mobilenet": pytest.mark.skipif(not CLIP, reason="no clip in the topology"),
    "same padding": pytest.mark.skipif(not PADS, reason="no padding that differs from side to side in the topology"),
    "two heads": pytest.mark.skipif(not OUTPUTS, reason="one output in the topology"),
}
