"""The C++ of a top: configurations of its units, the function that connects them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pymodel.common.files import write_text
from pymodel.common.identifiers import IN_PORT
from pymodel.common.templates import templates
from pymodel.engine.cpp import render_header
from pymodel.top.cycles import stream_depths_between
from pymodel.top.dataflow import Dataflow
from pymodel.top.units import AddUnit, Control, Stream, Unit, WeightPort

CONFIG = "config.hpp"
HEADER = "top.hpp"
SOURCE = "top.cpp"

_templates = templates(Path(__file__).with_name("templates"))


def render(dataflow: Dataflow, what: str, least_depth: int = 1) -> dict[str, str]:
    """C++ text by file name: configuration, header, source. The same dataflow always gives the same text.

    what: it is, for comments. least_depth: of the streams, for a tool to whose FIFOs the cycle model does not apply.
    Raises ConfigError: streams whose depths are not found; weights that do not fit formats, support or accumulators.
    """
    depths = stream_depths_between(dataflow)
    streamed = list(dataflow.streamed.values())
    common = {
        "generator": __name__,
        "what": what,
        "top": dataflow.top,
        "source": dataflow.source,
        "sinks": dataflow.sinks,
        "streamed": streamed,
    }
    ports = {IN_PORT: "InputBeat"} | {sink.name: _beat(sink, dataflow) for sink in dataflow.sinks}
    widest = max(unit.widest for unit in dataflow.units)
    structs = [unit.struct(least_depth) for unit in dataflow.units]
    return {
        CONFIG: render_header(CONFIG, __name__, f"the units of {what}", widest, structs),
        HEADER: _templates.get_template(f"{HEADER}.j2").render(**common, loaded=dataflow.packet_parser is not None),
        SOURCE: _templates.get_template(f"{SOURCE}.j2").render(
            **common,
            headers=sorted({unit.header for unit in dataflow.units}),
            joins=any(isinstance(unit, AddUnit) for unit in dataflow.units),
            units=[_unit(unit, ports) for unit in dataflow.units],
            ports=[
                dataflow.source.name,
                *(engine.port.name for engine in streamed),
                *(sink.name for sink in dataflow.sinks),
            ],
            streams=[
                {"name": s.name, "bits": s.word_bits, "depth": max(depths[s.name], least_depth)}
                for s in dataflow.streams
            ],
        ),
    }


def write(folder: Path, dataflow: Dataflow, what: str) -> None:
    """Writes the files of `render` to a folder, each whole or not at all. Raises ConfigError as `render` does."""
    for file, text in render(dataflow, what).items():
        write_text(folder / file, text)


def _unit(unit: Unit, ports: Mapping[str, str]) -> dict[str, object]:
    """What the template has of a unit. ports: the types of beats of the images' and the outputs' ports, by name."""
    streams = [*unit.reads, *unit.writes]
    names = [f"in{at}" for at in range(len(unit.reads))] + [f"out{at}" for at in range(len(unit.writes))]
    return {
        "name": unit.name,
        "function": unit.function,
        "config": unit.config,
        "dataflow": unit.dataflow,
        "arguments": ", ".join(
            f"hls::stream<{_type(stream, ports)}>& {name}" for stream, name in zip(streams, names, strict=True)
        ),
        "parameters": ", ".join(names),
        "streams": ", ".join(stream.name for stream in streams),
    }


def _beat(sink: Stream, dataflow: Dataflow) -> str:
    """The type of the beats of an output port; a single one has a name."""
    return "OutputBeat" if len(dataflow.sinks) == 1 else f"psconv::AxiBeat<{sink.word_bits}> "


def _type(stream: Stream | Control | WeightPort, ports: Mapping[str, str]) -> str:
    if isinstance(stream, WeightPort):
        return f"psconv::AxiBeat<{stream.word_bits}> "
    return ports.get(stream.name, f"ap_uint<{stream.word_bits}> ")
