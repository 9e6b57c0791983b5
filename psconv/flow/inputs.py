"""What goes into a run: a bundle and images for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psconv.flow.config import RunConfig
from psconv.flow.generated import generated_bundle, random_images, require_outputs
from pymodel.common.arrays import Int8, Int64
from pymodel.common.errors import ConfigError, InternalError
from pymodel.common.records import read_npz
from pymodel.datasets.splits import load_dataset
from pymodel.golden.model import as_input
from pymodel.network.bundle import Bundle
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import INPUT
from pymodel.nn.variants import make_network


@dataclass(frozen=True)
class Inputs:
    """A bundle and images for it: int8 [n, C, H, W]; labels, int [n], are None for random images."""

    bundle: Bundle
    images: Int8
    labels: Int64 | None


def load_inputs(config: RunConfig, path: Path) -> Inputs:
    """The bundle and the images that `config`, read from `path`, names. Raises ConfigError."""
    if config.layer:
        bundle, images = generated_bundle(config.layer, config, path.parent)
        return Inputs(bundle, images, None)
    bundle = load_bundle(config, path)
    return Inputs(bundle, *_images(config, bundle, path.parent))


def load_bundle(config: RunConfig, path: Path) -> Bundle:
    """The bundle, or network with generated weights, that `path` names. Raises ConfigError."""
    if config.bundle is not None:
        return Bundle.load(path.parent / config.bundle)
    requested = config.network
    if requested is None:
        raise InternalError(f"{path}: neither a bundle nor a network")
    try:
        network = make_network(requested.name, requested.dataset, requested.variant, width=requested.width)
    except ConfigError as error:
        raise ConfigError(f"network: {error}") from error
    return random_bundle(network, config.seed, requested.weight_bits, requested.activation_bits)


def _images(config: RunConfig, bundle: Bundle, folder: Path) -> tuple[Int8, Int64 | None]:
    count, form = config.images.count, bundle.formats[INPUT]
    require_outputs(bundle.network, count)
    if config.images.source == "random":
        rng = np.random.default_rng([config.seed, 1])
        return random_images(rng, form, (count, *bundle.network.input.shape)), None
    path = None if config.images.path is None else folder / config.images.path
    if config.images.source == "file" and path is not None:
        return _images_of_file(path, count, bundle)
    data = load_dataset(config.images.source, path, "images")
    if data.shape != bundle.network.input.shape:
        raise ConfigError(
            f"images.source: must have images of {bundle.network.input.shape} as the network's input, "
            f"got {data.shape} of {config.images.source}"
        )
    if data.input_format != form:
        raise ConfigError(
            f"images.source: must have the format {form} of the bundle's input, "
            f"got {data.input_format} of {config.images.source}"
        )
    if count > len(data.test):
        raise ConfigError(
            f"images.count: must be at most {len(data.test)}, the test images of {config.images.source}, got {count}"
        )
    return data.integers(data.test.images[:count]), data.test.labels[:count]


def _images_of_file(path: Path, count: int, bundle: Bundle) -> tuple[Int8, Int64 | None]:
    """The first images of an .npz file, and their labels where it has any. Raises ConfigError, naming the file."""
    arrays = read_npz(path)
    if "images" not in arrays:
        raise ConfigError(f"{path}: must hold an array 'images', got {', '.join(sorted(arrays)) or 'none'}")
    try:
        images = as_input(bundle, arrays["images"][:count])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if count > len(images):
        raise ConfigError(f"images.count: must be at most {len(images)}, the images of {path}, got {count}")
    labels = arrays.get("labels")
    if labels is None:
        return images, None
    if labels.dtype.kind not in "iu" or labels.shape != (len(arrays["images"]),):
        raise ConfigError(
            f"{path}: labels: must be integers [{len(arrays['images'])}], got {labels.dtype} {list(labels.shape)}"
        )
    return images, labels[:count].astype(np.int64)
