"""Compare the integer outputs of two runs, layer by layer, element by element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from psconv.flow.layout import DESIGNS, Layout
from pymodel.common.arrays import Integers
from pymodel.common.errors import ConfigError
from pymodel.common.kinds import describe, wrong
from pymodel.common.records import read_json, read_npz

AXES = ("image", "channel", "row", "column")
MAX_LISTED = 20
_ONE, _SEVERAL = "y", "y_"  # what the output of a design is called, or begins with where there are several
_MAX_BARS = 41  # entries of a histogram


@dataclass(frozen=True)
class Difference:
    """One element that differs. `place` has as many of image, channel, row, column as the array has axes."""

    layer: str
    place: dict[str, int]
    a: int
    b: int


@dataclass
class LayerComparison:
    """One layer. `problem`: why its elements could not be compared; None: they were."""

    name: str
    elements: int = 0
    differing: int = 0
    histogram: dict[int, int] = field(default_factory=dict)  # b - a -> how often, the most frequent ones
    problem: str | None = None

    @property
    def equal(self) -> bool:
        return self.problem is None and self.differing == 0


@dataclass
class Comparison:
    """Result of `compare`. `differences` are the first ones over all layers.

    left_out: files that were not compared, as they are of another configuration that was run in the same folder.
    """

    a: str
    b: str
    layers: list[LayerComparison]
    differences: list[Difference]
    left_out: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return all(layer.equal for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """For machines; keys of the histograms become strings."""
        return {
            "equal": self.equal,
            "a": self.a,
            "b": self.b,
            "layers": [
                asdict(layer) | {"equal": layer.equal, "histogram": {str(key): n for key, n in layer.histogram.items()}}
                for layer in self.layers
            ],
            "differences": [asdict(difference) for difference in self.differences],
            "left_out": self.left_out,
        }

    def render(self) -> Table:
        """For a terminal: a row per layer, and below it the first differences."""
        table = Table(title=Text(f"{self.a}  against  {self.b}"), title_justify="left", header_style="bold")
        columns: tuple[tuple[str, JustifyMethod], ...]
        columns = (("layer", "left"), ("elements", "right"), ("differing", "right"), ("", "left"))
        for heading, justify in columns:
            table.add_column(heading, justify=justify, overflow="fold")
        for layer in self.layers:
            if layer.problem:
                text = Text(layer.problem, "red")
            elif layer.differing:
                most = ", ".join(f"{delta:+d}: {n}" for delta, n in list(layer.histogram.items())[:5])
                text = Text(f"b - a: {most}", "red")
            else:
                text = Text("equal", "green")
            table.add_row(layer.name, f"{layer.elements:,}", f"{layer.differing:,}", text)
        for difference in self.differences:
            place = ", ".join(f"{axis} {at}" for axis, at in difference.place.items())
            table.add_row(difference.layer, "", "", f"{place}: {difference.a} against {difference.b}")
        if self.left_out:
            table.caption = Text(f"Not compared, left over from another configuration: {', '.join(self.left_out)}")
            table.caption_justify = "left"
        return table


def compare(a: Path, b: Path) -> Comparison:
    """Compare array `y` of two .npz files, or of the files of equal name in two folders.

    A network with several outputs has an array `y_LAYER` of each, which is compared as NAME: LAYER. Of a folder in a
    run's OUT only the files of the layers (or network) that OUT is of now are compared. A layer that only one side has,
    and arrays of different shape, are differences. Raises ConfigError when a path does not exist, holds no .npz file,
    or a file has no such array, or another than of integers with one to four axes.
    """
    a, b = Path(a), Path(b)
    if a.is_file() != b.is_file() and a.exists() and b.exists():
        raise ConfigError(f"A, B: must be two folders or two .npz files, got {a} and {b}")
    left, right = _files(a), _files(b)
    if a.is_file():
        right = dict.fromkeys(left, b)
    strays = [str(files.pop(name)) for files, folder in ((left, a), (right, b)) for name in _strays(files, folder)]
    result = Comparison(str(a), str(b), [], [], strays)
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            result.layers.append(LayerComparison(name, problem=f"missing in {b if name in left else a}"))
            continue
        ours, others = _load(left[name]), _load(right[name])
        for key in sorted(ours.keys() | others.keys()):
            what = name + (f": {key.removeprefix(_SEVERAL)}" if key != _ONE else "")
            if key not in ours or key not in others:
                missing = right[name] if key in ours else left[name]
                result.layers.append(LayerComparison(what, problem=f"no array {key} in {missing}"))
                continue
            layer, places = _compare_arrays(what, ours[key], others[key])
            result.layers.append(layer)
            result.differences += places[: MAX_LISTED - len(result.differences)]
    return result


def _compare_arrays(name: str, a: Integers, b: Integers) -> tuple[LayerComparison, list[Difference]]:
    if a.shape != b.shape:
        return LayerComparison(name, problem=f"shapes differ: {list(a.shape)} and {list(b.shape)}"), []
    differs = a != b
    where = np.argwhere(differs)
    values, counts = np.unique(b[differs].astype(np.int64) - a[differs].astype(np.int64), return_counts=True)
    order = np.lexsort((np.abs(values), -counts))[:_MAX_BARS]
    histogram = {int(values[i]): int(counts[i]) for i in order}
    places = [
        Difference(name, dict(zip(AXES, map(int, index), strict=False)), int(a[tuple(index)]), int(b[tuple(index)]))
        for index in where[:MAX_LISTED]
    ]
    return LayerComparison(name, a.size, len(where), histogram), places


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        if path.suffix != ".npz":
            raise ConfigError(wrong(path, "an .npz file, or a folder of them,"))
        return {path.stem: path}
    if not path.is_dir():
        raise ConfigError(f"{path}: no such file or folder")
    # What starts with a dot was being written when a run was killed.
    found = {file.stem: file for file in path.glob("*.npz") if not file.name.startswith(".")}
    if not found:
        raise ConfigError(
            f"{path}: must hold .npz files, got {describe(path)[0]}; the folders to compare are golden, csim and cosim "
            "of a run"
        )
    return found


def _strays(files: Mapping[str, Path], folder: Path) -> list[str]:
    """Which of a folder's files are not of the configuration that its OUT was last used for."""
    config = Layout(folder.absolute().parent).config
    if not folder.is_dir() or not config.is_file():
        return []
    try:
        designs = read_json(config).get(DESIGNS)
    except (ConfigError, AttributeError):
        return []
    return sorted(name for name in files if name not in designs) if isinstance(designs, list) else []


def _load(path: Path) -> dict[str, Integers]:
    """The outputs in a file by the names of their arrays: y, or those that begin with y_."""
    arrays = read_npz(path)
    found = {name: array for name, array in arrays.items() if name == _ONE or name.startswith(_SEVERAL)}
    if not found:
        raise ConfigError(f"{path}: must hold an array 'y', got {', '.join(sorted(arrays)) or 'none'}")
    for name, array in found.items():
        if array.dtype.kind not in "iu" or not 1 <= array.ndim <= len(AXES):
            raise ConfigError(
                f"{path}: {name}: must be integers with 1 to {len(AXES)} axes, got {array.dtype} {list(array.shape)}"
            )
    return found
