"""The results as a chart: one SVG, a row of four small bar charts a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from benchmarks.contenders import FLOOR, OTHER, OURS
from benchmarks.results import Case, Report, Summary
from benchmarks.table import DISTURBED_SHARE, machine_line

_WIDTH: Final = 1120
_MARGIN: Final = 28
_LABELS: Final = 214
_GAP: Final = 26
_VALUE: Final = 58
"""Room behind the longest bar for its number."""
_BAR: Final = 18
_STEP: Final = 25
_HEAD: Final = 62
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

_INK, _FAINT, _RULE, _PAPER = "#1f2933", "#616e7c", "#d9dee4", "#ffffff"
_FILLS: Final = {OURS: "#0b6e99", OTHER: "#a9b4c0", FLOOR: "#ffffff"}


@dataclass(frozen=True)
class _Measure:
    title: str
    value: Callable[[Summary], float | None]
    shown: str
    """A format."""


_MEASURES: Final = (
    _Measure("wall time, s", lambda row: row.wall_seconds, "{:.1f}"),
    _Measure("CPU time, s", lambda row: row.cpu_seconds, "{:.1f}"),
    _Measure("peak memory, MB", lambda row: row.peak_rss_bytes / 1e6, "{:,.0f}"),
    _Measure("output, MB", lambda row: None if row.output_bytes is None else row.output_bytes / 1e6, "{:,.0f}"),
)


def draw_chart(report: Report) -> str:
    """Return the chart as SVG text; less is better everywhere."""
    root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    ElementTree.SubElement(root, "title").text = "Making one tile: time, memory and size by contender"
    paper = ElementTree.SubElement(root, "rect", width="100%", height="100%", fill=_PAPER)
    y: float = _MARGIN + 18
    _text(root, _MARGIN, y, "Making one tile", size=20, weight="600")
    _text(root, _MARGIN, y + 22, "Medians, each contender in its own process; shorter is better.", fill=_FAINT)
    _legend(root, y)
    y += 44
    for case in report.cases:
        y = _draw_case(root, report, case, y)
    y = _notes(root, report, y)
    for element in (root, paper):
        element.set("width", str(_WIDTH))
        element.set("height", str(y))
    root.set("viewBox", f"0 0 {_WIDTH} {y}")
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, "unicode") + "\n"


def _legend(root: ElementTree.Element, y: float) -> None:
    x: float = _WIDTH - _MARGIN - 218
    for label, kind, step in (("ours", OURS, 76), ("others", OTHER, 88), ("floor", FLOOR, 0)):
        _bar(root, x, y - 11, 13, 13, kind)
        _text(root, x + 19, y, label, fill=_FAINT)
        x += step


def _draw_case(root: ElementTree.Element, report: Report, case: Case, y: float) -> float:
    summaries = report.summaries(case)
    cells = f"{case.cells} {'cell' if case.cells == 1 else 'cells'}"
    sizes = f"{case.form}, {case.raw_bytes / 1e6:,.0f} MB raw, {case.archive_bytes / 1e6:,.0f} MB archive"
    _line(root, _MARGIN, y, _WIDTH - _MARGIN, y)
    _text(root, _MARGIN, y + 26, cells, size=15, weight="600")
    _text(root, _MARGIN, y + 45, sizes, size=11, fill=_FAINT)
    top = y + _HEAD
    for row, summary in enumerate(summaries):
        weight = "600" if summary.entry.kind == OURS else "400"
        disturbed = " *" if summary.others_share > DISTURBED_SHARE else ""
        _text(root, _MARGIN, top + row * _STEP + 14, summary.entry.title + disturbed, weight=weight)
    width = (_WIDTH - 2 * _MARGIN - _LABELS - _GAP * (len(_MEASURES) - 1)) / len(_MEASURES)
    for number, measure in enumerate(_MEASURES):
        x = _MARGIN + _LABELS + number * (width + _GAP)
        _text(root, x, y + 45, measure.title, weight="600")
        _draw_measure(root, measure, summaries, (x, top, width))
    return top + len(summaries) * _STEP + 18


def _draw_measure(
    root: ElementTree.Element, measure: _Measure, summaries: list[Summary], place: tuple[float, float, float]
) -> None:
    x, top, width = place
    longest = max((measure.value(row) or 0.0 for row in summaries), default=0.0) or 1.0
    _line(root, x, top - 3, x, top + len(summaries) * _STEP - 4)
    for row, summary in enumerate(summaries):
        value, y = measure.value(summary), top + row * _STEP
        if value is None:
            _text(root, x + 6, y + 14, "not measured", size=11, fill=_FAINT)
            continue
        length = value / longest * (width - _VALUE)
        _bar(root, x, y, max(length, 1.0), _BAR, summary.entry.kind)
        weight = "600" if summary.entry.kind == OURS else "400"
        _text(root, x + length + 6, y + 14, measure.shown.format(value), weight=weight)


def _notes(root: ElementTree.Element, report: Report, y: float) -> float:
    _line(root, _MARGIN, y, _WIDTH - _MARGIN, y)
    machine, _, versions = machine_line(report).partition(", Python ")
    notes = [
        "Ours: everything a published tile needs. The others' steps end with the rasters: no checksums, quicklook, "
        "metadata. The floor is decompression and compression alone.",
        "Output counts the blocks that all contenders store; the floor's its own.",
        machine,
        f"Python {versions}",
    ]
    cases = (summary for case in report.cases for summary in report.summaries(case))
    if any(summary.others_share > DISTURBED_SHARE for summary in cases):
        notes.insert(0, "* disturbed: others took a part of the cores meanwhile.")
    for number, note in enumerate(notes):
        _text(root, _MARGIN, y + 22 + number * 17, note, size=11, fill=_FAINT)
    return y + 22 + len(notes) * 17 + _MARGIN - 12


def _bar(root: ElementTree.Element, x: float, y: float, width: float, height: float, kind: str) -> None:
    fill = _FILLS[kind]
    bar = ElementTree.SubElement(
        root, "rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=f"{height:.1f}", rx="2", fill=fill
    )
    if kind == FLOOR:
        bar.set("stroke", _FAINT)
        bar.set("stroke-dasharray", "3 2")


def _line(root: ElementTree.Element, x1: float, y1: float, x2: float, y2: float) -> None:
    ElementTree.SubElement(root, "line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", stroke=_RULE)


def _text(
    root: ElementTree.Element, x: float, y: float, text: str, *, size: int = 13, weight: str = "400", fill: str = _INK
) -> None:
    element = ElementTree.SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=fill)
    element.set("font-family", _FONT)
    element.set("font-size", str(size))
    element.set("font-weight", weight)
    element.text = text
