"""What travels between the parts: the run's request, a tile's request, result and failure. All carry a version.

Everything that comes from outside is checked here, before anything starts: :class:`InvalidRequestError` says what is
wrong and why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.grid import Tile, parse_bbox, tiles_of_region, tiles_over
from alos_mosaic.missions import mission_of
from alos_mosaic.products import product_of

SCHEMA_VERSION: Final = 1

_YEAR: Final = re.compile(r"[0-9]{4}")

UNKNOWN: Final = "unknown"
"""What a reader says of a fact that a worker took with it when it died."""


class Mode(StrEnum):
    """What to do with a tile that is published already."""

    SKIP = "skip"
    OVERWRITE = "overwrite"


class State(StrEnum):
    """The four ways a tile ends; nothing else exists."""

    PUBLISHED = "published"
    SKIPPED = "skipped"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True, order=True)
class TileYear:
    """One tile of one year: a line of a run's manifest."""

    year: int
    tile: Tile

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest's form."""
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
    product: str | None = None
    """A product of every year asked for; ``None`` is each year's own mosaic."""

    @classmethod
    def from_input(cls, given: object, default_region: str, current_year: int | None = None) -> Self:
        """Check an execution's input; :class:`InvalidRequestError` says what is wrong with it."""
        keys = ("years", "region", "bbox", "tiles", "max_concurrency", "max_tiles", "mode", "product")
        given = _checked_object(given, keys, "the input")
        if "years" not in given:
            raise InvalidRequestError('the input lacks years; {"years": [2020]} is enough')
        years = _parsed_list(given["years"], "years", lambda year: parse_year(year, current_year))
        for year in years:
            product_of(year, given.get("product"), current_year)
        return cls(
            years=years,
            tiles=_selected_tiles(given, default_region),
            are_named=given.get("tiles") is not None,
            mode=_parse_mode(given.get("mode")),
            max_concurrency=_parse_count(given.get("max_concurrency"), "max_concurrency"),
            max_tiles=_parse_count(given.get("max_tiles"), "max_tiles"),
            product=given.get("product"),
        )


@dataclass(frozen=True)
class TileRequest:
    """The input of the tile Lambda; without a run its result is only returned, not recorded."""

    tile_year: TileYear
    mode: Mode = Mode.SKIP
    run: str | None = None
    attempt: int = 1
    product: str | None = None
    """A product that the year has; ``None`` is the year's own mosaic."""
    accept_partial: bool = False
    """Whether the tile may be published without cells that are defective at the source."""

    @classmethod
    def from_event(cls, event: object) -> Self:
        """Read ``{"year": 2020, "tile": "N25W165"}`` or the ancestor's ``"2020/N25W165"``."""
        if isinstance(event, str):
            return cls(TileYear.from_text(event))
        keys = ("schema_version", "year", "tile", "mode", "run", "retries", "product")
        given = _checked_object(event, keys, "the event")
        _check_version(given.get("schema_version", SCHEMA_VERSION))
        for key in ("year", "tile"):
            if key not in given:
                raise InvalidRequestError(f'the event lacks {key}; {{"year": 2020, "tile": "N25W165"}} is enough')
        tile_year = TileYear(parse_year(given["year"]), Tile.from_name(given["tile"]))
        run = given.get("run")
        if run is not None and not (isinstance(run, str) and run and "/" not in run):
            raise InvalidRequestError(f"run is the name of an execution, not {shown(run)}")
        retries = given.get("retries", 0)
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise InvalidRequestError(f"retries is a number from 0 on, not {shown(retries)}")
        product = given.get("product")
        product_of(tile_year.year, product)
        return cls(tile_year, _parse_mode(given.get("mode")), run, retries + 1, product)


@dataclass(frozen=True)
class TileResult:
    """How a tile ended: what the worker returns and records."""

    state: State
    year: int
    tile: str
    run: str | None = None
    attempt: int = 1
    item_uri: str | None = None
    cells: tuple[str, ...] = ()
    """Names of the cells that the tile's rasters hold."""
    defective_cells: tuple[str, ...] = ()
    """Names of the cells that JAXA has and that the tile was made without: nothing whole could be had of them."""
    archive: dict[str, Any] = field(default_factory=dict)
    """What was fetched: url, layout, size in bytes; the item tells more."""
    output_bytes: int = 0
    peak_memory_bytes: int = 0
    """The worker's largest resident set."""
    peak_disk_bytes: int = 0
    """The most that lay in the work folder."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage."""
    error: str | None = None
    cause: str | None = None
    log: str | None = None
    """Where the log of a worker that failed is: group and stream."""
    product: str | None = None
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; facts that do not apply are left out."""
        plain = {**asdict(self), "state": self.state.value, "cells": list(self.cells)}
        plain["defective_cells"] = list(self.defective_cells)
        return {key: value for key, value in plain.items() if value not in (None, [], {}, "")}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Read the JSON form; keys of a later version are passed over."""
        known = {key: given[key] for key in cls.__dataclass_fields__ if key in given}
        return cls(**{**known, "state": State(given["state"]), "cells": tuple(given.get("cells", ()))})


@dataclass(frozen=True)
class TileFailure:
    """A dead letter: a tile that failed, as the state machine put it into the queue."""

    year: int
    tile: str
    error: str
    cause: str
    attempt: int | str
    run: str
    execution: str
    time: str
    product: str | None = None
    """As in the tile's request."""

    @classmethod
    def from_body(cls, body: str) -> Self:
        """Read a message's body leniently: what a worker that died could not say is ``unknown``.

        The state machine can't cut strings, so the message holds Lambda's cause as it came: JSON whose
        ``errorMessage`` is what the worker raised, itself JSON (:func:`alos_mosaic.errors.error_message`).
        """
        given = json.loads(body)
        if not isinstance(given, dict):
            raise InvalidRequestError(f"a dead letter is a JSON object, not {shown(given)}")
        raised = _raised_facts(given.get("cause", ""))
        return cls(
            year=int(given["year"]),
            tile=str(given["tile"]),
            error=given.get("error", UNKNOWN),
            cause=str(raised.get("cause", given.get("cause", UNKNOWN))),
            attempt=raised.get("attempt", UNKNOWN),
            run=given.get("run", UNKNOWN),
            execution=given.get("execution", UNKNOWN),
            time=given.get("time", UNKNOWN),
            product=given.get("product"),
        )


def parse_year(value: object, current_year: int | None = None) -> int:
    """Return a year given as number or string, if it has a mosaic; else :class:`InvalidRequestError` lists the valid.

    >>> parse_year("2020")
    2020
    """
    if isinstance(value, str) and _YEAR.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{shown(value)} is not a year; one looks like 2020")
    this_year = current_year or datetime.now(UTC).year
    mission_of(value, this_year)
    return value


def _raised_facts(cause: str) -> dict[str, Any]:
    """Take a cause apart: Lambda's envelope, and in it what the worker raised, JSON or plain text."""
    envelope = _json_object(cause)
    if "errorMessage" not in envelope:
        return {}
    said = envelope["errorMessage"]
    return _json_object(said) or {"cause": said}


def _json_object(text: object) -> dict[str, Any]:
    try:
        read = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _checked_object(given: object, known: Sequence[str], what: str) -> Mapping[str, Any]:
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


def _parse_mode(value: object) -> Mode:
    if value is None:
        return Mode.SKIP
    if value not in list(Mode):
        raise InvalidRequestError(f"mode is one of {', '.join(Mode)}, not {shown(value)}")
    return Mode(str(value))


def _parse_count(value: object, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"{name} is a whole number from 1 on, not {shown(value)}")
    return value
