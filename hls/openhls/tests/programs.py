"""Small C++ programs, many in one design: one clang, one native program and one simulation serve them all.

A program is a namespace with a `top`, in a file of the folder `programs` (or a whole file with a `top`). The design
calls every top as a process of a DATAFLOW function; its ports are those of the tops, named PROGRAM_PORT.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).parent / "programs"
TOP, NATIVE = "every", "every_natively"
_TOP = re.compile(r"\bvoid top\(")
_PROGRAM = re.compile(r"^namespace (\w+) \{\n.*?^\}  // \1$", re.MULTILINE | re.DOTALL)
_ALIAS = re.compile(r"^typedef .*$", re.MULTILINE)
_INCLUDE = re.compile(r"^#include .*$", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """One argument of a top: a stream, or an array of `counts` streams."""

    type: str
    name: str
    counts: tuple[int, ...]
    is_reference: bool

    def declared(self, prefix: str) -> str:
        """As an argument called `prefix` + its name."""
        name = f"(&{prefix}{self.name})" if self.is_reference and self.counts else f"{prefix}{self.name}"
        return f"{self.type}{'' if self.counts else '&'} {name}{''.join(f'[{n}]' for n in self.counts)}"


def _parameters(text: str) -> list[Parameter]:
    start = _TOP.search(text).end()  # type: ignore[union-attr]
    depth, parts, current = 1, [], ""
    for char in text[start:]:
        depth += (char in "(<[") - (char in ")>]")
        if depth == 0:
            break
        if char == "," and depth == 1:
            parts.append(current)
            current = ""
        else:
            current += char
    found = []
    for part in [*parts, current]:
        type_, reference, name, counts = re.match(
            r"\s*(.*?>)\s*(\(?&)?\s*(\w+)\)?((?:\[\d+\])*)\s*$", part.strip(), re.DOTALL
        ).groups()  # type: ignore[union-attr]
        found.append(Parameter(type_, name, tuple(map(int, re.findall(r"\d+", counts))), bool(reference)))
    return found


def programs_of(file: Path) -> dict[str, str]:
    """Program -> its text, a namespace."""
    text = file.read_text()
    found = {m[1]: m[0] for m in _PROGRAM.finditer(text)}
    if found:
        return found
    body = _INCLUDE.sub("", text)
    return {f"the_{file.stem}": f"namespace the_{file.stem} {{\n{body}\n}}"}


def write_design(files: Iterable[Path], target: Path) -> Path:
    """A file with the programs of several: the DATAFLOW function TOP calls all, and so does NATIVE, port by port."""
    texts = [file.read_text() for file in files]
    includes = dict.fromkeys(line for text in texts for line in _INCLUDE.findall(text))
    names = dict.fromkeys(line for text in texts for line in _ALIAS.findall(text))
    programs = {name: text for file in files for name, text in programs_of(file).items()}
    arguments, calls, flat, before, after, natively = [], [], [], [], [], []
    for program, text in programs.items():
        parameters = _parameters(text)
        arguments += [p.declared(f"{program}_") for p in parameters]
        calls.append(f"  {program}::top({', '.join(f'{program}_{p.name}' for p in parameters)});")
        natively.append(f"  {program}::top({', '.join(f'local_{program}_{p.name}' for p in parameters)});")
        for p in parameters:
            local = f"local_{program}_{p.name}"
            before.append(f"  static {p.type} {local}{''.join(f'[{n}]' for n in p.counts)};")
            for index in product(*[range(n) for n in p.counts]):
                port = "_".join([program, p.name, *map(str, index)])
                place = local + "".join(f"[{k}]" for k in index)
                flat.append(f"{p.type}& {port}")
                before.append(f"  move({port}, {place});")
                after.append(f"  move({place}, {port});")
    parts = [
        *includes,
        *names,
        *programs.values(),
        f"void {TOP}({', '.join(arguments)}) {{",
        "#pragma HLS DATAFLOW",
        *calls,
        "}",
        "#ifndef __SYNTHESIS__",
        "template <class S> void move(S& from, S& to) { while (!from.empty()) to.write(from.read()); }",
        f"void {NATIVE}({', '.join(flat)}) {{",
        *before,
        *natively,
        *after,
        "}",
        "#endif",
    ]
    target.write_text("\n".join(parts) + "\n")
    return target
