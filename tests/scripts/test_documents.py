"""README and docs: every command runs as it stands and prints what is shown; every example is used by some test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import reference
from scripts.benchmarks import BENCHMARKS
from scripts.benchmarks.document import documented
from scripts.benchmarks.frame import measure
from tests.helpers.documents import (
    DOCUMENTS,
    ROOT,
    blocks,
    commands,
    figures,
    places,
    stray_commands,
    stray_tables,
    unmatched,
)

DATA = ROOT.parent / "shared" / "data" / "cifar10"
MEASUREMENTS = ROOT / "docs" / "measurements"
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
SLOW = {
    name
    for name, path in zip(NAMES, DOCUMENTS, strict=True)
    if any(block.sort == "console" and "slow" in block.words for block in blocks(path.read_text()))
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which the commands of a document find what a checkout has, and leave nothing in it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in {line.split("/")[0] for line in listed.splitlines()}:
        (tmp_path / name).symlink_to(ROOT / name)
    if Path(sys.prefix) != Path(sys.base_prefix):
        (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and all that is printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "120", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'hls'}"}
    if DATA.is_dir():
        environment.setdefault("PSCONV_DATA", str(DATA))
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check(name: str, slow: bool, folder: Path) -> None:
    """Runs the sessions of a document, one after the other in one folder; slow: all of them, else the quick ones."""
    ran = 0
    for block in blocks((ROOT / name).read_text()):
        if block.sort != "console" or ("slow" in block.words and not slow):
            continue
        if "data" in block.words and "PSCONV_DATA" not in os.environ and not DATA.is_dir():
            pytest.skip("needs the CIFAR-10 folder: PSCONV_DATA")
        for command in commands(block):
            code, printed = run(command.text, folder)
            where = f"{name}:{command.line}: {command.text}"
            assert code == command.code, f"{where}: exit {code}\n{printed[-4000:]}"
            missing = unmatched(command.shown, printed)
            assert missing is None, f"{where}: does not print\n{missing}\nbut\n{printed[-6000:]}"
            ran += 1
    for sort, command, content in places((ROOT / name).read_text()):
        if sort == "from" and (slow or name not in SLOW):
            code, printed = run(command, folder)
            assert code == 0, f"{name}: {command}: exit {code}\n{printed[-4000:]}"
            known = set(figures(printed))
            unknown = [figure for figure in figures(content) if figure not in known]
            assert not unknown, f"{name}: {command} prints none of {unknown[:10]}\n{printed[-4000:]}"
            ran += 1
    if not ran:
        pytest.skip("no such command in it")


@pytest.mark.parametrize("name", NAMES)
def test_quick_commands(name: str, checkout: Path) -> None:
    check(name, False, checkout)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(SLOW))
def test_all_commands(name: str, checkout: Path) -> None:
    check(name, True, checkout)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_that_runs(name: str) -> None:
    assert stray_commands((ROOT / name).read_text()) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_figures_says_where_they_come_from(name: str) -> None:
    path = ROOT / name
    if not path.with_suffix(".json").exists():  # a sweep's table is its JSON's
        assert stray_tables(path.read_text()) == []
    for sort, what, _ in places(path.read_text()):
        assert sort != "bench" or what.split(":")[0] in BENCHMARKS


@pytest.mark.parametrize("path", sorted(MEASUREMENTS.glob("results/*.json")), ids=lambda path: path.stem)
def test_tables_of_results_are_those_of_their_json(path: Path) -> None:
    pytest.importorskip("torch", reason="a sweep writes them, in PyTorch")
    from pymodel.training.sweep import markdown_table, read_results

    assert path.with_suffix(".md").read_text() == markdown_table(tuple(read_results(path)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_storage_and_energy_are_what_the_document_says(tmp_path: Path) -> None:
    """All tables: they are computed, so they are the same everywhere."""
    pytest.importorskip("torch", reason="SynFlow's masks are made in PyTorch")
    measure("energy", tmp_path, lambda text: None)
    text = (MEASUREMENTS / "storage_energy.md").read_text()
    assert len([1 for sort, *_ in places(text) if sort == "bench"]) == 5
    assert documented(text, tmp_path) == text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_of_definitions_is_that_of_today(name: str) -> None:
    """`python -m scripts.reference` would change nothing."""
    text = (ROOT / name).read_text()
    assert reference.documented(text) == text


def test_every_definition_is_in_some_document() -> None:
    texts = [path.read_text() for path in DOCUMENTS]
    found = [what for text in texts for sort, what, _ in places(text) if sort == "reference"]
    assert sorted(found) == sorted(reference.CONTENTS)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{name}: {target}"


def test_documents_that_sources_mention_are_there() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    missing, compiler = set(), ROOT / "hls" / "openhls"  # which has a manual of its own
    for path in (ROOT / name for name in listed.splitlines()):
        if path.suffix in (".py", ".hpp", ".h", ".cpp", ".j2", ".yaml", ".yml", ".md", "") and path.is_file():
            for mentioned in re.findall(r"(?<![\w/])docs/[\w/]+\.(?:md|svg|json)\b", path.read_text()):
                if not (ROOT / mentioned).exists() and not (
                    compiler in path.parents and (compiler / mentioned).exists()
                ):
                    missing.add(f"{path.relative_to(ROOT)}: {mentioned}")
    assert not missing


def test_every_example_is_used() -> None:
    """By a test, which names it or takes all files of its folder, or by a command of a document."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "test_documents.py")
    sessions = "\n".join(
        command.text
        for path in DOCUMENTS
        for block in blocks(path.read_text())
        if block.sort == "console"
        for command in commands(block)
    )
    unused = []
    for path in (ROOT / "examples").rglob("*.yaml"):
        whole_folder = re.search(rf'"{path.parent.name}"\)\.glob\("\*\.yaml"\)', tests)
        if not whole_folder and path.name not in tests and str(path.relative_to(ROOT)) not in sessions:
            unused.append(str(path.relative_to(ROOT)))
    assert unused == []


TEXT = """
# Title

    psconv stray

Words    psconv not a block

```console slow
$ psconv one   # a remark
first …  2
…
last
$ psconv two \\
    --three   # exit 3
```

```usage
psconv run CONFIG
```

| a | b |
|---|---|
| 1 | 2.5 |

<!-- from psconv table -->
| a |
|---|
| 1,234.5 % |
<!-- end -->
"""


def test_the_reader_reads() -> None:
    indented, session, usage = blocks(TEXT)
    assert (indented.sort, session.sort, session.words, usage.sort) == ("", "console", ["slow"], "usage")
    one, two = commands(session)
    assert (one.text, one.code, one.shown) == ("psconv one", 0, ("first …  2", "…", "last"))
    assert (two.text, two.code, two.shown) == ("psconv two --three", 3, ())
    assert stray_commands(TEXT) == ["line 4: psconv stray"]
    assert stray_tables(TEXT) == ["| a | b |"]
    assert list(places(TEXT)) == [("from", "psconv table", "| a |\n|---|\n| 1,234.5 % |\n")]
    assert figures("| 1,234.5 % | 8x8 |") == ["1234.5", "8", "8"]


@pytest.mark.parametrize(
    "printed, missing",
    [
        ("first 1 2\nmore\nlast", None),
        ("noise\nfirst 2 2\nlast", None),
        ("first 1 3\nlast", "first … 2"),
        ("first 1 2", "last"),
        ("last\nfirst 1 2", "last"),
        ("first  1   2\n\n\nlast", None),
    ],
)
def test_what_is_shown_must_be_printed(printed: str, missing: str | None) -> None:
    assert unmatched(("first …  2", "…", "last"), printed) == missing


def test_lines_that_follow_each_other_must() -> None:
    assert unmatched(("a", "b"), "a\nb") is None
    assert unmatched(("a", "b"), "a\nx\nb") == "b"
