"""A user's own images: what is read is what was written, and what does not fit is named."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pymodel.common.errors import ConfigError
from pymodel.datasets.splits import load_dataset

CLASSES = ("ant", "bee", "cow")


def pixels(seed: int, channels: int = 3, size: tuple[int, int] = (6, 5)) -> np.ndarray:
    """uint8 [channels, height, width]"""
    return np.random.default_rng(seed).integers(0, 256, (channels, *size), np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    Image.fromarray(rows, "L" if len(image) == 1 else "RGB").save(path)


def write(root: Path, count: int = 7, **options: object) -> dict[str, list[np.ndarray]]:
    """`count` images of each class, in the order of their names."""
    made = {name: [pixels(10 * k + n, **options) for n in range(count)] for k, name in enumerate(CLASSES)}  # type: ignore[arg-type]
    for name, images in made.items():
        for number, image in enumerate(images):
            save(root / name / f"{number:03}.png", image)
    return made


def test_a_folder_of_classes(tmp_path: Path) -> None:
    made = write(tmp_path / "animals")
    (tmp_path / "animals" / "ant" / "notes.txt").write_text("no image")
    found = load_dataset("folder", tmp_path / "animals")
    assert (found.name, found.classes, found.shape) == ("animals", CLASSES, (3, 6, 5))
    for label, name in enumerate(CLASSES):
        ours = found.train.images[found.train.labels == label]
        assert np.array_equal(ours, np.stack([image for n, image in enumerate(made[name]) if n != 4]))
        assert np.array_equal(found.test.images[found.test.labels == label], made[name][4][None])
    assert found.integers(found.test.images).min() >= -128


def test_a_folder_that_says_what_is_for_testing(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train", 3, channels=1), write(tmp_path / "test", 2, channels=1)
    found = load_dataset("folder", tmp_path)
    assert found.shape == (1, 6, 5)
    assert np.array_equal(found.train.images, np.stack([image for images in train.values() for image in images]))
    assert np.array_equal(found.test.images, np.stack([image for images in test.values() for image in images]))
    assert found.test.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_grey_among_colours(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", pixels(1))
    save(tmp_path / "a" / "2.png", grey := pixels(2, channels=1))
    found = load_dataset("folder", tmp_path)
    assert np.array_equal(found.train.images[1], np.repeat(grey, 3, axis=0))


def test_jpeg(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "flat").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (200, 30, 90)).save(tmp_path / "flat" / f"{number}.JPG", quality=95)
    found = load_dataset("folder", tmp_path)
    assert np.abs(found.train.images.astype(int) - np.array([200, 30, 90])[:, None, None]).max() < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: save(root / "bee" / "001.png", pixels(0, size=(6, 4))),
            r"bee/001.png: must have the 6 rows and 5",
        ),
        (lambda root: (root / "bee" / "001.png").write_bytes(b"no image"), r"bee/001.png: not a readable image"),
        (
            lambda root: (root / "cow" / "002.png").write_bytes((root / "cow" / "001.png").read_bytes()[:60]),
            r"cow/002.png: not a readable image",
        ),
        (
            lambda root: Image.new("RGBA", (5, 6), (1, 2, 3, 4)).save(root / "ant" / "001.png"),
            r"ant/001.png: must be opaque, got transparency",
        ),
        (lambda root: (root / "dog").mkdir(), r"dog: must hold images \(.png, .jpg, .jpeg\), got none"),
        (lambda root: (root / "train").mkdir(), r"must have both train and test, or neither; test is missing"),
    ],
)
def test_a_folder_that_does_not_fit(change, message, tmp_path: Path) -> None:
    write(tmp_path)
    change(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_dataset("folder", tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'none'}: must be a folder")):
        load_dataset("folder", tmp_path / "none")
    with pytest.raises(ConfigError, match=f"{tmp_path.name}: must hold a folder of images for each class, got none"):
        load_dataset("folder", tmp_path)
    with pytest.raises(ConfigError, match=r"data.path: must be the folder with the images, got none"):
        load_dataset("folder")
    write(tmp_path / "train"), write(tmp_path / "test")
    (tmp_path / "test" / "cow").rename(tmp_path / "test" / "dog")
    with pytest.raises(ConfigError, match="test/cow: is missing|test/dog: must be a class of .*train"):
        load_dataset("folder", tmp_path)


def test_a_file_of_arrays(tmp_path: Path) -> None:
    images, labels = pixels(0, 40, (4, 6)).reshape(20, 2, 4, 6), np.arange(20) % 3
    np.savez(tmp_path / "shapes.npz", images=images, labels=labels, classes=np.array(["a", "b", "c", "d"]))
    found = load_dataset("npz", tmp_path / "shapes.npz")
    assert (found.name, found.classes, found.shape) == ("shapes", ("a", "b", "c", "d"), (2, 4, 6))
    # The fifth image of each class: labels 0, 1, 2 are at k, k + 3, ...
    assert np.array_equal(found.test.images, images[[12, 13, 14]]) and found.test.labels.tolist() == [0, 1, 2]
    assert len(found.train) == 17 and np.array_equal(found.train.images[0], images[0])
    np.savez(
        tmp_path / "both.npz", train_images=images, train_labels=labels, test_images=images[:2], test_labels=labels[:2]
    )
    found = load_dataset("npz", tmp_path / "both.npz")
    assert (len(found.train), len(found.test), found.classes) == (20, 2, ("0", "1", "2"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "must hold an array 'images', got x"),
        ({"images": np.zeros((2, 1, 3, 3), np.uint8)}, "must hold an array 'labels', got images"),
        ({"images": np.zeros((2, 3, 3), np.uint8), "labels": np.zeros(2, int)}, r"images: must be uint8 \[n, ch"),
        ({"images": np.zeros((2, 1, 3, 3)), "labels": np.zeros(2, int)}, "images: must be uint8 .*, got float64"),
        ({"images": np.zeros((2, 1, 3, 3), np.uint8), "labels": np.zeros(3, int)}, r"labels: must be integers \[2\]"),
        ({"images": np.zeros((2, 1, 3, 3), np.uint8), "labels": -np.ones(2, int)}, "labels: must be integers"),
        (
            {"images": np.zeros((2, 1, 3, 3), np.uint8), "labels": np.array([0, 2]), "classes": np.array(["a", "b"])},
            "classes: must name the 3 classes of the labels, got 2",
        ),
        (
            {
                "train_images": np.zeros((2, 1, 3, 3), np.uint8),
                "train_labels": np.zeros(2, int),
                "test_images": np.zeros((2, 1, 3, 4), np.uint8),
                "test_labels": np.zeros(2, int),
            },
            "test_images: must have the shape of train_images",
        ),
    ],
)
def test_a_file_that_does_not_fit(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ConfigError, match=f"data.npz: {message}"):
        load_dataset("npz", tmp_path / "data.npz")


@pytest.mark.parametrize("sort", ["folder", "npz"])
def test_training_on_own_images(sort: str, tmp_path: Path) -> None:
    """The network takes channels, size and classes from the images; the bundle says what it was trained on."""
    pytest.importorskip("torch")
    from pymodel.network.bundle import Bundle
    from pymodel.training.quantise import quantise
    from pymodel.training.train import train

    place = tmp_path / "animals"
    if sort == "folder":
        write(place, 10)
    else:
        place = place.with_suffix(".npz")
        np.savez(place, images=pixels(0, 90, (6, 5)).reshape(30, 3, 6, 5), labels=np.arange(30) % 3)
    (tmp_path / "train.yaml").write_text(
        f"""name: own
data: {{dataset: {sort}, path: {place}}}
network: {{name: resnet8, variant: PSD4_P8}}
epochs: 1
batch_size: 8
threads: 1
"""
    )
    train(tmp_path / "train.yaml", tmp_path / "run")
    quantise(tmp_path / "run", tmp_path / "own.yaml")
    bundle = Bundle.load(tmp_path / "own.yaml")
    assert bundle.dataset == "animals"
    assert bundle.network.input.shape == (3, 6, 5)
    assert bundle.network.shapes()[bundle.network.output] == (3, 1, 1)
