"""The plan of a run as a page: where its tiles are, and what it takes."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from alos_mosaic import __version__, coastlines, maps
from alos_mosaic.pages import Markup, joined, page, table, tag
from alos_mosaic.planning import Plan, PlannedTile, Standing, spelt_minutes
from alos_mosaic.quantities import dollars, size

_STATES: Final = {
    Standing.TO_DO: "planned",
    Standing.UNLISTED: "planned",
    Standing.PUBLISHED: "published",
    Standing.ABSENT: "absent",
}
"""How each standing is drawn."""
_MEANINGS: Final = {
    "planned": "would be made",
    "published": "in the bucket already",
    "absent": "JAXA has no such tile",
}


def plan_page(plan: Plan) -> str:
    """Return a plan as HTML, one file that asks the network for nothing."""
    groups: dict[str, list[maps.Mark]] = {}
    for number, planned in enumerate(plan.tiles):
        mark = maps.Mark(planned.tile, _STATES[planned.standing], number)
        groups.setdefault(str(planned.year), []).append(mark)
    main = joined(maps.section(groups, list(_MEANINGS), "where it stands"), _figures(plan))
    footer = tag(
        "footer",
        tag("p", f"Made by alos-mosaic {__version__}. What JAXA has is as its listings tell; nothing was started."),
        tag("p", f"Coastlines and borders: {coastlines.source()}. They take no side in any dispute."),
    )
    body = joined(_header(plan), tag("main", main), footer)
    return page("Plan of a run", body, {"tiles": [_entry(planned) for planned in plan.tiles]})


def _header(plan: Plan) -> Markup:
    years = ", ".join(map(str, plan.counts_by_year))
    count = len(plan.to_do)
    verdict = f" {count:,} tiles would be made." if count else " All that JAXA has of it is published."
    word = "Something to do." if count else "Nothing to do."
    return tag(
        "header",
        tag("p", "Plan", class_="kicker"),
        tag("h1", f"Tiles of {years}"),
        tag("p", tag("b", word), verdict, class_="verdict good"),
        _counts(plan),
    )


def _counts(plan: Plan) -> Markup:
    found = Counter(_STATES[planned.standing] for planned in plan.tiles)
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
    rows = [
        ("Download", size(low.download_bytes), size(high.download_bytes)),
        ("Output", size(low.output_bytes), size(high.output_bytes)),
        ("Time", spelt_minutes(low.minutes), spelt_minutes(high.minutes)),
        ("Cost", dollars(low.dollars), dollars(high.dollars)),
    ]
    head = ("", f"at {low.megabytes_per_second:g} MB/s", f"at {high.megabytes_per_second:g} MB/s")
    return tag("section", tag("h2", "What it takes"), table("By what one connection to the source gives", head, rows))


def _entry(planned: PlannedTile) -> dict[str, Any]:
    return {
        "name": f"{planned.year} / {planned.tile}",
        "state": _STATES[planned.standing],
        "facts": [("standing", planned.standing.value), ("cells", str(planned.cells))],
    }
