"""Summarising: what became of every tile of a run's manifest.

The manifest is the truth of what was to be done, the workers' records of what was done. A tile without a record had a
worker that died without a word: it counts as failed. So the four counts always add up to what was seeded.
"""

from __future__ import annotations

import functools
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.errors import TOLERANCE_EXCEEDED, InvalidRequestError, ServiceError, error_message
from alos_mosaic.inventory import ArchiveKind, listing_of, tiles_of_year
from alos_mosaic.manifests import manifest_of
from alos_mosaic.messages import SCHEMA_VERSION, TileRequest, format_time
from alos_mosaic.naming import letters_prefix, report_key, result_key, results_prefix, summary_key
from alos_mosaic.report import report_page
from alos_mosaic.results import UNKNOWN, State, TileFailure, TileResult, counts_of, recorded
from alos_mosaic.settings import ABSENT_LIMIT_PERCENT, FAILURE_LIMIT_PERCENT, SummarySettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

logger = logging.getLogger(__name__)

READERS: Final = 16
"""Results read from S3 at once; the client wants as many connections."""
_LETTERS_AT_ONCE: Final = 10
"""SQS' most."""
MANY_TILES: Final = 10
"""So many tiles of a year can't all be absent, even if the inventory does not know it: we look in the wrong place."""
_DIED_CAUSE: Final = "the worker left no result: it timed out, ran out of memory or never started"


@dataclass(frozen=True)
class Summary:
    """The end of a run."""

    run: str
    results: tuple[TileResult, ...]
    """One for each tile of the manifest, in its order."""
    failure_limit_percent: float = FAILURE_LIMIT_PERCENT
    absent_limit_percent: float = ABSENT_LIMIT_PERCENT
    stopped_by: str | None = None
    """The error that the Map ended with, if it did not come to its end by itself."""
    started: datetime | None = None
    """When the manifest was written."""
    ended: datetime | None = None
    """When the results were read."""
    worker: Mapping[str, Any] = field(default_factory=dict)
    """What the tile Lambda is, for what it costs: ``memory_mib``, ``architecture``, ``ephemeral_storage_mib``,
    and ``assumed_megabytes_per_second`` from the source."""
    estimated_usd: float | None = None
    """What the run was estimated at before it began, in US dollars."""
    max_concurrency: int | None = None
    """So many tiles it was allowed to work on at once."""
    report_uri: str | None = None
    """Where the report lies; None where there is none."""
    deployment: Mapping[str, str] = field(default_factory=dict)
    """What finds the deployment: ``stack`` and ``aws_region``."""

    @property
    def counts(self) -> dict[str, int]:
        """Tiles by the way they ended; the four add up to what was seeded."""
        return counts_of(self.results)

    @functools.cached_property
    def known(self) -> tuple[TileResult, ...]:
        """Those of the tiles that the inventory knows for their year and product."""
        asked = {(found.year, ArchiveKind.of_product(found.product)) for found in self.results}
        names = {pair: {tile.name for tile in tiles_of_year(*pair)} for pair in asked}
        kind = ArchiveKind.of_product
        return tuple(found for found in self.results if found.tile in names[found.year, kind(found.product)])

    @property
    def known_absent(self) -> int:
        """Known tiles that came out absent: one may be withdrawn, many mean that we looked in the wrong place."""
        return sum(result.state is State.ABSENT for result in self.known)

    @functools.cached_property
    def empty_years(self) -> tuple[int, ...]:
        """Years that the inventory does not know, of which at least :data:`MANY_TILES` were seeded and all are absent.

        How many of such a year's tiles exist nobody knows, so no share of them is too much; but some should.
        """
        seeded = Counter(found.year for found in self.results if not _is_listed(found))
        absent = Counter(found.year for found in self.results if found.state is State.ABSENT)
        return tuple(year for year, count in sorted(seeded.items()) if count >= MANY_TILES and absent[year] == count)

    @property
    def too_many_absent(self) -> bool:
        """Whether more of the known tiles are absent than the limit allows, or whole years that nobody has listed.

        A limit of 100 % allows both.
        """
        if self.empty_years and self.absent_limit_percent < 100:  # noqa: PLR2004
            return True
        return self.known_absent * 100 > self.absent_limit_percent * len(self.known)

    @property
    def complete(self) -> bool:
        """Whether the failed and the absent tiles are within their limits."""
        few_failed = self.counts[State.FAILED] * 100 <= self.failure_limit_percent * len(self.results)
        return few_failed and not self.too_many_absent and self.stopped_by is None

    @property
    def sentence(self) -> str:
        """Say in a line how the run ended."""
        if self.stopped_by is None:
            return self._counted
        is_down = self.stopped_by == TOLERANCE_EXCEEDED
        why = "since the source was down for too many tiles" if is_down else f"by {self.stopped_by}"
        return f"{self._counted}; the run was stopped, {why}"

    @property
    def _counted(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        sentence = f"{counts} of {len(self.results)} seeded"
        if not_kept := sum(result.archives_not_kept is not None for result in self.results):
            sentence += f"; archives of {not_kept} published are not kept in the mirror"
        if not self.too_many_absent:
            return sentence
        share = f"{self.known_absent} of {len(self.known)} known tiles came out absent"
        if self.empty_years:
            share += f", and all of {', '.join(map(str, self.empty_years))}"
        return f"{sentence}; {share}: has JAXA moved its folders?"

    def to_dict(self) -> dict[str, Any]:
        """Return what the state machine goes on with: numbers and a sentence, no lists."""
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.run,
            "seeded": len(self.results),
            **self.counts,
            "known_absent": self.known_absent,
            "complete": self.complete,
            "sentence": self.sentence,
            **({} if self.report_uri is None else {"report": self.report_uri}),
        }

    def to_report(self) -> dict[str, Any]:
        """Return the whole summary, as it is kept beside the manifest."""
        failed = [result for result in self.results if result.state is State.FAILED]
        not_kept = [result for result in self.results if result.archives_not_kept is not None]
        return {
            **self.to_dict(),
            "archives_not_kept": [f"{result.year}/{result.tile}" for result in not_kept],
            "started": None if self.started is None else format_time(self.started),
            "ended": None if self.ended is None else format_time(self.ended),
            "deployment": dict(self.deployment),
            "worker": dict(self.worker),
            "estimated_usd": self.estimated_usd,
            "max_concurrency": self.max_concurrency,
            "failures_by_error": dict(Counter(result.error or UNKNOWN for result in failed)),
            "tiles": [result.to_dict() for result in self.results],
        }


def _is_listed(result: TileResult) -> bool:
    return listing_of(result.year, ArchiveKind.of_product(result.product)) is not None


def read_results(
    s3: S3Client, bucket: str, run: str, requests: Sequence[TileRequest], since: datetime
) -> tuple[tuple[TileResult, ...], tuple[TileRequest, ...]]:
    """Return what the workers recorded of each tile that a run asked for, and the requests that left no record.

    A tile without a record has failed, and so has one whose record makes no sense or is of another tile. What was
    recorded before ``since``, when the manifest was written, is an earlier run's of the same name.
    """
    there = set(_keys(s3, bucket, results_prefix(run), since))

    def result_of(request: TileRequest) -> TileResult:
        year, tile, product = request.tile_year.year, request.tile_year.tile.name, request.product
        key = _key_of(run, request)
        failed = TileResult(State.FAILED, year, tile, run, error=UNKNOWN, cause=_DIED_CAUSE, product=product)
        if key not in there:
            return failed
        return recorded(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), key, failed)

    with ThreadPoolExecutor(READERS) as readers:
        results = tuple(readers.map(result_of, requests))
    return results, tuple(request for request in requests if _key_of(run, request) not in there)


def _key_of(run: str, request: TileRequest) -> str:
    return result_key(run, request.tile_year.year, request.tile_year.tile.name, request.product)


def read_letters(s3: S3Client, bucket: str, run: str, since: datetime) -> frozenset[str]:
    """Return the tiles whose dead letters the state machine has sent since then, by the keys of their results.

    It keeps a copy of each; one that makes no sense is no proof, and passed over.
    """

    def tile_of(key: str) -> str | None:
        try:
            letter = TileFailure.from_body(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except (ValueError, KeyError, TypeError, RecursionError, InvalidRequestError):
            return None
        return result_key(run, letter.year, letter.tile, letter.product)

    with ThreadPoolExecutor(READERS) as readers:
        found = set(readers.map(tile_of, _keys(s3, bucket, letters_prefix(run), since)))
    return frozenset(key for key in found if key is not None)


def summarise_run(
    event: Mapping[str, str],
    settings: SummarySettings,
    s3: S3Client,
    sqs: SQSClient,
    stopped_by: str | None = None,
    seed: Mapping[str, Any] = MappingProxyType({}),
) -> Summary:
    """Compare a run's manifest with what its workers recorded, and keep the summary beside them.

    ``event`` holds the run's name and its execution. What the summary counts as failed lies in the dead-letter queue
    when it is over, so that a redrive finds it. What the state machine has sent it has kept, too; the letters of all
    others are sent from here: of tiles that were never begun, whose retry never came since the Map was broken off, or
    whose letter the queue did not take. A tile gets two letters only if its child ended between sending and keeping
    the first, or if this was tried again; a redrive makes one of them. ``stopped_by`` is the error that broke the Map
    off, ``seed`` what was said of the run when its tiles were listed.
    """
    run = event["run"]
    asked = manifest_of(s3, settings.runs_bucket, run)
    manifest = asked.requests
    results, _ = read_results(s3, settings.runs_bucket, run, manifest, asked.written)
    if settings.dead_letter_queue_url is not None:
        sent = read_letters(s3, settings.runs_bucket, run, asked.written)
        untold = [
            (request, result)
            for request, result in zip(manifest, results, strict=True)
            if result.state is State.FAILED and _key_of(run, request) not in sent
        ]
        _send_letters(sqs, settings.dead_letter_queue_url, event, untold)
    summary = Summary(
        run,
        results,
        settings.failure_limit_percent,
        settings.absent_limit_percent,
        stopped_by=stopped_by,
        started=asked.written,
        ended=datetime.now(UTC).replace(microsecond=0),
        worker=settings.worker,
        estimated_usd=seed.get("estimated_usd"),
        max_concurrency=seed.get("max_concurrency"),
        deployment=settings.deployment,
    )
    summary = replace(summary, report_uri=_keep_report(summary, settings.runs_bucket, s3))
    body = json.dumps(summary.to_report()).encode()
    s3.put_object(Bucket=settings.runs_bucket, Key=summary_key(run), Body=body, ContentType="application/json")
    return summary


def _keep_report(summary: Summary, bucket: str, s3: S3Client) -> str | None:
    """Keep the report and return its URI; a page that can't be made is no reason for a run to lose its summary."""
    try:
        text = report_page(summary.to_report())
    except Exception:
        logger.exception("The report can't be made", extra={"run": summary.run})
        return None
    key = report_key(summary.run)
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/html; charset=utf-8")
    return f"s3://{bucket}/{key}"


def _send_letters(
    sqs: SQSClient, queue: str, event: Mapping[str, str], failed: Sequence[tuple[TileRequest, TileResult]]
) -> None:
    """Send dead letters in the state machine's form; :class:`ServiceError` if SQS does not take one of them."""
    facts = {"schema_version": SCHEMA_VERSION, "run": event["run"], "execution": event["execution"]}
    facts["time"] = format_time(datetime.now(UTC))
    for start in range(0, len(failed), _LETTERS_AT_ONCE):
        entries: list[Any] = [
            {"Id": str(number), "MessageBody": json.dumps(request.to_line() | facts | _raised(result))}
            for number, (request, result) in enumerate(failed[start : start + _LETTERS_AT_ONCE])
        ]
        refused = sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")
        if refused:
            raise ServiceError(f"the dead-letter queue does not take {len(refused)} letters: {refused[0]}")


def _raised(result: TileResult) -> dict[str, str]:
    """Return error and cause as the state machine has them of a worker."""
    error, known = result.error or UNKNOWN, {} if result.error == UNKNOWN else {"attempt": result.attempt}
    message = error_message(result.cause or UNKNOWN, **known, log=result.log or UNKNOWN)
    return {"error": error, "cause": json.dumps({"errorType": error, "errorMessage": message})}


def _keys(s3: S3Client, bucket: str, prefix: str, since: datetime) -> Iterable[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (entry["Key"] for entry in page.get("Contents", ()) if entry["LastModified"] >= since)
