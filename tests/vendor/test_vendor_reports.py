"""Parsers of vendor reports, on files written for these tests in the tools' documented formats (tests/vendor)."""

from __future__ import annotations

from pathlib import Path

import pytest

from psconv.vendor import reports
from psconv.vendor.records import ToolLoop
from pymodel.common.errors import ConfigError
from tests.helpers.places import TESTS

SAMPLES = TESTS / "vendor"


def test_every_sample_says_that_no_tool_made_it() -> None:
    samples = [path for path in SAMPLES.iterdir() if path.suffix != ".py" and path.is_file()]
    assert samples
    for path in samples:
        assert "_sample." in path.name and "no tool made it" in "".join(path.read_text().splitlines(True)[:2]), path


def test_csynth() -> None:
    found = reports.csynth(SAMPLES / "top_csynth_sample.xml", SAMPLES / "csynth_sample.xml")
    assert found["version"] == "2099.1" and found["clock_ns"] == 2.431
    assert found["latency"] is None and found["interval"] == 444  # "undef" is no number
    assert found["resources"] == {"BRAM": 3.5, "DSP": 24, "FF": 5551, "LUT": 6661, "URAM": 0}
    assert found["loops"] == [
        ToolLoop(module="columns_EngineConfig_s", name="rows_beats", ii=1, depth=4, iterations=36),
        ToolLoop(module="pe_EngineConfig_s", name="steps_folds", ii=2, depth=9, iterations=16),
    ]


def test_a_module_without_a_name_is_no_report_of_c_synthesis(tmp_path: Path) -> None:
    text = (SAMPLES / "csynth_sample.xml").read_text()
    path = tmp_path / "csynth.xml"
    path.write_text(text.replace("<Name>pe_EngineConfig_s</Name>", "", 1))
    assert path.read_text() != text
    with pytest.raises(ConfigError, match=r"csynth\.xml: no element Name"):
        reports.csynth(SAMPLES / "top_csynth_sample.xml", path)


def test_a_report_without_its_modules_is_refused(tmp_path: Path) -> None:
    """As of 2020.2 and before: what their loops came to would be unknown, not well."""
    text = (SAMPLES / "csynth_sample.xml").read_text()
    start, end = text.index("<ModuleInformation>"), text.index("</ModuleInformation>")
    path = tmp_path / "csynth.xml"
    path.write_text(text[:start] + text[end + len("</ModuleInformation>") :])
    with pytest.raises(ConfigError, match=r"csynth\.xml: no element ModuleInformation"):
        reports.csynth(SAMPLES / "top_csynth_sample.xml", path)


def test_csynth_of_vivado_hls_names_its_dsps_otherwise(tmp_path: Path) -> None:
    old = tmp_path / "old.xml"
    old.write_text((SAMPLES / "top_csynth_sample.xml").read_text().replace("DSP>", "DSP48E>"))
    assert reports.csynth(old, SAMPLES / "csynth_sample.xml")["resources"]["DSP"] == 24


def test_cosim(tmp_path: Path) -> None:
    assert reports.cosim(SAMPLES / "cosim_sample.rpt") == {"status": "Pass", "latency": 1003}
    failed = tmp_path / "failed.rpt"
    text = (SAMPLES / "cosim_sample.rpt").read_text()
    failed.write_text(text.replace("     Pass", "     Fail").replace("1003", "  NA"))
    assert reports.cosim(failed) == {"status": "Fail", "latency": None}


def test_utilisation() -> None:
    assert reports.utilisation(SAMPLES / "utilization_sample.rpt") == {
        "LUT": 3131,
        "FF": 4141,
        "DSP": 24,
        "BRAM": 4.5,
        "URAM": 2,
    }
    # A star marks a footnote, and the 7 series has no URAM.
    assert reports.utilisation(SAMPLES / "utilization_7series_sample.rpt") == {
        "LUT": 512,
        "FF": 613,
        "DSP": 9,
        "BRAM": 1.5,
    }


def test_timing() -> None:
    found = reports.timing(SAMPLES / "timing_sample.rpt")
    assert found == {"wns_ns": -0.417, "whs_ns": 0.021, "period_ns": 3.333, "fmax_mhz": round(1000 / 3.75, 2)}


@pytest.mark.parametrize(
    ("parse", "sample"),
    [
        (lambda path: reports.csynth(path, SAMPLES / "csynth_sample.xml"), "top_csynth_sample.xml"),
        (lambda path: reports.csynth(SAMPLES / "top_csynth_sample.xml", path), "csynth_sample.xml"),
        (reports.cosim, "cosim_sample.rpt"),
        (reports.utilisation, "utilization_sample.rpt"),
        (reports.timing, "timing_sample.rpt"),
    ],
)
def test_half_a_file_or_another_is_one_clear_error(parse, sample: str, tmp_path: Path) -> None:
    """A run that was killed leaves half a report: an error that names the file, not a traceback or a wrong figure."""
    text = (SAMPLES / sample).read_text()
    cut = tmp_path / "cut"
    cut.write_text(text[: len(text) // 3])
    with pytest.raises(ConfigError, match="cut"):
        parse(cut)
    with pytest.raises(ConfigError, match="missing"):
        parse(tmp_path / "missing")
