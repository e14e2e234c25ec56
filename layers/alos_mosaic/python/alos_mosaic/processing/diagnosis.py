"""What a source can do, found out by asking it: the first thing to run against a server nobody here has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import Layout, for_cells, for_tiles, layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.checks import SERVER, Check, Diagnosis, Verdict
from alos_mosaic.processing.probes import as_time, check_listing, check_rate, check_resume, in_megabytes
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import RemoteFile, SourceAccess
from alos_mosaic.products import FOREST_PRODUCT, PRODUCTS, Product, product_of

EXAMPLE_TILE: Final = Tile.from_name("N10E010")
EXAMPLE_YEARS: Final = (1996, 2009, 2020)
"""One year a mission; all of them list the example tile."""

_SCHEMES_WITHOUT_LOGIN: Final = ("http", "https", "s3")
"""Who we are goes with every request there: whether it is taken shows in the first answer."""


@dataclass(frozen=True)
class _Subject:
    """What is asked for: a product of a tile and year."""

    tile_year: TileYear
    product: Product

    def __str__(self) -> str:
        text = f"{mission_of(self.tile_year.year).name} {self.tile_year.year}/{self.tile_year.tile}"
        return f"{text} forest map" if self.product.name == FOREST_PRODUCT else text


@dataclass(frozen=True)
class _Row:
    """What came of asking for a tile in one layout: a file, nothing, or a failure."""

    subject: _Subject
    layout: Layout
    remote: RemoteFile | None = None
    failure: str | None = None
    of_cells: bool = False
    """Whether it was asked for a cell's own archive."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.layout.name}, cells" if self.of_cells else self.layout.name

    @property
    def folder(self) -> str:
        """The year's folder."""
        return self.layout.folder(self.subject.tile_year.year)

    @property
    def is_of_site(self) -> bool:
        """Whether only web servers have this tree: JAXA's download site, not a mirror of its FTP server."""
        return not set(self.layout.schemes) - {"http", "https"}


def diagnose(
    url: str,
    access: SourceAccess,
    years: tuple[int, ...] = EXAMPLE_YEARS,
    tile: Tile = EXAMPLE_TILE,
    extra_layouts: Sequence[Layout] = (),
) -> Diagnosis:
    """Ask a source for a tile of each year and its forest map, for a listing, a resumed transfer and its rate.

    ``extra_layouts`` are tried ahead of the table's. At most 8 MiB and a few KiB are transferred, over one connection
    at a time. Raises :class:`InvalidRequestError` for a URL that is no source or a year without a mosaic; what the
    source answers, or doesn't, is in the checks.
    """
    login = _login(url, access)
    if login.verdict is Verdict.FAILED:
        return Diagnosis(url, (login,))
    subjects = [
        _Subject(TileYear(year, tile), product)
        for year in years
        for product in (product_of(year), *_forest_products(year))
    ]
    rows = [row for subject in subjects for row in _ask(url, access, subject, extra_layouts)]
    if urlsplit(url).scheme in _SCHEMES_WITHOUT_LOGIN:
        login = _login_by_answers(rows, access)
    found = [row.remote for row in rows if row.remote is not None]
    server = (login, *(_checks_of_server(url, access, found, rows)))
    return Diagnosis(url, (*server, *_checks_of_rows(rows, subjects)))


def _forest_products(year: int) -> list[Product]:
    forest = PRODUCTS[FOREST_PRODUCT]
    return [forest] if mission_of(year).name in forest.missions else []


def _login(url: str, access: SourceAccess) -> Check:
    try:
        with open_source(url, access):
            pass
    except SourceUnavailableError as error:
        return Check(SERVER, "login", Verdict.FAILED, str(error))
    if urlsplit(url).scheme == "file":
        return Check(SERVER, "login", Verdict.OK, "a folder on this machine")
    return Check(SERVER, "login", Verdict.OK, "with the given user" if access.credentials else "anonymous")


def _login_by_answers(rows: list[_Row], access: SourceAccess) -> Check:
    failures = [row.failure for row in rows if row.failure is not None]
    if len(failures) == len(rows):
        return Check(SERVER, "login", Verdict.FAILED, failures[0])
    user = "user" if access.credentials else "no user"
    return Check(SERVER, "login", Verdict.OK, f"files answer ({user} sent with every request)")


def _ask(url: str, access: SourceAccess, subject: _Subject, extra_layouts: Sequence[Layout]) -> Iterator[_Row]:
    """Ask in every layout, over one connection; after a failure the rest is asked over a fresh one.

    Of the cells the tile's middle one is asked for.
    """
    year, tile = subject.tile_year.year, subject.tile_year.tile
    known = layouts_of(mission_of(year), subject.product.name, extra_layouts)
    middle = tile.cells[len(tile.cells) // 2]
    paths = [(row, row.archive_path(tile, year), False) for row in for_tiles(known, year, url)]
    paths += [(row, row.cell_archive_path(middle, year), True) for row in for_cells(known, year, url)]
    while paths:
        try:
            with open_source(url, access) as source:
                while paths:
                    layout, path, of_cells = paths[0]
                    yield _Row(subject, layout, source.stat(path), of_cells=of_cells)
                    paths.pop(0)
        except SourceUnavailableError as error:
            layout, _, of_cells = paths.pop(0)
            yield _Row(subject, layout, failure=str(error), of_cells=of_cells)


def _checks_of_rows(rows: list[_Row], subjects: list[_Subject]) -> Iterator[Check]:
    serving = [row for row in rows if row.remote is not None]
    is_site = bool(serving) and all(row.is_of_site for row in serving)
    for subject in subjects:
        of_subject = [row for row in rows if row.subject == subject]
        served_by = next((row.name for row in of_subject if row.remote is not None), None)
        if served_by is not None:
            yield Check(str(subject), "archive", Verdict.OK, f"row {served_by} serves it")
        elif not any(row.is_of_site or not is_site for row in of_subject):
            yield Check(str(subject), "archive", Verdict.NO, "not served there: no layout row is known for it")
        elif subject.product.name == FOREST_PRODUCT:
            yield Check(str(subject), "archive", Verdict.NO, "no layout row has it; some years have no forest map")
        else:
            detail = "no layout row has it; is this the server's own tree?"
            yield Check(str(subject), "archive", Verdict.FAILED, detail)
        for row in of_subject:
            yield _check_of_row(str(subject), row)


def _check_of_row(subject: str, row: _Row) -> Check:
    if row.failure is not None:
        return Check(subject, row.name, Verdict.FAILED, row.failure)
    if row.remote is None:
        return Check(subject, row.name, Verdict.NO, f"not in {row.folder}")
    return Check(subject, row.name, Verdict.OK, f"{in_megabytes(row.remote.size_bytes)}, {as_time(row.remote)}")


def _checks_of_server(url: str, access: SourceAccess, found: list[RemoteFile], rows: list[_Row]) -> Iterator[Check]:
    folders = [remote.path.rpartition("/")[0] for remote in found]
    yield check_listing(url, access, folders or [row.folder for row in rows])
    if not found:
        for name in ("size", "time", "resume", "rate"):
            yield Check(SERVER, name, Verdict.NO, "not tried: no archive was found to try it on")
        return
    largest = max(found, key=lambda remote: remote.size_bytes)
    yield Check(SERVER, "size", Verdict.OK, f"{largest.path.rpartition('/')[2]} has {largest.size_bytes:,} bytes")
    if largest.modified is None:
        yield Check(SERVER, "time", Verdict.NO, "the server tells no modification times: a re-issue may go unnoticed")
    else:
        yield Check(SERVER, "time", Verdict.OK, f"last written {as_time(largest)}")
    yield check_resume(url, access, largest)
    yield check_rate(url, access, largest)
