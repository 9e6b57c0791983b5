"""The benchmark of utilisation: its rows, and the networks that it simulates."""

import pytest

from scripts.benchmarks import utilisation


@pytest.mark.parametrize(("steady", "said"), [(0.9, "steady 0.9000"), (0.98, "fill: more than 1,000 images needed")])
def test_a_missed_aim_is_explained(steady, said):
    assert utilisation.why(steady) == said


@pytest.mark.slow
def test_a_network_of_the_papers(tmp_path):
    """PSD1_P16, VGG16: nothing idle in any layer with the variant, and the fill is soon paid for."""
    result = utilisation.result_of("vgg16", "PSD1_P16")
    layers, network = result["layers"], result["network"]
    assert (
        layers["least"] == layers["least_at_own_interval"] == 1.0 and layers["all >= 0.99"] and layers["missed"] == "–"
    )
    assert network["optimal"] and network[">= 0.97"] and network["steady"] > 0.999
    assert network["100 images"] < 0.97 < network["1000 images"] and 100 < network["images_for_aim"] < 1000
    budgets = result["budgets"]
    assert all(row["multipliers"] <= row["at most"] for row in budgets)
    assert [row["steady"] for row in budgets] == sorted((row["steady"] for row in budgets), reverse=True)
    busy = sum(row["multipliers"] * row["at_interval"] for row in result["rows"])
    assert busy / network["multipliers"] == pytest.approx(network["steady"])


@pytest.mark.slow
def test_37_nonzeros_over_several_folds_as_rtl(tmp_path):
    """simulate() itself compares RTL, golden model and cycle model. 28 multipliers, 37 folds in each layer."""
    row = utilisation.simulate("PSD4_P8", 28, 3, tmp_path)
    assert row["N"] == 37 and row["folding"].count("/37") == 3
    assert row["interval_simulated"] == row["interval_model"] and row["least_3x3"] == 1.0
