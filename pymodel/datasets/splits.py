"""Data sets as uint8 arrays, with the fixed-point reading of a pixel that hardware and training share.

A pixel p enters every network as the integer `p - zero_point` of the data set's `input_format`: that is
exact, needs no arithmetic but one subtraction, and zero padding means the value `zero_point`.
numpy only: the golden model and the benches load their test images here without torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pymodel.common.arrays import Int8, Int64, UInt8
from pymodel.common.errors import ConfigError
from pymodel.datasets import cifar10, own, tiny_imagenet
from pymodel.network.formats import Format

DATA_VARIABLE = "PSCONV_DATA"
DIGITS_TEST_IMAGES = 360
DIGITS_SEED = 2020


@dataclass(frozen=True)
class Split:
    """Images uint8 [n, channels, height, width] and their labels int64 [n]."""

    images: UInt8
    labels: Int64

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set in memory. Pixel p, 0 to `white`, is the real value (p - zero_point) * 2**-input_format.frac."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    input_format: Format
    zero_point: int
    white: int = 255

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    def integers(self, images: UInt8) -> Int8:
        """uint8 pixels -> int8 network inputs of the same shape, exactly."""
        return (images.astype(np.int16) - self.zero_point).astype(np.int8)


def known_datasets() -> list[str]:
    """Names that `load_dataset` takes."""
    return sorted(_LOADERS)


def load_dataset(name: str, path: Path | None = None, key: str = "data") -> Dataset:
    """Load a data set by name.

    `path` says where it lies; without it, for cifar10 and tiny-imagenet, the environment variable PSCONV_DATA does.
    The name `folder` stands for a folder of the user's own, `npz` for a file (pymodel.datasets.own); such a set is
    called as that folder or file is. key: of a configuration under which `path` stands, for messages.
    Raises ConfigError for an unknown name, an unknown location and for missing or damaged files.
    """
    if name not in _LOADERS:
        raise ConfigError(f"data.dataset: must be one of {', '.join(known_datasets())}, got {name!r}")
    return _LOADERS[name](path, f"{key}.path")


def _digits(path: Path | None, key: str) -> Dataset:
    """scikit-learn's handwritten digits: 1,797 images of 8x8 pixels 0..16; a fixed split of 1,437 and 360."""
    if path is not None:
        raise ConfigError(f"{key}: {path}: the digits come with scikit-learn; remove the key")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ConfigError("data.dataset: digits needs scikit-learn (pip install scikit-learn)") from error
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(DIGITS_SEED).permutation(len(labels))
    images = pixels.reshape(-1, 1, 8, 8).astype(np.uint8)[order]
    labels = labels.astype(np.int64)[order]
    train, test = slice(DIGITS_TEST_IMAGES, None), slice(0, DIGITS_TEST_IMAGES)
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        train=Split(images[train], labels[train]),
        test=Split(images[test], labels[test]),
        input_format=Format(bits=8, frac=4),
        zero_point=0,
        white=16,
    )


def _cifar10(path: Path | None, key: str) -> Dataset:
    batches = cifar10.load_batches(_location(path, "cifar10", key))
    images = {name: batch[0] for name, batch in batches.items()}
    labels = {name: batch[1] for name, batch in batches.items()}
    return Dataset(
        name="cifar10",
        classes=cifar10.CLASSES,
        train=Split(
            np.concatenate([images[name] for name in cifar10.TRAIN_BATCHES]),
            np.concatenate([labels[name] for name in cifar10.TRAIN_BATCHES]),
        ),
        test=Split(images[cifar10.TEST_BATCH], labels[cifar10.TEST_BATCH]),
        input_format=Format(bits=8, frac=7),
        zero_point=128,
    )


def _tiny_imagenet(path: Path | None, key: str) -> Dataset:
    content = tiny_imagenet.load_folder(_location(path, "tiny-imagenet", key))
    return Dataset(
        name="tiny-imagenet",
        classes=content.wnids,
        train=Split(*content.train),
        test=Split(*content.validation),
        input_format=Format(bits=8, frac=7),
        zero_point=128,
    )


def _folder(path: Path | None, key: str) -> Dataset:
    root = _own(path, "folder", key)
    return _of_parts(root.resolve().name, own.load_folder(root))


def _npz(path: Path | None, key: str) -> Dataset:
    file = _own(path, "file", key)
    return _of_parts(file.stem, own.load_npz(file))


def _own(path: Path | None, what: str, key: str) -> Path:
    if path is None:
        raise ConfigError(f"{key}: must be the {what} with the images, got none")
    return path.expanduser()


def _of_parts(name: str, parts: own.Parts) -> Dataset:
    classes, train, test = parts
    return Dataset(name, classes, Split(*train), Split(*test), Format(bits=8, frac=7), zero_point=128)


def _location(path: Path | None, name: str, key: str) -> Path:
    """Where the user said the data lies: the configuration's key first, then the environment."""
    if path is None and not os.environ.get(DATA_VARIABLE):
        raise ConfigError(
            f"{key}: must be the folder of {name}, got none; give it here or in the environment variable "
            f"{DATA_VARIABLE}"
        )
    root = Path(path if path is not None else os.environ[DATA_VARIABLE]).expanduser()
    if not root.exists():
        source = key if path is not None else DATA_VARIABLE
        raise ConfigError(f"{source}: must be the folder of {name}, got {root}, which does not exist")
    return root


_LOADERS: dict[str, Callable[[Path | None, str], Dataset]] = {
    "digits": _digits,
    "cifar10": _cifar10,
    "tiny-imagenet": _tiny_imagenet,
    "folder": _folder,
    "npz": _npz,
}
