"""Texts from templates, the same for the same values."""

from __future__ import annotations

from pathlib import Path

import jinja2


def templates(folder: Path, html: bool = False) -> jinja2.Environment:
    """The templates in a folder: a name that has no value is an error, blocks leave no empty lines.

    html: values are escaped.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
