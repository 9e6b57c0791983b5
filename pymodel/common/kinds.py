"""The kinds of files and folders that psconv takes, told from one another, so that a wrong one is called what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodel.common.errors import ConfigError
from pymodel.common.records import read_json, read_yaml


@dataclass(frozen=True)
class Kind:
    """what: it is, with its article. keys: that it has and no other kind has all of. taken_by: the commands."""

    what: str
    keys: frozenset[str]
    taken_by: str


def _kind(what: str, keys: str, taken_by: str) -> Kind:
    return Kind(what, frozenset(keys.split()), taken_by)


RUN = _kind(
    "the configuration of a run",
    "psconv",
    "psconv run, golden, csim, synth, cosim, report, explore, fits, pack-weights",
)
BUNDLE = _kind(
    "a bundle (a quantised network)",
    "psconv_bundle",
    "the key `bundle` of a run's configuration and psconv pack-weights --bundle",
)
TRAINING = _kind("the configuration of a training", "data network epochs", "psconv train, sweep")
COSTS = _kind("a table of energy costs", "multiply dram memory", "psconv energy --costs")
DEVICE = _kind("a device of constraints/", "yosys budgets", "the name of its file, as `target` and --target")
CALIBRATION = _kind("the calibration of the cost model", "technology LUT FF measured", "scripts/calibrate_costs.py")
UNIT_CALIBRATION = _kind(
    "the calibration of the cost model of units", "technology units measured", "scripts/calibrate_units.py"
)
RESOLVED = _kind("the resolved configuration that a run wrote", "psconv file", "no command")
REPORT = _kind("the report of a run", "title ok provenance", "no command")
SCHEDULE = _kind("the schedule that HLS wrote", "processes streams", "no command")
KINDS = (
    RESOLVED,
    RUN,
    BUNDLE,
    TRAINING,
    COSTS,
    DEVICE,
    CALIBRATION,
    UNIT_CALIBRATION,
    REPORT,
    SCHEDULE,
)  # the first that fits

_BY_SUFFIX = {
    ".npz": ("arrays (.npz)", "psconv compare, the key `weights` of a layer, and a bundle beside its .yaml"),
    ".npy": ("one array (.npy)", "no command"),
    ".sv": ("SystemVerilog", "a synthesis tool"),
    ".v": ("Verilog", "a synthesis tool"),
    ".cpp": ("C++", "python -m openhls"),
    ".hpp": ("a header of C++", "python -m openhls, by -I"),
    ".pt": ("weights of PyTorch", "psconv quantize --weights; the folder of a training to psconv quantize"),
    ".py": ("a Python program", "psconv quantize --model"),
    ".bin": ("beats of weights", "the hardware"),
}


def read_kind(path: Path, expected: Kind) -> dict[str, Any]:
    """The mapping in a YAML file that should be of a kind. Raises ConfigError: of another, which it names."""
    if path.is_dir() or path.suffix in _BY_SUFFIX:
        raise ConfigError(wrong(path, expected.what))
    data = read_yaml(path)
    if (found := of_mapping(data)) not in (expected, None):
        raise ConfigError(
            f"{path}: must be {expected.what}, with the {_keys(expected)}, "
            f"got {found.what}, which {_goes(found.taken_by)}"
        )
    return data


def wrong(path: Path, expected: str) -> str:
    """A message for a path that is not what was expected: what it is, and where it belongs."""
    what, goes = describe(path)
    return f"{path}: must be {expected}, got {what}, which {_goes(goes)}"


def describe(path: Path) -> tuple[str, str]:
    """(what a path is, what takes it)."""
    if path.is_dir():
        return _folder(path)
    if path.suffix in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix]
    try:
        found = of_mapping(read_yaml(path))
    except ConfigError:
        found = None
    return (found.what, found.taken_by) if found else ("a file of no kind that psconv knows", "no command")


def of_mapping(data: dict[str, Any]) -> Kind | None:
    """The kind of what a file holds, by its keys."""
    return next((kind for kind in KINDS if kind.keys <= data.keys()), None)


def _folder(path: Path) -> tuple[str, str]:
    config = path / "config.json"
    try:
        found = of_mapping(read_json(config)) if config.is_file() else None
    except (ConfigError, AttributeError):
        found = None
    if found is TRAINING:
        return "the folder of a training", "psconv quantize"
    if found is RESOLVED:
        return "the folder of a run", "--out of the command that made it"
    if any(path.glob("*.npz")):
        return "a folder of outputs (.npz)", "psconv compare"
    return "a folder", "no command"


def _goes(taken_by: str) -> str:
    return f"goes to {taken_by}" if taken_by != "no command" else "no command takes"


def _keys(kind: Kind) -> str:
    keys = sorted(kind.keys)
    return f"key{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
