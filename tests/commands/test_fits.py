"""`psconv fits`: a network beside its dense twin, by the exact model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from psconv.synthesis.targets import lacking, verdict
from pymodel.counts.complexity import compare_variants
from pymodel.nn.variants import family
from tests.helpers.places import EXAMPLES

BUDGET = {"LUT": 100, "DSP": 2, "BRAM": 3, "URAM": 0}


def test_what_a_device_lacks() -> None:
    used = {"LUT": 100, "DSP": 2, "BRAM": 3.5, "URAM": 1}
    assert lacking(used, BUDGET) == ["BRAM", "URAM"]
    assert verdict(used, BUDGET) == "no, because of BRAM 3.5 of 3, URAM 1 of 0"
    assert verdict(used | {"BRAM": 3, "URAM": 0}, BUDGET) == "yes"


@pytest.mark.slow
def test_resnet18_and_its_dense_twin(psconv) -> None:
    code, out, _ = psconv("fits", str(EXAMPLES / "networks" / "resnet18.yaml"), "--json")
    found = json.loads(out)
    sparse, dense = found["candidates"]
    assert code == 0 and found["cycles"] == 262144 and found["budget"]["BRAM"] == 312
    counts = compare_variants(family("resnet18", "cifar10", ("PSD1_P16", "dense")))
    assert sparse["weight_bits"] == 8 * counts["PSD1_P16"].total("weights")
    assert dense["weight_bits"] == 8 * counts["dense"].total("weights") > found["block_and_ultra_ram_bits"]
    assert (sparse["DSP"], dense["DSP"]) == (380, 2120) and not sparse["fits"] and not dense["fits"]


def test_a_small_network_fits(psconv, tmp_path: Path) -> None:
    config = {"psconv": 1, "network": {"name": "digits", "dataset": "digits", "variant": "PSD1_P16"}, "top": "network"}
    path = tmp_path / "digits.yaml"
    path.write_text(yaml.safe_dump(config))
    code, out, _ = psconv("fits", str(path))
    assert code == 0 and "yes" in out and "dense" in out and "UltraRAM" in out
    code, _, err = psconv("fits", str(path), "--device", "ulx3s_85f")
    assert code == 2 and "family" in err
    code, _, err = psconv("fits", str(EXAMPLES / "layers" / "dense.yaml"))
    assert code == 2 and "layer:" in err
