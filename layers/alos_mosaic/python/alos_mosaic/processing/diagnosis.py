"""What a source can do, found out by asking it: the first thing to run against a server nobody here has seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import RemoteFile, SourceAccess

EXAMPLE_TILE: Final = Tile.from_name("N10E010")
EXAMPLE_YEARS: Final = (1996, 2009, 2020)
"""One year a mission; all of them list the example tile."""

_SERVER: Final = "server"
_TAIL_BYTES: Final = 1024
_RATE_BYTES: Final = 8 << 20
_RATE_SECONDS: Final = 30.0
_LAMBDA_MINUTES: Final = 15
_SCHEMES_WITHOUT_LOGIN: Final = ("http", "https", "s3")
"""Who we are goes with every request there: whether it is taken shows in the first answer."""


class Verdict(StrEnum):
    """How a check ends."""

    OK = "ok"
    NO = "no"
    """The source does not have it, and a tile can be processed without."""
    FAILED = "failed"
    """A tile can't be processed so."""


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    subject: str
    """``server``, or the mission, year and tile that was asked for."""
    name: str
    verdict: Verdict
    detail: str
    """What was seen, or the reason; a sentence for a person."""

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"subject": self.subject, "name": self.name, "verdict": self.verdict, "detail": self.detail}


@dataclass(frozen=True)
class Diagnosis:
    """All that was asked of a source."""

    source: str
    checks: tuple[Check, ...]

    @property
    def works(self) -> bool:
        """Whether all that a tile needs works."""
        return all(check.verdict is not Verdict.FAILED for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"source": self.source, "works": self.works, "checks": [check.to_dict() for check in self.checks]}


@dataclass(frozen=True)
class _Row:
    """What came of asking for a tile in one layout: a file, nothing, or a failure."""

    tile_year: TileYear
    layout: Layout
    remote: RemoteFile | None = None
    failure: str | None = None


class _EnoughError(Exception):
    """Ends a transfer from inside its sink."""


def diagnose(
    url: str,
    access: SourceAccess,
    years: tuple[int, ...] = EXAMPLE_YEARS,
    tile: Tile = EXAMPLE_TILE,
) -> Diagnosis:
    """Ask a source for a tile of each year, for a listing, a resumed transfer and its rate.

    At most 8 MiB and a few KiB are transferred, over one connection at a time. Raises :class:`InvalidRequestError` for
    a URL that is no source or a year without a mosaic; what the source answers, or doesn't, is in the checks.
    """
    login = _login(url, access)
    if login.verdict is Verdict.FAILED:
        return Diagnosis(url, (login,))
    rows = [row for year in years for row in _ask(url, access, TileYear(year, tile))]
    if urlsplit(url).scheme in _SCHEMES_WITHOUT_LOGIN:
        login = _login_by_answers(rows, access)
    found = [row.remote for row in rows if row.remote is not None]
    server = (login, *(_checks_of_server(url, access, found, rows)))
    return Diagnosis(url, (*server, *_checks_of_rows(rows)))


def _login(url: str, access: SourceAccess) -> Check:
    try:
        with open_source(url, access):
            pass
    except SourceUnavailableError as error:
        return Check(_SERVER, "login", Verdict.FAILED, str(error))
    if urlsplit(url).scheme == "file":
        return Check(_SERVER, "login", Verdict.OK, "a folder on this machine")
    return Check(_SERVER, "login", Verdict.OK, "with the given user" if access.credentials else "anonymous")


def _login_by_answers(rows: list[_Row], access: SourceAccess) -> Check:
    failures = [row.failure for row in rows if row.failure is not None]
    if len(failures) == len(rows):
        return Check(_SERVER, "login", Verdict.FAILED, failures[0])
    user = "user" if access.credentials else "no user"
    return Check(_SERVER, "login", Verdict.OK, f"files answer ({user} sent with every request)")


def _ask(url: str, access: SourceAccess, tile_year: TileYear) -> Iterator[_Row]:
    """Ask in every layout, over one connection; after a failure the rest is asked over a fresh one."""
    layouts = list(layouts_of(mission_of(tile_year.year)))
    while layouts:
        try:
            with open_source(url, access) as source:
                while layouts:
                    remote = source.stat(layouts[0].archive_path(tile_year.tile, tile_year.year))
                    yield _Row(tile_year, layouts.pop(0), remote)
        except SourceUnavailableError as error:
            yield _Row(tile_year, layouts.pop(0), failure=str(error))


def _checks_of_rows(rows: list[_Row]) -> Iterator[Check]:
    for tile_year in dict.fromkeys(row.tile_year for row in rows):
        mission = mission_of(tile_year.year)
        subject = f"{mission.name} {tile_year.year}/{tile_year.tile}"
        of_tile = [row for row in rows if row.tile_year == tile_year]
        serving = next((row.layout.name for row in of_tile if row.remote is not None), None)
        if serving is None:
            yield Check(subject, "archive", Verdict.FAILED, "no layout row has it; is this the server's own tree?")
        else:
            yield Check(subject, "archive", Verdict.OK, f"row {serving} serves it")
        for row in of_tile:
            yield _check_of_row(subject, row)


def _check_of_row(subject: str, row: _Row) -> Check:
    if row.failure is not None:
        return Check(subject, row.layout.name, Verdict.FAILED, row.failure)
    if row.remote is None:
        return Check(subject, row.layout.name, Verdict.NO, f"not in {row.layout.folder(row.tile_year.year)}")
    return Check(subject, row.layout.name, Verdict.OK, f"{_megabytes(row.remote.size_bytes)}, {_time(row.remote)}")


def _checks_of_server(url: str, access: SourceAccess, found: list[RemoteFile], rows: list[_Row]) -> Iterator[Check]:
    folders = [remote.path.rpartition("/")[0] for remote in found]
    yield _listing(url, access, folders or [row.layout.folder(row.tile_year.year) for row in rows])
    if not found:
        for name in ("size", "time", "resume", "rate"):
            yield Check(_SERVER, name, Verdict.NO, "not tried: no archive was found to try it on")
        return
    largest = max(found, key=lambda remote: remote.size_bytes)
    yield Check(_SERVER, "size", Verdict.OK, f"{largest.path.rpartition('/')[2]} has {largest.size_bytes:,} bytes")
    if largest.modified is None:
        yield Check(_SERVER, "time", Verdict.NO, "the server tells no modification times: a re-issue may go unnoticed")
    else:
        yield Check(_SERVER, "time", Verdict.OK, f"last written {_time(largest)}")
    yield _resume(url, access, largest)
    yield _rate(url, access, largest)


def _listing(url: str, access: SourceAccess, folders: list[str]) -> Check:
    counts: dict[str, int | None] = {}
    try:
        with open_source(url, access) as source:
            if not source.can_list:
                return Check(_SERVER, "listing", Verdict.NO, "HTTPS has none: absent is what no layout row finds")
            for folder in dict.fromkeys(folders):
                names = source.names(folder)
                counts[folder] = None if names is None else len(names)
    except SourceUnavailableError as error:
        return Check(_SERVER, "listing", Verdict.FAILED, str(error))
    there = [f"{count:,} in {folder}" for folder, count in counts.items() if count]
    if not there:
        return Check(_SERVER, "listing", Verdict.FAILED, f"none of the {len(counts)} folders below lists anything")
    return Check(_SERVER, "listing", Verdict.OK, "\n".join(there))


def _resume(url: str, access: SourceAccess, remote: RemoteFile) -> Check:
    """Read the last bytes from two offsets: only a source that begins where it is told to gives the same ones."""
    tail = min(_TAIL_BYTES, remote.size_bytes // 2)
    if not tail:
        return Check(_SERVER, "resume", Verdict.NO, "not tried: the archive is empty")
    try:
        long = _read(url, access, remote, remote.size_bytes - 2 * tail, 2 * tail + 1)
        short = _read(url, access, remote, remote.size_bytes - tail, tail + 1)
    except SourceUnavailableError as error:
        return Check(_SERVER, "resume", Verdict.NO, f"a transfer that breaks starts anew: {error}")
    if len(short) != tail or long[tail:] != short:
        return Check(_SERVER, "resume", Verdict.FAILED, "other bytes come than those asked for")
    return Check(_SERVER, "resume", Verdict.OK, f"the last {tail:,} bytes are the same from two offsets")


def _rate(url: str, access: SourceAccess, remote: RemoteFile) -> Check:
    start = time.monotonic()
    try:
        received = len(_read(url, access, remote, 0, min(_RATE_BYTES, remote.size_bytes), _RATE_SECONDS))
    except SourceUnavailableError as error:
        return Check(_SERVER, "rate", Verdict.FAILED, str(error))
    seconds = max(time.monotonic() - start, 1e-3)
    if received < min(_RATE_BYTES, remote.size_bytes) and seconds < _RATE_SECONDS:
        return Check(_SERVER, "rate", Verdict.FAILED, f"the transfer ended after {received:,} bytes")
    rate = received / seconds
    minutes = remote.size_bytes / max(rate, 1) / 60
    detail = (
        f"{rate / 1e6:.1f} MB/s over {_megabytes(received)}; at that rate the largest of these archives "
        f"({_megabytes(remote.size_bytes)}) takes {minutes:.1f} of a Lambda's {_LAMBDA_MINUTES} minutes"
    )
    return Check(_SERVER, "rate", Verdict.OK if minutes < _LAMBDA_MINUTES else Verdict.FAILED, detail)


def _read(
    url: str, access: SourceAccess, remote: RemoteFile, start: int, limit: int, seconds: float = _RATE_SECONDS
) -> bytes:
    """Return the bytes from ``start`` on, up to ``limit`` of them, or what came in time; the rest is not fetched."""
    received = bytearray()
    end = time.monotonic() + seconds

    def sink(chunk: bytes) -> None:
        received.extend(chunk)
        if len(received) >= limit or time.monotonic() > end:
            raise _EnoughError

    try:
        with open_source(url, access) as source:
            source.read(remote.path, sink, start)
    except _EnoughError:
        pass
    return bytes(received[:limit])


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"


def _time(remote: RemoteFile) -> str:
    return "unknown time" if remote.modified is None else f"{remote.modified:%Y-%m-%d %H:%M} UTC"
