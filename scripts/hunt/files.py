"""Damaged files: whatever is done to a file that psconv reads, it says so in one message that names the file.

A case takes a sound set of files of one kind, damages one of them and gives it to a command, in this process. Right is
exit code 2 with one message, or what the undamaged file gives where the damage means nothing. Whether it does is asked
of PyYAML, json and numpy themselves. Files that a damaged text makes another sound input of may give another result.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import yaml
from openhls.__main__ import main as openhls

from psconv import cli
from psconv.cli import show as show
from psconv.common.places import CONSTRAINTS, INCLUDE
from psconv.synthesis import targets as targets
from pymodel.common.arrays import Array
from pymodel.counts.energy import COSTS_FILE
from pymodel.network.random_bundle import random_bundle
from pymodel.network.supports import make_support
from pymodel.network.topology import Network
from scripts.hunt.campaign import Campaign, Case, Fault
from scripts.places import ROOT

_MESSAGE = 3000  # characters of one that somebody reads
_PARTIAL = re.compile(r"\.partial|^\.(openhls|native)-")  # names of what is not whole
Damage = Callable[[bytes, np.random.Generator], bytes]
Prepare = Callable[[Path], None]

_LAYER = {
    "psconv": 1,
    "seed": 3,
    "images": {"count": 2},
    "stalls": {"images": 0},
    "layer": {
        "in_channels": 4,
        "out_channels": 4,
        "height": 4,
        "width": 4,
        "support": "PS4_P4",
        "activation_bits": 4,
        "weight_bits": 3,
        "weights": "weights.npz",
    },
}
_NETWORK: dict[str, Any] = {
    "name": "tiny",
    "input": {"channels": 2, "height": 4, "width": 4},
    "output": "fc",
    "layers": [
        {"op": "conv", "name": "conv1", "input": "input", "out_channels": 4, "kernel": 3, "padding": 1, "relu": True},
        {
            "op": "conv",
            "name": "conv2",
            "input": "conv1",
            "out_channels": 4,
            "kernel": 3,
            "padding": 1,
            "support": {"taps": [[0, 4], [8]]},
        },
        {"op": "add", "name": "sum", "inputs": ["conv1", "conv2"]},
        {"op": "global_avgpool", "name": "mean", "input": "sum"},
        {"op": "linear", "name": "fc", "input": "mean", "out_features": 3},
    ],
}
_CPP = """#include "ap_int.h"
#include "hls_stream.h"
static const ap_int<6> TABLE[4] = {1, -2, 3, -4};
void top(hls::stream<ap_int<6> >& x, hls::stream<ap_int<12> >& y) {
  // A product for each word.
  for (int i = 0; i < 4; ++i) {
#pragma HLS PIPELINE II=1
    ap_int<6> v = x.read();
    y.write(v * TABLE[i] + 7);
  }
}
"""


@dataclass(frozen=True)
class Kind:
    """prepare: writes the sound files. file: the damaged one. command: of psconv; FOLDER is the case's.

    weight: how often it is drawn. lines: whether the message may have several, of a tool. summed: whether another file
    has a check sum of this one, so that no damage is harmless.
    """

    prepare: Prepare
    file: str
    command: tuple[str, ...]
    weight: int = 10
    lines: bool = False
    summed: bool = False


# -- sound files --


def _layer(folder: Path) -> None:
    """With its golden outputs, so that what means nothing takes no time either."""
    shutil.copytree(_template("layer", _make_layer), folder, dirs_exist_ok=True)


def _make_layer(folder: Path) -> None:
    _yaml(folder / "run.yaml", _LAYER)
    rng, mask = np.random.default_rng(0), make_support("PS4_P4", 3).mask(4, 4)
    np.savez(folder / "weights.npz", weight=rng.integers(-4, 4, mask.shape) * mask, bias=rng.integers(-9, 9, 4))
    _made("golden", folder)


def _network(folder: Path, **keys: Any) -> None:
    _yaml(folder / "run.yaml", {"psconv": 1, "bundle": "net.yaml", "top": "network", "images": {"count": 2}} | keys)
    random_bundle(Network(**_NETWORK), seed=1).save(folder / "net.yaml")


def _loaded(folder: Path) -> None:
    _network(folder, weights="loaded")


def _outputs(folder: Path) -> None:
    for name in ("a", "b"):
        np.savez_compressed(folder / f"{name}.npz", y=np.arange(48, dtype=np.int8).reshape(2, 3, 2, 4))


def _costs(folder: Path) -> None:
    shutil.copyfile(COSTS_FILE, folder / "costs.yaml")


def _device(folder: Path) -> None:
    _layer(folder)
    shutil.copytree(CONSTRAINTS, folder / "constraints")


def _training(folder: Path) -> None:
    """A training whose data is missing, which is told only when everything else is right."""
    content = yaml.safe_load((ROOT / "examples" / "cifar10" / "resnet18.yaml").read_text(encoding="utf-8"))
    content["data"]["path"] = "nowhere"
    _yaml(folder / "train.yaml", content)
    (folder / "results.json").write_text("[]\n", encoding="utf-8")


def _trained(folder: Path) -> None:
    shutil.copytree(_template("trained", _make_trained), folder / "run")


def _make_trained(folder: Path) -> None:
    import torch

    from pymodel.network.zoo import make_network
    from pymodel.nn.build import NetworkModule
    from pymodel.training.config import load_config

    options = ("quantise.calibration_images=8", "epochs=3")
    config = load_config(ROOT / "examples" / "digits" / "train.yaml", options)
    torch.manual_seed(0)
    network = NetworkModule(make_network("digits", "digits", "PSD1_P16"))
    torch.save(network.state_dict(), folder / "model.pt")
    (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json"), indent=1), encoding="utf-8")
    (folder / "network.json").write_text(json.dumps(network.network.spec(), indent=1), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps({"test_accuracy": 0.5}), encoding="utf-8")


def _built(folder: Path) -> None:
    shutil.copytree(_template("built", _make_built), folder, dirs_exist_ok=True)


def _make_built(folder: Path) -> None:
    _layer(folder)
    _made("synth", folder)


def _made(command: str, folder: Path) -> None:
    code, _, err = _psconv([command, str(folder / "run.yaml"), "--out", str(folder / "out")])
    if code:
        raise RuntimeError(err)


def _program(folder: Path) -> None:
    (folder / "top.cpp").write_text(_CPP, encoding="utf-8")


@cache
def _template(name: str, make: Prepare) -> Path:
    """A folder that takes a while to make, once for each process."""
    folder = Path(tempfile.mkdtemp(prefix=f"psconv_files_{name}_"))
    make(folder)
    return folder


def _yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


_GOLDEN = ("golden", "FOLDER/run.yaml", "--out", "FOLDER/out", "--json")
_QUANTISE = ("quantize", "FOLDER/run", "--out", "FOLDER/b.yaml", "--json")
_PACK = ("pack-weights", "FOLDER/run.yaml", "--out", "FOLDER/w.bin", "--json")
KINDS: dict[str, Kind] = {
    "run": Kind(_layer, "run.yaml", _GOLDEN, 16),
    "weights": Kind(_layer, "weights.npz", _GOLDEN, 14),
    "run of a network": Kind(_network, "run.yaml", _GOLDEN, 12),
    "bundle": Kind(_network, "net.yaml", _GOLDEN, 30),
    "bundle's arrays": Kind(_network, "net.npz", _GOLDEN, 12, summed=True),
    "bundle to load": Kind(_loaded, "net.yaml", _PACK, 10),
    "outputs": Kind(_outputs, "b.npz", ("compare", "FOLDER/a.npz", "FOLDER/b.npz", "--json"), 14),
    "costs": Kind(
        _costs,
        "costs.yaml",
        (
            "energy",
            "--network",
            "digits",
            "--dataset",
            "digits",
            "--variant",
            "dense",
            "--costs",
            "FOLDER/costs.yaml",
            "--json",
        ),
        14,
    ),
    "device": Kind(_device, "constraints/zcu104.yaml", _GOLDEN, 10),
    "training": Kind(_training, "train.yaml", ("train", "FOLDER/train.yaml", "--out", "FOLDER/out"), 16),
    "results": Kind(
        _training,
        "results.json",
        ("sweep", "FOLDER/train.yaml", "dense", "--results", "FOLDER/results.json", "--out", "FOLDER/out"),
        6,
    ),
    "trained weights": Kind(_trained, "run/model.pt", _QUANTISE, 3),
    "trained configuration": Kind(_trained, "run/config.json", _QUANTISE, 3),
    "trained network": Kind(_trained, "run/network.json", _QUANTISE, 3),
    "trained result": Kind(_trained, "run/result.json", _QUANTISE, 2),
    "schedule": Kind(_built, "out/synth/layer/schedule.json", ("synth", *_GOLDEN[1:]), 2),
    "golden output": Kind(_built, "out/golden/layer.npz", ("csim", *_GOLDEN[1:]), 2),
    "C simulation": Kind(_built, "out/csim/layer.npz", ("csim", *_GOLDEN[1:]), 2),
    "program": Kind(_program, "top.cpp", ("openhls",), 5, lines=True),
}


# -- damages --


def _truncated(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data) + 1)]


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if changed:
            changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


def _zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data) + 1))
    size = int(rng.integers(1, 64))
    return data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]


def _inserted(data: bytes, rng: np.random.Generator) -> bytes:
    start = rng.integers(len(data) + 1)
    return data[:start] + rng.bytes(int(rng.integers(1, 9))) + data[start:]


def _encoded(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode("latin-1")
    return text.encode(["utf-16", "utf-32", "utf-8-sig"][rng.integers(3)])


def _other(data: bytes, rng: np.random.Generator) -> bytes:
    return [
        b"",
        b"\0",
        b"\n",
        b"[]",
        b"{}",
        b"null",
        b"3",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"\xff\xfe",
        b"- a\n",
        b"\x89PNG\r\n",
        data + data,
        data[::-1],
        data.replace(b"\n", b"\r\n"),
    ][rng.integers(15)]


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    """Deleted, doubled, or in another place."""
    lines = data.splitlines(keepends=True) or [b""]
    at, to = rng.integers(len(lines)), rng.integers(len(lines))
    what = rng.integers(4)
    line = lines[at]
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(to, line)
    elif what == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = b"  " + line
    return b"".join(lines)


_NUMBER = re.compile(rb"(?<![\w.])-?\d+(\.\d+)?(?![\w.])")
_NUMBERS = [
    b"-1",
    b"0",
    b"1",
    b"2",
    b"-0.0",
    b"0.5",
    b"1e400",
    b"-1e400",
    b".nan",
    b"NaN",
    b".inf",
    b"Infinity",
    b"null",
    b"true",
    b"'1'",
    b"[]",
    b"{}",
    b"[1]",
    b"65536",
    b"65537",
    b"1048575",
    b"4294967296",
    b"1e-320",
    b"1_0",
    b"99999999999999999999",
    b"-99999999999999999999",
    b"0x7",
    b"010",
    b"1:30",
    b"2001-01-01",
    b"2001-99-99",
    b"9" * 5000,
    b"!!int x",
    b"*a",
    b"&a 1",
    b"'\\0'",
    b'"\\0"',
    b"~",
    b"1e3",
    b"@",
]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _truncated(data, rng)
    one = found[rng.integers(len(found))]
    return data[: one.start()] + _NUMBERS[rng.integers(len(_NUMBERS))] + data[one.end() :]


_WORD = re.compile(rb"[A-Za-z_]{2,}")
_WORDS = [
    b"",
    b"x",
    b"input",
    b"layer",
    b"None",
    b"nul\\0",
    b"\xc3\xa9",
    b"../../etc/passwd",
    b"/dev/null",
    b"[red]",
    b"'",
    b'"',
    b": ",
    b"!!python/object:os.system",
    b"a" * 3000,
    b"<<",
    b"EOF",
    b"-",
    b"%",
    b"[/y]",
    b"/dev/zero",
]


def _word(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(_WORD.finditer(data))
    if not found:
        return _inserted(data, rng)
    one = found[rng.integers(len(found))]
    new = _WORDS[rng.integers(len(_WORDS))] if rng.integers(2) else one[0][:-1] + b"q"
    return data[: one.start()] + new + data[one.end() :]


def _bomb(data: bytes, rng: np.random.Generator) -> bytes:
    """Nine times nine times nine ... by aliases, where another key was, or before all."""
    lines = [f"z0: &z0 [{', '.join(['x'] * 9)}]"]
    lines += [f"z{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]" for n in range(1, rng.integers(2, 12))]
    return "\n".join([*lines, ""]).encode() + data


_ALIAS = re.compile(rb"&\w+ |\*\w")  # behind which there may be more than any memory has
_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    2**20,
    2**31,
    2**64,
    10**30,
    0.5,
    -0.5,
    1e300,
    math.nan,
    math.inf,
    "",
    "x",
    "1",
    "\0",
    "[red]",
    "x" * 2000,
    [],
    [0],
    [[]],
    {},
    {"a": 1},
    [None, 1],
]


def _structure(data: bytes, rng: np.random.Generator) -> bytes:
    """A value of another type, a key deleted, renamed, added, in what YAML or JSON means."""
    try:
        content = None if _ALIAS.search(data) else yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):  # of values that are none
        content = None
    if content is None:
        return _lines(data, rng)
    places = list(_places(content))
    if not places:
        return _other(data, rng)
    holder, key = places[rng.integers(len(places))]
    what = rng.integers(5)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif what == 2 and isinstance(holder, dict):
        holder["extra"] = _VALUES[rng.integers(len(_VALUES))]
    elif what == 3 and isinstance(holder[key], int | float):
        holder[key] = -holder[key] if rng.integers(2) else holder[key] * 1000
    else:
        holder[key] = _VALUES[rng.integers(len(_VALUES))]
    if data.lstrip()[:1] in (b"{", b"["):
        return json.dumps(content).encode()
    return yaml.safe_dump(content, sort_keys=False).encode()


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """(mapping or list, key or position) of every value."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


def _arrays(data: bytes, rng: np.random.Generator) -> bytes:
    """An array gone, renamed, of another type, shape, with other values."""
    try:
        with np.load(io.BytesIO(data)) as found:
            arrays = dict(found)
    except Exception:  # damaged before
        return _truncated(data, rng)
    if not arrays:
        return _truncated(data, rng)
    name = sorted(arrays)[rng.integers(len(arrays))]
    array = arrays[name]
    what = int(rng.integers(12))
    if what == 0:
        del arrays[name]
    elif what == 1:
        arrays[f"{name}x"] = arrays.pop(name)
    elif what == 2:
        arrays["extra.weight"] = array
    else:
        changed: dict[int, Callable[[], Array]] = {
            3: lambda: array.astype(np.float64),
            4: lambda: np.full(array.shape, np.nan),
            5: lambda: array[:-1],
            6: lambda: array[None],
            7: lambda: array.astype(object),
            8: lambda: array.astype(str),
            9: lambda: np.full(array.shape, 300),
            10: lambda: array.astype(np.complex128),
            11: lambda: np.zeros((0, *array.shape[1:]), array.dtype),
        }
        arrays[name] = changed[what]()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


_BYTES: dict[str, Damage] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "zeroed": _zeroed,
    "inserted": _inserted,
    "encoded": _encoded,
    "other": _other,
}
_TEXT: dict[str, Damage] = {"lines": _lines, "number": _number, "word": _word}
_DATA: dict[str, Damage] = {"structure": _structure, "bomb": _bomb}
_NPZ: dict[str, Damage] = {"arrays": _arrays}
DAMAGES = _BYTES | _TEXT | _DATA | _NPZ


def _damages_of(file: str) -> list[str]:
    suffix = Path(file).suffix
    if suffix == ".npz":
        return [*_BYTES, *_NPZ, *_NPZ, *_NPZ]
    if suffix in (".yaml", ".json"):
        return [*_BYTES, *_TEXT, *_TEXT, *_DATA, "structure", "structure", "number"]
    return [*_BYTES, *(_TEXT if suffix == ".cpp" else ())]


# -- judging --


def _psconv(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), show.kept:
        code = cli.call(lambda: cli.app(arguments, standalone_mode=False))
    return code, out.getvalue(), err.getvalue()


def _openhls(folder: Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    arguments = [str(folder / "top.cpp"), "-I", str(INCLUDE), "--top", "top", "--jobs", "1", "--out"]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = openhls([*arguments, str(folder / "out")])
        except SystemExit as leave:
            code = int(leave.code or 0)
    return code, "", err.getvalue()  # it prints seconds


def _run(kind: Kind, folder: Path) -> tuple[int, str, str]:
    if kind.command == ("openhls",):
        return _openhls(folder)
    arguments = [word.replace("FOLDER", str(folder)) for word in kind.command]
    devices = folder / "constraints"
    with patch.object(targets, "CONSTRAINTS", devices if devices.is_dir() else CONSTRAINTS):
        return _psconv(arguments)


def _result(kind: Kind, folder: Path, answer: tuple[int, str, str]) -> Any:
    """What a command came to, wherever its folder is: exit code, arrays and numbers that it wrote or printed."""
    code, out, err = answer
    made = {path.stem: _arrays_of(path) for path in sorted((folder / "out" / "golden").glob("*.npz"))}
    packed = (folder / "w.bin").read_bytes() if (folder / "w.bin").is_file() else b""
    said = "" if made else err  # progress, which tells the time
    return code, out.replace(str(folder), ""), said.replace(str(folder), ""), made, packed


def _arrays_of(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return {name: (arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes()) for name in arrays.files}


@cache
def undamaged(name: str) -> Any:
    """The result of the sound files of a kind."""
    with tempfile.TemporaryDirectory(prefix="psconv_files_") as scratch:
        folder = Path(scratch)
        KINDS[name].prepare(folder)
        return _result(KINDS[name], folder, _run(KINDS[name], folder))


def meaning(file: str, data: bytes) -> Any:
    """What a file means, asked of the libraries that everybody uses; None: nothing, or what they do not say."""
    try:
        match Path(file).suffix:
            case ".yaml" if not _ALIAS.search(data) and b"!" not in data:
                text = data.decode("utf-8")
                return None if _twice(yaml.compose(text)) else repr(yaml.safe_load(text))
            case ".json":
                return repr(json.loads(data.decode("utf-8")))
            case ".npz":
                with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                    return [
                        (name, arrays[name].dtype, arrays[name].shape, arrays[name].tobytes())
                        for name in sorted(arrays.files)
                    ]
    except Exception:  # of whatever sort: it means nothing
        return None
    return None


def _twice(node: yaml.Node | None) -> bool:
    """Whether a key stands twice, of which PyYAML would keep the last."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        return len(set(keys)) < len(keys) or any(_twice(value) for _, value in node.value)
    return isinstance(node, yaml.SequenceNode) and any(map(_twice, node.value))


class Files(Campaign):
    """Damaged files of every kind that psconv reads."""

    name = "files"
    help = "damaged files: one message that names the file, or the result of the undamaged one"
    aim = 1000
    seconds = 120.0

    def draw(self, rng: np.random.Generator) -> Case:
        weights = np.array([kind.weight for kind in KINDS.values()])
        name = list(KINDS)[rng.choice(len(KINDS), p=weights / weights.sum())]
        possible = _damages_of(KINDS[name].file)
        count = 1 if rng.integers(4) else 2
        return {
            "kind": name,
            "damages": [
                {"how": possible[rng.integers(len(possible))], "seed": int(rng.integers(1 << 31))} for _ in range(count)
            ],
        }

    def check(self, case: Case, folder: Path) -> None:
        name, kind = case["kind"], KINDS[case["kind"]]
        sound = undamaged(name)
        kind.prepare(folder)
        path = folder / kind.file
        before = data = path.read_bytes()
        for damage in case["damages"]:
            data = DAMAGES[damage["how"]](data, np.random.default_rng(damage["seed"]))
        path.write_bytes(data)
        left = _content(folder)
        code, out, err = _run(kind, folder)
        told = f"exit {code}: {err.strip() or out.strip()[-300:]}"[:_MESSAGE]
        if "Traceback" in err or code in (70, 130):
            raise Fault("traceback", told)
        if code not in (0, 1, 2):
            raise Fault("wrong", f"an exit code of another meaning: {told}")
        if partial := [str(one) for one in folder.rglob("*") if _PARTIAL.search(one.name)]:
            raise Fault("wrong", f"half written: {partial[0]}; {told}")
        means = None if kind.summed else meaning(kind.file, data)
        same = data == before or (means is not None and means == meaning(kind.file, before))
        if code == 2 and sound[0] != 2:
            if same:
                raise Fault("refused", f"the damage means nothing: {told}")
            self._check_message(kind, err, path, told)
            now = _content(folder)
            if changed := sorted(one for one in now.keys() | left.keys() if now.get(one) != left.get(one)):
                raise Fault("wrong", f"written all the same: {', '.join(changed)}; {told}")
        elif same and (found := _result(kind, folder, (code, out, err))) != sound:
            raise Fault("wrong", f"the damage means nothing, but the result differs: exit {found[0]}; {told}")
        if code == 0:
            self._check_json(folder)

    def _check_message(self, kind: Kind, err: str, path: Path, told: str) -> None:
        if path.name not in err:
            raise Fault("wrong", f"does not name {path.name}: {told}")
        lines = err.splitlines()
        found = [at for at, line in enumerate(lines) if line.startswith("error: ")]
        if not kind.lines and found != [len(lines) - 1]:
            raise Fault("wrong", f"not one message, after what shows the progress: {told}")
        if len(lines[-1]) > _MESSAGE:
            raise Fault("wrong", f"a message of {len(lines[-1])} characters: {told}")

    def _check_json(self, folder: Path) -> None:
        """No NaN or Infinity in what was written."""
        for path in (folder / "out").glob("*.json"):
            json.loads(path.read_text(encoding="utf-8"), parse_constant=partial(_raise, path))

    def smaller(self, case: Case) -> Iterator[Case]:
        if len(case["damages"]) > 1:
            for damage in case["damages"]:
                yield case | {"damages": [damage]}


def _raise(path: Path, name: str) -> None:
    raise Fault("wrong", f"{path.name}: {name} is in it")


def _content(folder: Path) -> dict[str, bytes]:
    """All that a command may not leave behind: files and their bytes, those of caches aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "build" not in path.parts and path.name != "config.json"
    }


CAMPAIGN = Files()
