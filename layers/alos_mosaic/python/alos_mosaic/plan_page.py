"""The plan of a run as a page: where its tiles are, what it takes, and how it is started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from alos_mosaic import __version__, coastlines, maps
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.messages import Mode
from alos_mosaic.pages import Markup, command, joined, page, table, tag
from alos_mosaic.planning import Plan, PlannedTile, Standing
from alos_mosaic.quantities import counted, dollars, duration, size

_STATES: Final = {
    Standing.TO_DO: "planned",
    Standing.UNLISTED: "planned",
    Standing.PUBLISHED: "published",
    Standing.ABSENT: "absent",
}
"""How each standing is drawn; what is in no year is not, the sea would cover the map, nor what would fail."""
_MEANINGS: Final = {
    "planned": "would be made",
    "published": "in the bucket already",
    "absent": "at JAXA in other years only",
}


def plan_page(plan: Plan, made: datetime, start: str) -> str:
    """Return a plan as HTML, one file that asks the network for nothing; ``start`` is the command that starts the run.

    ``made`` is when it was planned, in UTC.
    """
    drawn = [planned for planned in plan.tiles if planned.standing in _STATES]
    groups: dict[str, list[maps.Mark]] = {}
    for number, planned in enumerate(drawn):
        mark = maps.Mark(planned.tile, _STATES[planned.standing], number)
        groups.setdefault(str(planned.year), []).append(mark)
    map_section = maps.section(groups, list(_MEANINGS), "where it stands")
    main = joined(map_section, _figures(plan), _start(start) if plan.to_do and not plan.refusal else None)
    footer = tag(
        "footer",
        tag("p", f"Made by alos-mosaic {__version__}. What JAXA has is as its listings tell; nothing was started."),
        tag("p", f"Coastlines and borders: {coastlines.source()}. They take no side in any dispute."),
    )
    body = joined(_header(plan, drawn, made), tag("main", main), footer)
    return page("Plan of a run", body, {"tiles": [_entry(planned) for planned in drawn]})


def _header(plan: Plan, drawn: Iterable[PlannedTile], made: datetime) -> Markup:
    is_done = not plan.to_do
    verdict = (
        f" {plan.nothing[0].upper()}{plan.nothing[1:]}." if is_done else f" {_to_do(plan)} would be {_done(plan)}."
    )
    word = "Nothing to do." if is_done else "Something to do."
    facts = (
        f"Mode {plan.mode}",
        f"{plan.max_concurrency} tiles at once",
        f"planned {made:%-d %B %Y, %H:%M} UTC",
    )
    return tag(
        "header",
        tag("p", "Plan", class_="kicker"),
        tag("h1", f"Tiles of {_listed(plan.counts_by_year)}"),
        tag("p", tag("b", word), verdict, class_="verdict good"),
        tag("p", " \N{MIDDLE DOT} ".join(facts), class_="muted"),
        _counts(drawn),
        [tag("p", note, class_="muted") for note in _notes(plan)],
    )


def _notes(plan: Plan) -> Iterable[str]:
    """Yield what the counts leave unsaid."""
    if plan.refusal:
        yield f"The deployment would refuse to run all of it: {plan.refusal}."
    if plan.unlisted_years:
        has = "has" if len(plan.unlisted_years) == 1 else "have"
        yield (
            f"JAXA's listing of {_listed(plan.unlisted_years)} is not known yet: what any other year has counts as "
            f"planned, and what {_listed(plan.unlisted_years)} {has} will turn out."
        )
    if unpublished := plan.counts[Standing.UNPUBLISHED]:
        yield f"Not drawn: {counted(unpublished, 'tile')} without an item, at which mode {plan.mode} would fail."
    if nowhere := plan.counts[Standing.IN_NO_YEAR]:
        yield f"Not drawn: {counted(nowhere, 'square')} of which JAXA has no tile in any year, open sea mostly."


def _to_do(plan: Plan) -> str:
    return counted(len(plan.to_do), "tile")


def _done(plan: Plan) -> str:
    return "described anew" if plan.mode is Mode.METADATA_ONLY else "made"


def _listed(years: Iterable[int]) -> str:
    return ", ".join(map(str, years))


def _counts(drawn: Iterable[PlannedTile]) -> Markup:
    found = Counter(_STATES[planned.standing] for planned in drawn)
    entries = [
        tag(
            "li",
            tag("div", maps.swatch(state), state, class_="what"),
            tag("b", f"{found[state]:,}"),
            tag("span", meaning, class_="muted"),
        )
        for state, meaning in _MEANINGS.items()
    ]
    return tag("ul", entries, class_="counts three")


def _figures(plan: Plan) -> Markup:
    if not plan.to_do:
        return joined()
    low, high = plan.estimate.low, plan.estimate.high
    if plan.mode is Mode.METADATA_ONLY:
        read = ("Read from the output, at most", size(high.read_bytes))
        taken = (read, ("Time", duration(high.minutes * 60)), ("Cost", dollars(high.dollars)))
        figures = table("Without the source", (_to_do(plan), "About"), taken)
        return tag("section", tag("h2", "What it takes"), figures)
    rows = [
        ("Download", size(low.download_bytes), size(high.download_bytes)),
        ("Output", size(low.output_bytes), size(high.output_bytes)),
        ("Time", duration(low.minutes * 60), duration(high.minutes * 60)),
        ("Cost", dollars(low.dollars), dollars(high.dollars)),
    ]
    head = (_to_do(plan), f"tar.gz at {low.megabytes_per_second:g} MB/s", f"zip at {high.megabytes_per_second:g} MB/s")
    said = (
        "It depends on the form of JAXA's archives, and on what one connection to it gives. "
        "Download and output are at most this much; archives with much sea in them are smaller."
    )
    figures = table("From the best case to the worst", head, rows)
    return tag("section", tag("h2", "What it takes"), figures, tag("p", said, class_="muted"))


def _start(start: str) -> Markup:
    said = tag("p", "This shows the plan as it is then, asks, and starts the run:")
    return tag("section", tag("h2", "Start it"), said, command(start))


def _entry(planned: PlannedTile) -> dict[str, Any]:
    cells = f"{planned.cells} of {CELLS_PER_TILE}"
    facts = [("standing", planned.standing.value)]
    facts += [("cells", cells)] if planned.cells else []
    return {"name": f"{planned.year} / {planned.tile}", "state": _STATES[planned.standing], "facts": facts}
