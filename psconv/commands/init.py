"""`psconv init`: the examples that come with the package, as files of one's own."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from psconv.common.places import EXAMPLES
from pymodel.common.errors import ConfigError

README = "README.md"


@dataclass(frozen=True)
class Example:
    """A folder of configurations. title: the heading of its README; files: names, in order, without the README."""

    name: str
    title: str
    files: tuple[str, ...]


def examples() -> list[Example]:
    """All examples, by name."""
    return [_example(readme.parent) for readme in sorted(EXAMPLES.glob(f"*/{README}"))]


def _example(folder: Path) -> Example:
    heading = (folder / README).read_text(encoding="utf-8").partition("\n")[0]
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != README)
    return Example(folder.name, heading.removeprefix("# "), tuple(files))


def write(name: str, folder: Path) -> list[Path]:
    """Write the files of an example: all of them or none. `folder` is new or empty; its parents are made.

    Returns the files' paths. Raises ConfigError where there is no such example or `folder` is the working directory,
    which cannot change places with a finished folder; OSError, which names `folder`, where something is in the way.
    """
    known = {example.name: example for example in examples()}
    if name not in known:
        raise ConfigError(f"NAME: must be one of {', '.join(known)}, got {name!r}")
    place = folder.resolve()
    if place == Path.cwd():
        raise ConfigError(f"DIR: must not be the working directory, got {folder}; name a folder in it, such as {name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    written = (README, *known[name].files)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=place.parent) as scratch:
        copy = Path(scratch) / name
        copy.mkdir()
        for file in written:
            shutil.copyfile(EXAMPLES / name / file, copy / file)
        try:
            os.rename(copy, place)  # the system refuses to, where there are files in the place or it is a file
        except OSError as error:
            there = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            what = "there are files in it; name a new folder" if there else os.strerror(error.errno or 0)
            raise OSError(error.errno, what, str(folder)) from error
    return [folder / file for file in written]
