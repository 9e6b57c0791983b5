"""Text files of the repository end with one newline: those that do not are mended, and named.

python -m scripts.end_of_file [FILE...]     without files: all that git knows
"""

from __future__ import annotations

import subprocess
import sys

from scripts.places import ROOT


def mended(content: bytes) -> bytes:
    """The same text with one newline at its end; an empty file and one that is no text stay as they are."""
    return content if not content or b"\0" in content else content.rstrip(b"\n") + b"\n"


def main() -> int:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wrong = 0
    for name in sys.argv[1:] or listed.splitlines():
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if mended(content) != content:
            path.write_bytes(mended(content))
            print(f"{name}: the end of the file is mended")
            wrong += 1
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
