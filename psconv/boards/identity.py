"""The name of a network on a board, by which a host with another bundle is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from pymodel.common.arrays import Array
from pymodel.network.bundle import Bundle

SIZE = 8  # bytes


def identity(bundle: Bundle, loaded: bool) -> bytes:
    """The first bytes of a SHA-256 of everything that decides about a score; without weights where they are loaded.

    Weights that are loaded have an identity of their own in their packet (pymodel/top/identity.py).
    """
    facts = {
        "network": bundle.network.model_dump(mode="json"),
        "formats": {name: [form.bits, form.frac] for name, form in sorted(bundle.formats.items())},
        "shifts": {name: bundle.shift(name) for name in sorted(bundle.weights)},
        "rounding": bundle.rounding,
        "loaded": loaded,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    kinds: tuple[Mapping[str, Array], ...] = () if loaded else (bundle.weights, bundle.biases, bundle.scales)
    for arrays in kinds:
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.shape}".encode() + np.ascontiguousarray(array, "<i8").tobytes())
        digest.update(b"\xff")
    return digest.digest()[:SIZE]
