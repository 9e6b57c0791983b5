"""The C++ of a design as PandA Bambu takes it: the same sources with the pragmas and the ROMs in its terms.

What its front end does with a pragma is read off its sources (release 2024.10, etc/clang_plugin/
plugin_ASTAnalyzer.cpp) and known from a trial (docs/guide/bambu.md): PIPELINE inside a loop is an error, UNROLL stands
before its loop, in lower case, as its clang 16 crashes at the other; INLINE inside a template is refused; other classes
than interface, dataflow, inline, pipeline, unroll and cache are warnings. Its ap_int (an ac_int) fills itself from a
string while the program runs, so a table of strings would be no ROM.
"""

from __future__ import annotations

import re
from typing import Any

from pymodel.common.errors import ConfigError
from pymodel.engine.windows import has_columns
from pymodel.top.units import EngineUnit, PoolUnit, Stream, Unit

UNUSED = (
    "PIPELINE",
    "DEPENDENCE",
    "STREAM",
    "ARRAY_PARTITION",
    "BIND_STORAGE",
    "LOOP_FLATTEN",
    "LOOP_TRIPCOUNT",
    "INLINE",
)
PIECE_BITS = 64

_PRAGMA = re.compile(r"^[ \t]*#pragma HLS (\w+).*\n", re.MULTILINE)
_UNROLL = re.compile(r"^([ \t]*for \(.*\n)[ \t]*#pragma HLS UNROLL\n", re.MULTILINE | re.IGNORECASE)
_ROM = re.compile(r"static const ap_uint<(\d+)> (\w+)\[(\d+)\] = \{\n(.*?)\n\};", re.DOTALL)
_WORD = re.compile(r"PSCONV_ROM_WORD\(0x([0-9a-fA-F]+)\)")
_JOIN = """\
// A ROM word from its {bits}-bit pieces, the least significant first.
template <int W, int N> ap_uint<W> joined(const unsigned long long (&pieces)[N]) {{
#pragma HLS INLINE
  ap_uint<{bits} * N> word = 0;
  for (int i = 0; i < N; ++i) {{
#pragma HLS UNROLL
    word |= ap_uint<{bits} * N>(pieces[i]) << ({bits} * i);
  }}
  return ap_uint<W>(word);
}}
"""


def bambu_source(text: str, name: str) -> str:
    """C++ text with `unroll` in front of its loop and without the pragmas that Bambu refuses or ignores.

    Raises ConfigError, naming the file, for a pragma that has no translation.
    """
    text = _UNROLL.sub(r"#pragma HLS unroll\n\1", text)

    def translated(match: re.Match[str]) -> str:
        kind = match[1].upper()
        if kind in UNUSED:
            return ""
        if match[1] == "unroll" and re.match(r"[ \t]*for \(", text[match.end() :]):
            return match[0]
        raise ConfigError(f"{name}: #pragma HLS {match[1]} has no translation for Bambu")

    return _PRAGMA.sub(translated, text)


def bambu_header(text: str) -> str:
    """The configuration with each ROM as a table of integers."""
    widths: dict[str, int] = {}

    def table(match: re.Match[str]) -> str:
        bits, name, words = int(match[1]), match[2], [int(word, 16) for word in _WORD.findall(match[4])]
        if len(words) != int(match[3]):
            raise ConfigError(f"{name}: must have {match[3]} words, got {len(words)}")
        widths[name] = bits
        pieces = -(-bits // PIECE_BITS)
        mask = (1 << PIECE_BITS) - 1
        rows = (
            "{" + ", ".join(f"{word >> (PIECE_BITS * i) & mask:#x}ULL" for i in range(pieces)) + "}" for word in words
        )
        body = "\n".join(f"    {row}," for row in rows)
        return f"static const unsigned long long {name}[{len(words)}][{pieces}] = {{\n{body}\n}};"

    text = _ROM.sub(table, text)
    if not widths:
        return text
    for name, bits in widths.items():
        text, count = re.subn(rf"\breturn {name}\[(\w+)\];", rf"return joined<{bits}>({name}[\1]);", text)
        if not count:
            raise ConfigError(f"config.hpp: nothing reads {name}")
    first = text.index("static const unsigned long long")
    first = text.rindex("\n\n", 0, first) + 2
    return text[:first] + bambu_source(_JOIN.format(bits=PIECE_BITS), "joined") + "\n" + text[first:]


def calls(unit: Unit) -> dict[str, Any]:
    """The processes of a unit as the top calls them: functions with their streams, and the streams between them.

    Bambu makes a module of a process only where the function with DATAFLOW calls it itself, and finds its streams
    there. Raises ConfigError for a unit whose weights do not lie in ROM.
    """
    config, source, sink = unit.config, unit.reads[0].name, unit.writes[-1].name
    if not isinstance(unit, EngineUnit | PoolUnit):
        streams = [*unit.reads, *unit.writes]
        if any(not isinstance(stream, Stream) for stream in streams):
            raise ConfigError(f"--hls bambu: layer {unit.layer}: weights: must be rom, got loaded")
        names = [stream.name for stream in streams]
        return {"streams": [], "calls": [{"function": f"{unit.function}<{config}>", "streams": ", ".join(names)}]}
    if len(unit.reads) > 1:
        raise ConfigError(f"--hls bambu: layer {unit.layer}: weights: must be rom, got loaded or streamed")
    engine = isinstance(unit, EngineUnit)
    shape = unit.shape if isinstance(unit, EngineUnit) else unit
    inverts = isinstance(unit, PoolUnit) and unit.inverts_signs
    columns, windows, sums = (f"{unit.name}_{name}" for name in ("column_words", "window_words", "sum_words"))
    geometry = f"psconv::{'Geometry' if engine else 'WindowGeometry'}<{config}>"
    feeder = (
        [(f"columns<{config}{', true' if inverts else ''}>", source, columns), (f"windows<{config}>", columns, windows)]
        if has_columns(shape)
        else [(f"pixels<{config}>", source, windows)]
    )
    rest = (
        [(f"pe<{config}>", windows, sums), (f"output<{config}>", sums, sink)]
        if engine
        else [(f"reduce<{config}>", windows, sink)]
    )
    types = {columns: "ColumnStream", windows: "WindowStream", sums: "SumsStream"}
    between = [written for _, _, written in (*feeder, *rest) if written != sink]
    return {
        "streams": [{"type": f"{geometry}::{types[name]}", "name": name} for name in between],
        "calls": [{"function": call, "streams": f"{a}, {b}"} for call, a, b in (*feeder, *rest)],
    }
