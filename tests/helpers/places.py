"""Where the tests find the repository's files and their own."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TESTS = ROOT / "tests"
FAULTS = TESTS / "faults"  # inputs that once went wrong (README.md there)
FOUND = TESTS / "found"  # cases that campaigns of scripts/hunt have found
RTL = TESTS / "rtl"
