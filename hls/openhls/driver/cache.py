"""Built processes on disk, found again by the content of all that they were built from."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from openhls.common.errors import HlsError
from openhls.common.fingerprint import fingerprint
from openhls.driver.build import Built, Job
from openhls.results import records


class Cache:
    """A folder with one file per built process, a digest and JSON; several compilations may use it at once."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, job: Job) -> Path:
        """Where the result of a job belongs."""
        content = json.dumps(asdict(job), sort_keys=True)
        return self.folder / f"{hashlib.sha256((fingerprint() + content).encode()).hexdigest()}.json"

    def get(self, job: Job) -> Built | None:
        """The result of an equal job, built in no time; None where there is none, or one that is not as it was put."""
        try:
            digest, _, text = self.path(job).read_text(encoding="utf-8").partition("\n")
            return _from_json(json.loads(text)) if digest == _digest(text) else None
        except (OSError, ValueError, HlsError):
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


def _from_json(content: object) -> Built:
    built = records.record(Built, content, "a built process")
    return replace(built, seconds={})
