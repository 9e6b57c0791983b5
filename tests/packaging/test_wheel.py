"""The wheel: what is in it, and that it works where no checkout is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from psconv import __version__
from tests.helpers.places import EXAMPLES, ROOT

PACKAGES = ("openhls", "psconv", "pymodel", "rtl_tb")


def in_checkout() -> list[str]:
    """Paths of all files that a commit would have."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def in_site_packages(name: str) -> str | None:
    """Where a file of the checkout lies once it is installed; None: nowhere."""
    first, _, rest = name.partition("/")
    if name.startswith("hls/openhls/"):
        apart = name.startswith("hls/openhls/tests/") or name == "hls/openhls/pyproject.toml"  # of the compiler alone
        return None if apart else name.removeprefix("hls/")
    if first in ("hls", "constraints", "examples"):
        return f"psconv/share/{name}"
    return name if first in PACKAGES and rest else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy of the checkout that is gone afterwards: what is installed can read no file of it."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in in_checkout():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(build, cwd=copy, check=True, capture_output=True)
    shutil.rmtree(copy)
    [path] = out.glob("*.whl")
    return path


def test_it_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {place for name in in_checkout() if (place := in_site_packages(name))}
    assert {name.partition("/")[0] for name in names} == set(PACKAGES)
    assert not any(part in ("scripts", "tests") for name in names for part in name.split("/"))
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_its_metadata_have_the_version_and_no_package_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"psconv-{__version__}.dist-info/METADATA").decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert f"\nVersion: {__version__}\n" in metadata and "\nLicense-Expression: Apache-2.0\n" in metadata
    assert any("numpy" in line for line in needed) and not any("torch" in line or "pytest" in line for line in needed)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program of an empty environment with the wheel, away from any checkout; gives what it prints."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    programs = folder / "venv" / "bin"
    here = str(Path(sys.executable).parent)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = os.pathsep.join(
        [str(programs), *(entry for entry in os.environ["PATH"].split(os.pathsep) if entry != here)]
    )

    def run(program: str, *arguments: str) -> str:
        command = [str(programs / program), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    run("python", "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "requirements.lock"), str(wheel))
    return run


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
def test_it_works_away_from_any_checkout(installed: Callable[..., str]) -> None:
    say = "import importlib, sys; [print(importlib.import_module(name).__file__) for name in sys.argv[1:]]"
    assert all("site-packages" in line for line in installed("python", "-c", say, *PACKAGES).splitlines())
    seek = "import importlib.util as u, sys; print([name for name in sys.argv[1:] if u.find_spec(name)])"
    assert installed("python", "-c", seek, "scripts", "tests", "torch") == "[]\n"
    assert installed("psconv", "--version") == f"psconv {__version__}\n"
    assert "digits" in installed("psconv", "init")
    installed("psconv", "init", "digits", "d")
    golden = json.loads(installed("psconv", "golden", "d/run.yaml", "--out", "o", "--json"))
    assert [row["layer"] for row in golden] == ["conv1", "conv2", "conv3", "conv4", "fc"]
    assert json.loads(installed("psconv", "csim", "d/run.yaml", "--out", "o", "--json"))["equal"]
    installed("psconv", "init", "layers", "l")
    [process, *_] = json.loads(installed("psconv", "synth", "l/cout1.yaml", "--out", "p", "--json"))
    assert process["design"] == "layer"
    report = json.loads(installed("psconv", "run", "l/cout1.yaml", "--out", "p", "--json"))
    assert report["ok"]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
def test_its_examples_are_those_of_the_checkout(installed: Callable[..., str]) -> None:
    listed = {row["name"]: set(row["files"]) for row in json.loads(installed("psconv", "init", "--json"))}
    there = {path.name: {file.name for file in path.iterdir()} - {"README.md"} for path in EXAMPLES.iterdir()}
    assert listed == there
