"""Built processes on disk, found again by the content of all that they were built from."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from openhls.common.errors import HlsError, Location
from openhls.driver.build import Built, Job
from openhls.graph.nodes import Interface, Static

_TOOLS = ("llvmlite", "pycde")
_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def _compiler() -> str:
    """A digest of this compiler: its sources and the tools it is made of."""
    digest = hashlib.sha256(" ".join(version(tool) for tool in _TOOLS).encode())
    for source in sorted(_PACKAGE.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class Cache:
    """A folder with one file per built process, a digest and JSON; several compilations may use it at once."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, job: Job) -> Path:
        """Where the result of a job belongs."""
        content = json.dumps(asdict(job), sort_keys=True)
        return self.folder / f"{hashlib.sha256((_compiler() + content).encode()).hexdigest()}.json"

    def get(self, job: Job) -> Built | None:
        """The result of an equal job, built in no time; None where there is none, or one that is not as it was put."""
        try:
            digest, _, text = self.path(job).read_text(encoding="utf-8").partition("\n")
            return _from_json(json.loads(text)) if digest == _digest(text) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, job: Job, built: Built) -> None:
        """Keep a result. Raises HlsError if it cannot be written."""
        path = self.path(job)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=self.folder) as scratch:
                file = Path(scratch) / path.name
                text = json.dumps(asdict(built))
                file.write_text(f"{_digest(text)}\n{text}", encoding="utf-8")
                os.replace(file, path)
        except OSError as error:
            raise HlsError(f"cannot write to {self.folder}: {error.strerror}") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _from_json(content: dict) -> Built:
    def location(value: dict | None) -> Location | None:
        return None if value is None else Location(**value)

    made = content["interface"]
    interface = Interface(
        made["name"],
        location(made["loc"]),
        {stream: location(loc) for stream, loc in made["reads"].items()},
        {stream: location(loc) for stream, loc in made["writes"].items()},
        [Static(**{**static, "loc": location(static["loc"])}) for static in made["statics"]],
    )
    return Built(interface, content["modules"], content["depths"], content["entry"], content["notes"], {})
