"""The results as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.results import Case, Report, Summary, ratios_of

DISTURBED_SHARE: Final = 0.05
"""From this share of the cores that others took on, a number is marked as disturbed."""
_HEADINGS: Final = (
    "wall s", "CPU s", "RSS MB", "disk MB", "output MB",
    "x ancestor", "x successor", "CPU of anc.", "size of anc.", "floors", "runs",
)  # fmt: skip


def print_report(report: Report, console: Console) -> None:
    """Print a table a case, then what the numbers contain and on what they were taken."""
    for case in report.cases:
        console.print(case_table(case, report), "")
    for entry in report.contenders:
        console.print(f"[bold]{entry.title}[/]: {entry.contains}", highlight=False)
    console.print("\n" + machine_line(report), highlight=False)


def machine_line(report: Report) -> str:
    """Return one line on the machine, the versions and the date."""
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 1e9:.0f} GB, {machine.system}, Python "
        f"{machine.python}, {versions}; {machine.started[:10]}, load at the start {machine.load_at_start:.2f}"
    )


def case_table(case: Case, report: Report) -> Table:
    """Return a case's medians and ratios."""
    title = (
        f"{case.cells} {'cell' if case.cells == 1 else 'cells'}, {case.form}: {case.raw_bytes / 1e6:.0f} MB raw, "
        f"{case.archive_bytes / 1e6:.0f} MB archive"
    )
    summaries = report.summaries(case)
    table = Table(title=title, title_justify="left", caption=_caption(case, summaries), caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for summary in summaries:
        table.add_row(summary.entry.title, *_measures(summary), *_ratios(summary, summaries), str(summary.runs))
    return table


def _ratios(summary: Summary, summaries: Sequence[Summary]) -> tuple[str, ...]:
    ratios = ratios_of(summary, summaries)
    return (
        _shown(ratios.faster_than_ancestor, "{:.2f}"),
        _shown(ratios.faster_than_successor, "{:.2f}"),
        _shown(ratios.cpu_of_ancestor, "{:.1%}"),
        _shown(ratios.size_of_ancestor, "{:.1%}"),
        _shown(ratios.times_floor, "{:.2f}"),
    )


def _measures(summary: Summary) -> tuple[str, ...]:
    mark = "*" if summary.others_share > DISTURBED_SHARE else ""
    return (
        f"{summary.wall_seconds:.2f}{mark}",
        f"{summary.cpu_seconds:.2f}",
        f"{summary.peak_rss_bytes / 1e6:.0f}",
        f"{summary.peak_disk_bytes / 1e6:.0f}",
        "-" if summary.output_bytes is None else f"{summary.output_bytes / 1e6:.1f}",
    )


def _shown(ratio: float | None, form: str) -> str:
    return "-" if ratio is None else form.format(ratio)


def _caption(case: Case, summaries: Sequence[Summary]) -> str:
    parts = ["Medians. x: times as fast by wall clock; floors: wall time in floors of the same codec."]
    worst = max((summary.others_share for summary in summaries), default=0.0)
    if worst > DISTURBED_SHARE:
        parts.append(f"*: disturbed, others took up to {worst:.0%} of the cores.")
    for name, bands in case.compared.items():
        base = sum(band["base_pixels"] for band in bands)
        overviews = sum(band["overview_pixels"] for band in bands)
        differing = sum(band["differing_overview_pixels"] for band in bands)
        parts.append(
            f"{name} against GDAL's COG driver: {base:,} pixels of the base equal; of {overviews:,} at 1:2 and 1:4, "
            f"{differing:,} differ by 1 DN (RMS) or between equally frequent values (mode)."
        )
    return " ".join(parts)
