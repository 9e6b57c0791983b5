"""`psconv init`: a finished folder or none, and never over what is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from psconv.commands import init
from psconv.flow import config
from tests.helpers.places import EXAMPLES


def test_the_list_has_every_example_with_its_heading(psconv) -> None:
    code, out, _ = psconv("init", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0 and set(rows) == {folder.name for folder in EXAMPLES.iterdir()}
    assert "run.yaml" in rows["digits"]["files"] and "digits" in rows["digits"]["title"]
    assert all(f"# {row['title']}\n" in (EXAMPLES / name / "README.md").read_text() for name, row in rows.items())
    code, out, _ = psconv("init")
    assert code == 0 and all(name in out for name in rows)


@pytest.mark.parametrize("name", [folder.name for folder in EXAMPLES.iterdir()])
def test_an_example_is_written_as_it_is(name: str, tmp_path: Path, psconv) -> None:
    code, out, _ = psconv("init", name, str(tmp_path / "new" / "d"), "--json")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "d").iterdir()}
    assert code == 0 and {Path(path).name for path in json.loads(out)["files"]} == set(written)
    assert written == {path.name: path.read_bytes() for path in (EXAMPLES / name).iterdir()}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["d"]


def test_what_is_written_can_be_run(tmp_path: Path, psconv) -> None:
    psconv("init", "digits", str(tmp_path / "d"))
    assert config.load(tmp_path / "d" / "run.yaml").bundle == "digits_PSD1_P16.yaml"
    code, out, _ = psconv("golden", str(tmp_path / "d" / "run.yaml"), "--out", str(tmp_path / "out"), "--json")
    assert code == 0 and len(json.loads(out)) == 5


def test_an_empty_folder_is_filled_and_one_with_files_is_left(tmp_path: Path, psconv) -> None:
    (tmp_path / "d").mkdir()
    assert psconv("init", "digits", str(tmp_path / "d"))[0] == 0
    (tmp_path / "d" / "run.yaml").write_text("mine")
    code, _, err = psconv("init", "digits", str(tmp_path / "d"))
    assert code == 2 and str(tmp_path / "d") in err and "there are files in it" in err
    assert (tmp_path / "d" / "run.yaml").read_text() == "mine" and os.listdir(tmp_path) == ["d"]


def test_a_file_in_the_way_is_named_and_kept(tmp_path: Path, psconv) -> None:
    (tmp_path / "d").write_text("mine")
    code, _, err = psconv("init", "digits", str(tmp_path / "d"))
    assert code == 2 and f"{tmp_path / 'd'}: Not a directory" in err
    assert (tmp_path / "d").read_text() == "mine" and os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense", "d"], "NAME: must be one of cifar10, digits, layers, networks, own_network, got 'nonsense'"),
        (["digits"], "DIR: must be given: psconv init digits DIR"),
        (["digits", "."], "DIR: must not be the working directory, got .; name a folder in it, such as digits"),
    ],
)
def test_wrong_use(arguments: list[str], words: str, tmp_path: Path, monkeypatch, psconv) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = psconv("init", *arguments)
    assert code == 2 and words in err and not any(tmp_path.iterdir())


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    """The disk fills up after the first file."""
    copy = init.shutil.copyfile

    def copies_one(source: Path, target: Path) -> None:
        if any(target.parent.iterdir()):
            raise OSError(28, "No space left on device", str(target))
        copy(source, target)

    monkeypatch.setattr(init.shutil, "copyfile", copies_one)
    with pytest.raises(OSError, match="No space"):
        init.write("digits", tmp_path / "d")
    assert not any(tmp_path.iterdir())
