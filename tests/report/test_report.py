"""Reports: whole, self-contained, escaped, narrow enough, honest about what was not measured."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from psconv.report.columns import COLUMNS
from psconv.report.render import render_html, render_markdown, terminal_table, write_report
from psconv.report.schema import LayerReport, RunReport, parse_report
from pymodel.common.errors import ConfigError
from tests.helpers.reports import design_of, layer_of, run_of

LAYER_FIELDS = set(LayerReport.model_fields) - {"name", "mismatches", "utilisation", "resources"}


def alone(name: str, **changes: Any) -> dict[str, Any]:
    """A layer by itself. changes: of the layer, or of its design."""
    of_layer = {key: value for key, value in changes.items() if key in LAYER_FIELDS}
    of_design = {key: value for key, value in changes.items() if key not in LAYER_FIELDS}
    return design_of(name, [layer_of(name, **of_layer)], **of_design)


class Page(HTMLParser):
    """Collects what a page would load, and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "use", "path"):
            self.open.append(tag)
        values = dict(attributes)
        self.loads += [v or "" for k, v in values.items() if k in ("src", "href", "xlink:href", "data")]
        if tag in ("script", "link", "iframe", "img"):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("use", "path"):
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def test_three_files_from_one_report(tmp_path: Path) -> None:
    data = run_of(alone("conv1"), alone("conv2", variant="dense", lanes=576, multipliers=288, scale_multipliers=2))
    report = parse_report(data)
    write_report(report, tmp_path / "report")
    files = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert files == ["report.html", "report.json", "report.md"]
    again = parse_report(json.loads((tmp_path / "report" / "report.json").read_text()))
    assert again == report
    html = (tmp_path / "report" / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert page.open == []
    assert [load for load in page.loads if not load.startswith("#")] == []
    assert "url(http" not in html and "@import" not in html
    assert html.count("<svg") == 4
    text = (tmp_path / "report" / "report.md").read_text()
    for column in COLUMNS:
        if column.heading not in ("Fmax MHz", "busy"):
            assert f"*{column.heading}*: {column.meaning}" in text and column.heading in html
    assert "524,421" in text and "524,421" in html
    assert "1,048,842 = 3.496 ms at 300.0 MHz" in text
    assert "98,592 bits; with an index per weight 147,456 bits (1.50x)" in text
    assert "golden model 97.50%, RTL 97.50%" in text


def test_the_clock_and_its_critical_path(tmp_path: Path) -> None:
    clock = {
        "requested_mhz": 156.25,
        "fmax_mhz": 155.5,
        "slack_ns": -0.031,
        "met": False,
        "seed": 1,
        "ns_by_element": {"routing": 3.832, "carry chain": 1.157},
        "path": [
            {"source": "requantise.hpp:46", "through": ["register", "routing"], "delay_ns": 2.01},
            {"source": None, "through": ["logic"], "delay_ns": 0.44},
        ],
        "registers": {"multiplier_inputs": 24, "flip_flops_saved": 1216},
    }
    write_report(parse_report(run_of(alone("conv1", clock=clock), alone("conv2"))), tmp_path)
    text, html = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    row = (
        "| conv1 | 156.2 | 155.5 | -0.03 | 1 | routing 3.83, carry chain 1.16 "
        "| multiplier inputs 24, flip flops saved 1,216 |"
    )
    assert row in text
    path = "requantise.hpp:46 2.01 ns (register, routing) → no C++ line 0.44 ns (logic)"
    assert f"- conv1: {path}\n" in text and path in html
    page = Page()
    page.feed(html)
    assert page.open == [] and "Clock" in page_headings(html)
    write_report(parse_report(run_of(alone("conv2"))), tmp_path)
    assert "critical path" not in (tmp_path / "report.md").read_text()


def page_headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


NETWORK: dict[str, Any] = {
    "images": 3,
    "cycles_model": 1_100_000,
    "cycles_sim": 1_100_000,
    "image_ends_agree": True,
    "fill": 313_568,
    "least_interval": 262_144,
    "bottleneck": "conv1_pe",
    "interval_model": 262_144,
    "interval_sim": 262_144,
    "frames_per_second": 1144.4,
    "mismatches": {"csim": 0, "cosim": 0},
    "lanes": 380,
    "utilisation": 0.712,
    "resources": {"LUT": 46080, "FF": 50000, "DSP": 380, "BRAM": 31.2, "URAM": 0},
    "distinct_modules": 150,
    "memory": [{"holds": "weights", "bits": 16_078_848, "model": 16_078_848}, {"holds": "FIFOs", "bits": 646_025}],
    "nonzero_bits": 16_078_336,
    "padding_bits": 512,
    "streams": [{"name": "conv1_to_add", "bits": 128, "depth": 273}],
    "simulation": {"free": {"seconds": 100.0, "build": 60.0, "cycles_per_second": 11000.0}},
}


def network(*names: str, **changes: Any) -> dict[str, Any]:
    """A network of these layers; one called pool has no engine."""
    pool = {"lanes": 0, "weight_bits": None, "utilisation": None, "macs": None}
    layers = [layer_of(name, **(pool if name == "pool" else {})) for name in names]
    return design_of("network", layers, **({"multiplexer_free": None, "stages": []} | NETWORK | changes))


def test_a_network_as_one_top(tmp_path: Path) -> None:
    data = run_of(network("conv1", "pool"))
    write_report(parse_report(data), tmp_path)
    html, text = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    for shown in (html, text):
        assert "1,100,000 for 3 images, model 1,100,000 (exact, for each image)" in shown
        assert "LUT 46,080 of 230,400 (20.0%)" in shown and "BRAM 31.2 of 312 (10.0%)" in shown
        assert "conv1_to_add" in shown and "273" in shown
        assert "Fits zcu104: yes" in shown and "16,078,336 bits are nonzero" in shown.replace("\n", " ")
        assert "weights 16,078,848, FIFOs 646,025 (all but the FIFOs equal to the model" in shown
    assert "| BRAM | 31.2 | 312 | 10.0 % |" in text and "| weights | 16,078,848 | 16,078,848 |" in text
    assert "*busy*" in text and "| RTL" not in text
    page = Page()
    page.feed(html)
    assert page.open == []
    memory = [{"holds": "sums", "bits": 640, "model": 608}]
    large = network("conv1", "pool", resources=NETWORK["resources"] | {"BRAM": 327.5}, memory=memory)
    short = render_markdown(parse_report(run_of(large)))
    assert "Fits zcu104: no, because of BRAM 327.5 of 312." in short and "(NOT the model's: sums)" in short
    wrong = run_of(network("conv1", "pool", image_ends_agree=False), ok=False)
    assert "NOT that of the simulation" in render_markdown(parse_report(wrong))


def test_weights_from_outside_memory(tmp_path: Path) -> None:
    one = {
        "layer": "conv1",
        "port": "w_conv1",
        "beats": 16384,
        "beats_sim": 16384.0,
        "beat_bytes": 24,
        "bytes": 393216,
        "megabytes_per_second": 449.98,
        "rom_bits": 3145728,
        "held_bits": {"windows": 589824, "sums": 384, "outputs": 65536},
    }
    two = [one, one | {"layer": "conv2", "port": "w_conv2"}]
    write_report(parse_report(run_of(network("conv1", "pool", weights=two))), tmp_path)
    html, text = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    page = Page()
    page.feed(html)
    assert page.open == []
    for shown in (html, text):
        assert "32,768 beats, 786,432 bytes an image" in shown and "each word once, as the model says" in shown
        assert "900.0 MB/s" in shown and "1,311,488 bits" in shown and "6,291,456" in shown
    rows = [line for line in text.splitlines() if line.startswith("| ") and ("| w_conv" in line or "| all |" in line)]
    assert len({row.count("|") for row in rows}) == 1 and len(rows) == 3
    assert "| all | | 32,768 | 32,768 | | 786,432 | 900.0 | 6,291,456 | 1,179,648 | 768 | 131,072 |" in rows
    twice = network("conv1", "pool", weights=[one | {"beats_sim": 32768.0}])
    assert "NOT each word once" in render_markdown(parse_report(run_of(twice, ok=False)))


def test_the_markdown_table_is_rectangular() -> None:
    text = render_markdown(parse_report(run_of(alone("a"), alone("b"))))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    first = rows[:4]
    assert len({row.count("|") for row in first}) == 1 and first[0].count("|") > 20
    assert "\n\n\n\n" not in text


def test_a_failure_is_never_shown_as_success() -> None:
    bad = alone("conv9", mismatches={"csim": 0, "cosim": 3}, errors=["watchdog: <y> stuck at image 1"])
    report = parse_report(run_of(alone("conv1"), bad, ok=False))
    html = render_html(report)
    assert "watchdog: &lt;y&gt; stuck" in html and ">FAIL<" in html and "bit-exact</span>" not in html
    assert "FAIL" in render_markdown(report) and "every output value is exact" not in render_markdown(report)
    skipped = render_markdown(parse_report(run_of(alone("conv1", mismatches={"csim": 0, "cosim": None}))))
    assert "not all run" in skipped
    off = render_markdown(parse_report(run_of(alone("conv1", cycles_model=524419))))
    assert "| +2 |" in off


def test_what_was_not_measured_is_left_out() -> None:
    bare = {"name": "only", "shape": "1x1", "variant": "dense", "mismatches": {"cosim": 0}, "lanes": 9}
    given = ("structure", "multiplexer_free", "seconds", "stages", "multipliers", "interval_sim")
    design = {key: value for key, value in design_of("only", [bare]).items() if key not in given}
    report = parse_report(run_of(design | {"resources": {}}, accuracy=None, budgets={}))
    html, text = render_html(report), render_markdown(report)
    assert html.count("<svg") == 2 and "BRAM" not in text and "None" not in text and ">None<" not in html
    assert "Accuracy" not in text


def test_names_cannot_inject_markup() -> None:
    html = render_html(
        parse_report(run_of(alone("<script>alert(1)</script>"), title="<b>&", provenance={"<i>": "<i>"}))
    )
    assert "<script" not in html and "<i>" not in html and "<b>&" not in html


def test_the_terminal_table_fits_120_columns(tmp_path: Path) -> None:
    big = alone(
        "layer4.1.conv2",
        cycles_sim=123456789,
        cycles_model=123456788,
        lanes=1536,
        resources={"LUT": 181848, "FF": 233340, "DSP": 1536, "BRAM": 312.5},
    )
    data = run_of(big, alone("layer4.1.shortcut", mismatches={"csim": 1}, errors=["x: lost"]), ok=False)
    with (tmp_path / "out").open("w") as sink:
        console = Console(width=120, record=True, file=sink)
        for part in terminal_table(parse_report(data)):
            console.print(part)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 120
    for word in (
        "layer4.1.shortcut",
        "123,456,789",
        "123,456,788",
        "312.5",
        "181,848",
        "FAIL",
        "1,536",
        "x: lost",
        "PSD1_P16",
    ):
        assert word in text, word


def test_the_same_report_gives_the_same_page(tmp_path: Path) -> None:
    """In processes that hash text otherwise: nothing is written in the order of a set."""
    write_report(parse_report(run_of(alone("conv1"), network("conv1", "pool"))), tmp_path)
    program = (
        "import json, pathlib, sys\n"
        "from psconv.report.render import write_report\n"
        "from psconv.report.schema import parse_report\n"
        "written, out = map(pathlib.Path, sys.argv[1:])\n"
        "write_report(parse_report(json.loads(written.read_text())), out)\n"
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", program, str(tmp_path / "report.json"), str(tmp_path / seed)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        for path in (tmp_path / seed).iterdir():
            assert path.read_bytes() == (tmp_path / path.name).read_bytes()
        assert len(list((tmp_path / seed).iterdir())) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"designs": []}, "designs"),
        ({"clock_ns": 0.0}, "clock_ns"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"ok": "yes"}, "ok"),
    ],
)
def test_a_wrong_dictionary_is_one_clear_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"report: {message}"):
        parse_report(run_of(alone("conv1")) | change)


def test_a_misspelt_layer_key_is_refused() -> None:
    data = copy.deepcopy(run_of(alone("conv1")))
    data["designs"][0]["layers"][0]["cycle_sim"] = 1
    with pytest.raises(ConfigError, match=r"designs.0.layers.0.cycle_sim: unknown key"):
        parse_report(data)


def test_every_column_is_explained_once() -> None:
    headings = [column.heading for column in COLUMNS]
    assert len(set(headings)) == len(headings)
    assert all(re.match(r"\S.{8,}", column.meaning) for column in COLUMNS)
    assert set(RunReport.model_fields) >= {"version", "designs", "accuracy", "provenance"}
