"""The command `openhls` from its first moment: it can be interrupted while it imports what it needs, too."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """The command (`openhls.cli`); returns its exit status."""
    try:
        from openhls import cli
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
