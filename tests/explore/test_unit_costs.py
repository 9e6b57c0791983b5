"""What the units between engines take, by the model of `psconv explore`, against what yosys counted."""

import numpy as np
import pytest

from pymodel.common.errors import ConfigError
from pymodel.explore import unit_costs
from pymodel.explore.solve import AXES
from pymodel.explore.streams import least_prices, streams_cost
from pymodel.explore.technology import Technology, calibrated
from pymodel.explore.unit_costs import features, fit_units, known_cost, unit_calibration, unit_cost
from pymodel.top import units
from pymodel.top.units import EngineUnit, ForkUnit, Unit
from scripts import calibrate_units as calibrate
from tests.helpers import networks
from tests.helpers.choices import TECHNOLOGY, every_technology

MEASURED = {
    name: unit for design in calibrate.DESIGNS | calibrate.CHAINS for name, unit in calibrate.units_of(design).items()
}
# Of each technology, as its file has them.
RECORDS = [(one, name) for one in calibrated() for name in sorted(unit_calibration(one).measured)]


def types() -> set[str]:
    """The C++ functions of all units that are no engines."""
    found, left = set(), Unit.__subclasses__()
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if not issubclass(kind, EngineUnit):
            found.add(kind.function)
    return found


@every_technology
def test_every_type_of_unit_is_calibrated(technology: Technology) -> None:
    model = unit_calibration(technology)
    assert types() == set(model.units) and len(types()) == 14
    designs = calibrate.designs(technology, model.sample)
    assert model.measured.keys() == {name for design in designs for name in calibrate.units_of(design)}


@pytest.mark.parametrize(("technology", "name"), RECORDS, ids=lambda each: each if isinstance(each, str) else each.name)
def test_multipliers_and_block_rams_equal_what_yosys_counted(technology: Technology, name: str) -> None:
    record, unit = unit_calibration(technology).measured[name], MEASURED[name]
    known = known_cost(unit, technology)
    assert record["features"] == features(unit)
    assert (known.LUT, known.FF) == (record["memories"]["LUT"], record["memories"]["FF"])
    assert (known.DSP, known.BRAM) == (record["DSP"], record["BRAM"])


@every_technology
def test_the_coefficients_in_the_file_are_those_of_its_measurements(technology: Technology) -> None:
    model = unit_calibration(technology)
    again = fit_units(model.measured, technology)["units"]
    for function, fits in model.units.items():
        for kind, found in (("LUT", fits.LUT), ("FF", fits.FF)):
            expected = again[function][kind]
            assert found.coefficients == pytest.approx(expected.pop("coefficients"), abs=0.01)
            assert found.model_dump(exclude={"coefficients"}) == pytest.approx(expected, abs=0.11)


def test_memories_of_means_and_of_pixels_are_counted() -> None:
    """They were left out: a mean of many channels, one after the other, has its sums in block RAM."""
    assert known_cost(MEASURED["mean_of_1024_unit"], TECHNOLOGY).half_blocks > 0
    assert known_cost(MEASURED["split_pixels_many_unit"], TECHNOLOGY).half_blocks > 0


@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_a_region_takes_no_less_than_its_units(name: str) -> None:
    """What the solver takes as the least is no more than what is built, and has all of the units between engines."""
    _, dataflow = networks.made(name)
    prices = least_prices(dataflow, dataflow.interval, TECHNOLOGY)
    least = sum((np.array(price.cost.vector) for price in prices), np.zeros(len(AXES), int))
    built = np.array(streams_cost(dataflow, TECHNOLOGY).vector)
    between = [unit for unit in dataflow.units if not isinstance(unit, EngineUnit | units.LoaderUnit)]
    own = sum((np.array(unit_cost(unit, TECHNOLOGY).vector) for unit in between), np.zeros(len(AXES), int))
    assert (own <= least).all() and (least <= built).all()


def test_a_type_that_was_not_measured_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    model = unit_calibration(TECHNOLOGY)
    few = model.model_copy(update={"units": {key: fit for key, fit in model.units.items() if key != "fork"}})
    monkeypatch.setattr(unit_costs, "unit_calibration", lambda technology: few)
    fork = next(unit for unit in MEASURED.values() if isinstance(unit, ForkUnit))
    with pytest.raises(ConfigError, match="units: must have fork, got add, .*scripts.calibrate_units"):
        unit_cost(fork, TECHNOLOGY)


@pytest.mark.slow
@every_technology
def test_the_calibration_is_of_the_units_of_today(technology: Technology, tmp_path) -> None:
    """One of its designs, drawn at random, through HLS and yosys again."""
    designs = calibrate.designs(technology, unit_calibration(technology).sample)
    name = str(np.random.default_rng([len(technology.name), 17]).choice(sorted(designs)))
    for unit, record in calibrate.measure(name, technology, tmp_path).items():
        assert unit_calibration(technology).measured[unit] == record
