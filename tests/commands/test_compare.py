"""psconv compare: every difference is found, and nothing else is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console

from psconv.commands.compare import MAX_LISTED, compare
from pymodel.common.errors import ConfigError


def save(folder: Path, **layers: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, y in layers.items():
        np.savez(folder / f"{name}.npz", y=y)
    return folder


def test_equal_folders_of_different_types(tmp_path: Path) -> None:
    y = np.arange(-60, 60).reshape(2, 3, 4, 5)
    a = save(tmp_path / "a", conv=y.astype(np.int8), fc=y[:, :, 0, 0])
    b = save(tmp_path / "b", conv=y, fc=y[:, :, 0, 0].astype(np.int32))
    result = compare(a, b)
    assert result.equal and not result.differences
    assert [layer.elements for layer in result.layers] == [120, 6]


def test_the_place_and_both_values_are_named(tmp_path: Path) -> None:
    y = np.zeros((2, 3, 4, 5), np.int8)
    other = y.copy()
    other[1, 2, 3, 4] = -128
    other[0, 1, 0, 2] = 127
    result = compare(save(tmp_path / "a", conv=y), save(tmp_path / "b", conv=other))
    assert not result.equal
    assert [(tuple(d.place.values()), d.a, d.b) for d in result.differences] == [
        ((0, 1, 0, 2), 0, 127),
        ((1, 2, 3, 4), 0, -128),
    ]
    assert result.layers[0].histogram == {127: 1, -128: 1}
    assert list(result.differences[0].place) == ["image", "channel", "row", "column"]
    data = json.loads(json.dumps(result.to_json()))
    assert data["equal"] is False and data["layers"][0]["differing"] == 2
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result.render())
    assert "image 1, channel 2, row 3, column 4: 0 against -128" in console.export_text()


def test_each_output_of_several_is_compared(tmp_path: Path) -> None:
    y = np.arange(24).reshape(2, 3, 2, 2)
    wrong = y.copy()
    wrong[1, 0, 0, 1] += 5
    np.savez(tmp_path / "a.npz", x=y, y_head=y, y_tail=y, y_more=y)
    np.savez(tmp_path / "b.npz", x=wrong, y_head=y, y_tail=wrong)
    result = compare(tmp_path / "a.npz", tmp_path / "b.npz")
    assert [(layer.name, layer.differing) for layer in result.layers] == [
        ("a: head", 0),
        ("a: more", 0),
        ("a: tail", 1),
    ]
    assert result.layers[1].problem == f"no array y_more in {tmp_path / 'b.npz'}"
    assert [(d.layer, tuple(d.place.values()), d.a, d.b) for d in result.differences] == [
        ("a: tail", (1, 0, 0, 1), 13, 18)
    ]


def test_small_types_do_not_wrap(tmp_path: Path) -> None:
    a = np.full((1, 1, 1, 1), -128, np.int8)
    b = np.full((1, 1, 1, 1), 127, np.int8)
    assert compare(save(tmp_path / "a", l=a), save(tmp_path / "b", l=b)).layers[0].histogram == {255: 1}


def test_missing_layers_and_shapes_are_differences(tmp_path: Path) -> None:
    y = np.zeros((1, 2, 3, 3), np.int64)
    a = save(tmp_path / "a", one=y, two=y, three=y)
    b = save(tmp_path / "b", one=y, two=y[:, :1], four=y)
    result = compare(a, b)
    problems = {layer.name: layer.problem for layer in result.layers}
    assert problems["one"] is None and not result.equal
    assert problems["two"] == "shapes differ: [1, 2, 3, 3] and [1, 1, 3, 3]"
    assert f"missing in {b}" == problems["three"] and f"missing in {a}" == problems["four"]


def test_two_files(tmp_path: Path) -> None:
    a = save(tmp_path / "a", golden=np.ones((1, 1), int))
    b = save(tmp_path / "b", other=np.ones((1, 1), int))
    assert compare(a / "golden.npz", b / "other.npz").equal
    with pytest.raises(ConfigError, match="two folders or two .npz files"):
        compare(a, b / "other.npz")


def test_bad_input_is_one_clear_error(tmp_path: Path) -> None:
    good = save(tmp_path / "good", layer=np.ones((1, 1), int))
    with pytest.raises(ConfigError, match="no such file or folder"):
        compare(good, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="must hold .npz files, got a folder"):
        compare(good, tmp_path / "empty")
    for name, write, message in (
        ("float", lambda path: np.savez(path, y=np.ones((1, 1))), "y: must be integers with 1 to 4 axes, got"),
        ("axes", lambda path: np.savez(path, y=np.ones((1,) * 5, int)), "y: must be integers with 1 to 4 axes, got"),
        ("noy", lambda path: np.savez(path, z=np.ones((1, 1), int)), "must hold an array 'y', got z"),
        ("text", lambda path: path.write_text("not a zip"), "cannot be read as .npz"),
        ("cut", lambda path: path.write_bytes(b"PK\x03\x04 short"), "cannot be read as .npz"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "layer.npz")
        with pytest.raises(ConfigError, match=message):
            compare(good, folder)


@given(arrays(np.int8, (2, 3, 2, 2)), arrays(np.int8, (2, 3, 2, 2)))
@settings(max_examples=60, deadline=None)
def test_counts_are_exact(tmp_path_factory: pytest.TempPathFactory, a: np.ndarray, b: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("compare")
    result = compare(save(folder / "a", layer=a), save(folder / "b", layer=b))
    expected = sum(int(p) != int(q) for p, q in zip(a.ravel(), b.ravel(), strict=True))
    assert result.layers[0].differing == expected == sum(result.layers[0].histogram.values())
    assert len(result.differences) == min(expected, MAX_LISTED)
    assert result.equal == (expected == 0)


@given(st.integers(1, 60))
@settings(max_examples=10, deadline=None)
def test_the_list_stays_short(tmp_path_factory: pytest.TempPathFactory, layers: int) -> None:
    folder = tmp_path_factory.mktemp("compare")
    names = [f"layer{index}" for index in range(layers)]
    a = save(folder / "a", **{name: np.zeros((1, 1), int) for name in names})
    b = save(folder / "b", **{name: np.ones((1, 1), int) for name in names})
    result = compare(a, b)
    assert len(result.differences) == min(layers, MAX_LISTED) and len(result.layers) == layers


def test_files_of_another_configuration_are_left_out_and_said(tmp_path: Path) -> None:
    y = np.zeros((1, 2), np.int8)
    golden = save(tmp_path / "golden", now=y, before=y)
    csim = save(tmp_path / "csim", now=y, older=y + 1)
    (csim / ".0123456789abcdef.partial.npz").write_bytes(b"cut")  # what a kill leaves
    assert not compare(golden, csim).equal  # no run's folders: every file counts
    (tmp_path / "config.json").write_text(json.dumps({"designs": ["now"]}))
    result = compare(golden, csim)
    assert result.equal and [layer.name for layer in result.layers] == ["now"]
    assert result.left_out == [str(golden / "before.npz"), str(csim / "older.npz")]
    assert "older.npz" in result.render().caption and result.to_json()["left_out"] == result.left_out
    (tmp_path / "config.json").write_text(json.dumps({"designs": ["now", "older"]}))
    assert [(layer.name, layer.problem) for layer in compare(golden, csim).layers if not layer.equal] == [
        ("older", f"missing in {golden}")
    ]
