"""``alos-mosaic doctor``: what a source can do, what an archive holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alos_mosaic.bands import BANDS
from alos_mosaic.cli.console import JsonOption, out, print_json
from alos_mosaic.cli.selection import years_of
from alos_mosaic.cli.source import AllowPlainLoginOption, RequesterPaysOption, extra_layouts, source_access
from alos_mosaic.errors import InvalidRequestError, MosaicError, plain
from alos_mosaic.grid import Tile
from alos_mosaic.messages import parse_year
from alos_mosaic.processing.checks import Check, Diagnosis, Verdict
from alos_mosaic.processing.diagnosis import EXAMPLE_TILE, EXAMPLE_YEARS, diagnose
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.quantities import counted

if TYPE_CHECKING:
    from alos_mosaic.processing.inspection import Inspection, MemberFacts

_SMALLEST_SHARE: Final = 0.001
_LEGEND: Final = """
masked: pixels that the mask calls no data
odd: those of them that are neither 0 nor the tag
lost: pixels that hold the tag (0 without one) where the mask says data"""
_STYLES: Final = {Verdict.OK: "green", Verdict.NO: "yellow", Verdict.SKIPPED: "dim", Verdict.FAILED: "bold red"}


def doctor(
    source: Annotated[str | None, typer.Option(help="A source to question, like ftp://host.")] = None,
    archive: Annotated[Path | None, typer.Option(help="An archive on this machine to look into.")] = None,
    years: Annotated[str, typer.Option(help="Years to ask the source for, like 2007,2015-2020.")] = (
        ",".join(map(str, EXAMPLE_YEARS))
    ),
    tile: Annotated[str, typer.Option(help="The tile to ask the source for.")] = EXAMPLE_TILE.name,
    allow_plain_login: AllowPlainLoginOption = False,
    requester_pays: RequesterPaysOption = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Say what a source can do, or what an archive holds.

    A source is asked for one tile a mission and its forest map in every layout, for a listing, a resumed transfer and
    8 MiB. Exits with 0 if all that a tile needs works, else with 1. A user and password for the source are read from
    ALOS_MOSAIC_SOURCE_USERNAME and ALOS_MOSAIC_SOURCE_PASSWORD, layouts to ask for beside the table's (JSON) from
    ALOS_MOSAIC_EXTRA_LAYOUTS.

    Example: alos-mosaic doctor --source ftp://ftp.eorc.jaxa.jp
    """
    findings: Diagnosis | Inspection
    try:
        if source is not None and archive is None:
            access = source_access(source, allow_plain_login, requester_pays)
            findings = diagnose(
                source, access, tuple(map(parse_year, years_of(years))), Tile.from_name(tile), extra_layouts()
            )
        elif archive is not None and source is None:
            findings = _inspected(archive)
        else:
            raise typer.BadParameter("say what to look at, one thing at a time: --source URI or --archive FILE")
    except MosaicError as error:
        if not as_json:
            raise
        print_json({"works": False, "error": type(error).__name__, "cause": str(error)})
        raise typer.Exit(1) from error
    if as_json:
        print_json(findings.to_dict())
    elif isinstance(findings, Diagnosis):
        _print_diagnosis(findings, out())
    else:
        _print_inspection(findings, out())
    raise typer.Exit(0 if findings.works else 1)


def _inspected(archive: Path) -> Inspection:
    from alos_mosaic.processing.inspection import inspect_archive  # noqa: PLC0415 - GDAL loads slowly
    from alos_mosaic.processing.pipeline import work_folder  # noqa: PLC0415

    if not archive.is_file():
        raise InvalidRequestError(f"there is no file {archive}")
    with work_folder(Path(tempfile.gettempdir())) as folder:
        return inspect_archive(archive, folder)


def _print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    console.print(diagnosis.source, markup=False, style="bold")
    print_checks(diagnosis.checks, console)
    failed = sum(check.verdict is Verdict.FAILED for check in diagnosis.checks)
    verdict = (
        f"{failed} of {counted(len(diagnosis.checks), 'check')} failed." if failed else "All that a tile needs works."
    )
    console.print(f"\n{verdict}", markup=False, style="red" if failed else "green")


def print_checks(checks: tuple[Check, ...], console: Console) -> None:
    """Print what was checked, subject by subject."""
    width = max(len(check.name) for check in checks)
    for subject, of_subject in groupby(checks, key=lambda check: check.subject):
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(min_width=width, no_wrap=True)
        table.add_column(min_width=max(map(len, Verdict)))
        table.add_column(overflow="fold")
        for check in of_subject:
            table.add_row(check.name, Text(check.verdict, _STYLES[check.verdict]), Text(plain(check.detail)))
        console.print(f"\n{subject}", markup=False)
        console.print(Padding(table, (0, 0, 0, 2)))


def _print_inspection(inspection: Inspection, console: Console) -> None:
    size = f"{inspection.size_bytes / 1e6:,.1f} MB"
    what = f"{inspection.product} {inspection.year}/{inspection.tile}"
    title = f"{inspection.archive}, {size}: {what}, {len(inspection.cells)} of 25 cells"
    console.print(title, markup=False, style="bold")
    console.print(Text(" ".join(inspection.cells)))
    table = Table("band", "cells", "form", "type", box=None)
    for name in ("MB", "tag", "values", "masked", "odd", "lost"):
        table.add_column(name, justify="right")
    for code in BANDS:
        of_band = [member for member in inspection.members if member.band == code]
        if of_band:
            table.add_row(*_band_row(code, of_band))
    console.print()
    console.print(table)
    console.print(_LEGEND, markup=False, style="dim")
    total = sum(inspection.mask_values.values()) or 1
    shares = ", ".join(f"{value}: {_percent(count / total)}" for value, count in inspection.mask_values.items())
    if inspection.product != FOREST_PRODUCT:
        console.print(f"\nmask values {shares or 'unknown'}", markup=False)
    for warning in inspection.warnings:
        console.print(f"odd: {warning}", markup=False, style="yellow")
    for problem in inspection.problems:
        console.print(f"failed: {problem}", markup=False, style="red")
    if inspection.works:
        console.print("A tile can be made of it.", style="green")


def _band_row(code: str, of_band: list[MemberFacts]) -> list[str]:
    lows = [member.minimum for member in of_band if member.minimum is not None]
    highs = [member.maximum for member in of_band if member.maximum is not None]
    masked, other = sum(member.masked for member in of_band), sum(member.masked_other for member in of_band)
    return [
        code,
        str(len(of_band)),
        _distinct(member.driver for member in of_band),
        _distinct(member.dtype for member in of_band),
        f"{sum(member.size_bytes for member in of_band) / 1e6:,.1f}",
        _distinct(None if member.nodata is None else f"{member.nodata:g}" for member in of_band),
        f"{min(lows)} to {max(highs)}" if lows else "unreadable",
        f"{masked:,}",
        f"{other:,}",
        f"{sum(member.unmasked_nodata for member in of_band):,}",
    ]


def _percent(share: float) -> str:
    return "under 0.1 %" if share < _SMALLEST_SHARE else f"{share * 100:.1f} %"


def _distinct(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({"none" if value is None else value for value in values}))
