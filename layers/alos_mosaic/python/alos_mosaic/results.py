"""How a tile ended: what a worker returns and records, and what the dead-letter queue holds of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from alos_mosaic.errors import InvalidRequestError, plain, shown
from alos_mosaic.json_objects import json_object
from alos_mosaic.messages import SCHEMA_VERSION, TileRequest

UNKNOWN: Final = "unknown"
"""What a reader says of a fact that a worker took with it when it died."""


TRANSFERRING: Final = "transferring"
"""What an invocation answers whose transfer goes on in the next: no end of a tile, so no state, and not recorded."""


UNTIL_FAILURE: Final = "until_failure"
"""Stands for a stage among the seconds of a tile that failed: all of its last invocation."""


class State(StrEnum):
    """The four ways a tile ends; nothing else exists."""

    PUBLISHED = "published"
    SKIPPED = "skipped"
    ABSENT = "absent"
    FAILED = "failed"


_TOLD: Final = ("error", "cause", "log", "archives_not_kept")
"""What a result tells in words, of servers among others."""


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
    """Names of the cells that JAXA has and that the tile was made without: nothing whole could be had of them.

    Of a tile that failed, those that it could be made without, if that were accepted."""
    values_under_nodata: int = 0
    """Values under mask 0 that are neither 0 nor the source file's nodata tag, all bands together."""
    valid_percent: float | None = None
    """Pixels that hold data, of all of the tile's; None where they were not counted, as of older releases."""
    water_percent: float | None = None
    """Pixels of water, of those that hold data."""
    archive: dict[str, Any] = field(default_factory=dict)
    """What was fetched: url of the first archive, layouts of all, size in bytes; the item tells more."""
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
    archives_not_kept: str | None = None
    """Why the mirror lacks the archives of a published tile, where they were to be kept in one."""
    schema_version: int = SCHEMA_VERSION

    @property
    def worker_seconds(self) -> float:
        """How long its last invocation worked: the transfer happens within another stage."""
        return sum(seconds for stage, seconds in self.seconds.items() if stage != "transfer")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; facts that do not apply are left out."""
        plain = {**asdict(self), "state": self.state.value, "cells": list(self.cells)}
        plain["defective_cells"] = list(self.defective_cells)
        return {key: value for key, value in plain.items() if value not in (None, [], {}, "")}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Read the JSON form; keys of a later version are passed over, and what is told of errors made plain."""
        known = {key: given[key] for key in cls.__dataclass_fields__ if key in given}
        lists = {name: tuple(given.get(name, ())) for name in ("cells", "defective_cells")}
        texts = {name: plain(str(given[name])) for name in _TOLD if given.get(name) is not None}
        return cls(**{**known, **lists, **texts, "state": State(given["state"])})


NO_RECORD: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading something else than a record ends with."""


def recorded(content: bytes, key: str, otherwise: TileResult) -> TileResult:
    """Return what the record under a key says; of one that makes no sense, or is of another tile, ``otherwise``.

    That is the failed result of the tile and run that the record should be of; the cause is told instead of its own.
    """
    try:
        result = TileResult.from_dict(json.loads(content))
    except NO_RECORD:
        return replace(otherwise, cause=f"its record {key} makes no sense")
    if (result.run, result.year, result.tile) == (otherwise.run, otherwise.year, otherwise.tile):
        return result
    return replace(otherwise, cause=f"its record {key} is of another tile or run")


def counts_of(results: Iterable[TileResult]) -> dict[str, int]:
    """Return how many tiles ended in each of the four ways.

    >>> counts_of([TileResult(State.ABSENT, 2020, "N10E010")])
    {'published': 0, 'skipped': 0, 'absent': 1, 'failed': 0}
    """
    found = Counter(result.state for result in results)
    return {state.value: found[state] for state in State}


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
    """As in the tile's request, as are the next two."""
    accept_partial: bool = False
    mode: str | None = None
    staged_in: str | None = None
    """As in the tile's request; ``None`` is the run that it failed in."""

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
            year=int(str(given["year"])),  # of Infinity, which json reads, int() makes an OverflowError
            tile=str(given["tile"]),
            error=str(given.get("error", UNKNOWN)),
            cause=plain(str(raised.get("cause", given.get("cause", UNKNOWN)))),
            attempt=raised.get("attempt", UNKNOWN),
            run=given.get("run", UNKNOWN),
            execution=given.get("execution", UNKNOWN),
            time=given.get("time", UNKNOWN),
            product=given.get("product"),
            accept_partial=given.get("accept_partial") is True,
            mode=given.get("mode"),
            staged_in=given.get("staged_in"),
        )

    def to_request(self) -> TileRequest:
        """Return the request that tries the tile again, unless it is published since; InvalidRequestError if it can't.

        Where the letter tells no time, the tile is tried whatever was published.
        """
        event = {"year": self.year, "tile": self.tile, "product": self.product, "accept_partial": self.accept_partial}
        since = None if self.time == UNKNOWN else self.time
        staged_in = self.staged_in or (None if self.run == UNKNOWN else self.run)
        return TileRequest.from_event({**event, "mode": self.mode, "since": since, "staged_in": staged_in})


def said(cause: str) -> str:
    """Return what a Lambda raised as a person reads it, out of the cause that the state machine passes on.

    >>> said('{"errorMessage": "no run is called so", "errorType": "InvalidRequestError"}')
    'no run is called so'
    """
    return plain(str(_raised_facts(cause).get("cause", cause)))


def _raised_facts(cause: str) -> dict[str, Any]:
    """Take a cause apart: Lambda's envelope, and in it what the worker raised, JSON or plain text."""
    envelope = json_object(cause) or {}
    if "errorMessage" not in envelope:
        return {}
    said = envelope["errorMessage"]
    return json_object(said) or {"cause": said}
