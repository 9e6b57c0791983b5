"""A hook of mkdocs: the words after `console` of a session are for the tests, not for the site.

tests/helpers/documents.py says what they mean.
"""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page's text with sessions fenced as `console` alone."""
    return re.sub(r"^```console +.*$", "```console", markdown, flags=re.MULTILINE)
