"""Messages and docstrings keep one form: what an error says stands in one order, what a docstring says stands alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PACKAGES = ("pymodel", "psconv", "rtl_tb", "scripts", "tests")

# FILE: KEY: must be WHAT, got VALUE (docs/reference/glossary.md); these are forms that it replaces.
OTHER_FORMS = re.compile(
    r"\b(is|are) possible\b|\b(was|were) expected\b|\b(is|are) needed\b|\bwould do\b|\bshould (be|have)\b|\bexpected, |"
    r"\bis unknown\b|\bknown are\b|; known:"
)
# A docstring that begins so is read together with the one above it.
LEANING = re.compile(r"(Of|Those|Likewise|That of|What of|As above|The same (of|with|for|in|at|as))\b")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def messages(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every string that reads as a message, KEY: WHAT, with `{}` for each value in it."""
    tree = ast.parse(text)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        said = ""
        if isinstance(node, ast.JoinedStr):
            said = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            said = node.value
        if ": " in said or said.endswith(":"):
            yield node.lineno, said


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            if said is not None:
                yield node.body[0].lineno, said


def test_errors_say_what_must_be_and_what_was_got() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said}"
        for path in sources("pymodel", "psconv", "rtl_tb", "scripts")
        for line, said in messages(path.read_text())
        if OTHER_FORMS.search(said)
    ]
    assert not found, "\n".join(found)


def test_docstrings_stand_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said.splitlines()[0]}"
        for path in sources(*PACKAGES, "hls/openhls")
        for line, said in docstrings(path.read_text())
        if LEANING.match(said)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("{}: 1 to {} is possible", True),
        ("{}: a mapping of keys was expected, got {}", True),
        ("{}: integers expected, got {}", True),
        ("fold: must be 1 to {}, got {}", False),
        ("{}: this key is missing", False),
    ],
)
def test_the_form_of_messages_is_told(said: str, refused: bool) -> None:
    text = f"def f():\n    raise ConfigError(f{said!r})"
    assert [bool(OTHER_FORMS.search(one)) for _, one in messages(text.replace("{}", "{x}"))] == [refused]


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("Of a memory; 0 of anything else.", True),
        ("The same of an engine whose weights come by a port.", True),
        ("Those of the feeder.", True),
        ("What of a simulation goes into its record.", True),
        ("Likewise for columns.", True),
        ("Size in bits of a memory.", False),
        ("The same network as before, dense.", False),
        ("Often called.", False),
    ],
)
def test_the_opening_of_a_docstring_is_told(said: str, refused: bool) -> None:
    assert [bool(LEANING.match(one)) for _, one in docstrings(f'def f():\n    """{said}"""')] == [refused]
