"""`psconv pack-weights`: the weights of a bundle as a file of beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psconv.flow.config import RunConfig
from psconv.flow.inputs import load_bundle
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import load_target
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically
from pymodel.network.bundle import Bundle
from pymodel.top.dataflow import build
from pymodel.top.packets import packet_parser_of, weight_beats


def pack(config: RunConfig, path: Path, trained: Path | None, out: Path) -> dict[str, Any]:
    """Writes the beats of the weights of `trained` (none: the configured bundle) and returns their numbers.

    Raises ConfigError: a configuration whose weights are not loaded, a bundle that does not fit its hardware.
    """
    if config.weights != "loaded":
        raise ConfigError(f"{path}: weights: must be loaded, got {config.weights}")
    configured = load_bundle(config, path)
    dataflow = build(configured, engine_shapes(config, configured, load_target(config.target)), loaded=True)
    bundle = Bundle.load(trained) if trained else configured
    parser = packet_parser_of(dataflow)
    try:
        beats = weight_beats(dataflow, bundle)
    except ConfigError as error:
        raise ConfigError(f"{trained or path}: {error}") from error
    write_atomically(out, lambda target: target.write_bytes(beats.tobytes()))
    return {
        "file": str(out),
        "beats": len(beats),
        "bytes_per_beat": beats.shape[1],
        "identity": f"{parser.identity:#010x}",
        "identity_beats": parser.identity_beats,
        "check_beats": parser.check_beats,
        "engines": len(dataflow.engines),
    }
