"""Run ends: what can be known of an execution that has ended, or is about to, from Step Functions and the records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.manifests import read_manifest
from alos_mosaic.messages import TileRequest, format_time
from alos_mosaic.naming import summary_key
from alos_mosaic.results import UNKNOWN, State, TileResult, counts_of
from alos_mosaic.summary import read_results

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

LOOKED_BACK: Final = timedelta(days=3)
"""How long after its end a run without a digest is still looked for."""
_CLOCKS: Final = timedelta(minutes=5)
"""How far S3's clock may be behind Step Functions'; a name does not come again for 90 days."""
_MOST_EXECUTIONS: Final = 1000
_RUNNING: Final = "RUNNING"
_SUCCEEDED: Final = "SUCCEEDED"


@dataclass(frozen=True)
class Execution:
    """What Step Functions says of a run."""

    run: str
    arn: str
    state_machine: str
    status: str
    """``RUNNING`` where the state machine itself asks, just ahead of the end."""
    started: datetime
    redrives: int
    """How often Step Functions itself has taken it up again after an end."""
    error: str | None
    cause: str | None
    output: Mapping[str, Any] = field(default_factory=dict)
    """What its states have passed on: at its end, if it has succeeded, or so far, where the state machine asks."""

    @property
    def seed(self) -> Mapping[str, Any]:
        """What the state said that listed the tiles; nothing if it has not come that far, or is not told."""
        seed = self.output.get("seed")
        return seed if isinstance(seed, dict) else {}

    @property
    def had_nothing_to_do(self) -> bool:
        """Whether its tiles were looked for and none was left to process."""
        return self.seed.get("count") == 0

    @property
    def end(self) -> str:
        """Tell one end of a run from others of its name, which come again after 90 days, and from its redrives'."""
        return f"{format_time(self.started)}/{self.redrives}"


def describe(states: SFNClient, arn: str) -> Execution:
    """Ask Step Functions for an execution."""
    told = states.describe_execution(executionArn=arn)
    return Execution(
        run=told["name"],
        arn=arn,
        state_machine=told["stateMachineArn"],
        status=told["status"],
        started=told["startDate"].astimezone(UTC),
        redrives=told.get("redriveCount", 0),
        error=told.get("error"),
        cause=told.get("cause"),
        output=json.loads(told.get("output") or "{}"),
    )


@dataclass(frozen=True)
class RunEnd:
    """How a run ended."""

    execution: Execution
    requests: tuple[TileRequest, ...] = ()
    """What the run was to do; nothing if it ended before its tiles were listed."""
    results: tuple[TileResult, ...] = ()
    """What is recorded of them; of a run that was summed up one for each request."""
    unfinished: int = 0
    """Requests without a record, of a run that was broken off."""
    summary: Mapping[str, Any] | None = field(default=None, repr=False)
    """The run's summary; None of a run that was broken off."""

    @property
    def counts(self) -> dict[str, int]:
        """Tiles by the way they ended, as far as is recorded."""
        return counts_of(self.results)

    @property
    def sentence(self) -> str:
        """Say in a line how its tiles ended, of a run that was broken off once they were listed."""
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        return f"{counts}, {self.unfinished} not ended of {len(self.requests)} seeded"

    @property
    def failures(self) -> dict[str, tuple[TileResult, ...]]:
        """Failed tiles by their error, the most frequent one first."""
        failed = [result for result in self.results if result.state is State.FAILED]
        errors = Counter(result.error or UNKNOWN for result in failed)
        return {
            error: tuple(result for result in failed if (result.error or UNKNOWN) == error)
            for error, _ in errors.most_common()
        }


def read_run_end(execution: Execution, s3: S3Client, bucket: str) -> RunEnd | None:
    """Return how a run ended; None if it is going on.

    The summary and the manifest count only if they are of this execution, not of an earlier one of its name.
    """
    if execution.had_nothing_to_do:
        return RunEnd(execution)
    run, since = execution.run, execution.started - _CLOCKS
    manifest = read_manifest(s3, bucket, run)
    if manifest is None or manifest.written < since:
        return None if execution.status in (_RUNNING, _SUCCEEDED) else RunEnd(execution)
    summary = _read_summary(s3, bucket, run, since)
    if summary is not None:
        results = tuple(TileResult.from_dict(each) for each in summary["tiles"])
        return RunEnd(execution, manifest.requests, results, summary=summary)
    if execution.status in (_RUNNING, _SUCCEEDED):
        return None
    results, without = read_results(s3, bucket, run, manifest.requests, manifest.written)
    left = set(without)
    pairs = zip(manifest.requests, results, strict=True)
    recorded = tuple(result for request, result in pairs if request not in left)
    return RunEnd(execution, manifest.requests, recorded, unfinished=len(without))


def ended_executions(states: SFNClient, state_machine: str, now: datetime) -> Iterator[str]:
    """Yield the executions of a state machine that ended in the last :data:`LOOKED_BACK`, the latest ones first."""
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine, PaginationConfig={"MaxItems": _MOST_EXECUTIONS}
    )
    for page in pages:
        for each in page["executions"]:
            stopped = each.get("stopDate")
            if each["status"] != _RUNNING and stopped is not None and now - stopped < LOOKED_BACK:
                yield each["executionArn"]


def _read_summary(s3: S3Client, bucket: str, run: str, since: datetime) -> Mapping[str, Any] | None:
    key = summary_key(run)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
        return None
    answer = s3.get_object(Bucket=bucket, Key=key)
    if answer["LastModified"] < since:
        return None
    summary: Mapping[str, Any] = json.loads(answer["Body"].read())
    return summary
