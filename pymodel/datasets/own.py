"""Data sets of the user's own: a folder with a folder of images for each class, or an .npz file of images and labels.

Both may say which images are for training and which for testing; where they do not, every fifth image of each class
is for testing, in the order of their names or of the file: the same ones every time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pymodel.common.arrays import Array, Int64, UInt8
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz
from pymodel.datasets.cifar10 import Batch

SUFFIXES = (".png", ".jpg", ".jpeg")
PARTS = ("train", "test")
TEST_EVERY = 5  # images of a class, one of which is for testing

Parts = tuple[tuple[str, ...], Batch, Batch]


def load_folder(root: Path) -> Parts:
    """(classes, training images, test images) of ROOT/CLASS/*.png, or of ROOT/train/CLASS/*.png and ROOT/test/...

    Classes are in the order of their names. Images are uint8 [n, channels, height, width]: one channel where all are
    grey, else red, green and blue. Raises ConfigError, naming the file, where one cannot be read or has another size.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: must be a folder with a folder of images for each class")
    folders = [root / part for part in PARTS if (root / part).is_dir()] or [root]
    if len(folders) == 1 and folders[0] != root:
        missing = next(part for part in PARTS if root / part not in folders)
        raise ConfigError(f"{root}: must have both {' and '.join(PARTS)}, or neither; {missing} is missing")
    classes = _classes(folders[0])
    named = [[(path, label) for label, name in enumerate(classes) for path in _files(f / name)] for f in folders]
    if len(folders) > 1 and (unknown := set(_classes(folders[1])) - set(classes)):
        raise ConfigError(f"{folders[1] / min(unknown)}: must be a class of {folders[0]}")
    images = _decoded([path for part in named for path, _ in part])
    labels = np.array([label for part in named for _, label in part], np.int64)
    if len(folders) == 1:
        return classes, *_split(images, labels)
    count = len(named[0])
    return classes, (images[:count], labels[:count]), (images[count:], labels[count:])


def load_npz(path: Path) -> Parts:
    """(classes, training images, test images) of an .npz file.

    Its arrays: `images`, uint8 [n, channels, height, width], and `labels`, int [n], from 0 on; or `train_images`,
    `train_labels`, `test_images` and `test_labels`; and, if classes have names, `classes`, text [number of classes].
    Raises ConfigError, naming the file and the array.
    """
    arrays = read_npz(path)
    prefixes = [f"{part}_" for part in PARTS] if "train_images" in arrays else [""]
    batches = [_batch(path, arrays, prefix) for prefix in prefixes]
    if len({images.shape[1:] for images, _ in batches}) > 1:
        shapes = " and ".join(str(list(images.shape[1:])) for images, _ in batches)
        raise ConfigError(f"{path}: test_images: must have the shape of train_images, got {shapes}")
    most = max(int(labels.max(initial=-1)) for _, labels in batches) + 1
    classes = tuple(map(str, arrays["classes"])) if "classes" in arrays else tuple(map(str, range(most)))
    if len(classes) < most:
        raise ConfigError(f"{path}: classes: must name the {most} classes of the labels, got {len(classes)}")
    if len(batches) == 1:
        return classes, *_split(*batches[0])
    return classes, batches[0], batches[1]


def _batch(path: Path, arrays: dict[str, Array], prefix: str) -> Batch:
    found = []
    for key in (f"{prefix}images", f"{prefix}labels"):
        if key not in arrays:
            raise ConfigError(f"{path}: must hold an array {key!r}, got {', '.join(sorted(arrays)) or 'none'}")
        found.append(arrays[key])
    images, labels = found
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise ConfigError(
            f"{path}: {prefix}images: must be uint8 [n, channels, height, width], got {images.dtype} "
            f"{list(images.shape)}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),) or int(labels.min()) < 0:
        raise ConfigError(
            f"{path}: {prefix}labels: must be integers [{len(images)}] from 0 on, got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    return images, labels.astype(np.int64)


def _split(images: UInt8, labels: Int64) -> tuple[Batch, Batch]:
    """Training and test images: of each class every TEST_EVERY-th for testing."""
    order = np.argsort(labels, kind="stable")
    firsts = np.searchsorted(labels[order], labels[order])
    of_class = np.empty(len(labels), np.int64)  # the number of each image within its class
    of_class[order] = np.arange(len(labels)) - firsts
    tests = of_class % TEST_EVERY == TEST_EVERY - 1
    return (images[~tests], labels[~tests]), (images[tests], labels[tests])


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if not names:
        raise ConfigError(f"{folder}: must hold a folder of images for each class, got none")
    return names


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is missing; each class must have a folder here too")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ConfigError(f"{folder}: must hold images ({', '.join(SUFFIXES)}), got none")
    return paths


def _decoded(paths: list[Path]) -> UInt8:
    """uint8 [n, channels, height, width]."""
    with ThreadPoolExecutor() as pool:  # decoders release the interpreter's lock
        pixels = list(pool.map(_pixels, paths))
    for path, image in zip(paths, pixels, strict=True):
        if image.shape[1:] != pixels[0].shape[1:]:
            height, width = image.shape[1:]
            raise ConfigError(
                f"{path}: must have the {pixels[0].shape[1]} rows and {pixels[0].shape[2]} columns of {paths[0]}, "
                f"got {height} and {width}"
            )
    channels = max(len(image) for image in pixels)
    return np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in pixels])


def _pixels(path: Path) -> UInt8:
    """uint8 [1 or 3, height, width]. Raises ConfigError for a file that is no image, or one with transparency."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ConfigError(f"{path}: reading images needs the package pillow (pip install pillow)") from error
    try:
        with Image.open(path) as image:
            if image.has_transparency_data:
                raise ConfigError(f"{path}: must be opaque, got transparency; flatten it onto a background")
            grey = image.mode in ("1", "L")
            decoded = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: not a readable image ({error})") from error
    return decoded[None] if grey else decoded.transpose(2, 0, 1)
