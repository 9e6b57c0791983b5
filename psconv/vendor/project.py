"""The folder that an HLS tool works in: complete, and without absolute paths, to be copied to another machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from psconv.common.fresh import content_key, unless_fresh
from psconv.common.places import CONSTRAINTS, CSIM, ENGINE, HLS
from psconv.flow.design import Design, Vectors
from psconv.synthesis.targets import Target
from psconv.vendor.bambu_sources import bambu_header, bambu_source, calls
from pymodel.common.arrays import UInt8
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.common.records import write_json
from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import has_columns
from pymodel.top.cpp import CONFIG, HEADER, SOURCE

VECTOR_IMAGES = 2  # the least with which the tools can measure the interval from one image to the next
CFLAGS = "-std=c++14"
BAMBU_HEADERS = ("ap_axi_sdata.h", "storage.hpp")
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
    vectors: dict[str, UInt8]

    @property
    def key(self) -> str:
        """A hash of everything."""
        return content_key(self.files, *self.vectors.values())


def contents(tool: str, design: Design, vectors: Vectors, target: Target, clock_ns: float) -> Contents:
    """What the project of `tool` for a design consists of.

    Raises ConfigError for a target unknown to the tool, a design that it cannot take.
    """
    if len(design.sinks) > 1:
        raise ConfigError(f"--hls {tool}: network: output: must be one layer, got {', '.join(design.sinks)}")
    few = vectors.first(VECTOR_IMAGES)
    files = _files(tool, design, len(few.x), target, clock_ns)
    return Contents(files, _vectors(design, few))


def _vectors(design: Design, vectors: Vectors) -> dict[str, UInt8]:
    """What src/csim.cpp reads: uint8, the beats of images or packets, those that must come out, those of weights."""
    packets = design.packets(vectors.x)
    if design.dataflow.packet_parser:  # each packet after the number of its beats
        parts = [np.concatenate([_count(len(one.beats)), one.beats.ravel()]) for one in packets]
    else:
        parts = [one.beats.ravel() for one in packets]
    found = {"x.dat": np.concatenate(parts), "y.dat": design.output_beats(design.layer, vectors.outputs[design.layer])}
    if design.streamed:
        found["w.dat"] = np.concatenate([beats.ravel() for beats in design.streamed.values()])
    return found


def _count(beats: int) -> UInt8:
    return np.frombuffer(beats.to_bytes(4, "little"), np.uint8)


def write(tool: str, folder: Path, design: Design, vectors: Vectors, target: Target, clock_ns: float) -> None:
    """Writes the project, unless the one in `folder` is of the same inputs.

    A project of other inputs goes, and what the tool made of it too. Raises ConfigError as `contents` does.
    """
    project = contents(tool, design, vectors, target, clock_ns)

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
            {"tool": tool, "design": design.name, "target": target.name, "clock_ns": clock_ns, "key": project.key},
        )

    unless_fresh(folder / RECORD, project.key, make)


def _files(tool: str, design: Design, images: int, target: Target, clock_ns: float) -> dict[str, str]:
    """Text of every file, by its path in the project."""
    top = design.dataflow.top
    values: dict[str, Any] = {
        "title": f"{TITLES[tool]}: {design.what}, for {target.name}",
        "top": top,
        "top_file": SOURCE,
        "cflags": CFLAGS,
        "clock_ns": clock_ns,
        "images": images,
        "tables": ["x.dat", "y.dat", *(["w.dat"] if design.streamed else [])],
    }
    own = design.rendered(VITIS_LEAST_DEPTH if tool == "vitis" else 1)
    sources = _engine_headers(own)
    if tool == "vitis":
        values["part"] = vivado_part(target)
        sources |= own
    else:
        if target.bambu is None:
            raise ConfigError(f"--hls bambu: target: must be a device of Bambu's library, got {target.name}")
        values["device"] = target.bambu
        values["wide"] = ", ".join(wide_words(design))
        sources = {name: bambu_source(text, name) for name, text in sources.items()}
        sources |= {name: (HLS / tool / name).read_text(encoding="utf-8") for name in BAMBU_HEADERS}
        sources[CONFIG] = bambu_header(bambu_source(own[CONFIG], CONFIG))
        dataflow = design.dataflow
        values |= {
            "what": design.what,
            "headers": sorted({unit.header for unit in dataflow.units}),
            "streams": [{"name": s.name, "bits": s.word_bits} for s in dataflow.streams],
            "units": [calls(unit) for unit in dataflow.units],
            "source": dataflow.source,
            "sink": dataflow.sink,
        }
        for name in (HEADER, SOURCE):
            sources[name] = _rendered(HLS / tool / f"{name}.j2", values)
    sources["csim.cpp"] = (CSIM / "csim.cpp").read_text(encoding="utf-8")
    files = {f"src/{name}": text for name, text in sources.items()}
    files |= {name: _rendered(HLS / tool / f"{name}.j2", values) for name in _TEMPLATES[tool]}
    if tool == "vitis":
        files["target.xdc"] = clock_constraint(target, clock_ns)
    return files


def wide_words(design: Design) -> list[str]:
    """The words of a design that Bambu 2024.10 does not keep whole, with their bits."""
    words = {stream.name: stream.word_bits for stream in design.dataflow.streams}
    for layer, shape in design.shapes.items():
        of = "" if design.engine else f"{layer}: "
        words |= {f"{of}{name}": bits for name, bits in _words(shape).items()}
    return [f"{name} {bits}" for name, bits in words.items() if bits > BAMBU_WORD_BITS]


def _words(shape: EngineShape) -> dict[str, int]:
    """Bits of the words in an engine."""
    column = shape.Tx * shape.kernel * shape.piece_bits
    return {
        "input word": 8 * shape.in_beat_bytes,
        "column": column if has_columns(shape) else 0,
        "window": shape.kernel * shape.span * shape.piece_bits,
        "weights": shape.rom_word_bits,
        "biases": shape.outputs * shape.bias_bits,
        "scales": shape.outputs * shape.scale_bits,
        "sums": shape.sums_bits,
        "output word": 8 * shape.out_beat_bytes,
    }


def _engine_headers(sources: Mapping[str, str]) -> dict[str, str]:
    """Text of the headers of hls/engine that sources include, directly or not, by file name."""
    found: dict[str, str] = {}
    texts = list(sources.values())
    while texts:
        for name in re.findall(r'^#include "(.+)"', texts.pop(), re.MULTILINE):
            path = ENGINE / name
            if name not in found and path.exists():  # else of the sources themselves, or the tool's own
                found[name] = path.read_text(encoding="utf-8")
                texts.append(found[name])
    return found


def vivado_part(target: Target) -> str:
    """The part as Vivado writes it: xc7z020clg400-1, xczu7ev-ffvc1156-2-e. Raises ConfigError for other makers'."""
    if not target.constraints.endswith(".xdc"):
        raise ConfigError(
            f"--hls vitis: target: must be an AMD device, got {target.name}; choose another with --target"
        )
    dash = "" if target.part.startswith("xc7") else "-"
    return f"{target.part}{dash}{target.package}{target.speed_grade}"


def clock_constraint(target: Target, clock_ns: float) -> str:
    """The target's XDC with the period of this run."""
    path = CONSTRAINTS / target.constraints
    text, count = re.subn(r"-period \S+", f"-period {clock_ns}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise ConfigError(f"{path}: must have one -period, got {count}")
    return text


def _rendered(path: Path, values: dict[str, Any]) -> str:
    return _environment.from_string(path.read_text(encoding="utf-8")).render(values)
