"""What the two papers claim, each claim beside what this program counts or has trained: docs/measurements/claims.md.

[A]: Kundu et al., Allerton 2019. [T]: Kundu et al., IEEE Trans. Computers 69(7), 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from psconv.commands.analysis import storage_rows
from pymodel.common.errors import Strict, validated
from pymodel.common.records import read_json, read_yaml
from pymodel.counts.complexity import Complexity, complexity
from pymodel.network.zoo import make_network
from pymodel.nn.variants import family
from scripts.places import ROOT

_PAPERS = Path(__file__).with_name("papers.yaml")
_RESULTS = ROOT / "docs" / "measurements" / "results" / "cifar10.json"
_FULL = "resnet18"  # of full width, as results call it; narrower ones end in _wCHANNELS


class Points(Strict):
    """What was printed of a network's variants."""

    network: str
    dataset: str
    points: dict[str, float]


class Papers(Strict):
    """papers.yaml: giga multiply-accumulates of an image, and percent of the test images."""

    gmacs: list[Points]
    accuracy: list[Points]

    @property
    def plotted(self) -> dict[tuple[str, str], dict[str, float]]:
        """`gmacs` by network and data set."""
        return {(one.network, one.dataset): one.points for one in self.gmacs}


@cache
def papers() -> Papers:
    """What the papers print. Raises ConfigError."""
    return validated(Papers, read_yaml(_PAPERS), str(_PAPERS))


@dataclass(frozen=True)
class Claim:
    """theirs: as printed. ours: computed. command: that prints what `ours` is made of; none where nothing does."""

    text: str
    source: str
    theirs: str
    ours: Callable[[], str]
    command: str


def _counts(network: str, dataset: str, variant: str = "dense") -> Complexity:
    return complexity(make_network(network, dataset, variant))


def _reduction(text: str, source: str, theirs: str, of: tuple[str, str, str], what: str) -> Claim:
    """A claim of how much less than dense a network, data set and variant take of `Complexity.reduction`'s `what`."""

    def ours() -> str:
        times = _counts(*of).reduction(what)
        return f"{100 * (1 - 1 / times):.1f} %" if theirs.endswith("%") else f"{times:.2f}x"

    command = "psconv complexity --network {} --dataset {} --variant {}".format(*of)
    return Claim(text, source, theirs, ours, command)


def _markers() -> str:
    """How many of the variants' plotted markers the counts agree with, within 1 %."""
    pairs = [
        (_counts(*plot, variant).macs, 1e9 * gmacs)
        for plot, points in papers().plotted.items()
        if len(points) > 1
        for variant, gmacs in points.items()
    ]
    return f"{sum(abs(ours / theirs - 1) < 0.01 for ours, theirs in pairs)} of {len(pairs)} within 1 %"


def _plotted(network: str) -> tuple[str, Callable[[], str]]:
    """G of both data sets: theirs, and what counts ours."""
    theirs = {dataset: points["dense"] for (name, dataset), points in papers().plotted.items() if name == network}
    return " and ".join(f"{gmacs:g} G" for gmacs in theirs.values()), lambda: " and ".join(
        f"{_counts(network, dataset).macs / 1e9:.4f} G" for dataset in theirs
    )


def _indices() -> str:
    rows = {row["format"]: row for row in storage_rows(family("resnet18", "cifar10", ["PSD1_P16"]))}
    periodic, indexed = rows["periodic"], rows["per_weight"]
    return (
        f"{periodic['index_bits']:,} bits for all supports of ResNet18 PSD1_P16, {indexed['index_bits']:,} with an "
        f"index per weight; {indexed['of_periodic']:.2f}x less storage"
    )


def _claims() -> list[Claim]:
    mobile, shuffle = _plotted("mobilenet_v2"), _plotted("shufflenet")
    resnet, vgg = ("resnet18", "cifar10", "PSD1_P16"), ("vgg16", "tiny-imagenet", "PSD1_P16")
    two_taps = "ResNet18, two taps, batch norm and fully connected layer counted: fewer parameters"
    return [
        _reduction("ResNet18, CIFAR-10, PSD1_P16: fewer weights", "[T]", "82 %", resnet, "weights"),
        _reduction("the same: fewer FLOPs", "[T]", "5.6x", resnet, "macs"),
        _reduction("VGG16, Tiny ImageNet, PSD1_P16, convolutions: fewer FLOPs", "[T]", "5.8x", vgg, "conv_macs"),
        _reduction("the same: fewer weights", "[T]", "up to 83.3 %", vgg, "conv_weights"),
        _reduction(two_taps, "[A]", "up to 4.24x", ("resnet18", "cifar10", "PS2_P6"), "parameters"),
        Claim(
            "FLOPs of 13 variants of two networks on two data sets, as plotted",
            "[T]",
            "four plots",
            _markers,
            "psconv complexity --network vgg16 --dataset tiny-imagenet",
        ),
        Claim(
            "FLOPs of MobileNetV2, CIFAR-10 and Tiny ImageNet, as plotted",
            "[T]",
            *mobile,
            "psconv complexity --network mobilenet_v2",
        ),
        Claim(
            "FLOPs of ShuffleNet on both, as plotted",
            "[T]",
            *shuffle,
            "psconv complexity --network shufflenet",
        ),
        Claim(
            "no index is stored with a weight, the period's supports once",
            "[A] [T]",
            "in words",
            _indices,
            "psconv complexity --storage --variant PSD1_P16",
        ),
    ]


def claim_rows() -> list[list[str]]:
    """A row for each claim that is a count: claim, paper, theirs, ours, command."""
    return [[one.text, one.source, one.theirs, one.ours(), f"`{one.command}`"] for one in _claims()]


def accuracy_rows() -> list[list[str]]:
    """A row for each variant of ResNet18 whose accuracy is plotted: variant, theirs, and ours of each width."""
    theirs = next(one.points for one in papers().accuracy if one.network == _FULL)
    results = _trained()
    return [
        [f"`{variant}`", f"{percent:g}", *(_accuracy(found.get(variant)) for found in results.values())]
        for variant, percent in theirs.items()
    ]


def accuracy_titles() -> tuple[str, ...]:
    """The titles of `accuracy_rows`."""
    return "variant", "papers, 150 epochs, %", *(f"ours, {_width(network)}" for network in _trained())


def _trained() -> Mapping[str, dict[str, Mapping[str, Any]]]:
    """The longest training of each variant in 8 bits, by network, the widest first; full width even without any."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {_FULL: {}}
    for one in read_json(_RESULTS):
        if one["network"].startswith(_FULL) and (one["weight_bits"], one["activation_bits"]) == (8, 8):
            of = found.setdefault(one["network"], {})
            if one["epochs"] >= of.get(one["variant"], one)["epochs"]:
                of[one["variant"]] = one
    return dict(sorted(found.items(), key=lambda item: -_channels(item[0])))


def _channels(network: str) -> int:
    return int(network.removeprefix(_FULL).removeprefix("_w") or 64)


def _width(network: str) -> str:
    return "full width" if network == _FULL else f"{_channels(network)} of 64 channels"


def _accuracy(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "not trained"
    real, fixed = (100 * result[f"{kind}_accuracy"] for kind in ("float", "fixed"))
    return f"{real:.2f}; {fixed:.2f} in 8 bits; {result['epochs']} epochs"
