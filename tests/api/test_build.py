"""From a PyTorch model to checked RTL by one call of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import psconv
from pymodel.common.errors import ConfigError
from tests.helpers.networks import DIGITS, NETWORKS
from tests.helpers.places import ROOT

PROGRAM = """
import numpy as np
import torch
from torch import nn
import psconv

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    nn.MaxPool2d(2),
    psconv.PSConv2d(8, 8, 3, padding=1, support="PSD1_P8"),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(8, 3),
).eval()
images = np.random.default_rng(0).uniform(-1, 1, (16, 1, 4, 4)).astype(np.float32)
bundle = psconv.quantize(model, images)
labels = bundle.predict(images).argmax(axis=1)
labels[0] = (labels[0] + 1) % 3
result = psconv.build(bundle, "out", images=images[:4], labels=labels[:4], parallelism={"layer0": {"To": 2}})
print(result.exact, result.mismatches, result.accuracy, result.resources["DSP"], result.html.is_file())
print(result.interval, "psd1" in result._repr_html_().lower())
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_becomes_exact_rtl(tmp_path: Path) -> None:
    """As a program without a guard around what it does: workers must not run it again.

    layer0 takes 4 * 4 * 8 / 2 steps of 9 products for 2 outputs, layer4 2 * 2 * 8 of its 16 nonzeros, layer8 3 * 8.
    """
    pytest.importorskip("torch")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'hls'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"True 0 0.75 {2 * 9 + 16 + 1:.1f} True", "64 True"]


def refused(out: Path, *arguments: object, **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        psconv.build(*arguments, out, **options)
    return str(caught.value)


def test_what_cannot_be_built_is_refused_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "labels: must come with images" in refused(out, DIGITS, labels=np.zeros(2, int))
    assert "images: must be 1 or more, got none" in refused(out, DIGITS, images=np.zeros((0, 1, 8, 8)))
    assert "images: shape must be [n, 1, 8, 8]" in refused(out, DIGITS, images=np.zeros((1, 3, 8, 8)))
    assert "parallelism.flod: unknown key" in refused(out, DIGITS, parallelism={"flod": 2})
    assert "layers.conv1.To: must" in refused(out, DIGITS, parallelism={"conv1": {"To": 0}})
    assert not out.exists()
    assert "target: must be one of" in refused(out, DIGITS, target="abacus")
    wrong = refused(out, DIGITS, images=np.zeros((2, 1, 8, 8)), labels=[1])
    assert "images.npz: labels: must be integers [2], got int64 [1]" in wrong
    assert "layers with weights (conv1, conv2, conv3, conv4, fc), got conv9" in refused(
        out, DIGITS, parallelism={"conv9": {"To": 2}}
    )


def test_a_bundle_may_be_of_any_maker(tmp_path: Path) -> None:
    """psconv.Bundle adds methods alone: the bundle of a network that is not trained is one too."""
    from pymodel.network.random_bundle import random_bundle

    network, _ = NETWORKS["residual"]
    bundle = psconv.Bundle.of(random_bundle(network, 0))
    bundle.save(tmp_path / "residual.yaml")
    assert psconv.load(tmp_path / "residual.yaml").predict(np.zeros((1, 3, 6, 5))).shape == (1, 10, 6, 5)
