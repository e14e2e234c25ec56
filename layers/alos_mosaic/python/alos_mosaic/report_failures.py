"""A report's part on what is not there: failures by cause, each with what to do about it, and absent tiles."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from alos_mosaic.advice import advice_on, partial_commands
from alos_mosaic.causes import Cluster, clusters
from alos_mosaic.commands import command_line
from alos_mosaic.maps import Link
from alos_mosaic.pages import Content, Markup, command, joined, tag
from alos_mosaic.quantities import counted
from alos_mosaic.results import State, TileResult

_SHOWN_CAUSES: Final = 8
"""Of one error; the rest is counted."""
_SHOWN_NAMES: Final = 3
_LONG_CAUSE: Final = 400
"""Characters from which on a cause is cut to some lines, and can be unfolded."""


@dataclass(frozen=True)
class NotThere:
    """The failed and the absent tiles of a run."""

    run: str
    results: Sequence[TileResult]
    """All of the run's."""
    link: Link
    known_absent: int = 0
    deployment: Mapping[str, str] = field(default_factory=dict)
    """What finds the deployment, as options of a command."""

    def sections(self) -> Markup:
        """Return the sections on failed and on absent tiles."""
        return joined(self._failed(), self._absent())

    @property
    def anchors(self) -> dict[str, str]:
        """Where the page says what to do about each error: the element's id by the error's name."""
        return {error: f"e{number}" for number, (error, _) in enumerate(self._by_error)}

    @functools.cached_property
    def _by_error(self) -> list[tuple[str, list[Cluster]]]:
        """Clusters by error, the most frequent error first."""
        found: dict[str, list[Cluster]] = {}
        for cluster in clusters(result for result in self.results if result.state is State.FAILED):
            found.setdefault(cluster.error, []).append(cluster)
        return sorted(found.items(), key=lambda pair: -sum(len(cluster.failures) for cluster in pair[1]))

    def _command(self, *words: str) -> Markup:
        return command(command_line(*words, options=self.deployment))

    def _failed(self) -> Markup:
        if not self._by_error:
            return tag("section", tag("h2", "Failures"), tag("p", "No tile failed.", class_="muted"))
        resume = joined(
            tag("p", "Or go on with everything of this run that is not published by now, whatever was its error:"),
            self._command("resume", self.run, "--wait"),
        )
        anchors = self.anchors
        panels = [self._error(error, gathered, anchors[error]) for error, gathered in self._by_error]
        return tag("section", tag("h2", "Failures"), panels, resume)

    def _error(self, error: str, gathered: Sequence[Cluster], anchor: str) -> Markup:
        count = sum(len(cluster.failures) for cluster in gathered)
        causes = f", {len(gathered)} causes" if len(gathered) > 1 else ""
        rest = gathered[_SHOWN_CAUSES:]
        tiles = sum(len(cluster.failures) for cluster in rest)
        more = (
            f"And {counted(len(rest), 'more cause')} of {counted(tiles, 'tile')}: see summary.json." if rest else None
        )
        advice = advice_on(error)
        return tag(
            "div",
            tag("h3", error, tag("span", f"{counted(count, 'tile')}{causes}")),
            tag("ul", [self._cause(cluster) for cluster in gathered[:_SHOWN_CAUSES]], class_="causes"),
            tag("p", more, class_="muted") if more else None,
            tag("p", f"{advice[0].upper()}{advice[1:]}{'' if advice.endswith('?') else '.'}"),
            self._command("redrive", "--error", error, "--run", self.run, "--wait"),
            self._acceptance([failure for cluster in gathered for failure in cluster.failures]),
            class_="panel",
            id=anchor,
        )

    def _acceptance(self, failures: Sequence[TileResult]) -> Markup | None:
        """Return the commands that publish tiles as far as they are whole, folded; None where that is no way out."""
        commands = partial_commands(failures, self.deployment)
        if not commands:
            return None
        what = "it" if len(failures) == 1 else "them"
        said = f"Or publish {what} without the cells that are broken at JAXA"
        return tag("details", tag("summary", said), [command(each) for each in commands])

    def _cause(self, cluster: Cluster) -> Markup:
        example = cluster.example
        cause = example.cause or "no cause is known"
        is_long = len(cause) > _LONG_CAUSE
        told: list[Content] = [self._names(cluster.failures)]
        if is_long:
            told.append(tag("details", tag("summary", "All of the message"), tag("p", cause, class_="cause")))
        if example.log:
            logs = self._command("logs", f"{example.year}/{example.tile}", "--run", self.run)
            told.append(tag("details", tag("summary", f"Log: {example.log}"), logs))
        return tag("li", tag("p", cause, class_="cause long" if is_long else "cause"), told)

    def _names(self, results: Sequence[TileResult], summary: str | None = None) -> Markup:
        """Return the names of tiles, folded where they are many."""
        if len(results) <= _SHOWN_NAMES:
            return tag("p", [(", " if number else "", self.link(each)) for number, each in enumerate(results)])
        some = ", ".join(f"{each.year}/{each.tile}" for each in results[:_SHOWN_NAMES])
        rest = f"{counted(len(results), 'tile')}: {some} and {len(results) - _SHOWN_NAMES:,} more"
        listed = tag("ul", [tag("li", self.link(each)) for each in results], class_="names")
        return tag("details", tag("summary", summary or rest), listed)

    def _absent(self) -> Markup | None:
        absent = [result for result in self.results if result.state is State.ABSENT]
        if not absent:
            return None
        told = "Absent is a result, not a failure: JAXA has no such tile in that year."
        if self.known_absent:
            told += f" Of {self.known_absent:,} of them its listing says otherwise: they may have been withdrawn."
        names = self._names(absent, f"All {len(absent):,}")
        return tag("section", tag("h2", "Absent tiles"), tag("p", told, class_="muted"), names)
