"""The lengths of array arguments, which C++ forgets: `stream<int> x[4]` is a pointer to everyone but the reader.

`mark` puts a call of a marker function with the argument's position and its length at the beginning of the body of
every function with such an argument; `lengths` reads them back from the IR. The length may be any constant expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LENGTH_MARKER = "__openhls_length"
LENGTH_DECLARATION = f'extern "C" constexpr void {LENGTH_MARKER}(int, int) {{}}'

_TOKEN = re.compile(
    r"""R"(?P<delimiter>[^()\s\\"]*)\(.*?\)(?P=delimiter)" | "(?:[^"\\\n]|\\.)*" | (?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'
      | ^[ \t]*\#[^\n]* | (?P<mark>[(){])""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*$", re.MULTILINE)
_HEAD = re.compile(r"(?P<initialiser>(?<!:):|[,.])?\s*\b(?P<name>\w+)\s*$")
_BETWEEN = re.compile(r"\s*(?:(?:const|noexcept|override|final)\b\s*)*")
_STATEMENTS = ("if", "for", "while", "switch", "catch")
_ARRAY = re.compile(r"[\w>&*:]\s*\b[A-Za-z_]\w*\s*\[([^\[\]]*)\](?:\s*\[[^\[\]]*\])*\s*$")
_MARKED = re.compile(rf"call void @{LENGTH_MARKER}\(i32 noundef (\d+), i32 noundef (\d+)\)")


def mark(text: str) -> str:
    """Preprocessed C++ -> the same with the lengths of array arguments marked. Lines stay where they are."""
    opened: list[int] = []
    closed = (0, 0)
    insertions: list[tuple[int, str]] = []
    for token in _TOKEN.finditer(text):
        mark_ = token["mark"]
        if mark_ == "(":
            opened.append(token.end())
        elif mark_ == ")":
            closed = (opened.pop() if opened else 0, token.start())
        elif mark_ == "{" and closed[1] and not opened and _heads_a_body(text, *closed, token.start()):
            calls = "".join(f" {LENGTH_MARKER}({k}, (int)({length}));" for k, length in _arrays(text[slice(*closed)]))
            if calls:
                insertions.append((token.end(), calls))
    for position, calls in reversed(insertions):
        text = text[:position] + calls + text[position:]
    return text


def _heads_a_body(text: str, start: int, end: int, brace: int) -> bool:
    """Whether the parentheses hold the arguments of a function whose body begins at the brace."""
    if "[" not in text[start:end] or not _BETWEEN.fullmatch(_DIRECTIVE.sub("", text[end + 1 : brace])):
        return False
    head = _HEAD.search(text[max(0, start - 200) : start - 1])
    return head is not None and head["name"] not in _STATEMENTS and not head["initialiser"]


def _arrays(arguments: str) -> Iterator[tuple[int, str]]:
    """(position from 1, length) of the arguments declared as arrays."""
    depth, start, position = 0, 0, 1
    arguments = _DIRECTIVE.sub("", arguments) + ","
    for i, char in enumerate(arguments):
        depth += (char in "(<[{") - (char in ")>]}")
        if char == "," and depth == 0:
            if (array := _ARRAY.search(arguments[start:i])) and array[1].strip():
                yield position, array[1].strip()
            start, position = i + 1, position + 1


def lengths(body: str) -> dict[int, int]:
    """A printed function -> position of an array argument -> its length."""
    return {int(position): int(length) for position, length in _MARKED.findall(body)}
