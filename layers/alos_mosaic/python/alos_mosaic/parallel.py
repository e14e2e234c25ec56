"""One run at a time: runs share one source, which gives out few connections.

Two looks, because neither is enough. The list of executions tells of every run, also of one that was allowed beside
others, but it lags behind: runs that begin in the same second may each miss the other. So the run that finds nobody
takes a lock, an object in S3 that names its holder: of conditional writes S3 lets one through. Nobody gives the lock
back; it is free once its holder has ended, however it ended.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.errors import RunGoingOnError
from alos_mosaic.naming import RUN_LOCK_KEY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

_FORGOTTEN_AFTER: Final = timedelta(days=1)
"""An execution that Step Functions does not know has ended long ago (it keeps them for 90 days), or began just now."""


def refuse_second_run(s3: S3Client, states: SFNClient, bucket: str, state_machine: str, execution: str) -> None:
    """Raise :class:`RunGoingOnError` if another run is going on; else no other one begins beside this one.

    Called again by the same execution it lets it through again.
    """
    _refuse_behind_earlier(states, state_machine, execution)
    _take_lock(s3, states, bucket, execution)


def _refuse_behind_earlier(states: SFNClient, state_machine: str, execution: str) -> None:
    """Refuse a run behind one that is listed and began earlier, by time and then by name."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
    running = [each for page in pages for each in page["executions"] if "mapRunArn" not in each]
    begun = sorted((each["startDate"], each["executionArn"], each["name"]) for each in running)
    ahead = next(iter(begun), None)
    if ahead is not None and ahead[1] != execution:
        raise _refusal(ahead[2], ahead[0])


def _take_lock(s3: S3Client, states: SFNClient, bucket: str, execution: str) -> None:
    """Write the lock where there is none, or over that of a run that has ended."""
    body = json.dumps({"execution": execution}).encode()
    if _is_written(s3, Bucket=bucket, Key=RUN_LOCK_KEY, Body=body, IfNoneMatch="*"):
        return
    while True:  # each time round, another run has got ahead of this one, and will most likely still be going on
        lock = s3.get_object(Bucket=bucket, Key=RUN_LOCK_KEY)
        holder = _holder(lock["Body"].read())
        if holder == execution:
            return
        if holder is not None and _is_going_on(states, holder, execution, lock["LastModified"]):
            raise _refusal(holder.rpartition(":")[2], lock["LastModified"])
        if _is_written(s3, Bucket=bucket, Key=RUN_LOCK_KEY, Body=body, IfMatch=lock["ETag"]):
            return


def _holder(lock: bytes) -> str | None:
    """Return the execution that a lock names; None if it makes no sense, and so is nobody's."""
    try:
        return str(json.loads(lock)["execution"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_written(s3: S3Client, **request: Any) -> bool:
    """Write an object under a condition; False if that does not hold."""
    try:
        s3.put_object(**request)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailed":
            return False
        raise
    return True


def _is_going_on(states: SFNClient, holder: str, execution: str, locked: datetime) -> bool:
    """Tell whether the lock's holder is going on; of another state machine, replaced since, we may not ask."""
    if holder.rpartition(":")[0] == execution.rpartition(":")[0]:
        with suppress(states.exceptions.ExecutionDoesNotExist):
            return states.describe_execution(executionArn=holder)["status"] == "RUNNING"
    return datetime.now(UTC) - locked < _FORGOTTEN_AFTER


def _refusal(run: str, since: datetime) -> RunGoingOnError:
    return RunGoingOnError(
        f"the run {run} is going on since {since:%Y-%m-%d %H:%M} and shares the source; wait for its end, "
        "stop it, or let both share it (allow_parallel, --allow-parallel)"
    )
