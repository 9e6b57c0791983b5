"""The folder that an HLS tool works in: complete, and without absolute paths, to be copied to another machine."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from psconv.common.fresh import content_key, unless_fresh, write_json
from psconv.common.places import CONSTRAINTS, HLS
from psconv.flow.csim import SOURCE, TOP
from psconv.flow.subject import Engine
from psconv.synthesis.targets import Target
from psconv.vendor.bambu_sources import bambu_header, bambu_source
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.engine import cpp as header
from pymodel.engine.packing import EngineShape, pack_beats, pack_output_beats

VECTOR_IMAGES = 2  # the least with which the tools can measure the interval from one image to the next
CFLAGS = "-std=c++14"
BAMBU_HEADERS = ("ap_axi_sdata.h", "storage.hpp", f"{TOP}.hpp")
BAMBU_WORD_BITS = 64  # of the widest word that Bambu 2024.10 keeps whole
VITIS_LEAST_DEPTH = 2  # of a stream: one that holds a single word passes one every second cycle
RECORD = "project.json"  # what the project was made from

_TEMPLATES = {
    "vitis": ("run_hls.tcl", "hls_config.cfg", "vivado_ooc.tcl", "run.sh", "README.md"),
    "bambu": ("run.sh", "README.md"),
}
TITLES = {"vitis": "Vitis HLS", "bambu": "PandA Bambu"}
_environment = jinja2.Environment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True)
class Contents:
    """The files of a project by their paths in it, and the golden vectors: uint8 [beats, bytes]."""

    files: dict[str, str]
    vectors: dict[str, np.ndarray]

    @property
    def key(self) -> str:
        """A hash of everything."""
        return content_key(self.files, *self.vectors.values())


def contents(tool: str, engine: Engine, target: Target, clock_ns: float) -> Contents:
    """What the project of `tool` for an engine consists of. Raises ConfigError for a target unknown to the tool."""
    return Contents(
        _files(tool, engine, target, clock_ns),
        {
            "x.dat": pack_beats(engine.x[:VECTOR_IMAGES], engine.shape),
            "y.dat": pack_output_beats(engine.y[:VECTOR_IMAGES], engine.shape),
        },
    )


def write(tool: str, folder: Path, engine: Engine, target: Target, clock_ns: float) -> None:
    """Writes the project, unless the one in `folder` is of the same inputs.

    A project of other inputs goes, and what the tool made of it too. Raises ConfigError as `contents` does.
    """
    project = contents(tool, engine, target, clock_ns)

    def make() -> None:
        if folder.exists():
            shutil.rmtree(folder)
        for name, text in project.files.items():
            write_text(folder / name, text)
        (folder / "run.sh").chmod(0o755)
        for name, beats in project.vectors.items():
            beats.tofile(folder / name)
        write_json(
            folder / RECORD,
            {"tool": tool, "layer": engine.name, "target": target.name, "clock_ns": clock_ns, "key": project.key},
        )

    unless_fresh(folder / RECORD, project.key, make)


def _files(tool: str, engine: Engine, target: Target, clock_ns: float) -> dict[str, str]:
    """Text of every file, by its path in the project."""
    values: dict[str, Any] = {
        "title": f"{TITLES[tool]}: {TOP} of layer {engine.name}, for {target.name}",
        "top": TOP,
        "cflags": CFLAGS,
        "clock_ns": clock_ns,
        "images": min(VECTOR_IMAGES, len(engine.x)),
        "kernel": engine.shape.kernel,
    }
    least_depth = VITIS_LEAST_DEPTH if tool == "vitis" else 1
    config = header.render(engine.shape, engine.weights, engine.bias, engine.scales, least_depth)
    sources = _with_headers(SOURCE)
    if tool == "vitis":
        values["part"] = vivado_part(target)
    else:
        values["device"] = target.bambu
        values["wide"] = ", ".join(wide_words(engine.shape))
        del sources[SOURCE.name]  # Bambu has a top of its own
        sources = {name: bambu_source(text, name) for name, text in sources.items()}
        own = [HLS / tool / name for name in BAMBU_HEADERS]
        sources |= {path.name: path.read_text(encoding="utf-8") for path in own}
        sources[f"{TOP}.cpp"] = _rendered(HLS / tool / f"{TOP}.cpp.j2", values)
        config = bambu_header(bambu_source(config, header.FILE_NAME))
    sources[header.FILE_NAME] = config
    sources["csim.cpp"] = (HLS / "csim" / "csim.cpp").read_text(encoding="utf-8")
    files = {f"src/{name}": text for name, text in sources.items()}
    files |= {name: _rendered(HLS / tool / f"{name}.j2", values) for name in _TEMPLATES[tool]}
    if tool == "vitis":
        files["target.xdc"] = clock_constraint(target, clock_ns)
    return files


def wide_words(shape: EngineShape) -> list[str]:
    """The words of an engine that Bambu 2024.10 does not keep whole, with their bits."""
    column = shape.kernel * shape.piece_bits
    words = {
        "input word": 8 * shape.in_beat_bytes,
        "column": column if shape.kernel > 1 else 0,
        "window": shape.kernel * column,
        "weights": shape.rom_word_bits,
        "biases": shape.To * shape.bias_bits,
        "scales": shape.To * shape.scale_bits,
        "sums": shape.To * shape.acc_bits,
        "output word": 8 * shape.out_beat_bytes,
    }
    return [f"{name} {bits}" for name, bits in words.items() if bits > BAMBU_WORD_BITS]


def _with_headers(source: Path) -> dict[str, str]:
    """Text of a source and of the headers beside it that it includes, directly or not, by file name."""
    found: dict[str, str] = {}
    wanted = [source.name]
    while wanted:
        path = source.parent / wanted.pop()
        if path.name not in found and path.exists():  # not beside it: the configuration, or the tool's own
            found[path.name] = path.read_text(encoding="utf-8")
            wanted += re.findall(r'^#include "(.+)"', found[path.name], re.MULTILINE)
    return found


def vivado_part(target: Target) -> str:
    """The part as Vivado writes it: xc7z020clg400-1, xczu7ev-ffvc1156-2-e. Raises ConfigError for other makers'."""
    if not target.constraints.endswith(".xdc"):
        raise ConfigError(f"--hls vitis: {target.name} is no AMD device: choose another with --target")
    dash = "" if target.part.startswith("xc7") else "-"
    return f"{target.part}{dash}{target.package}{target.speed_grade}"


def clock_constraint(target: Target, clock_ns: float) -> str:
    """The target's XDC with the period of this run."""
    path = CONSTRAINTS / target.constraints
    text, count = re.subn(r"-period \S+", f"-period {clock_ns}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise ConfigError(f"{path}: one -period expected, {count} found")
    return text


def _rendered(path: Path, values: dict[str, Any]) -> str:
    return _environment.from_string(path.read_text(encoding="utf-8")).render(values)
