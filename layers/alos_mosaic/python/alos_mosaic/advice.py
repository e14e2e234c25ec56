"""Advice: what to do about each way in which a tile or a run ends badly; docs/operations.md says it at length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from alos_mosaic import errors
from alos_mosaic.commands import command_line
from alos_mosaic.results import UNKNOWN, TileResult

_DIED: Final = "it timed out or ran out of memory: see its log; redrive, and raise memory_mib if it happens again"
_ABSENT: Final = "see that the source still has its folders (alos-mosaic doctor --source), then run it again"

ADVICE: Final = {
    errors.InvalidRequestError.__name__: "correct what was asked for; trying again ends the same way",
    errors.RunGoingOnError.__name__: "wait for that run's end, or start this one beside it (--allow-parallel)",
    errors.TileAbsentError.__name__: "JAXA has no such tile in that year; nothing is to be done",
    errors.SourceUnavailableError.__name__: "see that the source answers (alos-mosaic doctor), then redrive",
    errors.ArchiveUnavailableError.__name__: (
        "the server is there, but does not give this tile's archive as it says: is JAXA re-issuing it? Redrive later"
    ),
    errors.CorruptArchiveError.__name__: (
        "the archive lies broken on the server: look into it (alos-mosaic doctor --archive), redrive when JAXA has "
        "replaced it or, if only cells of it are broken, accept a partial tile (alos-mosaic run --accept-partial)"
    ),
    errors.OutputError.__name__: "see the log; is ephemeral_storage_mib enough?",
    errors.PublishError.__name__: "see that the worker may write to the output bucket and its key, then redrive",
    errors.DeadlineExceededError.__name__: "the source may be too slow for one invocation; redrive",
    errors.ServiceError.__name__: "AWS had a bad minute: start the run again",
    errors.IncompleteRunError.__name__: "see what failed (alos-mosaic failures), mend it, redrive",
    errors.RunTooLargeError.__name__: "select less, or raise max_tiles (--max-tiles)",
    errors.RunTooExpensiveError.__name__: (
        "select less, or raise max_usd (--max-usd); alos-mosaic plan says what a selection costs"
    ),
    "ABORTED": "somebody stopped it; alos-mosaic resume goes on with what is not published",
    "TIMED_OUT": "it took longer than a run may; alos-mosaic resume goes on with what is not published",
    UNKNOWN: "the worker left no word: see its log, then redrive",
    **dict.fromkeys(errors.LAMBDA_DIED, _DIED),
    **dict.fromkeys(errors.LAMBDA_THROTTLED, "lower max_concurrency or raise the account's limit, then redrive"),
    **dict.fromkeys(errors.LAMBDA_TRANSIENT, "Lambda had a bad minute: redrive"),
}
"""By the error's name."""


ADVICE_HERE: Final = {
    errors.SourceUnavailableError.__name__: "see that the source answers (alos-mosaic doctor), then try again",
    errors.ArchiveUnavailableError.__name__: "is JAXA re-issuing the tile? Try again later",
    errors.CorruptArchiveError.__name__: (
        "look into the archive (alos-mosaic doctor --archive) and try again when it is replaced or, if only cells of "
        "it are broken, accept a partial tile (--accept-partial)"
    ),
    errors.OutputError.__name__: "see that there is room for scratch files, or name another folder (--work)",
    errors.PublishError.__name__: "see that --to may be written to, then try again",
}
"""By the error's name, where a tile is processed on this machine: there is no queue to redrive."""


def partial_command(failure: TileResult, options: Mapping[str, str]) -> str | None:
    """Return the command that publishes a tile without what is broken of it, if that is a way out of its error."""
    return next(iter(partial_commands((failure,), options)), None)


def partial_commands(failures: Iterable[TileResult], options: Mapping[str, str]) -> tuple[str, ...]:
    """Return what publishes tiles without what is broken of them: one command for each year and product.

    None of them for tiles that can't be made so, or were to be. An old item may stand there, which is no reason to do
    nothing: hence the mode ``refresh``. ``options`` find the deployment.
    """
    found: dict[tuple[int, str | None], list[str]] = {}
    for failure in failures:
        if failure.defective_cells:
            found.setdefault((failure.year, failure.product), []).append(failure.tile)
    return tuple(
        command_line(
            "run", "--years", str(year), "--tiles", ",".join(tiles), *(("--product", product) if product else ()),
            "--mode", "refresh", "--accept-partial", options=options,
        )
        for (year, product), tiles in found.items()
    )  # fmt: skip


def advice_on_run(error: str) -> str:
    """Return what to do about a run of which no tile failed; that it is incomplete then says that tiles were absent."""
    return _ABSENT if error == errors.IncompleteRunError.__name__ else advice_on(error)


def advice_on(error: str) -> str:
    """Return what to do about an error, by its name."""
    return ADVICE.get(error, "see the log; it may be a bug of ours")
