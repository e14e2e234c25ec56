"""The report of a run: one page that says how it ended, where, why not, and what it took.

It is made of the run's summary, as JSON, and of nothing else, so that it can be made again at any time. Texts of
workers and servers are in it as text: :mod:`alos_mosaic.pages` sees to that.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from alos_mosaic import __version__, coastlines, maps, report_figures
from alos_mosaic.grid import Tile
from alos_mosaic.messages import parse_time
from alos_mosaic.pages import Content, Markup, joined, page, tag
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.quantities import counted, duration, percent, size
from alos_mosaic.report_failures import NotThere
from alos_mosaic.results import UNKNOWN, State, TileResult

_SHARES_WIDTH: Final = 1000
_LEAST_SHARE: Final = 4
"""Of a thousand: what there is at all is seen."""
_LONGEST_CAUSE: Final = 240
"""Characters of a cause beside a map; the part on failures has more, the summary all of it."""
_MEANINGS: Final = {
    State.PUBLISHED: "made and in the bucket",
    State.SKIPPED: "there already",
    State.ABSENT: "JAXA has no such tile",
    State.FAILED: "wait to be tried again",
}


@dataclass(frozen=True)
class Picture:
    """A tile's quicklook."""

    href: str = ""
    """Where it lies, as seen from the page."""
    thumbnail: str = ""
    """A small one, as a ``data:`` URI: the page may load nothing else."""


@dataclass(frozen=True)
class Run:
    """A summary, read leniently: what an older release did not write is not told."""

    name: str
    sentence: str
    is_complete: bool
    results: tuple[TileResult, ...]
    started: datetime | None
    ended: datetime | None
    worker: Mapping[str, Any]
    estimated_usd: float | None
    max_concurrency: int | None
    known_absent: int
    deployment: Mapping[str, str] = field(default_factory=dict)
    """What finds it, as options of a command."""
    pictures: Mapping[str, Picture] = field(default_factory=dict)

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any], pictures: Mapping[str, Picture]) -> Self:
        """Read the JSON of ``summary.json``."""
        return cls(
            name=str(summary.get("run", "without a name")),
            sentence=str(summary.get("sentence", "")),
            is_complete=bool(summary.get("complete", False)),
            results=tuple(TileResult.from_dict(each) for each in summary["tiles"]),
            started=_time(summary.get("started")),
            ended=_time(summary.get("ended")),
            worker=summary.get("worker", {}),
            estimated_usd=_number(summary.get("estimated_usd")),
            max_concurrency=_count(summary.get("max_concurrency")),
            known_absent=int(summary.get("known_absent", 0)),
            deployment=_deployment(summary.get("deployment")),
            pictures=pictures,
        )

    @property
    def counts(self) -> dict[State, int]:
        """Tiles by the way they ended."""
        found = Counter(result.state for result in self.results)
        return {state: found[state] for state in State}

    @property
    def mosaics(self) -> dict[str, list[tuple[int, TileResult]]]:
        """Numbered results by year and product, in order."""
        found: dict[str, list[tuple[int, TileResult]]] = {}
        for number, result in enumerate(self.results):
            found.setdefault(_mosaic(result), []).append((number, result))
        return dict(sorted(found.items()))

    @functools.cached_property
    def _numbers(self) -> dict[tuple[int, str, str | None], int]:
        return {(each.year, each.tile, each.product): number for number, each in enumerate(self.results)}

    def link(self, result: TileResult) -> Markup:
        """Return a tile's name, which leads to it on its map."""
        return maps.link(self._numbers[result.year, result.tile, result.product], f"{result.year}/{result.tile}")


def report_page(summary: Mapping[str, Any], pictures: Mapping[str, Picture] | None = None) -> str:
    """Return the report as HTML. ``pictures`` are quicklooks by ``YEAR/TILE``."""
    run = Run.from_summary(summary, pictures or {})
    not_there = NotThere(run.name, run.results, run.link, run.known_absent, run.deployment)
    main = joined(
        _map_section(run),
        not_there.sections(),
        report_figures.time_section(
            run.results,
            run.started,
            run.ended,
            run.worker,
            run.estimated_usd,
            max_concurrency=run.max_concurrency,
            link=run.link,
        ),
        report_figures.data_section({name: [result for _, result in each] for name, each in run.mosaics.items()}),
    )
    body = joined(_header(run), tag("main", main), _footer())
    anchors = not_there.anchors
    entries = [_entry(result, run.pictures, anchors) for result in run.results]
    return page(f"Run {run.name}", body, {"tiles": entries})


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _deployment(told: object) -> dict[str, str]:
    """Return the options that a summary tells of; none of one that an older release has left."""
    found = told if isinstance(told, dict) else {}
    return {name: found[name] for name in ("stack", "aws_region") if isinstance(found.get(name), str)}


def _time(text: object) -> datetime | None:
    try:
        return None if text is None else parse_time(str(text))
    except ValueError:
        return None


def _mosaic(result: TileResult) -> str:
    return f"{result.year} forest map" if result.product == FOREST_PRODUCT else str(result.year)


def _header(run: Run) -> Markup:
    word, kind = ("Complete", "good") if run.is_complete else ("Incomplete", "bad")
    verdict = tag("p", tag("b", f"{word}."), f" {_sentence(run.sentence)}", class_=f"verdict {kind}")
    facts = [f"{counted(len(run.mosaics), 'mosaic')}: {', '.join(run.mosaics)}"] if run.mosaics else []
    if run.started and run.ended:
        facts.append(f"{run.started:%-d %B %Y, %H:%M} to {_until(run.started, run.ended)} UTC")
        facts.append(duration((run.ended - run.started).total_seconds()))
    return tag(
        "header",
        tag("p", "Run report", class_="kicker"),
        tag("h1", run.name),
        verdict,
        tag("p", " · ".join(facts), class_="muted"),
        _counts(run),
    )


def _sentence(text: str) -> str:
    return f"{text}." if text and text[-1] not in ".?!" else text


def _until(started: datetime, ended: datetime) -> str:
    return f"{ended:%H:%M}" if started.date() == ended.date() else f"{ended:%-d %B, %H:%M}"


def _counts(run: Run) -> Markup:
    seeded = len(run.results)
    entries = [
        tag(
            "li",
            tag("div", maps.swatch(state), state.value, class_="what"),
            tag("b", f"{count:,}"),
            tag("span", f"{percent(100 * count / seeded if seeded else 0)}, {_MEANINGS[state]}", class_="muted"),
        )
        for state, count in run.counts.items()
    ]
    shares = _shares_bar({state.value: count for state, count in run.counts.items()})
    return joined(tag("ul", entries, class_="counts"), shares)


def _shares_bar(counts: Mapping[str, int]) -> Markup:
    """Return a bar that is divided as these numbers are; their names are classes of the style sheet."""
    total, position, drawn = sum(counts.values()), 0.0, []
    for name, count in counts.items():
        width = max(_LEAST_SHARE, count / total * _SHARES_WIDTH) if count else 0
        drawn.append(tag("rect", class_=name, x=f"{position:.1f}", width=f"{width:.1f}", height=1) if count else "")
        position += width
    box = f"0 0 {max(position, 1):.1f} 1"
    return tag("svg", drawn, viewBox=box, preserveAspectRatio="none", class_="shares", aria_hidden="true")


def _map_section(run: Run) -> Markup:
    if not run.results:
        return tag("section", tag("h2", "Tiles"), tag("p", "Nothing was seeded.", class_="muted"))
    groups = {
        name: [maps.Mark(Tile.from_name(result.tile), result.state.value, number) for number, result in numbered]
        for name, numbered in run.mosaics.items()
    }
    return maps.section(groups, [state.value for state in State], "how it ended")


def _entry(result: TileResult, pictures: Mapping[str, Picture], anchors: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page's script says of a tile."""
    name = f"{result.year}/{result.tile}"
    picture = pictures.get(name, Picture())
    entry = {
        "name": f"{_mosaic(result)} / {result.tile}",
        "state": result.state.value,
        "facts": list(_facts(result)),
        "item": None if picture.href else result.item_uri,  # AWS' console knows nothing of what lies here
        "quicklook": picture.href,
        "thumbnail": picture.thumbnail,
        "remedy": anchors.get(result.error or UNKNOWN) if result.state is State.FAILED else None,
    }
    return {key: value for key, value in entry.items() if value}


def _facts(result: TileResult) -> Iterator[tuple[str, str]]:
    if result.error:
        yield "error", result.error
    if result.cause:
        cause = result.cause
        yield "cause", cause if len(cause) <= _LONGEST_CAUSE else f"{cause[:_LONGEST_CAUSE]} ..."
    if result.log:
        yield "log", result.log
    if result.attempt > 1:
        yield "attempt", str(result.attempt)
    if result.cells:
        missing = f", {len(result.defective_cells)} left out as defective" if result.defective_cells else ""
        yield "cells", f"{len(result.cells)}{missing}"
    if result.valid_percent is not None:
        yield "valid", percent(result.valid_percent)
    if result.water_percent is not None:
        yield "water", percent(result.water_percent)
    if "size" in result.archive:
        yield "archive", size(result.archive["size"])
    if result.output_bytes:
        yield "COGs", size(result.output_bytes)
    if result.seconds:
        yield "took", duration(result.worker_seconds)


def _footer() -> Content:
    return tag(
        "footer",
        tag("p", f"Made by alos-mosaic {__version__} of the run's summary.json, which has every tile's record."),
        tag("p", f"Coastlines and borders: {coastlines.source()}. They take no side in any dispute."),
    )
