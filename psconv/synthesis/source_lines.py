"""From the name of a cell or net after synthesis back to lines of C++.

openhls ends the statements of its Verilog with the C++ lines that they come from, `// pe.hpp:92`. yosys names what it
makes after the nearest net of the Verilog, with the way to it behind: `pe.sum_3_TRELLIS_FF_Q_5_DI_LUT4_Z` is a part of
what register `sum_3` of instance `pe` takes next. So the longest beginning of a name that is a net or an instance leads
to the statement that gives that net its value, and where this has no C++ line to the instance around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from psconv.synthesis.yosys_json import Cell, Module
from psconv.synthesis.yowasp import source_name

_MODULE = re.compile(r"^\s*module\s+(\w+)(.*?)^\s*endmodule", re.MULTILINE | re.DOTALL)
_GIVEN = re.compile(r"^\s*(?:assign\s+|(?:wire|reg|logic)\s+(?:signed\s+)?(?:\[[^\]]*\]\s*)?)?(\w+)\s*(?:<=|=)(?!=)")
_DECLARED = re.compile(r"^\s*(?:(?:input|output|wire|reg|logic)\s+)*(?:\[[^\]]*\]\s*)?(\w+)\s*[;,]?\s*//")
_INSTANCE = re.compile(r"^\s*(\w+)\s+(\w+)\s*\(\s*(?://.*)?$")
_POSITION = re.compile(r"(\w+\.sv):(\d+)\.")
_OPERATIONS = ("CCU2C", "MULT18X18D")
_PLACE = re.compile(r"[\w.]+\.\w+:\d+")


@dataclass
class _Text:
    """A Verilog module. given, declared: C++ lines by net; instances: module and C++ lines by instance."""

    given: dict[str, list[str]] = field(default_factory=dict)
    declared: dict[str, list[str]] = field(default_factory=dict)
    instances: dict[str, tuple[str, list[str]]] = field(default_factory=dict)


def _places(line: str) -> list[str]:
    return _PLACE.findall(line.partition("//")[2])


def _statement(lines: Sequence[str], at: int) -> list[str]:
    """C++ lines behind a statement, from the line `at` to its semicolon."""
    end = next((k for k in range(at, len(lines)) if ";" in lines[k].partition("//")[0]), at)
    return [place for part in lines[at : end + 1] for place in _places(part)]


def _parse(body: str) -> _Text:
    text = _Text()
    lines = body.splitlines()
    for at, line in enumerate(lines):
        if found := _INSTANCE.match(line):
            text.instances[found[2]] = found[1], _places(line)
        elif found := _GIVEN.match(line):
            text.given.setdefault(found[1], []).extend(_statement(lines, at))
        elif found := _DECLARED.match(line):
            text.declared[found[1]] = _places(line)
    return text


class SourceLines:
    """The C++ lines of a synthesised design."""

    def __init__(self, module: Module, top: str, rtl: Sequence[str]) -> None:
        """module: the flattened top in yosys's JSON; rtl: texts of the Verilog it was made of, as yosys read them."""
        self.top, self.cells = top, module["cells"]
        self.files = {source_name(k): text.splitlines() for k, text in enumerate(rtl)}
        self.modules = {name: _parse(body) for text in rtl for name, body in _MODULE.findall(text)}
        self.paths: dict[str, list[str]] = {}  # of nets and instances of the Verilog: instances, then the name
        for name, cell in module["cells"].items():
            if cell["type"] == "$scopeinfo":
                self.paths[name] = cell["attributes"].get("hdlname", name).split()
        for name, net in module["netnames"].items():
            written = net["attributes"].get("hdlname")
            if written:
                self.paths[name] = written.split()
            elif name in self.modules[top].given or name in self.modules[top].declared:
                self.paths[name] = [name]

    def of(self, name: str) -> str | None:
        """The C++ lines of a cell or net, as "pe.hpp:41, pe.hpp:57"; None where none is known."""
        if places := self._written(self.cells.get(name.partition("$")[0])):
            return ", ".join(dict.fromkeys(places))
        for end in [len(name), *(match.start() for match in reversed([*re.finditer(r"[_$.\[]", name)]))]:
            if path := self.paths.get(name[:end]):
                return self._lines(path)
        return None

    def _written(self, cell: Cell | None) -> list[str]:
        """C++ lines of the operation that became a cell, where yosys still knows it: adders and multipliers."""
        if cell is None or cell["type"] not in _OPERATIONS:
            return []
        found = _POSITION.match(cell["attributes"].get("src", ""))
        if found is None or found[1] not in self.files:
            return []
        lines = self.files[found[1]]
        return _statement(lines, int(found[2]) - 1)

    def _lines(self, path: list[str]) -> str | None:
        places: list[str] = []
        module = self.top
        for at, name in enumerate(path):
            text = self.modules.get(module)
            if text is None:
                break
            if name in text.instances:
                module, nearer = text.instances[name]
            elif at == len(path) - 1:
                nearer = text.given.get(name) or text.declared.get(name, [])
            else:
                break
            places = nearer or places
        return ", ".join(dict.fromkeys(places)) or None
