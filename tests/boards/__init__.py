"""Tests of psconv.boards."""
