"""The boundary to the user: what is not as it should be becomes one message that names the file, and an exit code."""

import ast
import io
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from psconv.cli import flow as flow
from psconv.cli import show as show
from psconv.flow import generated as generated
from psconv.flow.generated import random_images
from pymodel.common import bounds, errors, memory, records
from pymodel.common.cache import cache_folder
from pymodel.common.errors import ConfigError, InternalError, told
from pymodel.engine import words
from pymodel.golden import model as golden
from pymodel.golden import ops
from pymodel.network.formats import Format
from pymodel.network.random_bundle import random_bundle
from pymodel.network.topology import Network
from tests.helpers.places import ROOT

LAYER = {"in_channels": 16, "out_channels": 16, "height": 5, "width": 5, "support": "PSD1_P16"}
EXAMPLE = ROOT / "examples" / "layers" / "cout1.yaml"
DIGITS = ROOT / "examples" / "digits"


def run_file(path: Path, **keys) -> Path:
    path.write_text(yaml.safe_dump({"psconv": 1, "layer": LAYER} | keys))
    return path


def refused(psconv, *arguments: str | Path) -> str:
    code, _, err = psconv(*map(str, arguments))
    assert code == 2, err
    assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err
    return err


# -- numbers --

NUMBERS = {
    "--clock": (["-1", "0", "nan", "inf", "-inf", "0.5", "1001", "1e300"], ["explore", str(DIGITS / "network.yaml")]),
    "--fps": (["0", "-5", "nan", "inf", "1e-300", "1e300"], ["explore", str(DIGITS / "network.yaml")]),
    "--points": (["0", "-1", "33"], ["explore", str(DIGITS / "network.yaml")]),
    "--budget": (["DSP=-1", "DSP=nan", "DSP=inf", "DSP=1e300"], ["explore", str(DIGITS / "network.yaml")]),
    "--multipliers": (["0", "-3", "1" + 30 * "0"], ["energy"]),
    "--weights-kib": (["-1", "1" + 30 * "0"], ["energy"]),
    "--activations-kib": (["-1", "1" + 30 * "0"], ["energy"]),
    "--bits": (["0", "65", "-8"], ["complexity", "--storage"]),
    "--weight-bits": (["0", "1", "9"], ["quantize", "none", "--out", "b.yaml"]),
    "--activation-bits": (["0", "1", "9"], ["quantize", "none", "--out", "b.yaml"]),
    "--seed": (["-1", str(2**32)], ["hunt"]),
    "--minutes": (["-1", "nan", "inf"], ["hunt"]),
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, (values, _) in NUMBERS.items() for v in values])
def test_a_number_out_of_bounds_is_named(option, value, psconv, on_repository):
    arguments = NUMBERS[option][1]
    assert option in refused(on_repository if arguments == ["hunt"] else psconv, *arguments, option, value)


@pytest.mark.parametrize("command", ["run", "synth", "cosim", "report"])
@pytest.mark.parametrize("arguments", [["--clock", "nan"], ["--clock", "-1"], ["--target", ""]])
def test_clock_and_target_of_every_command(command, arguments, psconv, tmp_path):
    assert arguments[0] in refused(psconv, command, EXAMPLE, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_explore_has_no_clock_that_the_delay_model_has_not(psconv, tmp_path):
    assert "--clock: must be at least" in refused(psconv, "explore", DIGITS / "network.yaml", "--clock", "0.6")
    path = tmp_path / "run.yaml"
    content = yaml.safe_load((DIGITS / "network.yaml").read_text()) | {"clock_ns": 0.6}
    content["bundle"] = str(DIGITS / content["bundle"])
    path.write_text(yaml.safe_dump(content))
    assert "got 0.6 ns" in refused(psconv, "explore", path)


def _number_fields(model, seen):
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", field.annotation, field.metadata
        for inner in errors.models_in(field.annotation):
            if inner not in seen and hasattr(inner, "model_fields"):
                seen.add(inner)
                yield from _number_fields(inner, seen)


def test_every_number_of_a_configuration_has_two_ends():
    """The schemas of all files that people write: no integer and no float without a least and a greatest value."""
    from pydantic import TypeAdapter

    from psconv.flow.config import RunConfig
    from psconv.synthesis.targets import Target
    from pymodel.counts.energy import Costs
    from pymodel.training.config import TrainConfig

    def unbounded(schema, where):
        if isinstance(schema, dict):
            if schema.get("type") in ("integer", "number") and "const" not in schema and "enum" not in schema:
                low, high = {"minimum", "exclusiveMinimum"} & schema.keys(), {"maximum"} & schema.keys()
                if not (low and high):
                    yield where
            for key, value in schema.items():
                yield from unbounded(value, f"{where}.{key}")
        elif isinstance(schema, list):
            for at, value in enumerate(schema):
                yield from unbounded(value, f"{where}.{at}")

    # Formats check themselves (pymodel.network.formats); taps of a support do, too (pymodel.network.supports).
    known = ("taps", "support", "rule", "Format", "multiplier")
    for model in (RunConfig, TrainConfig, Costs, Target, Network):
        found = [
            place
            for place in unbounded(TypeAdapter(model).json_schema(), model.__name__)
            if not any(word in place for word in known)
        ]
        assert found == []


@pytest.mark.parametrize("low_is_inside", [True, False])
def test_bounds(low_is_inside):
    within = bounds.Bounds(1, 5, above=not low_is_inside)
    for value in (3, 5, 4.5, *([1] if low_is_inside else [])):
        within.check(value, "--x")
    for value in (0.999, 6, -1, math.nan, math.inf, -math.inf, True, *([] if low_is_inside else [1])):
        with pytest.raises(ConfigError, match="--x: .* 1 to 5"):
            within.check(value, "--x")


# -- YAML --


def nines(depth: int) -> str:
    """Nine times nine times nine ... of a text, by aliases."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("psconv: !!python/object/apply:os.system ['true']", ["line 1", "tag"]),
        ("psconv: !!python/name:os.system", ["tag"]),
        ("psconv: 1\nlayer: !!int 'x'", ["line 2", "tag"]),
        ("psconv: !!binary x", ["tag"]),
        ("psconv: !!set [1]", ["tag"]),
        ("psconv: 2001-99-99", ["not valid YAML", "month"]),
        ("psconv: " + "9" * 5000, ["not valid YAML", "digits"]),
        (f"psconv: 1\n{nines(12)}", ["aliases must stand for at most 100,000 values"]),
        (f"psconv: 1\n{nines(9)}\nlayer: {{<<: *a8}}", ["aliases must stand for at most 100,000 values"]),
        ("psconv: 1\nlayer: &a [*a]", ["line 2", "alias"]),
        ("psconv: 1\nlayer: *a", ["line 2", "alias 'a'"]),
        ("psconv: 1\npsconv: 1", ["line 2", "'psconv' stands twice"]),
        ("psconv: 1\n1: 2", ["line 2", "key 1 is not a string"]),
        ("psconv: 1\n[a]: 2", ["line 2", "not a string"]),
        ("[" * 1200, ["not valid YAML"]),
        ("a: [1, 2", ["line 1", "not valid YAML"]),
        ("a: 1\n---\nb: 2", ["not valid YAML"]),
        ("a: \x01", ["0x1", "not valid YAML"]),
        ("a: 'x", ["not valid YAML"]),
        ("", ["a mapping of keys"]),
        ("- 1", ["a mapping of keys"]),
        ("psconv: true\nlayer: {}", ["psconv: must be 1, the only version, got True"]),
        ("psconv: 1.0\nlayer: {}", ["psconv: must be 1, the only version, got 1.0"]),
        ('psconv: 1\nbundle: "a\\0b"', ["bundle: must be the name of a file, got 'a\\x00b'"]),
        ("psconv: 1\nbundle: ''", ["bundle: must be the name of a file, got ''"]),
        ("psconv: 1\nlayer: {kernel: 4}", ["layer.kernel: must be odd (1, 3, 5, ...), got 4"]),
        ("psconv: 1\nlayer: {kernel: 1048575}", ["layer.kernel", "1048575", "15"]),
        ("psconv: 1\nlayer: {kernal: 3}", ["layer.kernal", "value 3", "'kernel'"]),
        ("psconv: 1\nclock_ns: .nan\nbundle: x", ["clock_ns", "nan"]),
        ("psconv: 1\nclock_ns: .inf\nbundle: x", ["clock_ns", "inf"]),
        ("psconv: 1\nseed: -1\nbundle: x", ["seed", "-1"]),
    ],
)
def test_yaml_that_is_not_as_it_should_be(text, words, tmp_path, psconv):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    message = refused(psconv, "golden", path, "--out", tmp_path / "out")
    assert str(path) in message and "<unicode string>" not in message and all(word in message for word in words)
    assert len(message) < 600 and not (tmp_path / "out").exists()


def test_a_few_aliases_and_a_merge_are_yaml():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a"
    assert records.parse_yaml(text, "t") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@given(
    st.sampled_from(["", "-", "+"]),
    st.sampled_from(["1", "12.", ".5", "3.25", "0"]),
    st.sampled_from("eE"),
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 40),
)
def test_an_exponent_makes_a_number(sign, digits, e, exponent_sign, exponent):
    text = f"{sign}{digits}{e}{exponent_sign}{exponent}"
    assert records.parse_yaml(f"a: {text}", "t") == {"a": float(text)}


@given(
    st.dictionaries(
        st.text("abc1e-.+", min_size=1, max_size=8),
        st.text("abc1e-.+:#[]{}&*!|>'\"%@`\n ", max_size=8)
        | st.floats(allow_nan=False)
        | st.integers()
        | st.booleans()
        | st.none(),
    )
)
def test_what_is_written_is_read_again(data):
    found = records.parse_yaml(records.yaml_text(data, 80), "t") or {}
    assert found == data and [type(value) for value in found.values()] == [type(value) for value in data.values()]


# -- JSON --


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_never_has_what_json_has_not(value, tmp_path):
    with pytest.raises(InternalError, match=r"r.json.a.1.b = (nan|-?inf) would be written"):
        records.write_json(tmp_path / "r.json", {"a": [1.0, {"b": value}]})
    assert not list(tmp_path.iterdir())
    assert told(InternalError("x"))[0] == 70
    (tmp_path / "r.json").write_text(json.dumps({"a": value}))
    with pytest.raises(ConfigError, match="r.json: not valid JSON"):
        records.read_json(tmp_path / "r.json")


_WRITERS = {
    "pymodel/common/records.py",
    "pymodel/top/identity.py",
    "psconv/boards/build.py",
    "psconv/boards/identity.py",
    "psconv/common/fresh.py",
    "psconv/synthesis/place_route.py",
}
_READERS = {
    "pymodel/common/records.py",
    "pymodel/nn/periodic.py",
    "psconv/boards/build.py",
    "psconv/boards/zynq/driver.py",  # which goes to a board without psconv
    "psconv/synthesis/place_route.py",
}  # the others: for hashes, an operator's argument, and a tool's own files


def _calls(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield name, ast.unparse(node.func), node


def test_one_reader_and_one_writer_of_each_format():
    """All of the program but what measures and hunts it (with what everybody uses), and openhls and the benches."""
    for name, function, node in _calls("psconv", "pymodel", "scripts"):
        where = f"{name}:{node.lineno}: {function}"
        if name.startswith(("scripts/benchmarks/", "scripts/hunt/")):
            continue
        assert function not in ("json.dump", "json.dumps") or name in _WRITERS, where
        assert function not in ("json.load", "json.loads") or name in _READERS, where
        assert function != "np.load" or name in ("pymodel/common/records.py", "pymodel/datasets/cifar10.py"), where
        assert not function.startswith("yaml.") or name == "pymodel/common/records.py" or "dump" in function, where


def test_no_text_of_a_user_is_markup():
    """rich interprets [red] in what it prints, in columns of progress and in a status unless told not to."""
    for name, function, node in _calls("psconv", "pymodel", "scripts", "rtl_tb"):
        where = f"{name}:{node.lineno}"
        if function in ("Console", "TextColumn"):
            given_ = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given_.get("markup") == "False" or given_.get("quiet") == "True", where
        if function.endswith("status") and function.startswith("console"):
            assert ast.unparse(node.args[0]).startswith("Text("), where


@pytest.mark.parametrize("name", ["x[/y]", "[red]", "[bold]a[/bold]", ":smile:", "[link=x]y"])
def test_brackets_in_names_are_brackets(name, tmp_path, psconv):
    out = tmp_path / name
    (out / "golden").mkdir(parents=True)
    np.savez(out / "golden" / "layer.npz", y=np.zeros((1, 1, 1, 1), int))
    code, text, _ = psconv("compare", str(out / "golden"), str(out / "golden"))
    assert code == 0 and out.parts[-1].split("/")[-1] in text.replace("\n", "")
    assert str(tmp_path / name / "none") in refused(psconv, "compare", out / "none", out / "none")
    console = Console(file=io.StringIO(), markup=False, emoji=False, width=200)
    show.table(name, [{"a": name}], console, False)
    assert console.file.getvalue().count(name) == 2


def test_a_run_in_a_folder_with_brackets(tmp_path, psconv):
    code, _, err = psconv("golden", str(EXAMPLE), "--out", str(tmp_path / "x[/y]"))
    assert code == 0 and not err and (tmp_path / "x[/y]" / "golden" / "layer.npz").is_file()


# -- npz --


def _npz(path: Path, **arrays) -> bytes:
    np.savez(path, **arrays)
    return path.read_bytes()


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight.npy", b"\x93NUMPY\x01\x00" + b" " * 10_000_000)


def _no_array(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", b"no")


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


DAMAGE = {
    "empty": lambda path, data: path.write_bytes(b""),
    "cut": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "cut late": lambda path, data: path.write_bytes(data[:-3]),
    "text": lambda path, data: path.write_text("weight: 1"),
    "npy": lambda path, data: _npy(path),
    "pickle": lambda path, data: np.savez(path, weight=np.array([{}], object)),
    "flipped": lambda path, data: path.write_bytes(data[:200] + bytes(255 - b for b in data[200:300]) + data[300:]),
    "other names": lambda path, data: np.savez(path, w=np.zeros(3)),
    "no array inside": lambda path, data: _no_array(path),
    "header": lambda path, data: path.write_bytes(data.replace(b"'descr'", b"'d\0\0\0r'")),
    "bomb": lambda path, data: _bomb(path),
    "shape": lambda path, data: np.savez(path, weight=np.zeros((3, 3)), bias=np.zeros(16)),
    "nan": lambda path, data: np.savez(path, weight=np.full((16, 16, 3, 3), np.nan), bias=np.zeros(16)),
    "complex": lambda path, data: np.savez(path, weight=np.zeros((16, 16, 3, 3), complex), bias=np.zeros(16, int)),
    "folder": lambda path, data: (path.unlink(), path.mkdir()),
    "gone": lambda path, data: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_npz(damage, tmp_path, psconv):
    path = tmp_path / "w.npz"
    data = _npz(path, weight=np.zeros((16, 16, 3, 3), int), bias=np.zeros(16, int), y=np.zeros((1, 1, 1, 1), int))
    np.savez(tmp_path / "good.npz", y=np.zeros((1, 1, 1, 1), int))
    DAMAGE[damage](path, data)
    config = run_file(tmp_path / "run.yaml", layer=LAYER | {"weights": "w.npz"})
    message = refused(psconv, "golden", config, "--out", tmp_path / "out")
    assert "w.npz" in message and str(config) in message
    assert "w.npz" in refused(psconv, "compare", path, tmp_path / "good.npz")
    assert not (tmp_path / "out").exists()


# -- kinds --


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A file or folder of each kind, and a part of what it is called."""
    folder = tmp_path_factory.mktemp("kinds")
    run_file(folder / "run.yaml")
    np.savez(folder / "arrays.npz", y=np.zeros((1, 1, 1, 1), int))
    (folder / "top.sv").write_text("module top; endmodule\n")
    (folder / "k.cpp").write_text("void top() {}\n")
    (folder / "empty").mkdir()
    (folder / "trained").mkdir()
    training = yaml.safe_load((DIGITS / "train.yaml").read_text())
    (folder / "trained" / "config.json").write_text(json.dumps(training))
    (folder / "made").mkdir()
    (folder / "made" / "config.json").write_text(json.dumps({"file": "run.yaml", "psconv": 1}))
    return {
        "run": (folder / "run.yaml", "configuration of a run"),
        "bundle": (DIGITS / "digits_PSD1_P16.yaml", "a bundle"),
        "training": (DIGITS / "train.yaml", "configuration of a training"),
        "costs": (ROOT / "pymodel" / "counts" / "energy_costs.yaml", "energy costs"),
        "device": (ROOT / "constraints" / "zcu104.yaml", "a device"),
        "resolved": (folder / "made" / "config.json", "resolved configuration"),
        "arrays": (folder / "arrays.npz", "arrays"),
        "verilog": (folder / "top.sv", "SystemVerilog"),
        "C++": (folder / "k.cpp", "C++"),
        "training's folder": (folder / "trained", "folder of a training"),
        "run's folder": (folder / "made", "folder of a run"),
        "folder": (folder / "empty", "a folder"),
    }


COMMANDS = {
    **{
        command: ([command, "FILE"], "run", "configuration of a run")
        for command in ("run", "golden", "csim", "synth", "cosim", "report", "explore", "fits", "pack-weights")
    },
    "train": (["train", "FILE"], "training", "configuration of a training"),
    "sweep": (["sweep", "FILE", "dense", "--results", "r.json"], "training", "configuration of a training"),
    "quantize": (["quantize", "FILE"], "training's folder", "folder of a training"),
    "costs": (["energy", "--costs", "FILE"], "costs", "a table of energy costs"),
    "compare": (["compare", "FILE", "FILE"], "arrays", ".npz"),
}
TAKEN = re.compile(r"goes to|no command takes|must hold .npz files|of a training|cannot be read")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_another_kind_is_called_what_it_is(command, kinds, tmp_path, psconv):
    arguments, right, expected = COMMANDS[command]
    for kind, (path, what) in kinds.items():
        if kind == right:
            continue
        given_ = [str(path) if word == "FILE" else word for word in arguments]
        if "energy" not in given_ and "compare" not in given_ and command not in ("explore", "fits"):
            given_ += ["--out", str(tmp_path / "out.yaml")]
        message = refused(psconv, *given_)
        assert str(path) in message and what in message and TAKEN.search(message), (kind, message)
        assert expected in message, (kind, message)
        assert not list(tmp_path.iterdir())


# -- memory and other ends --


def test_what_is_told_of_each_exception():
    assert told(MemoryError("Unable to allocate 9 GiB"))[0] == 2 and "memory ended" in told(MemoryError())[1]
    assert "memory ended" in told(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))[1]
    assert told(OSError(28, "No space left on device"))[1] == "error: No space left on device"
    assert told(OSError(28, "No space left on device", "x/y"))[1] == "error: x/y: No space left on device"
    code, text = told(KeyError("z"))
    assert code == 70 and text.startswith("internal error: KeyError") and "\n" not in text


def test_an_unforeseen_end_of_a_file_is_no_interrupt(monkeypatch, psconv):
    def ends(*_):
        raise EOFError("nothing more")

    monkeypatch.setattr(flow, "show_comparison", ends)
    code, _, err = psconv("compare", "a", "b")
    assert code == 70 and "EOFError" in err and "interrupted" not in err


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        ({"in_channels": 65536, "out_channels": 65536}, "layer layer: 38,654,705,664 weights"),
        ({"height": 65536, "width": 65536}, "outputs of 2 images"),
    ],
)
def test_sizes_beyond_all_memory_are_refused_before_anything_is_made(layer, word, tmp_path, psconv):
    message = refused(psconv, "golden", run_file(tmp_path / "run.yaml", layer=LAYER | layer), "--out", tmp_path / "o")
    assert word in message and re.search(r"memory: must be at least [\d,.]+ GiB, got [\d,.]+ [GM]iB free", message)


def test_memory_is_asked_for(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1 << 30)
    memory.require(1 << 30, "x")
    with pytest.raises(ConfigError, match="x: memory: must be at least 1.0 GiB, got 1.0 GiB free; .*images.count"):
        memory.require((1 << 30) + 1, "x")


@given(st.integers(-8, 0), st.integers(0, 7), st.integers(1, 40), st.integers(1, 7))
def test_images_are_the_same_however_few_are_drawn_at_a_time(low, high, count, drawn):

    form = Format(4, 0)
    expected = np.random.default_rng(3).integers(form.min, form.max + 1, (count, 2, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated, "DRAWN", drawn)
        rng = np.random.default_rng(3)
        assert np.array_equal(random_images(rng, form, (count, 2, 3)), expected)
    other = np.random.default_rng(3)
    other.integers(form.min, form.max + 1, (count, 2, 3))
    assert np.array_equal(rng.integers(0, 1000, 9), other.integers(0, 1000, 9))  # what is drawn next, too


@pytest.mark.parametrize("size", [1, 300, 5000, 1 << 25])
def test_the_golden_model_is_the_same_in_slices_of_any_size(size, monkeypatch):
    layers = [
        {"op": "conv", "name": "a", "input": "input", "out_channels": 4, "kernel": 3, "padding": 2, "stride": 2},
        {"op": "conv", "name": "b", "input": "a", "out_channels": 4, "kernel": 5, "padding": 2, "groups": 2},
        {"op": "conv", "name": "c", "input": "b", "out_channels": 4, "kernel": 3, "padding": 0},
        {"op": "maxpool", "name": "m", "input": "c", "kernel": 3, "stride": 1, "padding": 1},
        {"op": "avgpool", "name": "v", "input": "m", "kernel": 2, "stride": 1},
        {"op": "relu", "name": "r", "input": "c"},
        {"op": "add", "name": "s", "inputs": ["c", "r"]},
        {"op": "concat", "name": "k", "inputs": ["s", "m"]},
        {"op": "global_avgpool", "name": "g", "input": "v"},
        {"op": "linear", "name": "f", "input": "g", "out_features": 3},
    ]
    network = Network(name="n", input={"channels": 3, "height": 11, "width": 11}, layers=layers, output="f")
    bundle = random_bundle(network, 0)
    x = np.random.default_rng(0).integers(-128, 128, (5, 3, 11, 11)).astype(np.int8)
    monkeypatch.setenv("PSCONV_NATIVE", "off")
    whole = golden.run(bundle, x)
    monkeypatch.setattr(ops, "COLUMN_BYTES", size)
    monkeypatch.setattr(golden, "PIECE", size)
    monkeypatch.setattr(words, "FIELDS", size)
    sliced = golden.run(bundle, x)
    assert all(np.array_equal(sliced[name], whole[name]) for name in whole)
    form = words.Words(3, 11, 11, 8, 2)
    packed = form.pack(x, "x")
    assert np.array_equal(form.unpack(packed, "x"), x)
    monkeypatch.undo()
    assert np.array_equal(words.Words(3, 11, 11, 8, 2).pack(x, "x"), packed)


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 9), (3, 10)])
def test_make_wants_a_python_that_can_before_it_installs_anything(version, tmp_path):
    """By a python that says it is an older one."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$1" "import sys; sys.version_info = {version}\n$2"\n')
    python.chmod(0o755)
    made = [f"VENV={tmp_path / 'venv'}", f"PYTHON={python}", "run"]
    done = subprocess.run(["make", *made], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not (tmp_path / "venv").exists()
    assert f"is Python {version[0]}.{version[1]}; 3.11 or later is needed" in done.stderr
    assert "Installing" not in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path, psconv):
    path = run_file(tmp_path / "run.yaml")
    path.chmod(0)
    assert "Permission denied" in refused(psconv, "golden", path)


@pytest.fixture
def homeless(monkeypatch):
    """A home in which nothing can be made, for root neither."""
    for variable in ("XDG_CACHE_HOME", "ZIG_GLOBAL_CACHE_DIR", "YOWASP_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/dev/null")


def test_a_home_that_cannot_be_written(homeless, monkeypatch, tmp_path, psconv, capsys):
    from openhls.__main__ import main as openhls

    from psconv.synthesis.yowasp import yosys
    from pymodel.common import compiled
    from pymodel.golden.native.build import KERNEL

    run = tmp_path / "run.yaml"
    content = yaml.safe_load((DIGITS / "network.yaml").read_text())
    run.write_text(yaml.safe_dump(content | {"bundle": str(DIGITS / content["bundle"]), "images": {"count": 1}}))
    monkeypatch.setenv("PSCONV_NATIVE", "off")
    code, _, err = psconv("csim", str(run), "--out", str(tmp_path / "out"), "--json")
    assert code == 2 and "/dev/null/.cache/zig" in err and "ZIG_GLOBAL_CACHE_DIR" in err
    (tmp_path / "k.cpp").write_text("void top() {}\n")
    assert openhls([str(tmp_path / "k.cpp"), "--top", "top", "--out", str(tmp_path / "rtl")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: /dev/null/.cache/zig: ") and "ZIG_GLOBAL_CACHE_DIR" in err
    with pytest.raises(OSError, match="/dev/null/.cache/YoWASP: .*YOWASP_CACHE_DIR"):
        yosys("help", tmp_path)
    with pytest.raises(OSError, match="/dev/null/.cache/psconv: .*XDG_CACHE_HOME"):
        cache_folder()
    with pytest.raises(compiled.Unavailable, match="ZIG_GLOBAL_CACHE_DIR"):
        compiled.build(tmp_path, KERNEL.sources, compiled.COMPILERS[:1])  # without a second compiler
