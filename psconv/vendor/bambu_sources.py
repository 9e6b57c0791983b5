"""The engine's C++ as PandA Bambu takes it: the same sources with the pragmas and the ROMs in its terms.

What its front end does with a pragma is read off its sources (release 2024.10, etc/clang_plugin/
plugin_ASTAnalyzer.cpp) and known from a trial (docs/guide/bambu.md): PIPELINE inside a loop is an error, UNROLL stands
before its loop, in lower case, as its clang 16 crashes at the other; INLINE inside a template is refused; other classes
than interface, dataflow, inline, pipeline, unroll and cache are warnings. Its ap_int (an ac_int) fills itself from a
string while the program runs, so a table of strings would be no ROM.
"""

from __future__ import annotations

import re

from pymodel.common.errors import ConfigError

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
    """engine_config.hpp with each ROM as a table of integers. Raises ConfigError if it has no ROM."""
    widths: dict[str, int] = {}

    def table(match: re.Match[str]) -> str:
        bits, name, words = int(match[1]), match[2], [int(word, 16) for word in _WORD.findall(match[4])]
        if len(words) != int(match[3]):
            raise ConfigError(f"{name}: {len(words)} words found, {match[3]} expected")
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
        raise ConfigError("engine_config.hpp: no ROM found")
    for name, bits in widths.items():
        text, count = re.subn(rf"\breturn {name}\[(\w+)\];", rf"return joined<{bits}>({name}[\1]);", text)
        if not count:
            raise ConfigError(f"engine_config.hpp: nothing reads {name}")
    first = text.index("static const unsigned long long")
    first = text.rindex("\n\n", 0, first) + 2
    return text[:first] + bambu_source(_JOIN.format(bits=PIECE_BITS), "joined") + "\n" + text[first:]
