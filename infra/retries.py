"""What is tried again, how often and how patiently; the names are those of :mod:`alos_mosaic.errors`.

Each retry counts for itself, so a tile can meet a busy source and a broken archive and still be published. Errors that
stand nowhere here (:class:`~alos_mosaic.errors.InvalidRequestError`, :class:`~alos_mosaic.errors.OutputError`, a bug)
would fail the same way again: they are never retried and go straight to the Catch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk.aws_stepfunctions import JitterType, TaskStateBase

from alos_mosaic import errors


@dataclass(frozen=True)
class Retry:
    """One retrier: waits double from try to try, and where there is more than one each is cut short at random."""

    errors: tuple[str, ...]
    attempts: int
    first_wait_seconds: int
    longest_wait_seconds: int | None = None


_THROTTLED: Final = Retry(errors.LAMBDA_THROTTLED, attempts=8, first_wait_seconds=15, longest_wait_seconds=300)
"""Nobody's fault, only a matter of time: eight tries, 15 seconds to 5 minutes apart, 24 minutes in all at most."""

_TRANSIENT: Final = Retry(errors.LAMBDA_TRANSIENT, attempts=5, first_wait_seconds=2)
"""Lambda's own hiccups last seconds; AWS recommends a few tries for every Lambda task."""

_OVERDUE: Final = Retry((errors.DeadlineExceededError.__name__,), attempts=1, first_wait_seconds=30)
"""As one that Lambda ends, but it could still say so."""

_DIED: Final = Retry(errors.LAMBDA_DIED, attempts=1, first_wait_seconds=30)
"""Timed out or out of memory, most likely so again, at up to 15 minutes of Lambda a try: once, in a fresh process."""

_SOURCE: Final = Retry(
    (errors.SourceUnavailableError.__name__,), attempts=5, first_wait_seconds=60, longest_wait_seconds=900
)
"""One FTP server serves the world; busy (421) or restarted, it is back within minutes, and each try costs it a
connection: five, 1, 2, 4, 8 and 15 minutes apart at most. Chance in the waits keeps tiles from coming all at once."""

_ARCHIVE: Final = Retry((errors.ArchiveUnavailableError.__name__,), attempts=3, first_wait_seconds=60)
"""The server is there, one archive is not to be had of it: JAXA may be putting it there right now. Three tries, 1, 2, 4
minutes apart at most; what takes longer is for a redrive, lest many such tiles hold up a run."""

_CORRUPT: Final = Retry((errors.CorruptArchiveError.__name__,), attempts=1, first_wait_seconds=30)
"""A transfer may have spoilt it; an archive that comes broken twice lies broken on the server."""

_PUBLISH: Final = Retry((errors.PublishError.__name__,), attempts=3, first_wait_seconds=10)
"""S3 has a bad minute, beyond what boto3 sits out by itself: three tries, 10, 20 and 40 seconds apart at most."""

_SEND: Final = Retry((errors.TASK_FAILED,), attempts=6, first_wait_seconds=5)
"""A message that is lost is a reason that is lost: six tries, some five minutes in all at most."""

_KEEP: Final = Retry((errors.TASK_FAILED,), attempts=3, first_wait_seconds=5)
"""Without its copy the letter is sent a second time, no more: three tries, 35 seconds in all at most."""

_SERVICE: Final = Retry((errors.ServiceError.__name__,), attempts=4, first_wait_seconds=5)
"""S3, SQS or Step Functions has a bad minute while a run is listed or summed up: four tries, a bit over a minute."""

PLATFORM: Final = (_THROTTLED, _TRANSIENT, _DIED)
"""For every Lambda task: what AWS can do to it."""

RUN: Final = (_SERVICE, *PLATFORM)
"""For the functions of a run as a whole."""

TILE: Final = (_SOURCE, _ARCHIVE, _CORRUPT, _PUBLISH, _OVERDUE, *PLATFORM)
"""For the tile Lambda: its own errors, then the platform's."""

SOURCE: Final = (_SOURCE,)
"""On top of that for the functions that list a run's tiles: they ask first whether the source is there."""

DEAD_LETTER: Final = (_SEND,)
"""For the send to the dead-letter queue."""

LETTER_KEPT: Final = (_KEEP,)
"""For the copy in S3 of a letter that was sent."""


def add_retries(task: TaskStateBase, retries: Iterable[Retry]) -> None:
    """Give a task its retriers, in this order."""
    for retry in retries:
        longest = retry.longest_wait_seconds
        task.add_retry(
            errors=list(retry.errors),
            max_attempts=retry.attempts,
            interval=Duration.seconds(retry.first_wait_seconds),
            backoff_rate=2,
            max_delay=None if longest is None else Duration.seconds(longest),
            jitter_strategy=JitterType.FULL if retry.attempts > 1 else None,
        )
