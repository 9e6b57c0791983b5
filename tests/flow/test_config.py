"""Wrong configurations: one message that names file, key and value, exit code 2, nothing written."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from psconv.cli import main
from psconv.flow.config import RunConfig, load
from psconv.flow.inputs import load_bundle
from psconv.flow.run import prepare
from pymodel.common.errors import ConfigError
from scripts.benchmarks.engines import layer_vectors
from tests.helpers.places import ROOT

LAYER = {"in_channels": 16, "out_channels": 16, "height": 5, "width": 5, "support": "PSD1_P16"}


def layer(**changes):
    return {"psconv": 1, "layer": LAYER | changes}


WRONG = {
    "unknown key": (layer(foo=3), ["layer.foo", "unknown key"]),
    "unknown key at the top": (layer() | {"cloc_ns": 3.0}, ["cloc_ns", "unknown key"]),
    "bad variant": (layer(support="PSX1_P16"), ["PSX1_P16", "PSn_Pp"]),
    "period 0": (layer(support="PS1_P0"), ["PS1_P0", "period"]),
    "unstructured": (layer(support="pSC2"), ["pSC2", "periodic"]),
    "tap out of range": (layer(support={"taps": [[0, 9]]}), ["[0, 9]", "0 to 8"]),
    "negative size": (layer(height=-5), ["layer.height", "-5"]),
    "size of another type": (layer(width="5"), ["layer.width", "'5'"]),
    "kernel larger than the image": (
        layer(height=1, width=1, padding=0),
        ["kernel: must be at most 1", "height", "got 3"],
    ),
    "even kernel": (layer(kernel=4, support="dense"), ["4", "odd"]),
    "padding beyond the kernel": (layer(kernel=1, support="dense", padding=1), ["padding", "1"]),
    "stride 3": (layer(stride=3), ["layer.stride", "3"]),
    "nine bits": (layer(weight_bits=9), ["layer.weight_bits", "9"]),
    "shift out of range": (layer(shift=40), ["shift", "40", "31"]),
    "accumulator too small": (layer(accumulator_bits=10), ["accumulator_bits: must be at least", "got 10"]),
    "lanes that differ": (layer() | {"parallelism": {"lanes": 25}}, ["lanes", "25", "24"]),
    "To that does not divide": (layer() | {"parallelism": {"To": 3}}, ["To", "48"]),
    "Tb that does not divide": (layer() | {"parallelism": {"Tb": 2}}, ["Tb", "2"]),
    "packing that does not divide": (
        layer() | {"parallelism": {"packing": 2}},
        ["parallelism", "packing: must be 1 with To 1", "got 2"],
    ),
    "packing beyond the multiplier": (
        layer(out_channels=64) | {"parallelism": {"To": 4, "packing": 4}},
        ["parallelism", "zcu104", "packing: must be 1 to 2", "got 4", "27"],
    ),
    "packing that another device has": (
        layer(out_channels=32) | {"parallelism": {"To": 2, "packing": 2}, "target": "ulx3s_85f"},
        ["parallelism", "ulx3s_85f", "packing: must be 1 ", "got 2", "18"],
    ),
    "fold beyond the work": (layer() | {"parallelism": {"fold": 25}}, ["fold", "25", "24"]),
    "width of a network that has none": (
        {"psconv": 1, "network": {"name": "vgg16", "width": 8}},
        ["network: width: must be left out for vgg16, got 8", "resnet8"],
    ),
    "no channels": ({"psconv": 1, "network": {"name": "resnet8", "width": 0}}, ["network.width", "0"]),
    "missing weights": (layer(weights="none.npz"), ["none.npz", "cannot be read"]),
    "weights of no kind": (layer(weights="some"), ["'some'", "random"]),
    "weights out of range": (layer(weights="large.npz"), ["large.npz", "200", "-128 to 127"]),
    "weights off the support": (layer(weights="stray.npz"), ["stray.npz", "outside the support"]),
    "no subject": ({"psconv": 1}, ["bundle, layer, network: exactly one must be given"]),
    "two subjects": (layer() | {"bundle": "x.yaml"}, ["bundle, layer, network: exactly one must be given"]),
    "missing bundle": ({"psconv": 1, "bundle": "none.yaml"}, ["none.yaml", "cannot be read"]),
    "unknown layer": (
        {"psconv": 1, "bundle": str(ROOT / "examples/digits/digits_PSD1_P16.yaml"), "layers": {"conv9": {}}},
        ["layers: must name layers", "conv1", "got conv9"],
    ),
    "streamed weights without a network": (
        {"psconv": 1, "bundle": "x.yaml", "weights": "streamed"},
        ["top: must be network for weights: streamed"],
    ),
    "a streamed layer without a network": (
        {"psconv": 1, "bundle": "x.yaml", "layers": {"conv2": {"weights": "streamed"}}},
        ["top: must be network for layers.conv2.weights: streamed"],
    ),
    "streamed and loaded weights": (
        {
            "psconv": 1,
            "bundle": "x.yaml",
            "top": "network",
            "weights": "loaded",
            "layers": {"conv2": {"weights": "streamed"}},
        },
        ["layers.conv2.weights: must be left out with weights: loaded, got streamed"],
    ),
    "too many images": (
        {
            "psconv": 1,
            "bundle": str(ROOT / "examples/digits/digits_PSD1_P16.yaml"),
            "images": {"source": "digits", "count": 99999},
        },
        ["images.count", "99999", "360"],
    ),
    "unknown target": (layer() | {"target": "zcu999"}, ["zcu999", "zcu104"]),
    "unknown engine": (layer(engine="spare"), ["layer.engine", "spare", "indexed"]),
    "another version": ({"psconv": 2, "layer": LAYER}, ["psconv", "2"]),
    "not a mapping": ([1, 2], ["a mapping of keys"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stray = np.zeros((16, 16, 3, 3), int)
    stray[0, 0] = 1
    np.savez(tmp_path / "large.npz", weight=np.full((16, 16, 3, 3), 200), bias=np.zeros(16, int))
    np.savez(tmp_path / "stray.npz", weight=stray, bias=np.zeros(16, int))
    return tmp_path


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configuration_is_one_clear_message(name, folder, capsys, monkeypatch):
    content, words = WRONG[name]
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    out = folder / "out"
    monkeypatch.setattr("sys.argv", ["psconv", "golden", str(folder / "run.yaml"), "--out", str(out)])
    with pytest.raises(SystemExit) as exit_:
        main()
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message.startswith("error: ") and message.count("\n") == 1
    assert "run.yaml" in message
    for word in words:
        assert word in message
    assert not out.exists()


def test_a_missing_file_and_broken_yaml(folder):
    with pytest.raises(ConfigError, match="none.yaml.*cannot be read"):
        load(folder / "none.yaml")
    (folder / "twice.yaml").write_text("psconv: 1\npsconv: 1\n")
    with pytest.raises(ConfigError, match="twice"):
        load(folder / "twice.yaml")


@pytest.mark.parametrize("weights, value", [("min", -8), ("max", 7)])
def test_extreme_weights_fill_the_support(weights, value, folder):
    (folder / "run.yaml").write_text(yaml.safe_dump(layer(weights=weights, weight_bits=4)))
    path = folder / "run.yaml"
    engine, *_ = layer_vectors(load(path), path)
    mask = engine.shape.support.mask(16, 16)
    assert (engine.weights[mask] == value).all() and not engine.weights[~mask].any()


def test_the_seed_decides_weights_and_images(folder):
    path = folder / "run.yaml"

    def engine(seed):
        path.write_text(yaml.safe_dump(layer() | {"seed": seed}))
        return layer_vectors(load(path), path)

    first, same, other = engine(1), engine(1), engine(2)
    assert (first[0].weights == same[0].weights).all() and (first[1] == same[1]).all()
    assert (first[0].weights != other[0].weights).any() and (first[1] != other[1]).any()


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "layers").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_load_and_reach_both_ends_of_the_output_range(path):
    engine, _, y = layer_vectors(load(path), path)
    reach = 1 << (engine.shape.out_bits - 1)
    assert y.max() == reach - 1 or y.min() == -reach


def test_a_configuration_passes_few_modules(folder):
    """From the file to the first step: whoever follows `config` through the code need not go far."""
    (folder / "run.yaml").write_text(yaml.safe_dump(layer()))
    passed: set[str] = set()

    def watch(frame, event, _):
        if event == "call" and any(isinstance(value, RunConfig) for value in frame.f_locals.values()):
            passed.add(frame.f_globals["__name__"])

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        prepare(load(folder / "run.yaml"), folder / "run.yaml", folder / "out")
    finally:
        sys.setprofile(before)
    own = {name for name in passed if name.split(".")[0] in ("psconv", "pymodel", "rtl_tb", "openhls")}
    assert {"psconv.flow.config", "psconv.flow.design"} <= own and len(own) <= 15


def test_a_generated_network_has_the_width_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    for width in (None, 4, 24):
        choice = {"name": "resnet8", "variant": "PSD1_P16"} | ({"width": width} if width else {})
        path.write_text(yaml.safe_dump({"psconv": 1, "network": choice}))
        bundle = load_bundle(load(path), path)
        assert [bundle.network.layer(name).out_channels for name in ("stem", "s2b1_conv1")] == [
            width or 16,
            2 * (width or 16),
        ]
