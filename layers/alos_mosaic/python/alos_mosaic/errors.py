"""The workflow's vocabulary: every way in which work can end other than well.

Step Functions matches the bare class name of what a Lambda raises, so the names here are a contract: the state
machine's Retry and Catch lists are built from them (``infra/workflow.py``), and so are the outcomes that the summary
counts. An error that leaves a Lambda carries JSON as its text (:func:`error_message`); anywhere else its text is for a
person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

MESSAGE_LIMIT_BYTES: Final = 4096
"""The longest message a worker raises: it travels through Step Functions' 256 KiB states and one SQS message."""


_SHOWN_CHARACTERS: Final = 100


class MosaicError(Exception):
    """The root of all errors of this package; never raised itself."""


class InvalidRequestError(MosaicError):
    """What was asked for makes no sense: unknown key, year without a mosaic, name off the grid. Never retried."""


class RunGoingOnError(InvalidRequestError):
    """Another run is going on, which this one was not allowed beside. To Step Functions a name of its own."""


class TileAbsentError(MosaicError):
    """JAXA publishes no such tile in that year: a result, not a failure. Never retried."""


class SourceUnavailableError(MosaicError):
    """The source does not answer, refuses, is busy (421) or lost its folder. Retried with long backoff.

    ``is_final`` says that the same invocation is not to ask for the same again: the server has given its answer, and is
    left alone for as long as the state machine waits. A connection that broke may be made anew at once.
    """

    def __init__(self, text: str, *, is_final: bool = False) -> None:
        """Take what happened, for a person."""
        super().__init__(text)
        self.is_final = is_final


class ArchiveUnavailableError(SourceUnavailableError):
    """The source answers, but this tile's archives can't be had of it as it says: listed and not served, of another
    size, changed meanwhile, of two releases, or not whole after all its invocations. Retried like a busy source, but
    fewer times. To Step Functions a name of its own: many such tiles are no reason to stop a run.
    """


class CorruptArchiveError(MosaicError):
    """An archive or a member of it is not what its name says. Retried once: a transfer may have spoilt it.

    ``defective_cells`` names the cells that are broken, if the tile could be made without them and was not to be.
    """

    def __init__(self, text: str = "", *, defective_cells: Iterable[str] = ()) -> None:
        """Take what happened, for a person."""
        super().__init__(text)
        self.defective_cells = tuple(defective_cells)


class OutputError(MosaicError):
    """A raster or its metadata can't be written: disk full, encoder failed. Never retried by itself."""


class PublishError(MosaicError):
    """S3 (or the target folder) refuses what is to be published. Retried."""


class DeadlineExceededError(MosaicError):
    """A worker was not done when its time was nearly over. Retried once, as one that Lambda ends."""


class ServiceError(MosaicError):
    """An AWS service does not do its part while a run is listed, redriven or summed up. Retried."""


class IncompleteRunError(MosaicError):
    """A run ended with more tiles failed, or known ones absent, than its limits allow. Never raised: names its end."""


class RunTooLargeError(MosaicError):
    """A run was seeded with more tiles than its hard cap. Raised by nothing: names the run's end."""


class RunTooExpensiveError(MosaicError):
    """A run was estimated at more US dollars than its cap. Raised by nothing: names the run's end."""


@contextmanager
def raised_as(kind: type[MosaicError], *errors: type[Exception]) -> Iterator[None]:
    """Raise these errors as one of ours, with their text."""
    try:
        yield
    except errors as error:
        raise kind(str(error)) from error


LAMBDA_THROTTLED: Final = ("Lambda.TooManyRequestsException",)
"""Too many invocations at once: retried long, it is nobody's fault."""

LAMBDA_TRANSIENT: Final = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
)
"""Lambda's own hiccups: retried a few times (AWS' recommendation for every Lambda task)."""

LAMBDA_DIED: Final = ("Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "States.Timeout")
"""A worker that timed out or ran out of memory: retried once, the next one would most likely end the same way."""

TASK_FAILED: Final = "States.TaskFailed"
"""What an integration without error names of its own (SQS) fails with."""

TOLERANCE_EXCEEDED: Final = "States.ExceedToleratedFailureThreshold"
"""What a Map fails with of which more children failed than it tolerates; :data:`EVERYTHING` catches it."""

EVERYTHING: Final = "States.ALL"
"""The last Catch of every task."""

PLATFORM_ERRORS: Final = frozenset({*LAMBDA_THROTTLED, *LAMBDA_TRANSIENT, *LAMBDA_DIED, TASK_FAILED, EVERYTHING})
"""The closed table of error names that are AWS', not ours."""


def shown(value: object) -> str:
    """Return what was given as an error's text shows it: its repr, cut where it gets long.

    >>> shown("N12E010")
    "'N12E010'"
    """
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."


def plain(text: str) -> str:
    r"""Return a text from elsewhere with all that steers a terminal, or turns the direction of reading, as escapes.

    Servers, logs and records are hostile input. Lines stay lines.

    >>> plain("451 \x1b[2J\u202eno")
    '451 \\x1b[2J\\u202eno'
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text
    )


def error_message(cause: str, **facts: Any) -> str:
    """Return the text a worker raises: JSON of at most :data:`MESSAGE_LIMIT_BYTES`, so that readers need not guess.

    ``facts`` are what the next reader needs (year, tile, attempt, run ...); the cause is cut first.

    >>> error_message("550 No such folder", tile="N10E010", year=2020)
    '{"tile": "N10E010", "year": 2020, "cause": "550 No such folder"}'
    """
    text = json.dumps({**facts, "cause": cause})
    while len(text.encode()) > MESSAGE_LIMIT_BYTES and cause:
        cause = cause[: len(cause) * 3 // 4]
        text = json.dumps({**facts, "cause": cause + " ..."})
    return text
