"""The manual: every C++ example compiles, or is refused with the message and on the line that stand in it."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest

import openhls
from openhls import HlsError, compile_hls, load_target
from openhls.__main__ import main
from openhls.frontend.pragmas import KNOWN

ROOT = Path(openhls.__file__).parent
START = '#include "ap_int.h"\n#include "ap_axi_sdata.h"\n#include "hls_stream.h"\n#line 1 "example.cpp"\n'
# `// error: TEXT` stands on the line that is blamed; `error anywhere` where that line is in a header.
REMARK = re.compile(r"// (error anywhere|error|note): (.*)$", re.MULTILINE)


def blocks(language: str, files: str = "docs/*.md") -> list[tuple[str, int, str]]:
    """(file, line, text) of every block of a language in the documents."""
    found = []
    for file in sorted(ROOT.glob(files)):
        text = file.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append((file.name, text[: match.start()].count("\n") + 1, match[1]))
    return found


CPP = blocks("cpp")


def test_every_pragma_has_an_example():
    text = "".join(block for *_, block in CPP)
    assert set(KNOWN) <= set(re.findall(r"#pragma HLS (\w+)", text))


def test_there_is_as_much_of_each_as_one_would_think():
    remarks = [REMARK.search(text) for *_, text in CPP]
    kinds = [match[1] if match else "" for match in remarks]
    assert kinds.count("") > 20 and kinds.count("error") > 15 and kinds.count("note") >= 2


@pytest.mark.parametrize(("file", "line", "text"), CPP, ids=[f"{file}:{line}" for file, line, _ in CPP])
def test_an_example(file, line, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.cpp").write_text(START + text)
    remarks = [(n, m[1], m[2]) for n, each in enumerate(text.split("\n"), 1) if (m := REMARK.search(each))]

    def compiled():
        return compile_hls([Path("example.cpp")], "top", clock_ns=5.0, out=tmp_path / "out", jobs=1)

    if remarks and remarks[0][1] != "note":
        [(at, kind, message)] = remarks
        with pytest.raises(HlsError) as error:
            compiled()
        assert message in str(error.value)
        assert kind == "error anywhere" or f"example.cpp:{at}: error: " in str(error.value)
        return
    notes = compiled().schedule.notes
    assert len(notes) == len(remarks), notes
    for (at, _, message), note in zip(remarks, notes, strict=True):
        assert note.startswith(f"example.cpp:{at}: note: ") and message in note


def test_the_readme_from_its_first_line_to_its_last(tmp_path, monkeypatch, capsys):
    """Kernel and bench as they stand there, the command with what it prints, and the lines of Python."""
    monkeypatch.chdir(tmp_path)
    [(*_, kernel)], [(*_, bench), (*_, script)] = blocks("cpp", "README.md"), blocks("python", "README.md")
    [(*_, session)] = [block for block in blocks("console", "README.md") if "openhls kernel.cpp" in block[2]]
    Path("kernel.cpp").write_text(kernel)
    Path("bench.py").write_text(bench)
    command, *shown = session.splitlines()
    assert command.startswith("$ python -m openhls ")
    assert main(shlex.split(command)[4:]) == 0
    seconds = re.compile(r"\d+\.\d s$")
    printed = capsys.readouterr().out.splitlines()
    assert [seconds.sub("", line) for line in printed] == [seconds.sub("", line) for line in shown]
    Path("script.py").write_text(script)
    runpy.run_path("script.py")


def test_the_graph_in_the_manual(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [(*_, graph)], [(*_, program)] = blocks("graph", "docs/ir.md"), blocks("cpp", "docs/ir.md")
    Path("example.cpp").write_text(START + program)
    result = compile_hls([Path("example.cpp")], "top", out=tmp_path / "out", print_after="narrow")
    assert result.dumps == [f"; after narrow\n{graph}"]


def test_the_target_in_the_manual(tmp_path):
    [(*_, text)] = blocks("yaml", "docs/targets.md")
    (tmp_path / "artix7.yaml").write_text(text)
    assert load_target(tmp_path / "artix7.yaml").name == "artix7"
    described = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    described |= set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "targets.md").read_text(), re.MULTILINE))
    assert described == {"version", *load_target("xcup").__dataclass_fields__} - {"name"}


def test_links_lead_somewhere():
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([\w./]+\.md)", file.read_text()):
            assert (file.parent / link).is_file(), f"{file.name}: {link}"


def test_the_package_has_all_its_folders():
    """What pyproject.toml lists is what there is, and the tools' versions are those of the table."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    kinds = {"*.py", "*.h", "*.hpp", "*.yaml"}
    folders = {file.parent.relative_to(ROOT) for kind in kinds for file in ROOT.rglob(kind)}
    wanted = {".".join(("openhls", *folder.parts)) for folder in folders if folder.parts[:1] != ("tests",)}
    assert set(project["tool"]["setuptools"]["packages"]) == wanted
    [row] = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| 0.1 ")]
    for requirement in [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["simulate"]]:
        if "==" in requirement:
            assert f" {requirement.split('==')[1]} " in row
    assert row.startswith(f"| {openhls.__version__.rsplit('.', 1)[0]} |")
