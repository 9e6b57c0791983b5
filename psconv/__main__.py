"""The command `psconv` from its first moment: it can be interrupted while it imports what it needs, too."""

from __future__ import annotations

import sys


def main() -> None:
    """The command (`psconv.cli`); ends the process with its exit code."""
    try:
        from psconv import cli
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
