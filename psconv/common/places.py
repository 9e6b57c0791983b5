"""Where the project's files lie that are no Python: in the folders of a checkout, or in the installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "share"
SHARE = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent

HLS = SHARE / "hls"
ENGINE = HLS / "engine"  # the C++ of the engine, all of it headers but the top for one layer
CSIM = HLS / "csim"  # what makes a program of it
CONSTRAINTS = SHARE / "constraints"
EXAMPLES = SHARE / "examples"


def package(name: str) -> Path:
    """The folder of an importable package, which is not imported for it. Raises ModuleNotFoundError."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package named {name!r}", name=name)
    return Path(spec.submodule_search_locations[0])


OPENHLS = package("openhls")
RTL_TB = package("rtl_tb")
INCLUDE = OPENHLS / "include"  # ap_int.h and hls_stream.h as openhls reads them
