"""Tiny ImageNet from its original folders: wnids.txt, train/<wnid>/images/*.JPEG, val/val_annotations.txt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pymodel.common.arrays import UInt8
from pymodel.common.errors import ConfigError
from pymodel.datasets.cifar10 import Batch

FOLDER = "tiny-imagenet-200"
SIZE = 64
ARCHIVE_NOTE = "the unpacked archive tiny-imagenet-200.zip has it"


@dataclass(frozen=True)
class TinyImageNet:
    """Class identifiers in the order of the labels; (images uint8 [n, 3, 64, 64], labels int64 [n]) twice."""

    wnids: tuple[str, ...]
    train: Batch
    validation: Batch


def load_folder(root: Path) -> TinyImageNet:
    """Read the original layout below `root` (or `root`/tiny-imagenet-200).

    Raises ConfigError that names the first missing, unreadable or inconsistent file.
    """
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    wnids = tuple(_lines(folder / "wnids.txt"))
    if not wnids or len(set(wnids)) != len(wnids):
        raise ConfigError(f"{folder / 'wnids.txt'}: must name each class once, one per line")
    label = {wnid: number for number, wnid in enumerate(wnids)}
    train = [(path, label[wnid]) for wnid in wnids for path in _class_images(folder / "train" / wnid / "images")]
    validation = _validation_entries(folder / "val", label)
    return TinyImageNet(wnids, _load(train), _load(validation))


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read; {ARCHIVE_NOTE}") from error


def _class_images(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.JPEG"))
    if not paths:
        raise ConfigError(f"{folder}: no *.JPEG found; {ARCHIVE_NOTE}")
    return paths


def _validation_entries(folder: Path, label: dict[str, int]) -> list[tuple[Path, int]]:
    table = folder / "val_annotations.txt"
    entries = []
    for number, line in enumerate(_lines(table), start=1):
        fields = line.split("\t")
        if len(fields) < 2 or fields[1] not in label:
            raise ConfigError(f"{table}:{number}: must be '<image> TAB <class of wnids.txt> ...', got {line!r}")
        entries.append((folder / "images" / fields[0], label[fields[1]]))
    if not entries:
        raise ConfigError(f"{table}: is empty; {ARCHIVE_NOTE}")
    return entries


def _load(entries: list[tuple[Path, int]]) -> Batch:
    images = np.empty((len(entries), 3, SIZE, SIZE), dtype=np.uint8)

    def decode(index: int) -> None:
        images[index] = _decode(entries[index][0])

    with ThreadPoolExecutor() as pool:  # the JPEG decoder releases the interpreter lock
        for _ in pool.map(decode, range(len(entries))):
            pass
    return images, np.array([number for _, number in entries], dtype=np.int64)


def _decode(path: Path) -> UInt8:
    """One image, uint8 [3, 64, 64]; the few grey ones of the data set become RGB."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("data.dataset: tiny-imagenet needs pillow (pip install pillow)") from error
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow reports broken files as either
        raise ConfigError(f"{path}: missing or damaged ({error}); {ARCHIVE_NOTE}") from error
    if pixels.shape != (SIZE, SIZE, 3):
        raise ConfigError(f"{path}: must be {SIZE}x{SIZE} pixels, got {pixels.shape[1]}x{pixels.shape[0]}")
    return pixels.transpose(2, 0, 1)
