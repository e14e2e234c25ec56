"""What runs have left in their bucket: manifests, records of tiles, summaries; and how far a run is by that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alos_mosaic.costs import Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.naming import manifest_key, outcomes_prefix, result_key, results_prefix, summary_key
from alos_mosaic.outcomes import read_outcome, record_of
from alos_mosaic.results import NO_RECORD, UNKNOWN, State, TileResult, counts_of, recorded

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

READERS: Final = 32
"""Records read from S3 at once; the client wants as many connections."""


@dataclass(frozen=True)
class Progress:
    """How far a run is, by the results that its workers have left so far."""

    seeded: int
    """Tiles in its manifest; 0 before it is written."""
    results: tuple[TileResult, ...]
    """As they came, those that did not fail in short: with their state, seconds and bytes. Of a run that was summed up
    in its manifest's order, with a failed one for each tile without a record. A record that makes no sense is a failed
    one, too."""

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


class _Asked(NamedTuple):
    """What a line of a manifest asks for."""

    year: int
    tile: str
    product: str | None

    def failed(self, run: str) -> TileResult:
        """Return the result of the tile, if its record can't be had of it."""
        return TileResult(State.FAILED, self.year, self.tile, run, error=UNKNOWN, product=self.product)


class RunRecords:
    """What runs have left in their bucket; a record is read once, unless it is written anew."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._read_results: dict[tuple[str, str], TileResult] = {}
        """By :func:`alos_mosaic.outcomes.record_of`."""
        self._manifests: dict[str, tuple[dict[str, _Asked], datetime]] = {}
        """What there are to be records of, by their keys, and since when; by the run."""

    def summary(self, run: str) -> dict[str, Any] | None:
        """Return a run's summary, None if it was not summed up; :class:`InvalidRequestError` if it makes no sense."""
        found = self._summed_up(run)
        return None if found is None else found[0]

    def progress(self, run: str) -> Progress:
        """Return how far a run is; :class:`InvalidRequestError` names a manifest or summary that makes no sense."""
        found = self._summed_up(run)
        if found is not None:
            return found[1]
        if run not in self._manifests:
            manifest = self._read(manifest_key(run))
            if manifest is None:
                return Progress(0, ())
            try:
                lines = json.loads(manifest[0])
                tiles = [_Asked(line["year"], line["tile"], line.get("product")) for line in lines]
                self._manifests[run] = {result_key(run, *each): each for each in tiles}, manifest[1]
            except NO_RECORD as error:
                raise self._senseless(manifest_key(run)) from error
        asked, written = self._manifests[run]
        return Progress(len(asked), tuple(self._results(run, asked, written)))

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
        except NO_RECORD as error:
            raise self._senseless(key) from error

    def _results(self, run: str, asked: Mapping[str, _Asked], since: datetime) -> list[TileResult]:
        """Return a run's results, the oldest first: those that a key tells in short so, others as their records say.

        Only records ``asked`` for count. What was written before ``since``, when the manifest was, is an earlier run's
        of the same name.
        """
        with ThreadPoolExecutor(READERS) as readers:
            listing = readers.submit(self._listed, outcomes_prefix(run))
            listed = self._listed(results_prefix(run))
            entries = [entry for entry in listed if entry["Key"] in asked and entry["LastModified"] >= since]
            told = filter(None, (read_outcome(run, entry["Key"]) for entry in listing.result()))
            known = dict(told) | self._read_results
            entries.sort(key=lambda entry: entry["LastModified"])
            records = [record_of(entry["Key"], entry["ETag"]) for entry in entries]
            fresh = [record for record in records if record not in known]
            for (key, tag), found in zip(fresh, readers.map(lambda record: self._read(record[0]), fresh), strict=True):
                if found is not None:
                    known[key, tag] = self._read_results[key, tag] = recorded(found[0], key, asked[key].failed(run))
        return [known[record] for record in records if record in known]

    def _listed(self, prefix: str) -> list[ObjectTypeDef]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [entry for page in pages for entry in page.get("Contents", ())]

    def _read(self, key: str) -> tuple[bytes, datetime] | None:
        """Return what a key holds and since when, or None if it is not there."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except self._s3.exceptions.NoSuchKey:
            return None
        return answer["Body"].read(), answer["LastModified"]

    def _senseless(self, key: str) -> InvalidRequestError:
        return InvalidRequestError(f"s3://{self._bucket}/{key} makes no sense: it is none of ours, or was spoilt")
