"""The modules of a design that differ in more than names, so that a tool has to look at each of these only once.

Each module's text is brought to a normal form: identifiers numbered as they come, the modules that it instantiates
called by what they are, no comments. Names are all that is lost, so equal texts are equal circuits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from openhls.backend.keywords import RESERVED

_TOKEN = re.compile(
    r"""(?P<gap>(?:\s+|//[^\n]*|/\*.*?\*/)+) | (?P<string>"(?:\\.|[^"\\])*") | (?P<attribute>\(\*(?!\)).*?\*\))
      | (?P<number>\d*'s?[bodh][0-9a-fxz_]+|'[01xz]|\d[\d_]*) | (?P<port>\.[a-z_]\w*) | (?P<word>[a-z_$][\w$]*)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# A ROM of openhls (primitives.py): its declaration, then the constants with its words and the loops that copy them.
_ROM = re.compile(
    r'(?P<head>rom_style = "block" \*\) logic \[(?P<top>\d+):0\] (?P<memory>mem\d*) \[0:\d+\];\n)'
    r"(?P<contents>(?:  localparam [^;]*;\n)+)  initial begin\n(?:    .*\n)*?  end\n"
)
_ZEROS = re.compile(r"  initial begin\n    // verilator unroll_disable\n    for .* mem\[k\] = '0;\n  end\n")
_PART = re.compile(r"localparam logic \[(\d+):0\] \w+ = \d+'h([0-9a-f]+);")


@dataclass(frozen=True)
class Module:
    """A module in its normal form. name: made of its text; parts: names of the modules that it instantiates."""

    name: str
    text: str
    parts: frozenset[str]


@dataclass(frozen=True)
class Distinct:
    """The modules of a design. name_of: of each module its normal form's; modules: the normal forms, by name."""

    name_of: dict[str, str]
    modules: dict[str, Module]

    @property
    def first(self) -> dict[str, str]:
        """The module that stands for each normal form, by normal form: identical modules are synthesised once."""
        return {normal: name for name, normal in sorted(self.name_of.items(), reverse=True)}


def distinct(texts: Mapping[str, str]) -> Distinct:
    """The normal forms of the modules in `texts`, Verilog by module name."""
    found = Distinct({}, {})
    names: dict[str, dict[str, str]] = {}  # of each module, what its identifiers became

    def visit(own: str) -> str:
        if own in found.name_of:
            return found.name_of[own]
        mine: dict[str, str] = {}
        parts: set[str] = set()
        part, text = own, ""
        for kind, token in _tokens(without_contents(texts[own])):
            if kind == "gap":
                token = " "
            elif kind == "word" and token != own and token in texts:
                part, token = token, visit(token)
                parts.add(token)
            elif kind == "word" and token not in RESERVED and token[0] != "$":
                token = mine.setdefault(token, f"n{len(mine)}")
            elif kind == "port":
                token = f".{names[part][token[1:]]}"
            text += "\n" if kind == "gap" and text.endswith(";") else token
        names[own] = mine
        name = f"m{hashlib.sha256(text.encode()).hexdigest()[:20]}"
        found.modules[name] = Module(name, text.replace(mine[own], name, 1), frozenset(parts))
        found.name_of[own] = name
        return name

    for name in texts:
        visit(name)
    return found


def instantiated(text: str, known: Mapping[str, object]) -> set[str]:
    """Which of the `known` modules the one in `text` instantiates."""
    words = (token for kind, token in _tokens(text) if kind == "word")
    return {word for word in list(words)[2:] if word in known}  # `module`, its own name, ...


def without_contents(text: str) -> str:
    """A memory of openhls without most of its contents, as yosys takes minutes over megabits; other modules unchanged.

    How many block RAMs a ROM takes depends on its size, and on which bits are the same in all words: yosys leaves them
    out. So two words are enough: all words ANDed and ORed. A RAM's zeros do not count at all.
    """
    if "ram_style" in text:
        return _ZEROS.sub("", text)
    return _ROM.sub(_two_words, text)


def _two_words(rom: re.Match[str]) -> str:
    """A ROM with two words: in the bits that are the same in all words they are, too; in the others they differ."""
    width = int(rom["top"]) + 1
    always, ever = (1 << width) - 1, 0
    for top, digits in _PART.findall(rom["contents"]):
        words = int(digits, 16)
        for at in range(0, int(top) + 1, width):
            word = words >> at & (1 << width) - 1
            always, ever = always & word, ever | word
    two = "".join(f"    {rom['memory']}[{at}] = {width}'h{word:x};\n" for at, word in enumerate((always, ever)))
    return f"{rom['head']}  initial begin\n{two}  end\n"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    return ((str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text))
