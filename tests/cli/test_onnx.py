"""psconv import and psconv export, as users call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX files")
from sklearn.datasets import load_digits  # noqa: E402

from psconv.api.onnx_files import export_onnx, import_onnx  # noqa: E402
from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.golden import model as golden  # noqa: E402
from pymodel.network.bundle import Bundle  # noqa: E402

FILES = Path(__file__).parent.parent / "frontend" / "files"
SHOWN = {"bundle", "kind", "layers", "weights", "rounding", "supports", "rounded", "compared", "deviations"}


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Images that the files' networks were not trained on."""
    data = load_digits()
    images = (data.images[1400:, None] / 16).astype(np.float32)
    np.savez(tmp_path / "digits.npz", images=images, labels=data.target[1400:])
    return tmp_path / "digits.npz"


@pytest.mark.parametrize(("name", "lost"), [("w4_powers", 0.03), ("w4_integer_bias", 0.03), ("w6_real", 0.015)])
def test_accuracy_is_the_files(name: str, lost: float, digits: Path, tmp_path: Path) -> None:
    """brevitas' networks on 397 digits; what is lost is where halves are rounded upwards, not to even."""
    result = import_onnx(FILES / f"{name}.onnx", tmp_path / "b.yaml", digits)
    assert result.file_accuracy is not None and result.fixed_accuracy is not None
    assert result.file_accuracy > 0.85
    assert abs(result.fixed_accuracy - result.file_accuracy) <= lost
    assert result.kind == "QONNX" and result.rounding == "half_even" and result.compared == 64
    assert Bundle.load(tmp_path / "b.yaml").network.output == "fc"


def test_a_float_network_is_quantised(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="calibrates")
    images = np.random.default_rng(0).normal(size=(32, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", images=images)
    result = import_onnx(FILES / "plain_dynamo.onnx", tmp_path / "b.yaml", tmp_path / "data.npz", {"weight_bits": 6})
    bundle = Bundle.load(tmp_path / "b.yaml")
    assert result.kind == "float" and result.layers == 10
    assert {form.bits for form in bundle.weight_formats.values()} == {6}


def test_what_is_missing_or_too_much(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--calibration: must be given for .*plain_dynamo.onnx, a float network"):
        import_onnx(FILES / "plain_dynamo.onnx", tmp_path / "b.yaml")
    with pytest.raises(ConfigError, match=r"must be left out for .*w4_powers.onnx, which is quantised \(QONNX\)"):
        import_onnx(FILES / "w4_powers.onnx", tmp_path / "b.yaml", bits={"weight_bits": 4})
    with pytest.raises(ConfigError, match=r"--finer: must be left out for .*plain_dynamo.onnx"):
        import_onnx(FILES / "plain_dynamo.onnx", tmp_path / "b.yaml", finer=2)
    np.savez(tmp_path / "data.npz", images=np.zeros((4, 1, 9, 9)))
    with pytest.raises(
        ConfigError, match=r"data.npz: images: must be numbers \[n, 1, 8, 8\], got float64 \[4, 1, 9, 9\]"
    ):
        import_onnx(FILES / "w4_powers.onnx", tmp_path / "b.yaml", tmp_path / "data.npz")
    assert not (tmp_path / "b.yaml").exists()


def test_masks(tmp_path: Path) -> None:
    """A pruned layer stays a mask where asked for; its bundle has one then."""
    model = onnx.load(FILES / "w4_powers.onnx")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "slice_3")
    array = onnx.numpy_helper.to_array(weight).copy()
    array[np.random.default_rng(0).random(array.shape) < 0.7] = 0
    weight.CopyFrom(onnx.numpy_helper.from_array(array, "slice_3"))
    onnx.save(model, tmp_path / "pruned.onnx")
    result = import_onnx(tmp_path / "pruned.onnx", tmp_path / "dense.yaml")
    assert len(result.supports) == 1 and "node_Conv_105 (Conv)" in result.supports[0]
    assert "built dense; nearest is" in result.supports[0]
    import_onnx(tmp_path / "pruned.onnx", tmp_path / "mask.yaml", masks=True)
    support = Bundle.load(tmp_path / "mask.yaml").network.layer("c3").make_support()
    assert support.name == "mask"


@pytest.mark.parametrize("qonnx", [False, True])
def test_out_and_in_again(qonnx: bool, tmp_path: Path) -> None:
    import_onnx(FILES / "w6_real.onnx", tmp_path / "a.yaml")
    result = export_onnx(tmp_path / "a.yaml", tmp_path / "a.onnx", qonnx)
    assert result.identical_images == 4 and result.kind == ("QONNX" if qonnx else "QDQ")
    again = import_onnx(tmp_path / "a.onnx", tmp_path / "b.yaml")
    first, second = Bundle.load(tmp_path / "a.yaml"), Bundle.load(tmp_path / "b.yaml")
    assert again.rounding == getattr(first, "rounding", "half_up")
    assert [one["different"] for one in again.deviations] == [0]
    images = np.random.default_rng(0).integers(-128, 128, (16, 1, 8, 8))
    for one, other in zip(golden.run(first, images).values(), golden.run(second, images).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_commands(psconv, tmp_path: Path) -> None:
    """As a program, with its exit codes."""
    code, out, err = psconv("import", str(FILES / "w4_integer_bias.onnx"), "--out", str(tmp_path / "b.yaml"), "--json")
    assert code == 0, err
    assert json.loads(out).keys() >= SHOWN
    code, out, err = psconv("export", str(tmp_path / "b.yaml"), "--onnx", str(tmp_path / "b.onnx"), "--json")
    assert code == 0, err
    assert json.loads(out)["identical_images"] == 4
    code, _, err = psconv("import", str(tmp_path / "nothing.onnx"), "--out", str(tmp_path / "c.yaml"))
    assert code == 2 and "cannot be read" in err
