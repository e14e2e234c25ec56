"""Runs, as Step Functions knows them: executions of the state machine."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.errors import (
    InvalidRequestError,
    RunGoingOnError,
    RunTooExpensiveError,
    RunTooLargeError,
    SourceUnavailableError,
)
from alos_mosaic.results import said

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"
_STOPPED: Final = ("ABORTED", "TIMED_OUT")
"""How Step Functions has a run that it ended, for somebody or by its own clock: whatever error was given with it."""
_REFUSALS: Final = frozenset(
    each.__name__
    for each in (InvalidRequestError, RunGoingOnError, RunTooLargeError, RunTooExpensiveError, SourceUnavailableError)
)
"""What ends a run ahead of its first tile: one that came to its tiles ends as incomplete, or by an error of AWS'."""
_READERS: Final = 8
_LOOKED_AT: Final = 20
"""Runs of which the newest is sought that had a tile to work on; each takes a call."""


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
    def status_in_words(self) -> str:
        """Its status as a person reads it."""
        return self.status.lower().replace("_", " ")

    @property
    def is_broken(self) -> bool:
        """Whether it ended other than well."""
        return self.status not in (RUNNING, SUCCEEDED)

    @property
    def was_stopped(self) -> bool:
        """Whether it was ended from outside, by somebody or by the clock."""
        return self.status in _STOPPED

    @property
    def ended_by(self) -> str:
        """What it ended by, as :func:`alos_mosaic.advice.advice_on` takes it; empty unless it ended badly."""
        if not self.is_broken:
            return ""
        return self.status if self.was_stopped else self.error or self.status

    @property
    def had_no_tile(self) -> bool:
        """Whether it is known to have had no tile to work on.

        All was published, it was a redrive's dry run, or it was refused.
        """
        if self.status == SUCCEEDED:
            return "seed" in self.output and "summary" not in self.output
        return self.ended_by in _REFUSALS

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


def list_runs(states: SFNClient, state_machine: str, *, only_running: bool = False) -> Iterator[Run]:
    """Yield the runs of a state machine that Step Functions still knows (90 days), the newest first."""
    which: Any = {"statusFilter": RUNNING} if only_running else {}
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=state_machine, **which):
        for each in page["executions"]:
            if "mapRunArn" not in each:
                ended = each.get("stopDate")
                yield Run(each["name"], each["executionArn"], each["status"], each["startDate"], ended, {})


def list_described_runs(states: SFNClient, state_machine: str, limit: int) -> list[Run]:
    """Return the newest runs, so many at most, each with its input and how it ended, which takes a call each."""
    listed = list(itertools.islice(list_runs(states, state_machine), limit))
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda run: _described(states, state_machine, run.name), listed))


def find_run(states: SFNClient, state_machine: str, name: str | None) -> Run:
    """Return the run of that name, or the newest; :class:`InvalidRequestError` if there is none."""
    if name is None:
        return _described(states, state_machine, _newest(states, state_machine)[0].name)
    return _described(states, state_machine, name)


def find_run_with_tiles(states: SFNClient, state_machine: str, name: str | None) -> Run:
    """Return the run of that name or, without one, the newest that had a tile to work on.

    Among the newest 20 that is; if none of them had, it is the newest of all.
    :class:`InvalidRequestError` if there is none.
    """
    if name is not None:
        return _described(states, state_machine, name)
    looked_at = []
    for run in _newest(states, state_machine):
        looked_at.append(_described(states, state_machine, run.name))
        if not looked_at[-1].had_no_tile:
            return looked_at[-1]
    return looked_at[0]


def _newest(states: SFNClient, state_machine: str) -> list[Run]:
    found = list(itertools.islice(list_runs(states, state_machine), _LOOKED_AT))
    if not found:
        raise InvalidRequestError("there has been no run yet; start one: alos-mosaic run --years 2020")
    return found


def _described(states: SFNClient, state_machine: str, name: str) -> Run:
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
