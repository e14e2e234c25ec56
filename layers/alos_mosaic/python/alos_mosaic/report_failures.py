"""A report's part on what is not there: failures by cause, each with what to do about it, and absent tiles."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from alos_mosaic.advice import advice_on
from alos_mosaic.causes import Cluster, clusters
from alos_mosaic.pages import Content, Markup, command, joined, tag
from alos_mosaic.quantities import counted
from alos_mosaic.results import State, TileResult

_SHOWN_CAUSES: Final = 8
"""Of one error; the rest is counted."""
_SHOWN_NAMES: Final = 3
_LONG_CAUSE: Final = 400
"""Characters from which on a cause is cut to some lines, and can be unfolded."""


def section(run: str, results: Sequence[TileResult], known_absent: int) -> Markup:
    """Return the sections on failed and on absent tiles."""
    failed = [result for result in results if result.state is State.FAILED]
    absent = [result for result in results if result.state is State.ABSENT]
    return joined(_failed(run, failed), _absent(absent, known_absent))


def _failed(run: str, failed: Sequence[TileResult]) -> Markup:
    if not failed:
        return tag("section", tag("h2", "Failures"), tag("p", "No tile failed.", class_="muted"))
    by_error: dict[str, list[Cluster]] = {}
    for cluster in clusters(failed):
        by_error.setdefault(cluster.error, []).append(cluster)
    ordered = sorted(by_error.items(), key=lambda pair: -sum(len(cluster.failures) for cluster in pair[1]))
    resume = joined(
        tag("p", "Or go on with everything of this run that is not published by now, whatever was its error:"),
        command(f"alos-mosaic resume {shlex.quote(run)} --wait"),
    )
    return tag("section", tag("h2", "Failures"), [_error(run, *pair) for pair in ordered], resume)


def _error(run: str, error: str, gathered: Sequence[Cluster]) -> Markup:
    count = sum(len(cluster.failures) for cluster in gathered)
    causes = f", {len(gathered)} causes" if len(gathered) > 1 else ""
    rest = gathered[_SHOWN_CAUSES:]
    tiles = sum(len(cluster.failures) for cluster in rest)
    more = f"And {len(rest)} more causes of {tiles} tiles, which summary.json tells." if rest else None
    advice = advice_on(error)
    return tag(
        "div",
        tag("h3", error, tag("span", f"{counted(count, 'tile')}{causes}")),
        tag("ul", [_cause(cluster) for cluster in gathered[:_SHOWN_CAUSES]], class_="causes"),
        tag("p", more, class_="muted") if more else None,
        tag("p", f"{advice[0].upper()}{advice[1:]}{'' if advice.endswith('?') else '.'}"),
        command(f"alos-mosaic redrive --error {shlex.quote(error)} --run {shlex.quote(run)} --wait"),
        class_="panel",
    )


def _cause(cluster: Cluster) -> Markup:
    example = cluster.example
    cause = example.cause or "no cause is known"
    names = [_name(failure) for failure in cluster.failures]
    told: list[Content]
    if len(names) <= _SHOWN_NAMES:
        told = [tag("p", ", ".join(names), class_="names muted")]
    else:
        some = (
            f"{counted(len(names), 'tile')}: {', '.join(names[:_SHOWN_NAMES])} and {len(names) - _SHOWN_NAMES:,} more"
        )
        told = [_unfolded(some, names)]
    if len(cause) > _LONG_CAUSE:
        told.append(tag("details", tag("summary", "All of the message"), tag("p", cause, class_="cause")))
    if example.log:
        told.append(tag("p", f"Log: {example.log}", class_="muted"))
    kind = "cause long" if len(cause) > _LONG_CAUSE else "cause"
    return tag("li", tag("p", cause, class_=kind), told)


def _name(result: TileResult) -> str:
    return f"{result.year}/{result.tile}"


def _unfolded(summary: str, names: Iterable[str]) -> Markup:
    return tag("details", tag("summary", summary), tag("ul", [tag("li", name) for name in names], class_="names"))


def _absent(absent: Sequence[TileResult], known: int) -> Markup | None:
    if not absent:
        return None
    told = "Absent is a result, not a failure: JAXA has no such tile in that year."
    if known:
        told += f" Of {known:,} of them its listing says otherwise: they may have been withdrawn."
    names = [_name(result) for result in absent]
    if len(names) <= _SHOWN_NAMES:
        listed: Content = tag("p", ", ".join(names))
    else:
        listed = _unfolded(f"All {len(names):,}", names)
    return tag("section", tag("h2", "Absent tiles"), tag("p", told, class_="muted"), listed)
