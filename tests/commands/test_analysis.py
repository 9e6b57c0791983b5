"""Tables and plots: consistent with the counts they come from, and with each other."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from psconv.commands import analysis
from psconv.commands.analysis import (
    Setting,
    energy_rows,
    layer_energy_rows,
    periodicity_rows,
    plot_energy,
    plot_storage,
    storage_rows,
    traffic_rows,
)
from psconv.common import plots
from pymodel.common.errors import ConfigError
from pymodel.counts.complexity import complexity
from pymodel.counts.energy import PARTS, Energy, network_energy
from pymodel.counts.storage import FORMATS
from pymodel.counts.traffic import Buffers, EngineOptions, network_traffic
from pymodel.network.zoo import make_network
from pymodel.nn.variants import family

DIGITS = ("digits", "digits")
SMALL = ("dense", "PSD1_P16", "PS1_P9", "pSC1")


def by_key(rows: list[dict]) -> dict[tuple[str, str], dict]:
    found = {(row["variant"], row["format"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_storage_rows_by_hand() -> None:
    rows = by_key(storage_rows(family("resnet18", "cifar10", ("dense", "PSD1_P16", "pSC1"))))
    weights = complexity(make_network("resnet18", "cifar10", "PSD1_P16")).total("weights")
    ours = rows["PSD1_P16", "periodic"]
    assert (ours["weight_bits"], ours["index_bits"]) == (8 * weights, 16 * 144)
    assert ours["MiB"] == pytest.approx((8 * weights + 2304) / 2**23)
    assert ours["bits_per_weight"] == pytest.approx(8 + 2304 / weights)
    assert ours["of_periodic"] == 1 == rows["PSD1_P16", "dense"]["of_dense"]
    assert ours["of_dense"] * rows["PSD1_P16", "dense"]["of_periodic"] == pytest.approx(1)
    assert ("pSC1", "periodic") not in rows and rows["pSC1", "csr"]["of_periodic"] is None
    assert {rows["dense", form]["weight_bits"] for form in FORMATS} == {rows["pSC1", "dense"]["weight_bits"]}


def test_energy_rows_are_the_models_sums() -> None:
    setting = Setting(EngineOptions(multipliers=24, weight_bits=4), Buffers(weights_kib=2, activations_kib=3))
    rows = by_key(energy_rows(family(*DIGITS, SMALL), setting))
    assert set(rows) == {
        ("dense", "dense"),
        *((variant, form) for variant in SMALL[1:3] for form in FORMATS[1:]),
        *(("pSC1", form) for form in FORMATS[2:]),
    }
    dense = rows["dense", "dense"]["total_uJ"]
    for (variant, form), row in rows.items():
        traffic = network_traffic(make_network(*DIGITS, variant), form, setting.options, setting.buffers)
        energy = sum(network_energy(traffic, setting.costs).values(), Energy())
        assert row["total_uJ"] == pytest.approx(energy.total / 1e6)
        assert row["total_uJ"] == pytest.approx(sum(row[f"{part}_uJ"] for part in PARTS))
        assert row["of_dense"] == pytest.approx(row["total_uJ"] / dense)
        layers = layer_energy_rows(family(*DIGITS, SMALL), variant, form, setting)
        assert sum(layer["total_uJ"] for layer in layers) == pytest.approx(row["total_uJ"])
    assert rows["PS1_P9", "csr"]["of_periodic"] == pytest.approx(
        rows["PS1_P9", "csr"]["total_uJ"] / rows["PS1_P9", "periodic"]["total_uJ"]
    )
    assert rows["pSC1", "csr"]["of_periodic"] is None


def test_traffic_rows_add_up() -> None:
    for row in traffic_rows(family(*DIGITS, SMALL)):
        assert row["dram_bits"] == sum(row[f"dram_{part}_bits"] for part in ("weight", "index", "activation"))
        assert (row["gathered_bits"] == 0) == (row["format"] in ("dense", "periodic"))


def test_the_papers_argument_holds() -> None:
    """No index per weight: at equal weights every other format stores, moves and spends more."""
    variants = ("dense", "PSD1_P16", "PSD4_P8", "PS1_P9", "pSC1")
    rows = by_key(periodicity_rows(family("resnet18", "cifar10", variants)))
    assert {variant for variant, _ in rows} == set(variants[1:4])
    assert {form for _, form in rows} == set(FORMATS) - {"periodic"}
    stored = by_key(storage_rows(family("resnet18", "cifar10", variants)))
    for key, row in rows.items():
        assert min(row["storage"], row["dram"], row["energy"]) > 1
        assert row["storage"] == stored[key]["of_periodic"]
        assert row["dram"] == pytest.approx(row["storage"], rel=0.01)  # on CIFAR images weights are nearly all
    # 5.56x fewer weights than dense (82.0 % fewer), up to 2304 bits of supports and images moved.
    assert rows["PSD1_P16", "dense"]["dram"] == pytest.approx(5.55, abs=0.01)


def test_rows_are_json() -> None:
    for function in (storage_rows, energy_rows, traffic_rows, periodicity_rows):
        rows = function(family(*DIGITS))
        assert rows and json.loads(json.dumps(rows, allow_nan=False)) == rows
        assert len({tuple(row) for row in rows}) == 1


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="lenet"):
        family("lenet", "cifar10")
    with pytest.raises(ConfigError, match="PSD3_P8"):
        family(*DIGITS, ("PSD3_P8",))


def test_plots_show_every_row(tmp_path: Path) -> None:
    small = family(*DIGITS, SMALL)
    storage, energy = plot_storage(small, tmp_path / "new"), plot_energy(small, tmp_path / "new")
    assert [path.name for path in storage + energy] == ["storage.svg", "storage.png", "energy.svg", "energy.png"]
    for svg, png in (storage, energy):
        ElementTree.parse(svg)
        assert png.read_bytes().startswith(b"\x89PNG")
    text = energy[0].read_text()
    assert all(variant in text for variant in SMALL) and "a model" in text
    again = plot_energy(small, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in energy]


def test_bars_are_as_long_as_the_rows_say() -> None:
    rows = energy_rows(family(*DIGITS, SMALL))
    axes = plots.energy_bars(rows, "energy").axes[0]
    ends = [0.0] * len(rows)
    for bars in axes.containers:
        for at, bar in enumerate(bars):
            ends[at] = max(ends[at], bar.get_x() + bar.get_width())
    assert ends == pytest.approx([row["total_uJ"] for row in rows])

    rows = storage_rows(family(*DIGITS, SMALL))
    axes = plots.storage_bars(rows, "storage").axes[0]
    heights = sum(bar.get_height() for bars in axes.containers for bar in bars)
    assert heights == pytest.approx(sum(row["weight_bits"] + row["index_bits"] for row in rows) / 1e6)


def test_every_part_of_an_energy_is_plotted_once() -> None:
    keys = [key for _, keys, _ in plots.ENERGY_PARTS for key in keys]
    assert sorted(keys) == sorted(f"{part}_uJ" for part in PARTS)
    assert list(plots.FORMAT_COLOURS) == list(analysis.FORMATS)


@pytest.mark.parametrize("budget", [{}, {"LUT": 4.0, "URAM": 10.0, "BRAM": 5.0}])
def test_the_plot_of_a_frontier_has_lines_with_and_without_budgets(budget: dict[str, float]) -> None:
    """Shares are of the budget; with none at all, as may be asked for, of the most."""
    rows = [{"frames_per_second": 10.0 * k, "LUT": k, "FF": 2 * k, "DSP": k, "BRAM": 0, "URAM": k} for k in (1, 2)]
    axes = plots.frontier(rows, budget, "frontier").axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines[:-1]}
    if budget:
        assert drawn == {"LUT": [25, 50], "URAM": [10, 20]} and axes.get_ylabel() == "% of the budget"
    else:
        assert drawn == dict.fromkeys(("DSP", "LUT", "FF", "URAM"), [50, 100]) and "most" in axes.get_ylabel()
    assert {text.get_text() for text in axes.get_legend().get_texts()} == set(drawn)
