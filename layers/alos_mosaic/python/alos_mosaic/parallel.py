"""One run at a time: runs share one source, which gives out few connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alos_mosaic.errors import InvalidRequestError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def refuse_second_run(states: SFNClient, state_machine: str, execution: str) -> None:
    """Raise :class:`InvalidRequestError` if a run that began earlier is still going on.

    Of runs that begin at the same time each sees the other: the first one, by time and then by name, goes on.
    """
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, statusFilter="RUNNING")
    running = [each for page in pages for each in page["executions"] if "mapRunArn" not in each]
    begun = sorted((each["startDate"], each["executionArn"], each["name"]) for each in running)
    ahead = next(iter(begun), None)
    if ahead is not None and ahead[1] != execution:
        raise InvalidRequestError(
            f"the run {ahead[2]} is going on since {ahead[0]:%Y-%m-%d %H:%M} and shares the source; wait for its end, "
            "stop it, or say allow_parallel"
        )
