"""The results as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.results import Case, Report, Summary, ratio_to

DISTURBED_SHARE: Final = 0.05
"""From this share of the cores that others took on, a number is marked as disturbed."""
_AGAINST: Final = ("ancestor", "successor", "floor")


def print_report(report: Report, console: Console) -> None:
    """Print a table a case, then what the numbers contain and on what they were taken."""
    for case in report.cases:
        console.print(case_table(case, report), "")
    for name, title in report.titles.items():
        console.print(f"[bold]{title}[/]: {report.contains[name]}", highlight=False)
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
    against = [name for name in _AGAINST if name in {summary.contender for summary in summaries}]
    table = Table(title=title, title_justify="left", caption=_caption(case, summaries), caption_justify="left")
    table.add_column("")
    for heading in ("wall s", "CPU s", "RSS MB", "disk MB", "output MB", *(f"x {name}" for name in against), "runs"):
        table.add_column(heading, justify="right")
    for summary in summaries:
        ratios = [ratio_to(summaries, name, summary) for name in against]
        table.add_row(report.titles[summary.contender], *_measures(summary), *map(_shown, ratios), str(summary.runs))
    return table


def _measures(summary: Summary) -> tuple[str, ...]:
    mark = "*" if summary.others_share > DISTURBED_SHARE else ""
    return (
        f"{summary.wall_seconds:.2f}{mark}",
        f"{summary.cpu_seconds:.2f}",
        f"{summary.peak_rss_bytes / 1e6:.0f}",
        f"{summary.peak_disk_bytes / 1e6:.0f}",
        "-" if summary.output_bytes is None else f"{summary.output_bytes / 1e6:.1f}",
    )


def _shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _caption(case: Case, summaries: Sequence[Summary]) -> str:
    parts = ["Medians. x: times as fast by wall clock."]
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
