"""Streams, arrays and pointers chosen at run time: the graph and the RTL give the words of the native program."""

from __future__ import annotations

from pathlib import Path

import pytest
from openhls import frontend, interpret
from openhls.compile import compile_hls

from tests.openhls import programs
from tests.openhls.harness import INCLUDE, PATTERNS, Simulator, native, random_words
