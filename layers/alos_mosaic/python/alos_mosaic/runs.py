"""Runs, as they left their traces: executions of the state machine, manifests, results, summaries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.costs import Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.naming import manifest_key, results_prefix, summary_key
from alos_mosaic.results import State, TileResult, counts_of, said

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

READERS: Final = 32
"""Results read from S3 at once; the client wants as many connections."""
RUNNING: Final = "RUNNING"


@dataclass(frozen=True)
class Run:
    """One execution of the state machine."""

    name: str
    arn: str
    status: str
    """As Step Functions has it: RUNNING, SUCCEEDED, FAILED, ABORTED or TIMED_OUT."""
    started: datetime
    ended: datetime | None
    given: Mapping[str, Any]
    """Its input; empty where only a list of runs was asked for."""
    error: str = ""
    cause: str = ""
    output: Mapping[str, Any] = field(default_factory=dict)
    """What it put out, once it has succeeded."""

    @property
    def is_running(self) -> bool:
        """Whether it is still going on."""
        return self.status == RUNNING

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        plain = {
            "run": self.name,
            "status": self.status,
            "started": self.started.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "seconds": round(self.seconds, 1),
            "input": dict(self.given),
            "error": self.error,
            "cause": self.cause,
            "output": dict(self.output),
        }
        return {key: value for key, value in plain.items() if value not in (None, {}, "")}


def list_runs(states: SFNClient, state_machine: str) -> Iterator[Run]:
    """Yield the runs of a state machine that Step Functions still knows (90 days), the newest first."""
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=state_machine):
        for each in page["executions"]:
            if "mapRunArn" not in each:
                ended = each.get("stopDate")
                yield Run(each["name"], each["executionArn"], each["status"], each["startDate"], ended, {})


def find_run(states: SFNClient, state_machine: str, name: str | None) -> Run:
    """Return the run of that name, or the newest; :class:`InvalidRequestError` if there is none."""
    if name is None:
        newest = next(list_runs(states, state_machine), None)
        if newest is None:
            raise InvalidRequestError("there has been no run yet; start one: alos-mosaic run --years 2020")
        name = newest.name
    arn = f"{state_machine.replace(':stateMachine:', ':execution:')}:{name}"
    try:
        found = states.describe_execution(executionArn=arn)
    except states.exceptions.ExecutionDoesNotExist as error:
        raise InvalidRequestError(f"there is no run called {name}; `alos-mosaic runs` lists them") from error
    return Run(
        found["name"],
        arn,
        found["status"],
        found["startDate"],
        found.get("stopDate"),
        _object(found.get("input", "{}")),
        found.get("error", ""),
        said(found.get("cause", "")),
        _object(found.get("output", "{}")),
    )


def _object(text: str) -> dict[str, Any]:
    read = json.loads(text)
    return read if isinstance(read, dict) else {"value": read}


@dataclass(frozen=True)
class Progress:
    """How far a run is, by the results that its workers have left so far."""

    seeded: int
    """Tiles in its manifest; 0 before it is written."""
    results: tuple[TileResult, ...]
    """As they came; of a run that was summed up in its manifest's order, with a failed one for each tile without a
    record."""

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


class RunRecords:
    """What runs have left in their bucket; what was read once of a run that goes on is not read again."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._seen: dict[str, tuple[str, TileResult]] = {}
        self._seeded: dict[str, int] = {}

    def progress(self, run: str) -> Progress:
        """Return how far a run is."""
        summary = self._read(summary_key(run))
        if summary is not None:
            results = tuple(TileResult.from_dict(each) for each in summary["tiles"])
            return Progress(summary["seeded"], results)
        if run not in self._seeded:
            manifest = self._read(manifest_key(run))
            if manifest is None:
                return Progress(0, ())
            self._seeded[run] = len(manifest)
        return Progress(self._seeded[run], tuple(self._results(run)))

    def _results(self, run: str) -> list[TileResult]:
        """Return the records of a run; one that was written anew, by a later attempt, is read anew."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=results_prefix(run))
        entries = sorted(
            (entry for page in pages for entry in page.get("Contents", ())), key=lambda each: each["LastModified"]
        )
        there = {entry["Key"]: entry["ETag"] for entry in entries}
        fresh = [key for key, tag in there.items() if self._seen.get(key, ("",))[0] != tag]
        with ThreadPoolExecutor(READERS) as readers:
            for key, found in zip(fresh, readers.map(self._read, fresh), strict=True):
                if found is not None:
                    self._seen[key] = there[key], TileResult.from_dict(found)
        return [self._seen[key][1] for key in there if key in self._seen]

    def _read(self, key: str) -> Any:
        """Return what a key holds, or None if it is not there."""
        try:
            return json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            return None
