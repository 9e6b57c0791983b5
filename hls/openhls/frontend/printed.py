"""A printed LLVM module as an index of its definitions, and slices of it: what one function needs and nothing else.

A network's module holds the weights of every layer; whoever works on one function must not carry them all along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from openhls.frontend.ir import NAME

_DEFINED = re.compile(rf"^(?:define|declare) [^\n@]*({NAME})\(")
_DEBUG = re.compile(r"!dbg !(\d+) \{$", re.MULTILINE)
_ASSIGNED = re.compile(r'^([@%$]"[^"]*"|[@%$][-\w.$]+|!\d+|attributes #\d+) = ')
_REFERENCE = re.compile(r'([@%$](?:"[^"]*"|[-\w.$]+)|[!#]\d+)|"[^"]*"')
_NUMBERED = re.compile(r'(%"[^"]*"|%(?:struct|class|union)\.[-\w.$]+|[!#]\d+)|"[^"]*"')
_UNIT_LISTS = re.compile(r", (?:enums|retainedTypes|globals|imports): !\d+")
_STARTUP = "@llvm.global_ctors"


class PrintedModule:
    """The pieces of a module by name: `@function`, `@global`, `%type`, `$comdat`, `#attributes`, `!metadata`.

    Metadata that lists everything in the module (the compile unit's globals) is left out.
    """

    def __init__(self, text: str):
        self._head: list[str] = []
        self._named: list[str] = []
        self._pieces: dict[str, str] = {}
        self._uses: dict[str, tuple[str, ...]] = {}
        self.functions: list[str] = []  # symbols of the defined ones
        lines = iter(text.split("\n"))
        for line in lines:
            if line.startswith(("define ", "declare ")):
                name = _DEFINED.match(line)[1]  # type: ignore[index]  # every `define` has a name
                if line.startswith("define "):
                    self.functions.append(name[1:].strip('"'))
                    line = "\n".join([line, *_body(lines)])
                self._pieces[name] = line
            elif assigned := _ASSIGNED.match(line):
                if " = distinct !DICompileUnit(" in line[:40]:
                    line = _UNIT_LISTS.sub("", line)
                self._pieces[assigned[1].removeprefix("attributes ")] = line
            elif line.startswith("target "):
                self._head.append(line)
            elif line.startswith("!"):
                self._named.append(line)

    def body(self, symbol: str) -> str:
        """A function's definition; empty for one that is only declared."""
        text = self._pieces.get(self._global(symbol), "")
        return text if text.startswith("define ") else ""

    def subprogram(self, symbol: str) -> str | None:
        """The debug node of a defined function."""
        found = _DEBUG.search(self.body(symbol))
        return found and found[1]

    def debug_text(self) -> str:
        """All metadata, one node a line."""
        return "\n".join(text for name, text in self._pieces.items() if name.startswith("!"))

    def callees(self, symbol: str) -> list[str]:
        """The functions that a function refers to, in the order of their first mention."""
        names = self._references(self._global(symbol))
        return [n[1:].strip('"') for n in names if n.startswith("@") and _is_function(self._pieces[n])]

    def initialised_by_code(self) -> set[str]:
        """Globals that functions run before main refer to: what they hold is not in their initialiser."""
        reached = self._closure([_STARTUP], True) if _STARTUP in self._pieces else {}
        return {n[1:].strip('"') for n in reached if n.startswith("@") and not _is_function(self._pieces[n])}

    def slice(self, symbol: str, *, callees: bool = True) -> str:
        """A module with one function and all it refers to, types and metadata numbered in the order of use.

        So an unchanged function has an unchanged slice, whatever else changes in the module.

        Args:
            symbol: a defined function.
            callees: whether the functions that it calls are defined, too, with all they need.
        """
        wanted = self._closure([self._global(symbol), *_metadata(self._named)], callees)
        numbered = {
            n: f"{kind}{'type' * (kind == '%')}{k}"
            for kind in "%!#"
            for k, n in enumerate(n for n in wanted if n[0] == kind)
        }

        def renumbered(match: re.Match[str]) -> str:
            return numbered.get(match[0], match[0])

        pieces = {n: self._pieces[n] if whole else f"declare void {n}()" for n, whole in wanted.items()}
        lines = [piece for kind in "%$@#" for name, piece in pieces.items() if name[0] == kind]
        lines += [*self._named, *(piece for name, piece in pieces.items() if name[0] == "!")]
        return "\n".join([*self._head, *(_NUMBERED.sub(renumbered, line) for line in lines)]) + "\n"

    def _closure(self, roots: list[str], callees: bool) -> dict[str, bool]:
        """Names of the pieces needed -> whether the whole piece is."""
        found: dict[str, bool] = {}
        todo = list(reversed(roots))
        while todo:
            name = todo.pop()
            if name not in found:
                found[name] = callees or name in roots or not self._pieces[name].startswith("define ")
                if found[name]:
                    todo += reversed(self._references(name))
        return found

    def _references(self, name: str) -> tuple[str, ...]:
        if name not in self._uses:
            mentioned = dict.fromkeys(_REFERENCE.findall(self._pieces[name]))
            if name[0] == "@":
                mentioned[f"${name[1:]}"] = None  # a bare `comdat` is the one of the same name
            self._uses[name] = tuple(n for n in mentioned if n in self._pieces and n != name)
        return self._uses[name]

    def _global(self, symbol: str) -> str:
        """A symbol as the module prints it."""
        return f"@{symbol}" if f"@{symbol}" in self._pieces else f'@"{symbol}"'


def _body(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the brace that closes a definition."""
    for line in lines:
        yield line
        if line == "}":
            return


def _is_function(piece: str) -> bool:
    return piece.startswith(("define ", "declare "))


def _metadata(lines: list[str]) -> list[str]:
    return [name for line in lines for name in _REFERENCE.findall(line) if name[1:].isdigit()]
