"""Bundles: round trips, the same bytes for the same content, and every kind of damage refused."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pymodel.common.errors import ConfigError
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format, accumulator_bits
from pymodel.network.zoo import digits, mobilenet_v2


def make_bundle(variant: str = "PSD1_P16", seed: int = 0) -> Bundle:
    """The digits network with weights at random, 8 bits throughout."""
    rng, network = np.random.default_rng(seed), digits(variant).folded()
    weights, biases, weight_formats = {}, {}, {}
    for layer in network.weighted_layers():
        shape = network.weight_shape(layer)
        mask = layer.make_support().mask(*shape[:2]) if layer.op == "conv" else 1
        weights[layer.name] = (rng.integers(-128, 128, shape) * mask).astype(np.int8)
        biases[layer.name] = rng.integers(-999, 999, shape[0]).astype(np.int32)
        weight_formats[layer.name] = Format(8, 10)
    names = ["input", *(layer.name for layer in network.layers)]
    return Bundle(
        network,
        {name: Format(8, 4) for name in names},
        weight_formats,
        weights,
        biases,
        accumulator_bits={"conv1": 24},
        dataset="digits",
        notes={"test_accuracy": 0.5},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.yaml"
    make_bundle().save(path)
    return path


def test_round_trip(saved: Path) -> None:
    one, two = make_bundle(), Bundle.load(saved)
    for field in ("network", "formats", "weight_formats", "accumulator_bits", "dataset", "notes"):
        assert getattr(one, field) == getattr(two, field)
    for arrays, others in ((one.weights, two.weights), (one.biases, two.biases)):
        assert set(arrays) == set(others)
        for name in arrays:
            assert arrays[name].dtype == others[name].dtype
            assert np.array_equal(arrays[name], others[name])
    images = np.random.default_rng(1).integers(-128, 128, (3, 1, 8, 8))
    for name, tensor in golden.run(one, images).items():
        assert np.array_equal(tensor, golden.run(two, images)[name])


def test_rounding_round_trip(saved: Path) -> None:
    assert "rounding" not in saved.read_text() and Bundle.load(saved).rounding == "half_up"
    dataclasses.replace(make_bundle(), rounding="half_even").save(saved)
    assert Bundle.load(saved).rounding == "half_even"
    saved.write_text(saved.read_text().replace("half_even", "half_down"))
    with pytest.raises(ConfigError, match="net.yaml: rounding: .*'half_up' or 'half_even'"):
        Bundle.load(saved)


def test_scales_round_trip(saved: Path) -> None:
    plain, rng = Bundle.load(saved), np.random.default_rng(0)
    scales = {"conv2": rng.integers(1, 1 << 12, 32).astype(np.uint16), "fc": np.full(10, 65535, np.uint16)}
    one = dataclasses.replace(plain, scales=scales)
    one.save(saved)
    two = Bundle.load(saved)
    assert set(two.scales) == set(scales) and not plain.scales
    assert all(np.array_equal(two.scales[name], scales[name]) for name in scales)
    assert {name: engine_shape(two, name).scale_bits for name in ("conv1", "conv2", "fc")} == {
        "conv1": 0,
        "conv2": int(scales["conv2"].max()).bit_length(),
        "fc": 16,
    }
    images = rng.integers(-128, 128, (2, 1, 8, 8))
    before, after = golden.run(plain, images), golden.run(two, images)
    assert np.array_equal(before["conv1"], after["conv1"]) and not np.array_equal(before["conv2"], after["conv2"])


def test_same_bytes_for_the_same_content(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [saved, saved.with_suffix(".npz")]
    before = [file.read_bytes() for file in files]
    later = time.time() + 1e8
    monkeypatch.setattr(time, "time", lambda: later)
    Bundle.load(saved).save(saved)
    assert [file.read_bytes() for file in files] == before
    bundle = make_bundle()
    reverse = dataclasses.replace(bundle, weights=dict(reversed(bundle.weights.items())))
    reverse.save(saved)
    assert [file.read_bytes() for file in files] == before
    assert sorted(os.listdir(saved.parent)) == ["net.npz", "net.yaml"]


def test_notes_are_plain() -> None:
    with pytest.raises(ConfigError, match="notes: accuracy"):
        dataclasses.replace(make_bundle(), notes={"accuracy": np.float64(0.5)})


def test_failed_write_leaves_the_old_bundle(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_bundle(seed=1).save(saved)
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["net.npz", "net.yaml"]
    Bundle.load(saved)


def test_crash_between_the_two_files_is_noticed(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, before = os.replace, saved.read_bytes()

    def fail_on_yaml(source: str, target: Path) -> None:
        if target.suffix == ".yaml":
            raise OSError("power cut")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_yaml)
    with pytest.raises(OSError, match="power cut"):
        make_bundle(seed=1).save(saved)
    assert saved.read_bytes() == before
    with pytest.raises(ConfigError, match="of another bundle"):
        Bundle.load(saved)


def test_names_end_in_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=".yaml"):
        make_bundle().save(tmp_path / "net.npz")


def edit_yaml(path: Path, change: Callable[[dict], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y: y.update(psconv_bundle=2), "psconv_bundle"),
        (lambda y: y.pop("psconv_bundle"), "psconv_bundle"),
        (lambda y: y.update(colour=1), "colour: unknown key"),
        (lambda y: y["network"].update(colour=1), "colour: unknown key"),
        (lambda y: y["network"]["layers"][1].update(suport="dense"), "suport: unknown key"),
        (
            lambda y: y["network"]["layers"][1].update(support="PSD1_P8"),
            "conv2.weight: .* outside the support",
        ),
        (lambda y: y["network"]["layers"][1].update(batch_norm=True), "layer conv2: batch_norm"),
        (lambda y: y["network"]["layers"][1].update(bias=False), "biases: must have keys of .*, got 'conv2'"),
        (lambda y: y["network"]["layers"][1].update(out_channels=16), "layer add: inputs"),
        (lambda y: y["formats"].pop("conv1"), "formats: conv1: this key is missing"),
        (lambda y: y["formats"].update(conv9={"bits": 8, "frac": 0}), "formats: must have keys of .*, got 'conv9'"),
        (lambda y: y["formats"]["conv1"].update(bits=9), "formats.conv1: bits: must be 2 to 8, got 9"),
        (lambda y: y["formats"]["conv1"].update(bits="8"), "formats.conv1.bits"),
        (lambda y: y["formats"]["conv1"].update(bits=True), "formats.conv1.bits"),
        (lambda y: y["formats"]["conv1"].update(frac=4.0), "formats.conv1.frac"),
        (lambda y: y["formats"]["conv1"].update(scale=1), "formats.conv1.scale: unknown key"),
        (lambda y: y["formats"]["conv1"].update(frac=-25), "layer conv1: shift .* must be 0 to 31, got 39"),
        (lambda y: y["formats"]["conv1"].update(frac=15), "layer conv1: shift .* must be 0 to 31, got -1"),
        (lambda y: y["formats"]["pool"].update(frac=3), "layer pool: formats: must be .* a maxpool, got"),
        (lambda y: y["formats"]["avgpool"].update(bits=7), "layer avgpool: formats"),
        (lambda y: y["formats"]["add"].update(frac=5), "layer add: shift .* must be 0 to 31, got -1"),
        (lambda y: y["weight_formats"].pop("fc"), "weight_formats: fc: this key is missing"),
        (lambda y: y["weight_formats"]["conv2"].update(bits=4), "conv2.weight .4 bits"),
        (
            lambda y: y["accumulator_bits"].update(conv1=12),
            "layer conv1: accumulator_bits: must be at least .*, got 12",
        ),
        (
            lambda y: y["accumulator_bits"].update(conv1=-3),
            "layer conv1: accumulator_bits: must be at least .*, got -3",
        ),
        (lambda y: y["accumulator_bits"].update(conv1=49), "layer conv1: .*48 bits"),
        (lambda y: y["accumulator_bits"].update(pool=20), "accumulator_bits: must have keys of .*, got 'pool'"),
        (lambda y: y["arrays"].update(file="other.npz"), "other.npz: cannot be read"),
        (lambda y: y["arrays"].update(file="../net.npz"), "arrays.file"),
        (lambda y: y["arrays"].update(sha256="0" * 64), "net.npz: damaged"),
        (lambda y: y.update(formats=[1]), "formats"),
        (lambda y: y.clear(), "psconv_bundle"),
    ],
)
def test_damaged_yaml(saved: Path, change: Callable[[dict], object], says: str) -> None:
    edit_yaml(saved, change)
    with pytest.raises(ConfigError, match=says) as caught:
        Bundle.load(saved)
    assert str(saved.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mapping"),
        ("- 1", "mapping"),
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2", "'a' stands twice"),
        ("1: 2", "not a string"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
        ("[" * 600, "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
)
def test_files_that_are_no_bundle(saved: Path, text: str, says: str) -> None:
    saved.write_text(text)
    with pytest.raises(ConfigError, match=says):
        Bundle.load(saved)


def test_missing_and_undecodable_files(saved: Path) -> None:
    with pytest.raises(ConfigError, match="nothere.yaml: cannot be read"):
        Bundle.load(saved.with_name("nothere.yaml"))
    with pytest.raises(ConfigError, match="must be a bundle .*, got a folder"):
        Bundle.load(saved.parent)
    saved.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="must be text in UTF-8, got byte 0xff at 0"):
        Bundle.load(saved)


def put_npz(saved: Path, data: bytes) -> None:
    saved.with_suffix(".npz").write_bytes(data)
    edit_yaml(saved, lambda y: y["arrays"].update(sha256=hashlib.sha256(data).hexdigest()))


def test_damaged_npz(saved: Path) -> None:
    data = saved.with_suffix(".npz").read_bytes()
    saved.with_suffix(".npz").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match="damaged"):
        Bundle.load(saved)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 255
    for broken in (b"", b"PK", data[: len(data) // 2], bytes(flipped), b"\x93NUMPY", np.arange(3).tobytes()):
        put_npz(saved, broken)
        with pytest.raises(ConfigError, match="net.npz: not a readable npz file"):
            Bundle.load(saved)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("conv1.weight", None, "weights: conv1: this key is missing"),
        ("fc.bias", None, "biases: fc: this key is missing"),
        ("conv9.weight", np.zeros(1, np.int8), "weights: must have keys of .*, got 'conv9'"),
        ("conv1.gain", np.zeros(1, np.int8), "arrays: must be called .*, got 'conv1.gain'"),
        ("pool.scale", np.ones(16, np.uint16), "scales: must have keys of .*, got 'pool'"),
        ("conv1.scale", np.ones(16, np.int64), "conv1.scale: type must be uint16, got int64"),
        ("conv1.scale", np.ones(15, np.uint16), "conv1.scale: shape"),
        ("conv1.scale", np.zeros(16, np.uint16), "conv1.scale: must be 1 to 65535, got 0 at .0."),
        ("conv1.weight", np.zeros((16, 1, 3, 3), np.int16), "conv1.weight: type must be int8, got int16"),
        ("conv1.weight", np.zeros((16, 1, 3, 3), np.float32), "conv1.weight: type must be int8, got float32"),
        ("conv1.weight", np.zeros((16, 2, 3, 3), np.int8), "conv1.weight: shape"),
        ("conv1.weight", np.int8(3), "conv1.weight: shape"),
        ("conv1.bias", np.zeros(16, np.int64), "conv1.bias: type must be int32, got int64"),
        ("conv1.bias", np.zeros(15, np.int32), "conv1.bias: shape"),
        ("conv1.bias", np.full(16, -(2**31), np.int32), "accumulator_bits: must be at least .*, got 24"),
        ("conv1.weight", np.array([{}]), "not a readable npz file"),
    ],
)
def test_wrong_arrays(saved: Path, name: str, array: np.ndarray | None, says: str) -> None:
    with np.load(saved.with_suffix(".npz")) as archive:
        arrays = dict(archive)
    arrays.pop(name, None)
    if array is not None:
        arrays[name] = array
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    put_npz(saved, buffer.getvalue())
    with pytest.raises(ConfigError, match=says):
        Bundle.load(saved)


def test_engine_shapes() -> None:
    bundle = make_bundle()
    shape = engine_shape(bundle, "conv4", To=2, Tb=2, fold=3)
    assert (shape.cin, shape.cout, shape.kernel, shape.stride, shape.padding) == (32, 64, 3, 2, 1)
    assert (shape.height, shape.width, shape.hout, shape.wout) == (4, 4, 2, 2)
    assert (shape.support.name, shape.shift, shape.relu, shape.lanes) == ("PSD1_P16", 10, True, 32)
    assert shape.acc_bits == accumulator_bits(bundle.weights["conv4"], bundle.biases["conv4"], 8)
    assert engine_shape(bundle, "conv1").acc_bits == 24
    fc = engine_shape(bundle, "fc")
    assert (fc.cin, fc.cout, fc.kernel, fc.height, fc.width, fc.P, fc.N) == (64, 10, 1, 1, 1, 1, 1)
    with pytest.raises(ConfigError, match="layer pool: op: must be conv or linear in an engine, got maxpool"):
        engine_shape(bundle, "pool")
    with pytest.raises(ConfigError, match="layer conv2: .*To: .* must divide cout, got To 3"):
        engine_shape(bundle, "conv2", To=3)
    with pytest.raises(ConfigError, match="layer: must be one of .*, got 'conv7'"):
        engine_shape(bundle, "conv7")
    with pytest.raises(ConfigError, match="unstructured"):
        engine_shape(make_bundle("pSC4"), "conv2")


def test_grouped_convolutions_have_engines_of_their_own() -> None:
    network = mobilenet_v2().folded()
    weights = {la.name: np.zeros(network.weight_shape(la), np.int8) for la in network.weighted_layers()}
    biases = {name: np.zeros(len(array), np.int32) for name, array in weights.items()}
    formats = {name: Format(8, 0) for name in network.shapes()}
    bundle = Bundle(network, formats, dict.fromkeys(weights, Format(8, 0)), weights, biases)
    assert engine_shape(bundle, "s1b1_expand").lanes == 1
    depth = engine_shape(bundle, "s1b1_depth")
    assert (depth.groups, depth.cin, depth.cout, depth.macs) == (32, 32, 32, 32 * 32 * 32 * 9)
