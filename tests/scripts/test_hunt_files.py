"""The campaign of damaged files: a sample of it, and that it is not blind."""

import io
from itertools import count, islice

import numpy as np
import pytest

from pymodel.common import records
from pymodel.network import bundle
from scripts.hunt import files
from scripts.hunt.files import CAMPAIGN, DAMAGES, KINDS
from scripts.hunt.judge import judge
from scripts.hunt.runner import drawn

QUICK = (
    "run",
    "weights",
    "run of a network",
    "bundle",
    "bundle's arrays",
    "bundle to load",
    "outputs",
    "costs",
    "device",
)


def cases(seed, number, kinds=QUICK):
    """The first cases of a seed that are of some kinds."""
    return list(islice((case for at in count() if (case := drawn(CAMPAIGN, seed, at))["kind"] in kinds), number))


@pytest.mark.parametrize("at", range(4))
def test_a_sample_is_met_as_it_should_be(at, tmp_path):
    for case in cases(100 + at, 12):
        outcome = judge(CAMPAIGN, case, tmp_path / "case")
        assert outcome.verdict == "good", (case, outcome.text)


@pytest.mark.slow
def test_a_sample_of_every_kind(tmp_path):
    for kind in KINDS:
        for case in cases(7, 4, (kind,)):
            outcome = judge(CAMPAIGN, case, tmp_path / "case")
            assert outcome.verdict == "good", (case, outcome.text)


def raw_npz(path, sha256=None):
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        return dict(arrays)


def raw_yaml(text, source):
    import yaml

    return yaml.safe_load(text)


PLANTED = {
    "traceback": (lambda patch: patch.setattr("psconv.commands.compare.read_npz", raw_npz), "outputs"),
    "wrong": (lambda patch: patch.setattr(bundle, "read_npz", raw_npz), "bundle's arrays"),
    "refused": (lambda patch: patch.setattr(records, "MAX_BYTES", 100), "run"),
}


@pytest.mark.parametrize("verdict", PLANTED)
def test_planted_faults_are_found(verdict, tmp_path, monkeypatch):
    """A reader that lets exceptions out, one that does not look at the sum, one that refuses what is sound."""
    plant, kind = PLANTED[verdict]
    sample = cases(0, 12, (kind,))
    if verdict == "refused":  # nothing is damaged
        monkeypatch.setitem(DAMAGES, "truncated", lambda data, rng: data)
        sample = [{"kind": kind, "damages": [{"how": "truncated", "seed": 0}]}]
    files.undamaged(kind)
    plant(monkeypatch)
    assert verdict in {judge(CAMPAIGN, case, tmp_path / "case").verdict for case in sample}


def test_cases_are_repeatable_and_shrink():
    first, again = drawn(CAMPAIGN, 3, 5), drawn(CAMPAIGN, 3, 5)
    assert first == again
    double = {"kind": "run", "damages": [{"how": "flipped", "seed": 1}, {"how": "lines", "seed": 2}]}
    assert [len(case["damages"]) for case in CAMPAIGN.smaller(double)] == [1, 1]
    data = (b"psconv: 1\nlayer: {kernel: 3}\n") * 3
    for damage in DAMAGES.values():
        made = {damage(data, np.random.default_rng(seed)) for seed in range(20)}
        assert len(made - {data}) > 2
