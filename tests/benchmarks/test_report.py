from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks.chart import draw_chart
from benchmarks.contenders import CONTENDERS
from benchmarks.machine import Machine
from benchmarks.results import Case, Entry, Measurement, Report, ratios_of
from benchmarks.table import print_report

MACHINE = Machine(
    "Some <Processor> & Co", 2, 8_000_000_000, "Linux 6", "3.11", {"isal": "1.9.1"}, "2026-11-23T10:00", 0.1
)
WALLS = {"ancestor": [40.0, 44.0, 400.0], "ours": [4.0, 3.0, 5.0], "floor": [2.0, 2.0, 2.0]}


@pytest.fixture
def report() -> Report:
    entries = [Entry(row.name, row.title, row.contains, row.codec, row.kind) for row in CONTENDERS if row.name in WALLS]
    case = Case("envi", 4, 648_000_000, 318_000_000, {"ancestor": 400_000_000, "ours": 404_000_000}, {"ours": []})
    runs = [
        Measurement("envi", 4, name, number, wall, 2 * wall, 1_000_000, 2_000_000, 0.4 if name == "ours" else 0.0)
        for name, walls in WALLS.items()
        for number, wall in enumerate(walls)
    ]
    other = Measurement("geotiff", 4, "ours", 0, 99.0, 99.0, 1, 1, 0.0)
    return Report(MACHINE, entries, [case], [*runs, other])


def test_medians_and_ratios(report: Report) -> None:
    summaries = report.summaries(report.cases[0])
    assert [(row.entry.name, row.wall_seconds, row.runs) for row in summaries] == [
        ("ancestor", 44.0, 3), ("ours", 4.0, 3), ("floor", 2.0, 3),
    ]  # fmt: skip
    ratios = ratios_of(summaries[1], summaries)
    assert ratios.faster_than_ancestor == 11.0
    assert ratios.faster_than_successor is None
    assert ratios.cpu_of_ancestor == pytest.approx(8 / 88)
    assert ratios.size_of_ancestor == pytest.approx(1.01)
    assert ratios.times_floor == 2.0


def test_a_disturbed_number_is_marked(report: Report) -> None:
    ours = report.summaries(report.cases[0])[1]
    assert ours.others_share == pytest.approx(0.4 / 3.0 / 2)
    console = Console(width=150, record=True, quiet=False, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        print_report(report, console)
    text = console.export_text()
    assert "4.00*" in text
    assert "44.00 " in text
    assert "11.00" in text
    assert "101.0%" in text
    assert "Some <Processor> & Co, 2 cores" in text
    assert "load at the start 0.10" in text


def test_json_comes_back_and_holds_the_medians(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "results" / "bench.json")
    text = (tmp_path / "results" / "bench.json").read_text()
    assert Report.from_json(text) == report
    raw = json.loads(text)
    ours = next(row for row in raw["medians"] if row["entry"] == "ours")
    assert (ours["wall_seconds"], ours["faster_than_ancestor"], ours["form"]) == (4.0, 11.0, "envi")
    with pytest.raises(ValueError, match="schema 99"):
        Report.from_json(json.dumps(raw | {"schema": 99}))


def test_the_chart_is_svg_with_a_bar_a_number(report: Report) -> None:
    root = ElementTree.fromstring(draw_chart(report))  # noqa: S314 - our own text
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    rects = [element for element in root.iter() if element.tag.endswith("}rect")]
    bars = [rect for rect in rects if rect.get("height") == "18.0"]
    assert len(bars) == 3 * 4 - 1  # the floor's bytes were not told
    assert texts.count("not measured") == 1
    assert "44.0" in texts
    assert "ours, DEFLATE *" in texts
    assert any("Some <Processor> & Co" in (text or "") for text in texts)
    width, height = (float(root.get(side, 0)) for side in ("width", "height"))
    for rect in rects[1:]:
        assert float(rect.get("x", 0)) + float(rect.get("width", 0)) <= width
        assert float(rect.get("y", 0)) <= height
    longest = max(bars, key=lambda bar: float(bar.get("width", 0)))
    assert longest.get("fill") != bars[4].get("fill")
