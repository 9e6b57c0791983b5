"""Data sets: what is read is what was written, and what is damaged is named."""

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pymodel.common.errors import ConfigError
from pymodel.datasets import cifar10, tiny_imagenet
from pymodel.datasets.splits import DATA_VARIABLE, load_dataset

IMAGES = 7  # per generated CIFAR-10 batch


def test_digits_have_a_fixed_split_and_exact_integers() -> None:
    digits, again = load_dataset("digits"), load_dataset("digits")
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.shape == (1, 8, 8) and digits.train.images.dtype == np.uint8
    assert np.array_equal(digits.test.images, again.test.images)
    # The published set, each image once.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    rows = np.concatenate([digits.test.images, digits.train.images]).reshape(1797, 64)
    both = np.concatenate([digits.test.labels, digits.train.labels])
    ours = sorted(zip(map(tuple, rows.tolist()), both.tolist(), strict=True))
    assert ours == sorted(zip(map(tuple, pixels.astype(int).tolist()), labels.tolist(), strict=True))
    integers = digits.integers(digits.test.images)
    assert integers.min() == 0 and integers.max() == 16
    assert digits.input_format.real(integers).max() == 1.0
    assert np.bincount(digits.test.labels, minlength=10).min() > 20


def generated_batches() -> dict[str, bytes]:
    """Files of the layout of the published ones, with random content."""
    random = np.random.default_rng(0)

    def batch() -> bytes:
        images = random.integers(0, 256, (IMAGES, 3072), np.uint8)
        return pickle.dumps({b"data": images, b"labels": random.integers(0, 10, IMAGES).tolist()})

    return {name: batch() for name in cifar10.MD5}


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Generated batches, whose md5 sums stand in for the published ones."""
    content = generated_batches()
    monkeypatch.setattr(cifar10, "MD5", {name: hashlib.md5(data).hexdigest() for name, data in content.items()})
    return content


def write_folder(root: Path, batches: dict[str, bytes]) -> Path:
    folder = root / cifar10.FOLDER
    folder.mkdir()
    for name, data in batches.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(root: Path, batches: dict[str, bytes]) -> Path:
    path = root / cifar10.ARCHIVE
    with tarfile.open(path, "w:gz") as archive:
        for name, data in batches.items():
            member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("place", ["folder", "parent", "archive", "environment"])
def test_cifar10_original(tmp_path: Path, batches, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path, batches) if place == "archive" else write_folder(tmp_path, batches)
    if place == "environment":
        monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    given = {"folder": path, "archive": path, "parent": tmp_path, "environment": None}[place]
    dataset = load_dataset("cifar10", given)
    first = pickle.loads(batches["data_batch_1"])
    last = pickle.loads(batches["data_batch_5"])
    assert dataset.train.images.shape == (5 * IMAGES, 3, 32, 32)
    assert np.array_equal(dataset.train.images[2, 1, 5], first[b"data"][2].reshape(3, 32, 32)[1, 5])
    assert dataset.train.labels.tolist()[-IMAGES:] == last[b"labels"]
    assert dataset.test.labels.tolist() == pickle.loads(batches["test_batch"])[b"labels"]
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(dataset.integers(pixels), np.arange(-128, 128))


def test_cifar10_published_sums_refuse_other_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, generated_batches())
    with pytest.raises(ConfigError, match="data_batch_1.*c99cafc152244af753f735de768cd75f"):
        load_dataset("cifar10", folder)


def test_cifar10_damage_is_named(tmp_path: Path, batches) -> None:
    folder = write_folder(tmp_path, batches)
    (folder / "data_batch_3").write_bytes(batches["data_batch_3"][:-1] + b"\0")
    with pytest.raises(ConfigError, match="data_batch_3.*damaged"):
        load_dataset("cifar10", folder)
    (folder / "data_batch_3").unlink()
    with pytest.raises(ConfigError, match="data_batch_3.*cannot be read"):
        load_dataset("cifar10", folder)


def test_cifar10_archive_damage_is_named(tmp_path: Path, batches) -> None:
    path = write_archive(tmp_path, {name: data for name, data in batches.items() if name != "test_batch"})
    with pytest.raises(ConfigError, match="test_batch is missing"):
        load_dataset("cifar10", path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="not a readable"):
        load_dataset("cifar10", path)
    path.write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="not a readable"):
        load_dataset("cifar10", path)


def test_cifar10_mosaics(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (100, 100, 1, 1, 3), np.uint8) + np.arange(32, dtype=np.uint8)[:, None]
    mosaic = np.broadcast_to(tiles, (100, 100, 32, 32, 3)).transpose(0, 2, 1, 3, 4).reshape(3200, 3200, 3)
    buffer = io.BytesIO()
    image.fromarray(mosaic).save(buffer, "webp", lossless=True, method=0, quality=0)
    labels = io.BytesIO()
    np.savez(labels, **{name: random.integers(0, 10, 10_000) for name in cifar10.MD5})
    files = {f"{name}.webp": buffer.getvalue() for name in cifar10.MD5} | {"labels.npz": labels.getvalue()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    (tmp_path / "SHA256SUMS").write_text(sums)

    batches = cifar10.load_batches(tmp_path)
    images, found = batches["data_batch_2"]
    assert images.shape == (10_000, 3, 32, 32)
    assert np.array_equal(images[1234].transpose(1, 2, 0), np.broadcast_to(tiles[12, 34], (32, 32, 3)))
    assert np.array_equal(found, np.load(io.BytesIO(labels.getvalue()))["data_batch_2"])

    (tmp_path / "data_batch_4.webp").write_bytes(buffer.getvalue()[:-1])
    with pytest.raises(ConfigError, match="data_batch_4.webp.*damaged"):
        cifar10.load_batches(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get(DATA_VARIABLE), reason=f"{DATA_VARIABLE} does not say where CIFAR-10 lies")
def test_cifar10_real() -> None:
    dataset = load_dataset("cifar10")
    assert np.array_equal(np.bincount(dataset.train.labels), np.full(10, 5000))
    assert np.array_equal(np.bincount(dataset.test.labels), np.full(10, 1000))
    # Per-channel means of the training set as published in many recipes: 0.4914, 0.4822, 0.4465.
    means = dataset.train.images.mean(axis=(0, 2, 3)) / 255
    assert np.allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)


@pytest.fixture
def miniature(tmp_path: Path) -> Path:
    """Tiny ImageNet with two classes, three training and two validation images each."""
    image = pytest.importorskip("PIL.Image")
    root = tmp_path / tiny_imagenet.FOLDER
    wnids = ["n02124075", "n01443537"]
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("\n".join(wnids) + "\n")
    rows = []
    for label, wnid in enumerate(wnids):
        (root / "train" / wnid / "images").mkdir(parents=True)
        for number in range(3):
            picture = image.new("RGB", (64, 64), (100 * label, 50 * number, 7))
            picture.save(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", quality=95)
    for number, label in enumerate((1, 0, 0, 1)):
        image.new("L", (64, 64), 60 * number).save(root / "val" / "images" / f"val_{number}.JPEG", quality=95)
        rows.append(f"val_{number}.JPEG\t{wnids[label]}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return root


def test_tiny_imagenet(miniature: Path) -> None:
    dataset = load_dataset("tiny-imagenet", miniature.parent)
    assert dataset.train.images.shape == (6, 3, 64, 64)
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [1, 0, 0, 1]
    colours = dataset.train.images.mean(axis=(2, 3))
    assert np.abs(colours - [[100 * (n // 3), 50 * (n % 3), 7] for n in range(6)]).max() < 4
    assert np.abs(dataset.test.images[2].astype(int) - 120).max() < 4  # grey became RGB


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "wnids.txt").unlink(), "wnids.txt"),
        (lambda root: (root / "wnids.txt").write_text("a\na\n"), "wnids.txt.*once"),
        (lambda root: (root / "train/n01443537/images/n01443537_1.JPEG").write_bytes(b"x"), "n01443537_1.JPEG"),
        (lambda root: (root / "val/images/val_3.JPEG").unlink(), "val_3.JPEG"),
        (lambda root: (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn9\n"), "annotations.txt:1"),
        (lambda root: (root / "val/val_annotations.txt").write_text(""), "annotations.txt"),
        (lambda root: [p.unlink() for p in (root / "train/n02124075/images").iterdir()], "n02124075"),
    ],
)
def test_tiny_imagenet_damage_is_named(miniature: Path, damage, message: str) -> None:
    damage(miniature)
    with pytest.raises(ConfigError, match=message):
        load_dataset("tiny-imagenet", miniature)


def test_tiny_imagenet_wrong_size_is_named(miniature: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 64)).save(miniature / "val/images/val_0.JPEG")
    with pytest.raises(ConfigError, match="val_0.JPEG.*64x64.*32x64"):
        load_dataset("tiny-imagenet", miniature)


def test_wrong_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="digits"):
        load_dataset("mnist")
    with pytest.raises(ConfigError, match=f"data.path.*{DATA_VARIABLE}"):
        load_dataset("cifar10")
    with pytest.raises(ConfigError, match="does not exist"):
        load_dataset("cifar10", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no CIFAR-10 here"):
        load_dataset("cifar10", tmp_path)
    with pytest.raises(ConfigError, match="remove the key"):
        load_dataset("digits", tmp_path)
