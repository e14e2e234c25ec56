"""Redriving: failed tiles out of the dead-letter queue into a run of their own.

Nothing is lost on the way. A message is deleted only once its tile stands in a manifest, or is published; whatever ends
in between leaves it in the queue, and it comes into sight again. A tile that so comes into two manifests was published
since its message by the time of the second, and is skipped there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from alos_mosaic.errors import InvalidRequestError, ServiceError, shown
from alos_mosaic.grid import Tile
from alos_mosaic.manifests import is_within_caps, read_manifest, seeded, write_manifest
from alos_mosaic.messages import (
    LIMITS,
    Mode,
    TileRequest,
    checked_object,
    parse_count,
    parse_limits,
    parse_switch,
    parse_year,
)
from alos_mosaic.probing import probe_source
from alos_mosaic.publication import Publications
from alos_mosaic.quantities import counted
from alos_mosaic.results import TileFailure
from alos_mosaic.settings import RedriveSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger(__name__)

_BATCH: Final = 10
"""SQS' most."""
_WAIT_SECONDS: Final = 2
"""A receive that waits asks all of SQS' servers; one that does not may find nothing though there is something."""
_HIDDEN_SECONDS: Final = 900
"""How long a message stays out of sight while it is looked at: as long as the function may take."""
_OUT_OF_SIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_SHOWN_TILES: Final = 50
_SHOWN_ERRORS: Final = 50
_SHOWN_CHARACTERS: Final = 100
"""Of an error's name; all of an answer has to travel between states, which have 256 KiB."""
_STARTED: Final = "execution-started"


@dataclass(frozen=True)
class RedriveRequest:
    """Which of the failed tiles are tried again, and how."""

    error: str | None = None
    """The bare name of an error class."""
    year: int | None = None
    tile: Tile | None = None
    run: str | None = None
    """The run that they failed in."""
    limit: int | None = None
    """Tiles at most."""
    dry_run: bool = False
    """Only say which: the queue stays as it is."""
    max_concurrency: int | None = None
    max_tiles: int | None = None
    max_usd: float | None = None
    allow_parallel: bool = False

    @classmethod
    def from_input(cls, given: object) -> Self:
        """Check ``{"redrive": {"error": "SourceUnavailableError"}}``; :class:`InvalidRequestError` if it is wrong."""
        given = checked_object(given, ("redrive", *LIMITS), "the input")
        which = checked_object(given["redrive"], ("error", "year", "tile", "run", "limit", "dry_run"), "redrive")
        for name in ("error", "run"):
            if not isinstance(which.get(name), str | None):
                raise InvalidRequestError(f"{name} is a name, not {shown(which[name])}")
        return cls(
            error=which.get("error"),
            year=None if which.get("year") is None else parse_year(which["year"]),
            tile=None if which.get("tile") is None else Tile.from_name(which["tile"]),
            run=which.get("run"),
            limit=parse_count(which.get("limit"), "limit"),
            dry_run=parse_switch(which.get("dry_run"), "dry_run"),
            **parse_limits(given),
        )

    def wants(self, failure: TileFailure) -> bool:
        """Tell whether a failed tile is among those to be tried again."""
        pairs = (
            (self.error, failure.error),
            (self.year, failure.year),
            (self.tile and self.tile.name, failure.tile),
            (self.run, failure.run),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


@dataclass
class _Chosen:
    """A tile to be tried again, and its letters: it may have failed in several runs, or twice in one."""

    request: TileRequest
    run: str
    """The run that it failed in last."""
    handles: list[str]


@dataclass
class _Letters:
    """Dead letters that were received, each with what becomes of it; letters by their receipt handles."""

    chosen: dict[tuple[int, Tile, str | None], _Chosen] = field(default_factory=dict)
    """By year, tile and product; a letter that asks for one of them in another way waits for the next redrive."""
    errors: Counter[str] = field(default_factory=Counter)
    errors_left: Counter[str] = field(default_factory=Counter)
    """Of the letters that were read and passed over."""
    passed_over: list[str] = field(default_factory=list)
    """Not wanted, or not readable: they stay in the queue."""
    unreadable: int = 0
    published: list[str] = field(default_factory=list)
    """Their tile was published since: nothing is left to do."""

    @property
    def handles(self) -> list[str]:
        """Letters of the chosen tiles."""
        return [handle for chosen in self.chosen.values() for handle in chosen.handles]


class Redrive:
    """One redrive, over one queue."""

    def __init__(self, settings: RedriveSettings, s3: S3Client, sqs: SQSClient) -> None:
        self._settings, self._s3, self._sqs = settings, s3, sqs
        self._queue = settings.dead_letter_queue_url

    def run(
        self, event: Mapping[str, Any], request: RedriveRequest, seconds_left: Callable[[], float]
    ) -> dict[str, Any]:
        """Write the manifest of what is tried again, take its letters from the queue, say where the manifest lies.

        ``event`` holds the run's name and the time its execution began. Called again for the same execution, after it
        was broken off, the manifest that was written holds: its letters are gone, and only it knows their tiles.
        :class:`~alos_mosaic.errors.SourceUnavailableError` if the source does not answer and one of the tiles needs it:
        then, and above the redrive's caps, all letters stay in the queue.
        """
        run, started, limits = str(event["run"]), str(event["started"]), self._settings
        known = read_manifest(self._s3, limits.runs_bucket, run)
        if known is not None and known.metadata.get(_STARTED) == started:
            return self._answer(run, request, known.requests)
        letters = _Letters()
        with self._shown_again_on_failure(letters):
            self._receive(letters, request, seconds_left)
            self._check_nothing_is_hidden(letters)
            self._leave_out_published(letters)
        first_runs = {chosen.request: chosen.run for chosen in letters.chosen.values()}
        requests = tuple(first_runs)
        seed = self._answer(run, request, requests)
        told = {"redrive": self._told(letters, request) | {"estimated_usd": seed["estimated_usd"]}}
        if request.dry_run or not letters.chosen:
            self._show_again([*letters.passed_over, *letters.handles, *(letters.published if request.dry_run else ())])
            self._delete([] if request.dry_run else letters.published)
            return self._answer(run, request, ()) | told
        if not is_within_caps(seed):
            self._show_again([*letters.passed_over, *letters.handles, *letters.published])
            return seed | told
        with self._shown_again_on_failure(letters):
            if any(each.mode is not Mode.METADATA_ONLY for each in requests):
                probe_source(limits, self._s3)
            metadata = {_STARTED: started}
            write_manifest(self._s3, limits.runs_bucket, run, requests, first_runs=first_runs, metadata=metadata)
        self._delete([*letters.published, *letters.handles])
        self._show_again(letters.passed_over)
        return seed | told

    def _answer(self, run: str, request: RedriveRequest, requests: Sequence[TileRequest]) -> dict[str, Any]:
        return seeded(run, self._settings.runs_bucket, requests, self._settings, request)

    @contextmanager
    def _shown_again_on_failure(self, letters: _Letters) -> Iterator[None]:
        """Put what was received into sight again: tried once more, it would take an empty queue for the end."""
        try:
            yield
        except Exception:
            with suppress(Exception):  # the first failure is the one to tell
                self._show_again([*letters.passed_over, *letters.handles, *letters.published])
            raise

    def _receive(self, letters: _Letters, request: RedriveRequest, seconds_left: Callable[[], float]) -> None:
        """Read the queue until it is empty, the limit is reached, or the time is half over."""
        enough = seconds_left() / 2
        limit = min(each for each in (request.limit, request.max_tiles, self._settings.max_tiles_ceiling) if each)
        while len(letters.chosen) < limit and seconds_left() > enough and (batch := self._batch()):
            for message in batch:
                self._sort(message, request, letters, limit)

    def _check_nothing_is_hidden(self, letters: _Letters) -> None:
        """Raise :class:`ServiceError` if the queue showed no letter, but has some out of sight: it only looks empty."""
        if letters.passed_over or letters.handles:
            return
        told = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=[_OUT_OF_SIGHT])["Attributes"]
        if count := int(told[_OUT_OF_SIGHT]):
            raise ServiceError(
                f"{counted(count, 'letter')} out of sight, as a redrive that was broken off leaves them; try again in "
                f"{_HIDDEN_SECONDS // 60} minutes, when all are back"
            )

    def _sort(self, message: MessageTypeDef, request: RedriveRequest, letters: _Letters, limit: int) -> None:
        handle = message["ReceiptHandle"]
        try:
            failure = TileFailure.from_body(message["Body"])
            again = failure.to_request()
        except (ValueError, KeyError, TypeError, RecursionError, InvalidRequestError) as error:
            logger.warning("Dead letter makes no sense", extra={"cause": str(error), "letter": message["Body"][:1000]})
            letters.unreadable += 1
            letters.passed_over.append(handle)
            return
        key = (again.tile_year.year, again.tile_year.tile, again.product)
        known = letters.chosen.get(key)
        is_other = known is not None and not known.request.asks_as(again)
        if not request.wants(failure) or is_other or (known is None and len(letters.chosen) >= limit):
            letters.passed_over.append(handle)
            letters.errors_left[failure.error[:_SHOWN_CHARACTERS]] += 1
            return
        letters.errors[failure.error[:_SHOWN_CHARACTERS]] += 1
        chosen = letters.chosen.setdefault(key, _Chosen(again, failure.run, []))
        chosen.handles.append(handle)
        if again.since is not None and (chosen.request.since is None or again.since > chosen.request.since):
            chosen.request, chosen.run = again, failure.run

    def _leave_out_published(self, letters: _Letters) -> None:
        publications = Publications(self._s3, self._settings.output_uri)
        missing = set(publications.missing(chosen.request for chosen in letters.chosen.values()))
        for key in [key for key, chosen in letters.chosen.items() if chosen.request not in missing]:
            letters.published += letters.chosen.pop(key).handles

    def _told(self, letters: _Letters, request: RedriveRequest) -> dict[str, Any]:
        names = [f"{year}/{tile}" for year, tile, _ in letters.chosen]
        return {
            "dry_run": request.dry_run,
            "tiles": len(names),
            "first_tiles": names[:_SHOWN_TILES],
            "letters_by_error": dict(letters.errors.most_common(_SHOWN_ERRORS)),
            "published_since": len(letters.published),
            "left_in_queue": len(letters.passed_over),
            "left_by_error": dict(letters.errors_left.most_common(_SHOWN_ERRORS)),
            "unreadable": letters.unreadable,
        }

    def _batch(self) -> Sequence[MessageTypeDef]:
        return self._sqs.receive_message(
            QueueUrl=self._queue,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=_WAIT_SECONDS,
            VisibilityTimeout=_HIDDEN_SECONDS,
        ).get("Messages", ())

    def _delete(self, handles: Sequence[str]) -> None:
        """Delete letters; one that SQS keeps all the same comes again, and its tile is published by then."""
        for entries in _entries(handles):
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)

    def _show_again(self, handles: Sequence[str]) -> None:
        """Put letters into sight again now; left alone they would come into sight by themselves."""
        for entries in _entries(handles):
            for entry in entries:
                entry["VisibilityTimeout"] = 0
            self._sqs.change_message_visibility_batch(QueueUrl=self._queue, Entries=entries)


def _entries(handles: Sequence[str]) -> Iterator[list[Any]]:
    """Yield letters as SQS takes them, a batch at a time."""
    for start in range(0, len(handles), _BATCH):
        batch = handles[start : start + _BATCH]
        yield [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(batch)]
