"""Commands and figures of the documents, as they stand there.

A block of commands that are to be run is fenced as a console session; what stands below a command is what it prints:

    ```console
    $ psconv compare out/golden out/csim
    …
    equal
    $ psconv synth examples/layers/dense.yaml --hls vitis   # exit 3
    ```

`…` stands for any text within a line, on a line of its own for any lines. Words after `console`: `slow` (more than some
seconds), `data` (needs the CIFAR-10 folder that PSCONV_DATA names). How a command is used in general, with places for
arguments, is fenced as `usage`.

A table whose figures a command prints stands between `<!-- from COMMAND -->` and `<!-- end -->`; one that a benchmark
writes between `<!-- bench NAME -->`, or `<!-- bench NAME: TITLE -->`, and `<!-- end -->`; one that was measured once,
on a program or a machine that is no more at hand, between `<!-- once: WHEN AND HOW -->` and `<!-- end -->`; what is
made of the program's own definitions (scripts/reference.py) between `<!-- reference NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.helpers.places import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])

_COMMAND = re.compile(r"\s*(\$ |psconv |make( |$)|python3? -m |torchrun |pip |git clone )")
_FENCE = re.compile(r"```(\S*) *(.*)$")
_PLACE = re.compile(r"<!-- (from|bench|once:|reference) (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
_FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")
ANY = "…"


@dataclass
class Block:
    """A block of code: what it is fenced as ("" for an indented one), its further words, its lines, its first line."""

    sort: str
    words: list[str]
    line: int
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command of a console session, the exit code that it must have, and the lines that it must print."""

    text: str
    code: int
    shown: tuple[str, ...]
    line: int


def blocks(text: str) -> list[Block]:
    """All blocks of code of a Markdown text."""
    found: list[Block] = []
    open_block: Block | None = None
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and (open_block is None or not open_block.sort):
            open_block = Block(fence[1] or "text", fence[2].split(), number + 1)
            found.append(open_block)
        elif fence:
            open_block = None
        elif open_block is not None and open_block.sort:
            open_block.lines.append(line)
        elif line.startswith("    ") and (open_block is not None or not before.strip()):
            if open_block is None:
                open_block = Block("", [], number)
                found.append(open_block)
            open_block.lines.append(line[4:])
        elif line.strip():
            open_block = None
        before = line
    return found


def stray_commands(text: str) -> list[str]:
    """Commands in blocks that are neither sessions nor usage: nobody would notice when they fail."""
    return [
        f"line {block.line + at}: {line.strip()}"
        for block in blocks(text)
        if block.sort not in ("console", "usage")
        for at, line in enumerate(block.lines)
        if _COMMAND.match(line)
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a session; one that ends with a backslash goes on in the next line."""
    found: list[Command] = []
    lines = iter(enumerate(block.lines, block.line))
    for number, line in lines:
        if not line.startswith("$ "):
            if not found:
                raise ValueError(f"line {number}: a session begins with a command: $ COMMAND")
            found[-1] = Command(found[-1].text, found[-1].code, (*found[-1].shown, line), found[-1].line)
            continue
        text = line[2:]
        while text.endswith("\\"):
            text = text[:-1].rstrip() + " " + next(lines)[1].strip()
        said = re.search(r"# exit (\d+)", text)
        found.append(Command(re.sub(r"\s+#.*$", "", text), int(said[1]) if said else 0, (), number))
    return found


def unmatched(shown: tuple[str, ...], printed: str) -> str | None:
    """The first shown line that is not printed in its place; None where all are."""
    rest = [_plain(line) for line in printed.splitlines()]
    rest = [line for line in rest if line]
    skips = True  # a session may begin with what is printed first, and leave out the rest
    for line in map(_plain, shown):
        if line == ANY:
            skips = True
        elif line:
            pattern = re.compile(".*".join(re.escape(part) for part in line.split(ANY)))
            places = [at for at, text in enumerate(rest) if pattern.fullmatch(text)]
            if not places or (places[0] and not skips):
                return line
            rest, skips = rest[places[0] + 1 :], False
    return None


def figures(text: str) -> list[str]:
    """The numbers of a text, without the commas between thousands."""
    return [found.replace(",", "") for found in _FIGURE.findall(text)]


def places(text: str) -> Iterator[tuple[str, str, str]]:
    """What is put into a text from elsewhere: the sort of place, the command, benchmark or remark, the content."""
    for place in _PLACE.finditer(text):
        yield place[1], place[2], place[3]


def stray_tables(text: str) -> list[str]:
    """Heads of tables with figures that do not say where these come from."""
    outside = _PLACE.sub("", text)
    stray = []
    for table in re.findall(r"(?:^\|.*\n)+", outside, re.MULTILINE):
        head, _, *rows = table.splitlines()
        cells = [cell.strip() for row in rows for cell in row.strip("|").split("|")]
        if any(re.fullmatch(r"[\d,]+\.\d+ ?%?|\d{1,3}(,\d{3})+", cell) for cell in cells):
            stray.append(head)
    return stray


def _plain(line: str) -> str:
    return " ".join(line.split())
