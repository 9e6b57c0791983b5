"""A hook of mkdocs: the compiler's manual is part of the site, though it lies in its package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]  # mkdocs loads this file by its path, not as a module of scripts
MANUAL = ROOT / "hls" / "openhls"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All documents: those of docs/, and the manual under the path that it has in the repository."""
    from mkdocs.structure.files import File

    for path in sorted([MANUAL / "README.md", *MANUAL.glob("docs/*.md")]):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page's text with links out of docs/ to the manual, and without what is for the tests.

    tests/helpers/documents.py says what the words after `console` mean.
    """
    markdown = re.sub(r"\]\(\.\./((?:\.\./)?hls/)", r"](\1", markdown)
    return re.sub(r"^```console +.*$", "```console", markdown, flags=re.MULTILINE)
