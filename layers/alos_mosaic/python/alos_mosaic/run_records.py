"""What runs have left in their bucket: manifests, records of tiles, summaries; and how far a run is by that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.costs import Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.naming import manifest_key, results_prefix, summary_key
from alos_mosaic.results import UNKNOWN, State, TileResult, counts_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READERS: Final = 32
"""Records read from S3 at once; the client wants as many connections."""
_NO_RECORD: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading something else than a record ends with."""


@dataclass(frozen=True)
class Progress:
    """How far a run is, by the results that its workers have left so far."""

    seeded: int
    """Tiles in its manifest; 0 before it is written."""
    results: tuple[TileResult, ...]
    """As they came; of a run that was summed up in its manifest's order, with a failed one for each tile without a
    record. A record that makes no sense is a failed one, too."""

    @property
    def counts(self) -> dict[str, int]:
        """Tiles by the way they ended."""
        return counts_of(self.results)

    @property
    def waiting(self) -> int:
        """Tiles that have not ended."""
        return max(0, self.seeded - len(self.results))

    def usd(self, worker: Worker) -> float:
        """Return what the tiles that have ended cost, of each its last invocation, by the cost model."""
        worked = [result for result in self.results if result.seconds]
        seconds = sum(result.worker_seconds for result in worked)
        return worker.spent(seconds, len(worked), sum(result.output_bytes for result in worked)).total

    @property
    def failures(self) -> tuple[TileResult, ...]:
        """The tiles that failed."""
        return tuple(result for result in self.results if result.state is State.FAILED)


@dataclass(frozen=True)
class _Seen:
    """A record as it was read."""

    tag: str
    """S3's of its content: another one, and it was written anew."""
    result: TileResult


class RunRecords:
    """What runs have left in their bucket; what was read once of a run that goes on is not read again.

    In ``kept_in``, a folder of this machine, that is also remembered for the next process; a run that was summed up is
    forgotten there.
    """

    def __init__(self, s3: S3Client, bucket: str, kept_in: Path | None = None) -> None:
        self._s3, self._bucket = s3, bucket
        self._kept_in = None if kept_in is None else kept_in / bucket
        self._seen: dict[str, dict[str, _Seen]] = {}
        self._manifests: dict[str, tuple[int, datetime]] = {}

    def summary(self, run: str) -> dict[str, Any] | None:
        """Return a run's summary, None if it was not summed up; :class:`InvalidRequestError` if it makes no sense."""
        found = self._summed_up(run)
        return None if found is None else found[0]

    def progress(self, run: str) -> Progress:
        """Return how far a run is; :class:`InvalidRequestError` names a manifest or summary that makes no sense."""
        found = self._summed_up(run)
        if found is not None:
            self._forget(run)
            return found[1]
        if run not in self._manifests:
            manifest = self._read(manifest_key(run))
            if manifest is None:
                return Progress(0, ())
            try:
                self._manifests[run] = len(json.loads(manifest[0])), manifest[1]
            except _NO_RECORD as error:
                raise self._senseless(manifest_key(run)) from error
        seeded, written = self._manifests[run]
        return Progress(seeded, tuple(self._results(run, written)))

    def _summed_up(self, run: str) -> tuple[dict[str, Any], Progress] | None:
        """Return a run's summary and what it says of its tiles, None if it was not summed up."""
        key = summary_key(run)
        found = self._read(key)
        if found is None:
            return None
        try:
            summary: dict[str, Any] = json.loads(found[0])
            results = tuple(map(TileResult.from_dict, summary["tiles"]))
            return summary, Progress(int(summary["seeded"]), results)
        except _NO_RECORD as error:
            raise self._senseless(key) from error

    def _results(self, run: str, since: datetime) -> list[TileResult]:
        """Return a run's records, the oldest first; one that was written anew, by a later attempt, is read anew.

        What was written before ``since``, when the manifest was, is an earlier run's of the same name.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=results_prefix(run))
        entries = [entry for page in pages for entry in page.get("Contents", ()) if entry["LastModified"] >= since]
        entries.sort(key=lambda entry: entry["LastModified"])
        there = {entry["Key"]: entry["ETag"] for entry in entries}
        seen = self._seen.setdefault(run, self._remembered(run))
        fresh = [key for key, tag in there.items() if key not in seen or seen[key].tag != tag]
        with ThreadPoolExecutor(READERS) as readers:
            for key, found in zip(fresh, readers.map(self._read, fresh), strict=True):
                if found is not None:
                    seen[key] = _Seen(there[key], _result(run, key, found[0]))
        if fresh:
            self._remember(run, seen)
        return [seen[key].result for key in there if key in seen]

    def _read(self, key: str) -> tuple[bytes, datetime] | None:
        """Return what a key holds and since when, or None if it is not there."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        return answer["Body"].read(), answer["LastModified"]

    def _senseless(self, key: str) -> InvalidRequestError:
        return InvalidRequestError(f"s3://{self._bucket}/{key} makes no sense: it is none of ours, or was spoilt")

    def _file(self, run: str) -> Path | None:
        return None if self._kept_in is None else self._kept_in / f"{run}.json"

    def _remembered(self, run: str) -> dict[str, _Seen]:
        """Return what an earlier process read of a run; nothing where that can't be told any more."""
        file = self._file(run)
        with suppress(OSError, *_NO_RECORD):
            if file is not None:
                kept = json.loads(file.read_bytes())
                return {key: _Seen(tag, TileResult.from_dict(record)) for key, (tag, record) in kept.items()}
        return {}

    def _remember(self, run: str, seen: Mapping[str, _Seen]) -> None:
        """Keep what was read for the next process; it is a convenience, so it may fail."""
        file = self._file(run)
        if file is None:
            return
        text = json.dumps({key: (each.tag, each.result.to_dict()) for key, each in seen.items()})
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(text, "utf-8")
            part.replace(file)

    def _forget(self, run: str) -> None:
        file = self._file(run)
        with suppress(OSError):
            if file is not None:
                file.unlink(missing_ok=True)


def _result(run: str, key: str, content: bytes) -> TileResult:
    """Return what a record says; of one that makes no sense, or is of another tile, that its tile failed."""
    year, _, name = key.removeprefix(results_prefix(run)).removesuffix(".json").partition("/")
    tile, _, product = name.partition(".")
    failed: dict[str, Any] = {"run": run, "error": UNKNOWN, "product": product or None}
    try:
        result = TileResult.from_dict(json.loads(content))
        is_own = (result.run, str(result.year), result.tile) == (run, year, tile)
    except _NO_RECORD:
        return TileResult(State.FAILED, _number(year), tile, **failed, cause=f"its record {key} makes no sense")
    if is_own:
        return result
    return TileResult(State.FAILED, _number(year), tile, **failed, cause=f"its record {key} is of another tile or run")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
