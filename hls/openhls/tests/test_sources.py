"""What is compiled is what lies on the disk now: no tool takes an object or a header of an earlier run."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openhls.__main__ import main as openhls
from openhls.frontend import clang

FAULTS = Path(__file__).parent / "faults" / "cache"
SOURCE = """\
#include "h.h"
#if __has_include("x.h")
#include "x.h"
#else
#define X 0
#endif
#if __has_include(<y.h>)
#include <y.h>
#else
#define Y 0
#endif
found K X Y
"""
FOLDERS = ("src", "a", "b", "environment")  # in the order in which "h.h" is looked for; the last one never
MACRO = {"h.h": "K", "x.h": "X", "y.h": "Y"}


def compiled(out: Path, *arguments: str) -> str:
    """All RTL that openhls makes."""
    assert openhls([*arguments, "--top", "top", "--out", str(out)]) == 0
    return "\n".join(path.read_text() for path in sorted((out / "rtl").glob("*.sv")))


def adds(rtl: str, number: int) -> bool:
    return re.search(rf"\+ \d+'h0*{number:x}\b", rtl, re.IGNORECASE) is not None


def test_the_same_relative_names_in_two_folders(tmp_path, monkeypatch):
    shutil.copytree(FAULTS, tmp_path / "cache")
    for folder, number in (("A", 55), ("B", 66), ("A", 55)):
        monkeypatch.chdir(tmp_path / "cache" / folder)
        rtl = compiled(Path("out"), "../src/k.cpp", "-I", "inc")
        assert [adds(rtl, 55), adds(rtl, 66)] == [number == 55, number == 66]


def test_a_header_that_comes_to_lie_in_front(tmp_path, monkeypatch):
    shutil.copytree(FAULTS / "shadow", tmp_path / "shadow")
    monkeypatch.chdir(tmp_path / "shadow")
    assert adds(compiled(Path("out"), "k.cpp", "-I", "a", "-I", "b"), 1)
    (tmp_path / "shadow" / "a").mkdir()
    (tmp_path / "shadow" / "a" / "h.h").write_text("#define K 2\n")
    assert adds(compiled(Path("out"), "k.cpp", "-I", "a", "-I", "b"), 2)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from(tuple(MACRO)), st.none() | st.integers(1, 9)), max_size=4
    ),
    kept=st.booleans(),
)
def test_the_preprocessor_sees_the_disk(changes, kept, tmp_path, monkeypatch):
    """Each place that it looks at: a file added, changed (with its old date and size), removed, at each moment."""
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
    for variable in ("CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH"):
        monkeypatch.setenv(variable, str(tmp_path / "environment"))
    there = {("src", "k.cpp"): SOURCE, ("b", "h.h"): "#define K 1\n"}
    for folder, file, number in [(None, None, None), *changes]:
        if number is None:
            there.pop((folder, file), None)
        else:
            there[folder, file] = f"#define {MACRO[file]} {number}\n"
        if ("b", "h.h") not in there:
            there["b", "h.h"] = "#define K 1\n"  # there is always one
        _write(tmp_path, there, kept)
        right = []
        for file in MACRO:
            places = FOLDERS[file == "y.h" : -1]  # <y.h> is not looked for beside the source
            texts = [there[place, file] for place in places if (place, file) in there]
            right.append(texts[0].split()[2] if texts else "0")
        text = clang.preprocessed(Path("src/k.cpp"), [Path("a"), Path("b")], {})
        assert re.search(r"^found (.*)$", text, re.MULTILINE)[1].split() == right


def _write(root: Path, files: dict[tuple[str, str], str], kept: bool) -> None:
    """Exactly these files; with `kept` all of one date."""
    for folder in FOLDERS:
        for path in (root / folder).glob("*"):
            if (folder, path.name) not in files:
                path.unlink()
    for (folder, file), text in files.items():
        path = root / folder / file
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        if kept:
            os.utime(path, (1_700_000_000, 1_700_000_000))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names a processor of x86-64")
def test_what_llvm_sees_does_not_depend_on_the_machine_that_compiles(tmp_path):
    """Its cost models look at the processor: here always the least of the architecture."""
    (tmp_path / "kernel.cpp").write_text('#include "hls_stream.h"\nvoid top(hls::stream<int>& x) { x.read(); }\n')
    text, _ = clang.compile_ir(tmp_path / "kernel.cpp", [], {})
    assert set(re.findall(r'"target-cpu"="([^"]*)"', text)) == {"x86-64"} and "+avx" not in text
