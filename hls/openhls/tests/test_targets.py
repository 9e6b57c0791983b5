"""Delay models from files: those that come with openhls, one of a user, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from openhls import HlsError, Schedule, known_targets, load_target
from openhls.__main__ import main
from openhls.backend.targets import FOLDER
from openhls.driver.compile import compile_design
from openhls.tests.designs import processing_element

KERNEL = """#include "hls_stream.h"
void top(hls::stream<int>& x, hls::stream<int>& y) { y.write(x.read() + 1); }
"""


def test_targets_are_found_by_name_and_by_path():
    assert known_targets() == ["ecp5", "xc7", "xcup"]
    for name in known_targets():
        assert load_target(name) == load_target(FOLDER / f"{name}.yaml") and load_target(name).name == name


def test_a_target_of_a_user(tmp_path, capsys):
    """Slower logic, more stages; and its name stands in the schedule."""
    content = yaml.safe_load((FOLDER / "xcup.yaml").read_text())
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump({**content, "lut": 0.8, "carry": 0.8}))
    slow = load_target(tmp_path / "slow.yaml")
    assert slow == replace(load_target("xcup"), name="slow", lut=0.8, carry=0.8)
    design = processing_element(2, 4, steps=5)
    fast = compile_design(design, "xcup", 3.33, tmp_path / "fast").schedule
    made = compile_design(processing_element(2, 4, steps=5), tmp_path / "slow.yaml", 3.33, tmp_path / "out").schedule
    assert made.target == "slow" and made.processes[0].stages > fast.processes[0].stages
    (tmp_path / "k.cpp").write_text(KERNEL)
    arguments = [str(tmp_path / "k.cpp"), "--top", "top", "--out", str(tmp_path / "rtl")]
    assert main([*arguments, "--target", str(tmp_path / "slow.yaml")]) == 0
    assert Schedule.load(tmp_path / "rtl" / "schedule.json").target == "slow"
    assert "top: slow at 3.33 ns" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"name": "other"}, "name: unknown key"),
        ({"lut": None}, "lut: missing"),
        ({"lut": "fast"}, "lut: 'fast' where a number is meant"),
        ({"lut": -0.1}, "lut: -0.1: a delay is at least 0 ns"),
        ({"lut": float("inf")}, "lut: inf where a number is meant"),
        ({"lut_inputs": 4.0}, "lut_inputs: 4.0 where an integer is meant"),
        ({"lut_inputs": 1}, "lut_inputs: 1: a look-up table has at least 2"),
        ({"ultra": 1}, "ultra: 1 where true or false is meant"),
        ({"blocks": [[18, 1024], [36, 512]]}, "blocks: .*narrower and deeper"),
        ({"blocks": [[36, 512, 1]]}, r"blocks\[0\]: 3 values where 2 are meant"),
        ({"version": 2}, "version: 2; this openhls reads version 1"),
        ({"version": None}, "version: missing"),
    ],
)
def test_a_target_that_cannot_be(change, message, tmp_path):
    content = yaml.safe_load((FOLDER / "xcup.yaml").read_text()) | change
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    with pytest.raises(HlsError, match=rf"mine\.yaml: {message}"):
        load_target(tmp_path / "mine.yaml")


def test_a_target_that_is_not_there(tmp_path):
    with pytest.raises(
        HlsError, match="unknown target 'stratix'\n.*ecp5, xc7, xcup; another one is a path to its .yaml"
    ):
        load_target("stratix")
    with pytest.raises(HlsError, match="absent.yaml: No such file"):
        load_target(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("lut: [")
    with pytest.raises(HlsError, match="broken.yaml: no YAML"):
        load_target(tmp_path / "broken.yaml")
