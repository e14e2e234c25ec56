"""What is asked for: the run's request and a tile's. How a tile ended stands in :mod:`alos_mosaic.results`.

Everything that comes from outside is checked here, before anything starts: :class:`InvalidRequestError` says what is
wrong and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from alos_mosaic.errors import ArchiveUnavailableError, InvalidRequestError, SourceUnavailableError, shown
from alos_mosaic.grid import Tile, parse_bbox, tiles_of_region, tiles_over
from alos_mosaic.missions import mission_of
from alos_mosaic.products import product_of

SCHEMA_VERSION: Final = 1

MOST_INVOCATIONS: Final = 20
"""Invocations that a tile may take, those that failed included: over three hours of transfer at 10 minutes each."""
LIMITS: Final = ("max_concurrency", "max_tiles", "max_usd", "allow_parallel")
"""What every kind of run may say of its size and company (:func:`parse_limits`)."""
_MOST_USD: Final = 1_000_000
_EXECUTION_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,80}")
"""What Step Functions takes for one (API reference, StartExecution)."""
_YEAR: Final = re.compile(r"[0-9]{4}")
_SPAN: Final = re.compile(r"[0-9]{4}\s*(-|\.\.|:)\s*[0-9]{4}")


class Mode(StrEnum):
    """What to do with a tile that is published already."""

    SKIP = "skip"
    """Nothing."""
    REFRESH = "refresh"
    """Process it again if the source has another archive by now: JAXA re-issues under the same name."""
    OVERWRITE = "overwrite"
    """Process it again."""
    METADATA_ONLY = "metadata-only"
    """Describe it again out of its COGs, without the source."""


@dataclass(frozen=True, order=True)
class TileYear:
    """One tile of one year."""

    year: int
    tile: Tile

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"year": self.year, "tile": self.tile.name}

    @classmethod
    def from_text(cls, text: str, current_year: int | None = None) -> Self:
        """Read ``2020/N25W165``, the ancestor's form of a task.

        >>> TileYear.from_text("2020/N25W165").tile.bounds.north
        25
        """
        year, slash, tile = text.partition("/")
        if not slash:
            raise InvalidRequestError(f"{shown(text)} is not of the form YEAR/TILE, like 2020/N25W165")
        return cls(parse_year(year, current_year), Tile.from_name(tile))


@dataclass(frozen=True)
class RunRequest:
    """The input of the state machine: which tiles of which years, and how.

    What of it JAXA publishes, so what is seeded, is for :func:`alos_mosaic.seeding.tiles_to_seed` to say.
    """

    years: tuple[int, ...]
    tiles: tuple[Tile, ...]
    """Those that the selection spans, in the order to seed them, each once."""
    are_named: bool = False
    """Whether the tiles were asked for one by one, not as part of a region or a box."""
    mode: Mode = Mode.SKIP
    max_concurrency: int | None = None
    max_tiles: int | None = None
    max_usd: float | None = None
    """US dollars that it may be estimated at."""
    product: str | None = None
    """A product of every year asked for; ``None`` is each year's own mosaic."""
    accept_partial: bool = False
    """As in the tiles' requests."""
    allow_parallel: bool = False
    """Whether it may run beside another run, which shares the source with it."""

    @classmethod
    def from_input(cls, given: object, default_region: str, current_year: int | None = None) -> Self:
        """Check an execution's input; :class:`InvalidRequestError` says what is wrong with it."""
        selection = ("years", "region", "bbox", "tiles")
        keys = (*selection, *LIMITS, "mode", "product", "accept_partial")
        given = checked_object(given, keys, "the input")
        if "years" not in given:
            raise InvalidRequestError('the input lacks years; {"years": [2020]} is enough')
        years = _parsed_list(given["years"], "years", lambda year: parse_year(year, current_year))
        for year in years:
            product_of(year, given.get("product"), current_year)
        return cls(
            years=years,
            tiles=_selected_tiles(given, default_region),
            are_named=given.get("tiles") is not None,
            mode=parse_mode(given.get("mode")),
            product=given.get("product"),
            accept_partial=parse_switch(given.get("accept_partial"), "accept_partial"),
            **parse_limits(given),
        )

    def requests(self, tiles: Iterable[TileYear]) -> tuple[TileRequest, ...]:
        """Return what is asked for of each of these tiles."""
        return tuple(
            TileRequest(tile, self.mode, product=self.product, accept_partial=self.accept_partial) for tile in tiles
        )


@dataclass(frozen=True)
class Transfer:
    """How far the transfer of a tile's archives came in earlier invocations."""

    invocations: int = 0
    """How many there were, each try that failed included: a retry's count begins anew with each invocation that ends
    with its transfer going on, so the count travels here."""
    received_bytes: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return what the state machine hands on."""
        return asdict(self)

    @classmethod
    def after(cls, attempt: int, received_bytes: int, restored_bytes: int) -> Self:
        """Return how far it is at the end of a tile's ``attempt``.

        :class:`SourceUnavailableError` if no byte came, :class:`ArchiveUnavailableError` if they came too slowly.
        ``restored_bytes`` are those that were here at its beginning. They may be fewer than earlier invocations had,
        where a file was replaced on the server.
        """
        if received_bytes <= restored_bytes:
            raise SourceUnavailableError(f"no byte came behind the first {restored_bytes} in a whole invocation")
        if attempt >= MOST_INVOCATIONS:
            raise ArchiveUnavailableError(f"only {received_bytes} bytes came in {MOST_INVOCATIONS} invocations")
        return cls(attempt, received_bytes)

    @classmethod
    def from_dict(cls, given: object) -> Self:
        """Read what :meth:`to_dict` wrote."""
        given = checked_object({} if given is None else given, ("invocations", "received_bytes"), "transfer")
        numbers = {name: given.get(name, 0) for name in ("invocations", "received_bytes")}
        for name, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise InvalidRequestError(f"{name} is a number from 0 on, not {shown(number)}")
        return cls(**numbers)


@dataclass(frozen=True)
class TileRequest:
    """The input of the tile Lambda, and a line of a run's manifest.

    Without a run its result is only returned, not recorded.
    """

    tile_year: TileYear
    mode: Mode = Mode.SKIP
    run: str | None = None
    attempt: int = 1
    """The number of this invocation for its tile, from 1 on."""
    product: str | None = None
    """A product that the year has; ``None`` is the year's own mosaic."""
    accept_partial: bool = False
    """Whether the tile may be published without cells that are defective at the source."""
    since: datetime | None = None
    """A tile that was published after this is skipped whatever the mode, so that one in two manifests is made once.
    Tiles of a run that goes on with another's have it: when they failed there, or when that run was seeded."""
    transfer: Transfer = Transfer()
    staged_in: str | None = None
    """The run under whose name its archives are staged as they come: the first one that the tile failed in, so that
    whichever goes on with it finds what came there; ``None`` is its own run."""

    def asks_as(self, other: TileRequest) -> bool:
        """Tell whether another request wants the same done to its tile."""
        return (self.mode, self.accept_partial) == (other.mode, other.accept_partial)

    def to_line(self) -> dict[str, Any]:
        """Return the manifest's form. The state machine takes every field of it, so every field is there."""
        return {
            "year": self.tile_year.year,
            "tile": self.tile_year.tile.name,
            "mode": self.mode.value,
            "product": self.product,
            "accept_partial": self.accept_partial,
            "since": None if self.since is None else format_time(self.since),
            "staged_in": self.staged_in,
        }

    @classmethod
    def from_event(cls, event: object) -> Self:
        """Read ``{"year": 2020, "tile": "N25W165"}`` or the ancestor's ``"2020/N25W165"``."""
        if isinstance(event, str):
            return cls(TileYear.from_text(event))
        keys = ("schema_version", "year", "tile", "mode", "run", "retries", "product", "accept_partial", "since")
        given = checked_object(event, (*keys, "transfer", "staged_in"), "the event")
        _check_version(given.get("schema_version", SCHEMA_VERSION))
        for key in ("year", "tile"):
            if key not in given:
                raise InvalidRequestError(f'the event lacks {key}; {{"year": 2020, "tile": "N25W165"}} is enough')
        tile_year = TileYear(parse_year(given["year"]), Tile.from_name(given["tile"]))
        run, staged_in = (None if given.get(key) is None else parse_run(given[key]) for key in ("run", "staged_in"))
        retries = given.get("retries", 0)
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InvalidRequestError(f"retries is a number from 0 on, not {shown(retries)}")
        product = given.get("product")
        product_of(tile_year.year, product)
        accept_partial = parse_switch(given.get("accept_partial"), "accept_partial")
        mode, since = parse_mode(given.get("mode")), _parse_time(given.get("since"), "since")
        transfer = Transfer.from_dict(given.get("transfer"))
        attempt = transfer.invocations + retries + 1
        return cls(tile_year, mode, run, attempt, product, accept_partial, since, transfer, staged_in)

    def check_attempt(self) -> None:
        """Raise :class:`ArchiveUnavailableError` if the tile has had all its invocations, so that nothing is asked."""
        if self.attempt > MOST_INVOCATIONS:
            raise ArchiveUnavailableError(
                f"its {MOST_INVOCATIONS} invocations are used up, {self.transfer.received_bytes} bytes came in them"
            )


@dataclass(frozen=True)
class ResumeRequest:
    """The input of a run that goes on with the tiles of an earlier one: those that it has not published."""

    run: str
    max_concurrency: int | None = None
    max_tiles: int | None = None
    max_usd: float | None = None
    allow_parallel: bool = False

    @classmethod
    def from_input(cls, given: object) -> Self:
        """Check ``{"resume": {"run": "africa-2020"}}``; :class:`InvalidRequestError` says what is wrong with it."""
        given = checked_object(given, ("resume", *LIMITS), "the input")
        what = checked_object(given["resume"], ("run",), "resume")
        return cls(parse_run(what.get("run")), **parse_limits(given))


def parse_limits(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every kind of run may say of its size and company, by field."""
    return {
        "max_concurrency": parse_count(given.get("max_concurrency"), "max_concurrency"),
        "max_tiles": parse_count(given.get("max_tiles"), "max_tiles"),
        "max_usd": _parse_amount(given.get("max_usd"), "max_usd"),
        "allow_parallel": parse_switch(given.get("allow_parallel"), "allow_parallel"),
    }


def parse_run(value: object) -> str:
    """Return the name of an execution, such as Step Functions takes it."""
    if not (isinstance(value, str) and _EXECUTION_NAME.fullmatch(value)):
        raise InvalidRequestError(f"run is the name of an execution, not {shown(value)}")
    return value


def format_time(moment: datetime) -> str:
    """Return an instant as items and messages spell it.

    >>> format_time(datetime(2026, 11, 24, 6, 30, tzinfo=UTC))
    '2026-11-24T06:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the instant, in UTC, that a text in ISO 8601 names; ValueError if it names none, or none in particular."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is before or after all years in UTC") from error


def parse_year(value: object, current_year: int | None = None) -> int:
    """Return a year given as number or string, if it has a mosaic; else :class:`InvalidRequestError` lists the valid.

    >>> parse_year("2020")
    2020
    """
    if isinstance(value, str) and _YEAR.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        is_span = isinstance(value, str) and _SPAN.fullmatch(value)
        hint = "years are listed one by one, like 2017,2020" if is_span else "one looks like 2020"
        raise InvalidRequestError(f"{shown(value)} is not a year; {hint}")
    this_year = current_year or datetime.now(UTC).year
    mission_of(value, this_year)
    return value


def checked_object(given: object, known: Sequence[str], what: str) -> Mapping[str, Any]:
    """Return a JSON object that has known keys only."""
    if not isinstance(given, Mapping):
        raise InvalidRequestError(f"{what} is a JSON object, not {shown(given)}")
    unknown = sorted(str(key) for key in set(given) - set(known))
    if unknown:
        raise InvalidRequestError(f"{what} has unknown keys {shown(unknown)}; known are {', '.join(known)}")
    return given


def _check_version(version: object) -> None:
    if version != SCHEMA_VERSION:
        raise InvalidRequestError(
            f"schema version {shown(version)} is not the one this release reads ({SCHEMA_VERSION})"
        )


def _parsed_list(values: object, name: str, parse: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise InvalidRequestError(f"{name} is a list, not {shown(values)}")
    if not values:
        raise InvalidRequestError(f"{name} is empty")
    return tuple(dict.fromkeys(parse(value) for value in values))


def _selected_tiles(given: Mapping[str, Any], default_region: str) -> tuple[Tile, ...]:
    chosen = [key for key in ("region", "bbox", "tiles") if given.get(key) is not None]
    if len(chosen) > 1:
        raise InvalidRequestError(f"{' and '.join(chosen)} exclude each other; give one of them")
    if chosen == ["bbox"]:
        return _tiles_of_bbox(given["bbox"])
    if chosen == ["tiles"]:
        return _parsed_list(given["tiles"], "tiles", Tile.from_name)
    region = default_region if given.get("region") is None else given["region"]
    if not isinstance(region, str):
        raise InvalidRequestError(f"region is a name, not {shown(region)}")
    return tiles_of_region(region)


def _tiles_of_bbox(numbers: Sequence[object]) -> tuple[Tile, ...]:
    tiles = tiles_over(parse_bbox(numbers))
    if not tiles:
        raise InvalidRequestError(f"bbox {shown(numbers)} touches no tile: rows run from N85 to S55")
    return tiles


def parse_mode(value: object) -> Mode:
    """Return a mode; skip if there is none."""
    if value is None:
        return Mode.SKIP
    if value not in list(Mode):
        raise InvalidRequestError(f"mode is one of {', '.join(Mode)}, not {shown(value)}")
    return Mode(str(value))


def _parse_time(value: object, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(str(value))
    except ValueError as error:
        raise InvalidRequestError(f"{name} is a time like 2026-11-24T06:30:00Z, not {shown(value)}") from error


def parse_switch(value: object, name: str) -> bool:
    """Return whether something is wanted; not, if nothing is said."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name} is true or false, not {shown(value)}")
    return value


def parse_count(value: object, name: str) -> int | None:
    """Return a number from 1 on, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"{name} is a whole number from 1 on, not {shown(value)}")
    return value


def _parse_amount(value: object, name: str) -> float | None:
    """Return US dollars, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_USD:
        raise InvalidRequestError(f"{name} is a number above 0 and up to {_MOST_USD:,}, not {shown(value)}")
    return float(value)
