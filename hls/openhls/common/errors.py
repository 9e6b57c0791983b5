"""Diagnostics: every refusal names the source line, the reason and, where there is one, what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A place in the user's C++."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def brief(self) -> str:
        """The place without its folder, so that it is the same wherever it is made."""
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


def note(loc: Location | None, text: str) -> str:
    """What a compiler says beside errors."""
    return f"{loc.brief}: note: {text}" if loc else f"note: {text}"


class HlsError(Exception):
    """The input cannot be compiled; `str()` reads like a compiler's error message.

    Args:
        message: the reason, lower case, no full stop.
        loc: where in the C++; None only where no line can be blamed (a missing file, a missing top).
        hint: what to write instead.

    `dumps` holds the texts of the graph that `print_after` asked for and that were made before the error.
    """

    def __init__(self, message: str, loc: Location | None = None, hint: str | None = None):
        self.message, self.loc, self.hint = message, loc, hint
        self.dumps: list[str] = []
        text = f"{loc}: error: {message}" if loc else f"error: {message}"
        super().__init__(text + (f"\n  note: {hint}" if hint else ""))

    def __reduce__(self):
        return type(self), (self.message, self.loc, self.hint), {"dumps": self.dumps}


class InternalError(HlsError):
    """The compiler has found a fault of its own; nothing is written."""

    def __init__(self, message: str, loc: Location | None = None, hint: str | None = None):
        super().__init__(f"internal: {message}", loc, hint or "a fault of this compiler, not of the sources: report it")

    def __reduce__(self):
        return type(self), (self.message.removeprefix("internal: "), self.loc, self.hint), {"dumps": self.dumps}
