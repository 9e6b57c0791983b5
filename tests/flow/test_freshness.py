"""A step is done again when anything it depends on has changed, or what it made is not as it was made; only then."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psconv.common import sources
from psconv.common.fresh import Work, content_key
from psconv.flow import run as flow
from psconv.flow import steps
from psconv.flow.config import load
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically
from tests.helpers.places import EXAMPLES

LAYER = {"in_channels": 4, "out_channels": 4, "height": 3, "width": 3, "support": "PS4_P4"}
PLAIN = {"psconv": 1, "layer": LAYER, "images": {"count": 2}, "stalls": {"images": 1, "input": 0.2, "output": 0.2}}
NETWORK = EXAMPLES / "digits" / "network.yaml"
STEPS = ("golden", "csim", "synth", "cosim", "resources")
RTL = "module {0}(input x, output y);\n  assign y = x;\nendmodule\n"

# What is changed in the configuration, and the steps whose results are of no use then. Seeds choose weights and images.
CHANGES = {
    "nothing": ({}, set()),
    "seed": ({"seed": 7}, {"golden", "csim", "synth", "cosim"}),  # also that of the stalls
    "clock": ({"clock_ns": 9.0}, {"synth"}),
    "target": ({"target": "ulx3s_85f"}, {"synth", "resources"}),
    "device of the same delays": ({"target": "u250", "clock_ns": 3.33}, {"resources"}),
    "images": ({"images": {"count": 3}}, {"golden"}),
    "stalls": ({"stalls": {"images": 1, "input": 0.3, "output": 0.2}}, {"cosim"}),
    "bits": ({"layer": LAYER | {"weight_bits": 4}}, {"golden", "csim", "synth"}),
    "lanes": ({"parallelism": {"fold": 2}}, {"csim", "synth"}),
    "waves": ({"--waves": True}, {"cosim"}),
    "place and route": ({"--pnr": True}, {"resources"}),
}


def plans(folder: Path, out: Path, change: dict) -> dict[str, Work]:
    """The work of every step of the layer's flow, none of it done."""
    options = {key.removeprefix("--"): value for key, value in change.items() if key.startswith("--")}
    content = {key: value for key, value in (PLAIN | change).items() if not key.startswith("--")}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"target": "zcu104", "clock_ns": 3.33} | content))
    run = flow.prepare(load(path), path, out)
    chosen = replace(run.settings, **options)
    work = {"golden": steps.golden_step.plan(run.designs, chosen, run.inputs)}
    for name in STEPS[1:]:
        with suppress(FileNotFoundError, ConfigError):  # what a step before it makes is not there
            work[name] = getattr(steps, f"{name}_step").plan(run.designs[0], chosen)
    return work


def made_up(work: Work) -> Work:
    """The work with results that take no time."""

    def make() -> None:
        for path in (work.result, *work.more):
            if path.name == "rtl":
                for name in ("top", "part"):
                    path.mkdir(parents=True, exist_ok=True)
                    (path / f"{name}.sv").write_text(RTL.format(name))
            elif path.parent.name == "golden":
                work.make()  # which the steps after it read
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(path.name))

    return replace(work, make=make)


@pytest.fixture
def done(tmp_path) -> Path:
    """OUT of a flow of which all is done."""
    out = tmp_path / "out"
    for file in ("top.sv", "part.sv"):
        (out / "synth" / "layer" / "rtl").mkdir(parents=True, exist_ok=True)
        (out / "synth" / "layer" / "rtl" / file).write_text(RTL.format(file[:-3]))
    (out / "synth" / "layer" / "ports.json").write_text('"ports.json"')
    for name in STEPS:
        made_up(plans(tmp_path, out, {})[name]).do()
    return out


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_configuration(change, done, tmp_path):
    """A step sees only what those before it have made again: vectors and RTL stay as they were."""
    new, stale = CHANGES[change]
    found = plans(tmp_path, done, new)
    assert set(found) == set(STEPS) and {name for name, work in found.items() if not work.done} == stale


@pytest.mark.parametrize("way", ["edited", "lost", "empty", "moved"])
def test_results_that_are_not_as_they_were_made(way, done, tmp_path):
    """Every file of every step: whatever became of it, its step is done again."""
    for step, work in plans(tmp_path, done, {}).items():
        for result in (work.result, *work.more):
            for file in sorted(result.rglob("*")) if result.is_dir() else [result]:
                content = file.read_bytes()
                if way == "lost":
                    file.unlink()
                elif way == "moved":
                    file.rename(file.with_name("x" + file.name))
                else:
                    file.write_bytes(content[:-1] + b"?" if way == "edited" else b"")
                assert not plans_or_none(tmp_path, done, step), file
                file.with_name("x" + file.name).unlink(missing_ok=True)
                file.write_bytes(content)
    assert all(work.done for work in plans(tmp_path, done, {}).values())


def plans_or_none(folder: Path, out: Path, step: str) -> bool:
    """Whether a step counts as done; those that read files of steps before it cannot be asked without these."""
    work = plans(folder, out, {}).get(step)
    return work is not None and work.done


def test_a_file_that_nobody_made_in_the_rtl(done, tmp_path):
    (done / "synth" / "layer" / "rtl" / "stray.sv").write_text(RTL.format("stray"))
    stale = {name for name, work in plans(tmp_path, done, {}).items() if not work.done}
    assert stale == {"synth", "cosim", "resources"}


def test_what_is_of_another_subject_goes(done, tmp_path):
    """With other images the results of the old ones must not stand beside the new golden outputs."""
    made_up(plans(tmp_path, done, {})["golden"]).do()
    assert (done / "cosim" / "layer.npz").exists()
    (done / "golden" / "layer.npz").unlink()
    made_up(plans(tmp_path, done, {})["golden"]).do()
    assert (done / "cosim" / "layer.npz").exists()  # the same golden outputs: only lost
    made_up(plans(tmp_path, done, {"seed": 7})["golden"]).do()
    assert not (done / "cosim" / "layer.npz").exists() and not (done / "csim" / "layer.npz").exists()


def test_a_network(tmp_path):
    run = flow.prepare(load(NETWORK), NETWORK, tmp_path / "out")
    [design], options = run.designs, run.settings

    def golden(inputs=run.inputs) -> Work:
        return steps.golden_step.plan(run.designs, options, inputs)

    golden().do()
    for step in (steps.csim_step, steps.synth_step, steps.cosim_step, steps.resources_step):
        made_up(step.plan(design, options)).do()
        assert step.plan(design, options).done
    for step in (steps.cosim_step, steps.resources_step):
        (options.layout.synth(design.name) / "rtl" / "part.sv").write_text(RTL.format("other"))
        assert not step.plan(design, options).done and not steps.synth_step.plan(design, options).done
        made_up(steps.synth_step.plan(design, options)).do()
        assert step.plan(design, options).done
    assert not steps.synth_step.plan(design, replace(options, clock_ns=9.0)).done
    other = replace(run.inputs, images=run.inputs.images[:-1])
    assert not golden(other).done
    golden(other).do()
    assert not steps.cosim_step.plan(design, options).done and not steps.csim_step.plan(design, options).done
    assert steps.synth_step.plan(design, options).done


NAMES = st.sampled_from(["a", "b", "1b", "a/a", "b/a", "b/b"])
TREES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=4).filter(
    lambda tree: not any(f"{name}/" in other for name in tree for other in tree if other != name and "/" in other)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TREES, second=TREES)
def test_keys_of_folders_are_equal_only_for_equal_folders(first, second, tmp_path):
    """Names in subfolders, moved files, contents that run into each other."""
    keys = []
    for tree in (first, second):
        shutil.rmtree(tmp_path / "tree", ignore_errors=True)
        (tmp_path / "tree").mkdir()
        for name, content in tree.items():
            (tmp_path / "tree" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "tree" / name).write_bytes(content)
        keys.append(content_key(tmp_path / "tree"))
    assert (keys[0] == keys[1]) == (first == second)


def test_keys_of_values():
    """Each is another one."""
    x = np.arange(6, dtype=np.int8)
    parts = [
        (x,),
        (x.reshape(2, 3),),
        (x.astype(np.uint8),),
        (x[:3], x[3:]),
        (x.tobytes().hex(),),
        (None,),
        ("",),
        ([],),
        ("a", "b"),
        ("ab",),
        ("a", "b", None),
        (1,),
        ("1",),
        (True,),
        (1.0,),
    ]
    keys = [content_key(*part) for part in parts]
    assert len(set(keys)) == len(keys)


MODULES = {
    "pack/__init__.py": "",
    "pack/one.py": "from .two import x\nimport json",
    "pack/two.py": "from . import three",
    "pack/three.py": "def f():\n    from pack.four import (\n        y,\n        z,\n    )",
    "pack/four.py": "",
    "pack/five.py": "",
}


@pytest.mark.parametrize("changed", MODULES)
def test_code_is_a_module_and_all_that_it_imports(changed, tmp_path, monkeypatch):
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "FOLDERS", {"pack": tmp_path})

    def key() -> str:
        sources.code.cache_clear()
        sources.file_of.cache_clear()
        return sources.code("pack.one")

    before = key()
    (tmp_path / changed).write_text(MODULES[changed] + "\n# changed")
    assert (key() == before) == (changed == "pack/five.py")


PACKAGES = ("psconv", "pymodel", "rtl_tb", "openhls")


def test_imports_are_found_as_python_finds_them():
    """Against the modules that are loaded when one is imported in a process of its own."""
    for module in ("psconv.synthesis.place_route", "psconv.flow.csim", "rtl_tb.runner"):
        script = f"import sys, {module}\nprint(*(m for m in sys.modules if m.split('.')[0] in {PACKAGES}))"
        loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert set(loaded.split()) <= set(sources.closure(module))


def test_writers_of_one_file_do_not_meet(tmp_path):
    """A second writer, begun and ended while the first one writes: the file is whole, the last one's."""

    def first(target: Path) -> None:
        target.write_text("first")
        write_atomically(tmp_path / "file", lambda other: other.write_text("second"))
        assert target.read_text() == "first"

    write_atomically(tmp_path / "file", first)
    assert (tmp_path / "file").read_text() == "first" and [path.name for path in tmp_path.iterdir()] == ["file"]
