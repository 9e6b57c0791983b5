"""CIFAR-10 readers: the original python batches (folder or .tar.gz) and lossless mosaics of them.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The md5 sums are those of the
published batch files; a batch is unpickled only after its sum was found right.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

from pymodel.common.arrays import Int64, UInt8
from pymodel.common.errors import ConfigError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
BATCH_IMAGES = 10_000
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}

Batch = tuple[UInt8, Int64]


def load_batches(root: Path) -> dict[str, Batch]:
    """All six batches: name -> (images uint8 [10000, 3, 32, 32], labels int64 [10000]).

    `root` is the archive, the folder cifar-10-batches-py, a folder of mosaics (data_batch_1.webp ...), or a
    folder that holds one of them (as `cifar-10-batches-py`, `cifar-10-python.tar.gz` or `cifar10`).
    Raises ConfigError when it is none of these, or when a file is missing or damaged.
    """
    for place in (root, root / FOLDER, root / ARCHIVE, root / "cifar10"):
        if place.is_file():
            return _read_archive(place)
        if (place / "data_batch_1").is_file():
            return {name: parse_batch(name, _read(place / name), place / name) for name in MD5}
        if (place / "data_batch_1.webp").is_file():
            return _read_mosaics(place)
    raise ConfigError(
        f"{root}: no CIFAR-10 here; expected the folder {FOLDER}, the archive {ARCHIVE} "
        "or the mosaics data_batch_1.webp ... test_batch.webp"
    )


def parse_batch(name: str, content: bytes, source: Path) -> Batch:
    """One published batch file. Raises ConfigError unless its md5 sum is the published one."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[name]:
        raise ConfigError(f"{source}: damaged: the md5 of {name} must be {MD5[name]}, got {found}; fetch it again")
    batch = pickle.load(io.BytesIO(content), encoding="bytes")
    images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    return images, np.asarray(batch[b"labels"], dtype=np.int64)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); the data set is incomplete") from error


def _read_archive(path: Path) -> dict[str, Batch]:
    try:
        with tarfile.open(path) as archive:
            return {name: parse_batch(name, _read_member(archive, name, path), path) for name in MD5}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ConfigError(f"{path}: not a readable {ARCHIVE} ({error}); fetch it again") from error


def _read_member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    try:
        member = archive.extractfile(f"{FOLDER}/{name}")
    except KeyError:
        member = None
    if member is None:
        raise ConfigError(f"{path}: {FOLDER}/{name} is missing; fetch {ARCHIVE} again")
    return member.read()


def _read_mosaics(folder: Path) -> dict[str, Batch]:
    """Mosaics of 100 x 100 images per batch, in the published order, checked against SHA256SUMS."""
    sums = _read_sums(folder / "SHA256SUMS")
    labels = np.load(io.BytesIO(_read_checked(folder / "labels.npz", sums)))
    batches = {}
    for name in MD5:
        mosaic = _decode(_read_checked(folder / f"{name}.webp", sums), folder / f"{name}.webp")
        tiles = mosaic.reshape(100, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3)
        batches[name] = (
            np.ascontiguousarray(tiles.reshape(BATCH_IMAGES, 3, 32, 32)),
            labels[name].astype(np.int64),
        )
    return batches


def _decode(content: bytes, source: Path) -> UInt8:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ConfigError(f"{source}: reading mosaics needs the package pillow (pip install pillow)") from error
    try:
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{source}: not a readable image ({error})") from error
    if pixels.shape != (3200, 3200, 3):
        raise ConfigError(f"{source}: shape must be (3200, 3200, 3), got {pixels.shape}")
    return pixels


def _read_sums(path: Path) -> dict[str, str]:
    rows = [line.split() for line in _read(path).decode(errors="replace").splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise ConfigError(f"{path}: each line must be '<sha256> <file name>'")
    return {name: digest for digest, name in rows}


def _read_checked(path: Path, sums: dict[str, str]) -> bytes:
    content = _read(path)
    expected = sums.get(path.name)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ConfigError(f"{path}: damaged: its sha256 must be {expected}, got {found}; fetch it again")
    return content
