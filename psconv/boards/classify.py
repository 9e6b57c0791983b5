"""`psconv classify`: images to a board, classes back, with their rate and how many are right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psconv.boards.host import Board
from pymodel.common.arrays import Int8, Int64
from pymodel.common.errors import ConfigError
from pymodel.common.records import read_npz
from pymodel.datasets.splits import known_datasets, load_dataset
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.topology import INPUT


@dataclass(frozen=True)
class Result:
    """What a board made of images. classes: int [n]. cycles: of one image, the most. seconds: of all, on this machine.

    right: images whose class is the label's; None without labels. exact: images whose every score is the golden
    model's; None where that was not asked for. repeated: questions that were asked again.
    """

    classes: list[int]
    images: int
    seconds: float
    cycles: int
    mhz: float
    repeated: int
    right: int | None
    exact: int | None

    @property
    def images_per_second(self) -> float:
        return round(self.images / self.seconds, 2) if self.seconds else 0.0

    @property
    def accuracy(self) -> float | None:
        return None if self.right is None else round(self.right / self.images, 6)


def images_of(source: str, data: Path | None, count: int | None, bundle: Bundle) -> tuple[Int8, Int64 | None]:
    """Images and labels: of an .npz file with `images` and perhaps `labels`, or the test images of a data set.

    Raises ConfigError, naming the file: none, images of another shape, labels that do not go with them.
    """
    if source in known_datasets():
        found = load_dataset(source, data)
        if found.shape != bundle.network.input.shape or found.input_format != bundle.formats[INPUT]:
            raise ConfigError(
                f"IMAGES: must be images of {bundle.network.input.shape} as {bundle.network.name}'s, "
                f"got {found.shape} of {source}"
            )
        return found.integers(found.test.images[:count]), found.test.labels[:count]
    path = Path(source)
    if path.suffix != ".npz":
        raise ConfigError(f"IMAGES: must be an .npz file or one of {', '.join(known_datasets())}, got {source!r}")
    arrays = read_npz(path)
    if "images" not in arrays:
        raise ConfigError(f"{path}: must hold an array 'images', got {', '.join(sorted(arrays)) or 'none'}")
    try:
        images = golden.as_input(bundle, arrays["images"][:count])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    labels = arrays.get("labels")
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != (len(arrays["images"]),)):
        wanted = len(arrays["images"])
        raise ConfigError(f"{path}: labels: must be integers [{wanted}], got {labels.dtype} {list(labels.shape)}")
    return images, None if labels is None else labels[:count].astype(np.int64)


def classify(
    board: Board,
    images: Int8,
    labels: Int64 | None,
    *,
    check: bool = False,
    done: Callable[[int], None] = lambda images: None,
) -> Result:
    """Sends all images. check: compares every score with the golden model's. done: told how many are back.

    Raises ConfigError: no images, what `Board.answers` raises.
    """
    if not len(images):
        raise ConfigError("IMAGES: must be 1 or more, got none")
    start, scores, cycles = time.monotonic(), [], 0
    for answer in board.answers(images):
        scores.append(answer.scores)
        cycles = max(cycles, answer.cycles)
        done(len(scores))
    seconds = time.monotonic() - start
    found = np.stack(scores)
    classes = found.reshape(len(found), -1).argmax(axis=1)
    exact = None
    if check:
        (output,) = board.bundle.network.outputs
        wanted = golden.run(board.bundle, images)[output]
        exact = int((wanted == found).reshape(len(found), -1).all(axis=1).sum())
    return Result(
        classes=classes.tolist(),
        images=len(images),
        seconds=round(seconds, 3),
        cycles=cycles,
        mhz=board.mhz,
        repeated=board.link.repeated,
        right=None if labels is None else int((classes == labels).sum()),
        exact=exact,
    )
