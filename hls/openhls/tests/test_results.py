"""schedule.json and ports.json: read back as they were written, and refused by key where they are damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest

from openhls import HlsError, Ports, Schedule
from openhls.driver.compile import compile_design
from openhls.tests.designs import histogram, processing_element


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compile_design(processing_element(2, 4, steps=5), "ecp5", 9.0, folder)
    return folder


def test_files_are_read_back(compiled, tmp_path):
    for name, kind in (("schedule.json", Schedule), ("ports.json", Ports)):
        text = (compiled / name).read_text()
        assert json.loads(text)["version"] == 1
        assert kind.load(compiled / name).to_json() == text
    result = compile_design(histogram(), "xcup", 3.33, tmp_path)
    assert Schedule.load(tmp_path / "schedule.json") == result.schedule
    assert Ports.load(tmp_path / "ports.json") == result.ports


def places(content: object, path: tuple = ()) -> Iterator[tuple]:
    """Every place in a JSON value but itself, from the outside in."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def named(path: tuple) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


@pytest.mark.parametrize(("name", "kind"), [("schedule.json", Schedule), ("ports.json", Ports)])
def test_a_damaged_file_is_refused_by_key(name, kind, compiled):
    """Each value replaced by one of another kind, each key left out, and one too many in each mapping."""
    text = (compiled / name).read_text()
    for path in places(json.loads(text)):
        of_any_keys = path[-2:-1] in (("seconds",), ("signals",))
        for damage in ("another kind", "left out", "one too many"):
            content = json.loads(text)
            parent = reduce(lambda value, step: value[step], path[:-1], content)
            key, problem = named(path), ""
            if damage == "another kind":
                parent[path[-1]] = [] if isinstance(parent[path[-1]], (dict, str, type(None))) else "no"
            elif damage == "left out" and isinstance(parent, dict) and not of_any_keys:
                del parent[path[-1]]
                problem = ": missing"
            elif damage == "one too many" and isinstance(parent, dict) and not of_any_keys:
                parent["colour"] = 1
                key, problem = named((*path[:-1], "colour")), ": unknown key"
            else:
                continue
            with pytest.raises(HlsError) as error:
                kind.from_json(json.dumps(content), name)
            assert str(error.value).startswith(f"error: {name}: {key}{problem}"), (path, damage)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "s.json: no JSON"),
        ("[]", r"s.json: \[\] where a mapping is meant"),
        ('{"top": "f"}', "s.json: version: missing"),
        ('{"version": 2}', "s.json: version: 2; this openhls reads version 1"),
        ('{"version": true}', "s.json: version: True; this openhls reads version 1"),
        ('{"version": 1, "top": 3}', "s.json: top: 3 where a text is meant"),
    ],
)
def test_what_is_no_file_of_ours(text, message):
    with pytest.raises(HlsError, match=message):
        Schedule.from_json(text, "s.json")


def test_a_number_is_of_its_kind(compiled):
    content = json.loads((compiled / "schedule.json").read_text())
    for value, message in ((True, "True where an integer"), (2.0, "2.0 where an integer"), ("2", "'2' where an int")):
        content["processes"][0]["stages"] = value
        with pytest.raises(HlsError, match=rf"processes\[0\].stages: {message}"):
            Schedule.from_json(json.dumps(content))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(HlsError, match="absent.json: No such file"):
        Ports.load(tmp_path / "absent.json")
