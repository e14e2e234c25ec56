"""``alos-mosaic inventory``: show what JAXA is known to publish, and bring that up to date."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from alos_mosaic import inventory
from alos_mosaic.cli.console import (
    JsonOption,
    ask,
    errors,
    is_anybody_there,
    out,
    print_json,
    register,
    table,
)
from alos_mosaic.cli.selection import years_of
from alos_mosaic.cli.source import AllowPlainLoginOption, RequesterPaysOption, extra_layouts, source_access
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.inventory import Inventory
from alos_mosaic.listings import Change, Found, changes
from alos_mosaic.messages import parse_year
from alos_mosaic.missions import mosaic_years
from alos_mosaic.processing.server_listing import archive_paths
from alos_mosaic.processing.sources.protocol import SourceAccess
from alos_mosaic.quantities import counted
from alos_mosaic.settings import DEFAULT_SOURCE_URI

_DATE: Final = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_SHOWN_NAMES: Final = 5
_BEARABLE_LOSS: Final = 0.1
"""Share of a year's tiles that a listing may lack which were known before; where it lacks more, it may be cut off."""

app = typer.Typer(help="Which tiles and cells JAXA publishes per year, as seeding knows it.", no_args_is_help=True)


def show(as_json: Annotated[bool, JsonOption] = False) -> None:
    """Show the years of the inventory, their counts, and when and where they were listed.

    MOS are mosaics, FNF forest maps. A year that is not here is seeded with every tile that exists in any year.

    Example: alos-mosaic inventory show --json
    """
    known = inventory.packaged()
    if as_json:
        print_json([_facts(known, year, kind) for year, kind in sorted(known)])
        return
    shown = _table("date", "origin")
    for (year, kind), listing in sorted(known.items()):
        counts = str(listing.tile_count), str(listing.cell_count)
        shown.add_row(str(year), kind.value, *counts, listing.date, listing.origin)
    out().print(shown)


def refresh(
    listing: Annotated[
        list[Path] | None, typer.Option(help="File of paths, LIST or MLSD lines, plain or .gz; may be given again.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help=f"Server or mirror to list where no file is given; {DEFAULT_SOURCE_URI}.")
    ] = None,
    years: Annotated[str | None, typer.Option(help="Years to ask the source for, like 2007,2015-2020; all.")] = None,
    date: Annotated[
        str | None, typer.Option(help="When it was listed, like 2021-04; the file's own date, or today.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="File to write; the one that this installation reads.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask where more than a tenth of a year's tiles would go.")
    ] = False,
    allow_plain_login: AllowPlainLoginOption = False,
    requester_pays: RequesterPaysOption = False,
    as_json: Annotated[bool, JsonOption] = False,
) -> None:
    """Make the inventory anew from listings and say what they change; a year they don't name keeps its data.

    From a source every folder of a tile is listed, one after the other: some 1100 a year. Entries that are no archive,
    off the grid or there twice are passed over and counted. Nothing is written where no archive is found; where a year
    would lose more than a tenth of its tiles, only after a question, or with --yes. A user and password for the source
    and layouts beside the table's are read from the environment, as process does.

    Example: alos-mosaic inventory refresh --listing listing.txt.gz --date 2021-04 --to inventory.json
    """
    path = to or inventory.packaged_path()
    try:
        _check_options(listing, source, years, date)
        url = source or DEFAULT_SOURCE_URI
        found = (
            _read_files(listing, date)
            if listing
            else _ask(url, source_access(url, allow_plain_login, requester_pays), years, date)
        )
        if not found.years:
            where = "are these listings of JAXA's folders?" if listing else f"does {url} have JAXA's folders?"
            raise InvalidRequestError(f"no archive was found, so the inventory stays as it is; {where}")
        found_changes = changes(inventory.packaged(), found)
        known = {**inventory.packaged(), **{(change.year, change.kind): change.listing for change in found_changes}}
        if not as_json:
            _print_changes(found_changes)
        _ask_for_losses(found_changes, yes)
        path.write_text(inventory.spell(known), encoding="utf-8")
    except (EOFError, zlib.error) as error:
        raise InvalidRequestError(f"a listing that is cut off or no gzip: {error}") from error
    if as_json:
        print_json(_report(found_changes, found, known, path))
        return
    typer.echo(
        f"Passed over: {', '.join(f'{count} {reason}' for reason, count in _ignored(found).items()) or 'nothing'}"
    )
    typer.echo(f"Written to {path}")


def _ask_for_losses(found_changes: list[Change], yes: bool) -> None:
    """Ask before much of a year goes; :class:`InvalidRequestError` where nobody can be asked."""
    losses = []
    for change in found_changes:
        known, lost = change.before.tile_count if change.before else 0, len(change.tiles_removed)
        if lost > _BEARABLE_LOSS * known:
            losses.append(f"{change.year} ({change.kind}) {lost:,} of its {counted(known, 'tile')}")
    if yes or not losses:
        return
    said = f"The inventory would lose of {', of '.join(losses)}; a listing that is cut off looks like this"
    if not is_anybody_there():
        raise InvalidRequestError(f"{said[0].lower()}{said[1:]}. If it is whole, say --yes; nothing was written")
    ask(yes, f"{said}. Write it all the same?")


def _check_options(listing: list[Path] | None, source: str | None, years: str | None, date: str | None) -> None:
    if listing and (source or years):
        raise InvalidRequestError("--listing excludes --source and --years: either files are read or a server")
    if date is not None and not _DATE.fullmatch(date):
        raise InvalidRequestError(f"--date {date!r} is not of the form 2021-04 or 2021-04-30")


def _read_files(paths: Iterable[Path], date: str | None) -> Found:
    found = Found()
    for path in paths:
        made = date or f"{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d}"
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", errors="replace") as lines:
            found.read(lines, made, path.name)
    return found


def _ask(url: str, access: SourceAccess, years: str | None, date: str | None) -> Found:
    """List a source year by year, saying on the way how far it has come."""
    from alos_mosaic.processing.sources.opening import open_source  # noqa: PLC0415 - it loads slowly

    today = datetime.now(UTC)
    asked = mosaic_years(today.year) if years is None else [parse_year(year) for year in years_of(years)]
    found, extra = Found(), extra_layouts()
    with open_source(url, access) as source:
        for year in asked:
            before = sum(map(len, found.tiles.values())), sum(map(len, found.cells.values()))
            found.read(archive_paths(source, year, extra), date or f"{today:%Y-%m-%d}", url)
            after = sum(map(len, found.tiles.values())), sum(map(len, found.cells.values()))
            errors.print(
                f"{year}: {counted(after[0] - before[0], 'archive')} of tiles, {after[1] - before[1]:,} of cells"
            )
    return found


def _facts(known: Inventory, year: int, kind: inventory.ArchiveKind) -> dict[str, Any]:
    listing = known[year, kind]
    counts = {"tiles": listing.tile_count, "cells": listing.cell_count}
    return {"year": year, "kind": kind.value, **counts, "date": listing.date, "origin": listing.origin}


def _report(found_changes: list[Change], found: Found, known: Inventory, path: Path) -> dict[str, Any]:
    years = [
        {
            **_facts(known, change.year, change.kind),
            "is_new": change.before is None,
            "tiles_added": change.tiles_added,
            "tiles_removed": change.tiles_removed,
            "cells_added": change.cells_added,
            "cells_removed": change.cells_removed,
        }
        for change in found_changes
    ]
    return {"years": years, "ignored": _ignored(found), "written": str(path)}


def _ignored(found: Found) -> dict[str, int]:
    return {reason.value: count for reason, count in sorted(found.ignored.items()) if count}


def _print_changes(found_changes: list[Change]) -> None:
    shown = _table("change")
    for change in found_changes:
        counts = str(change.listing.tile_count), str(change.listing.cell_count)
        shown.add_row(str(change.year), change.kind.value, *counts, _in_words(change))
    out().print(shown)


def _in_words(change: Change) -> str:
    if change.before is None:
        return "new"
    parts = [f"+{_shown(change.tiles_added)}"] if change.tiles_added else []
    parts += [f"-{_shown(change.tiles_removed)}"] if change.tiles_removed else []
    parts += [f"+{counted(change.cells_added, 'cell')}"] if change.cells_added else []
    parts += [f"-{counted(change.cells_removed, 'cell')}"] if change.cells_removed else []
    return ", ".join(parts) or "none"


def _shown(names: list[str]) -> str:
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    return f"{counted(len(names), 'tile')} ({', '.join(names[:_SHOWN_NAMES])}{more})"


def _table(*columns: str) -> Table:
    return table("year", "kind", "tiles", "cells", *columns, right=("tiles", "cells"))


register(app, show, refresh)
