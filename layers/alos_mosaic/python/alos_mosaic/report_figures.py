"""A report's figures: what the run took, beside what was planned for it, and what its pixels are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from alos_mosaic.costs import TYPICAL_BYTES_PER_SECOND, Architecture, Worker
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import CELLS_PER_TILE, Tile
from alos_mosaic.inventory import ArchiveKind, nearest_listing
from alos_mosaic.maps import Link
from alos_mosaic.pages import Content, Markup, joined, table, tag
from alos_mosaic.quantities import NOTHING, counted, dollars, duration, percent, size
from alos_mosaic.results import State, TileResult

_WITHIN: Final = {"transfer": "gather"}
"""Stages whose time is part of another's."""
_STAGES: Final = ("check", "gather", "transfer", "write", "describe", "publish")
_SHOWN_TILES: Final = 10
_SOURCE_RATES: Final = (20e6, TYPICAL_BYTES_PER_SECOND, 1e6)
"""Bytes a second of one connection to the source, fast, typical and slow; and what the deployment assumes."""
_NOTE: Final = (
    "Planned is the cost model for the published tiles, with the cells that JAXA lists, as many of them at once as the "
    "run was allowed. Actual is what workers recorded of the invocation that ended their tile, without earlier ones."
)
_PER_CENT: Final = 100


def time_section(
    results: Sequence[TileResult],
    started: datetime | None,
    ended: datetime | None,
    worker: Mapping[str, Any],
    estimated_usd: float | None,
    *,
    max_concurrency: int | None,
    link: Link,
) -> Markup:
    """Return the section on time and money; ``max_concurrency`` tiles were allowed at once."""
    timed = [result for result in results if result.seconds]
    if not timed:
        return tag("section", tag("h2", "Time and cost"), tag("p", "No worker recorded its time.", class_="muted"))
    made = [result for result in timed if result.state is State.PUBLISHED]
    elapsed = (ended - started).total_seconds() if started and ended else None
    model = _worker(worker)
    return tag(
        "section",
        tag("h2", "Time and cost"),
        joined(_planned_and_actual(made, elapsed, model, max_concurrency), tag("p", _NOTE, class_="muted"))
        if made
        else None,
        tag("p", _pace(timed, len(made), elapsed, model), class_="muted"),
        tag("p", _estimate(len(results), worker, estimated_usd), class_="muted") if estimated_usd else None,
        _stages(made or timed, link),
        _slowest(made, link) if made else None,
    )


def _estimate(count: int, worker: Mapping[str, Any], estimated_usd: float) -> str:
    rate = worker.get("assumed_megabytes_per_second")
    source = f" at {rate:g} MB/s from the source" if isinstance(rate, int | float) else ""
    tiles = counted(count, "tile")
    return f"Before it began, the run was estimated at {dollars(estimated_usd)}: {tiles}, all of them made{source}."


def _worker(given: Mapping[str, Any]) -> Worker | None:
    try:
        return Worker(
            float(given.get("assumed_megabytes_per_second") or 0) * 1e6 or TYPICAL_BYTES_PER_SECOND,
            int(given["memory_mib"]),
            Architecture(given["architecture"]),
            int(given["ephemeral_storage_mib"]),
        )
    except (KeyError, ValueError, TypeError):
        return None


def _planned_and_actual(
    made: Sequence[TileResult], elapsed: float | None, worker: Worker | None, max_concurrency: int | None
) -> Markup:
    seconds = sum(result.worker_seconds for result in made)
    fetched = sum(result.archive.get("size", 0) for result in made)
    written = sum(result.output_bytes for result in made)
    cells = [_cells(result) for result in made]
    assumed = () if worker is None else (worker.source_bytes_per_second,)
    source_rates = sorted({*_SOURCE_RATES, *assumed}, reverse=True)
    unplanned = (NOTHING,) * len(source_rates)
    rows: list[tuple[Content, ...]] = []
    if worker is None:
        rows.append(("Work of their workers", duration(seconds), *unplanned))
    else:
        planned = [_at(worker, rate) for rate in source_rates]
        times = [sum(each.times(count).total_seconds for count in cells) for each in planned]
        costs = [each.cost_of(cells).total for each in planned]
        actual = worker.spent(seconds, len(made), written).total
        if elapsed and max_concurrency:
            at_once = min(max_concurrency, len(made))
            rows.append(("From start to end", duration(elapsed), *(duration(time / at_once) for time in times)))
        rows.append(("Work of their workers", duration(seconds), *map(duration, times)))
        rows.append(("Cost", dollars(actual), *map(dollars, costs)))
        rows.append(("Cost of a tile", dollars(actual / len(made)), *(dollars(cost / len(made)) for cost in costs)))
        engine, all_cells = worker.engine, sum(cells)
        rows.append(("Archives", size(fetched), *(size(engine.archive_bytes * all_cells) for _ in planned)))
        rows.append(("COGs", size(written), *(size(engine.output_bytes * all_cells) for _ in planned)))
    rates = [f"Planned at {rate / 1e6:g} MB/s" for rate in source_rates]
    head = (counted(len(made), "published tile"), "Actual", *rates)
    return table("Actual, and planned by what the source gives", head, rows)


def _pace(timed: Sequence[TileResult], made: int, elapsed: float | None, worker: Worker | None) -> str:
    """Say what all tiles took that left a time, also those that no plan counts."""
    seconds = sum(result.worker_seconds for result in timed)
    cost = ""
    if worker is not None:
        cost = f", {dollars(worker.spent(seconds, len(timed), sum(each.output_bytes for each in timed)).total)}"
    others = f", {f'{made:,}' if made else 'none'} of them published" if made < len(timed) else ""
    took = f"{counted(len(timed), 'tile')} on record{others}: {duration(seconds)} of work{cost}"
    if not elapsed:
        return f"{took}."
    return f"{took}. It took {duration(elapsed)}, with {seconds / elapsed:.1f} tiles at once on average."


def _at(worker: Worker, rate: float) -> Worker:
    return Worker(rate, worker.memory_mib, worker.architecture, worker.ephemeral_storage_mib)


def _cells(result: TileResult) -> int:
    """Return of how many cells a tile was known to be; of all that there may be where nobody knows."""
    listing = nearest_listing(result.year, ArchiveKind.of_product(result.product))
    try:
        listed = len(listing.cells_of(Tile.from_name(result.tile))) if listing else 0
    except InvalidRequestError:
        listed = 0
    return listed or len(result.cells) or CELLS_PER_TILE


def _stages(results: Sequence[TileResult], link: Link) -> Markup:
    """Return what each stage took, and which tile it took longest for."""
    named = list(dict.fromkeys(stage for result in results for stage in result.seconds))
    order = [stage for stage in _STAGES if stage in named] + [stage for stage in named if stage not in _STAGES]
    total = sum(result.worker_seconds for result in results) or 1
    return table(
        "Stages",
        ("Stage", "Share", "Median", "95 % within", "Longest", "Tile"),
        [_stage(stage, [result for result in results if stage in result.seconds], total, link) for stage in order],
    )


def _stage(stage: str, results: Sequence[TileResult], total: float, link: Link) -> tuple[Content, ...]:
    times = sorted(result.seconds[stage] for result in results)
    slowest = max(results, key=lambda result: result.seconds[stage])
    within = times[min(len(times) - 1, int(0.95 * len(times)))]
    name = f"{stage} (within {_WITHIN[stage]})" if stage in _WITHIN else stage
    return (
        name,
        percent(_PER_CENT * sum(times) / total),
        duration(statistics.median(times)),
        duration(within),
        duration(times[-1]),
        link(slowest),
    )


def _slowest(results: Sequence[TileResult], link: Link) -> Markup:
    slowest = sorted(results, key=lambda result: result.worker_seconds, reverse=True)[:_SHOWN_TILES]
    stages = [stage for stage in _STAGES if any(stage in result.seconds for result in slowest)]
    rows: list[tuple[Content, ...]] = [
        (
            link(result),
            duration(result.worker_seconds),
            *(duration(result.seconds[stage]) if stage in result.seconds else NOTHING for stage in stages),
            len(result.cells),
            size(result.archive.get("size", 0)),
        )
        for result in slowest
    ]
    return table("Slowest tiles", ("Tile", "In all", *stages, "Cells", "Archive"), rows)


def data_section(mosaics: Mapping[str, Sequence[TileResult]]) -> Markup:
    """Return the section on what the pixels of published tiles are, by mosaic."""
    published = {
        name: made
        for name, results in mosaics.items()
        if (made := [result for result in results if result.state is State.PUBLISHED])
    }
    if not published:
        return tag("section", tag("h2", "Data"), tag("p", "This run published no tile.", class_="muted"))
    head = ("Mosaic", "Tiles", "Cells", "Partial", "Archives", "COGs")
    rows = [_data_row(name, made) for name, made in published.items()]
    shares = [_shares(name, counted) for name, made in published.items() if (counted := _counted(made))]
    note = "Shares are of all pixels of the published tiles; land is what is neither water nor without data."
    return tag(
        "section",
        tag("h2", "Data"),
        joined(tag("ul", shares, class_="mix"), tag("p", note, class_="muted")) if shares else None,
        table("Published by this run", head, rows),
    )


def _data_row(name: str, made: Sequence[TileResult]) -> tuple[Content, ...]:
    return (
        name,
        f"{len(made):,}",
        f"{sum(len(result.cells) for result in made):,}",
        f"{sum(bool(result.defective_cells) for result in made):,}",
        size(sum(result.archive.get("size", 0) for result in made)),
        size(sum(result.output_bytes for result in made)),
    )


def _counted(made: Sequence[TileResult]) -> list[TileResult]:
    return [result for result in made if result.valid_percent is not None]


def _shares(name: str, counted: Sequence[TileResult]) -> Markup:
    """Return what a mosaic's pixels are: a bar, and under it what its colours mean, with the numbers."""
    valid = statistics.fmean(result.valid_percent or 0 for result in counted)
    water = statistics.fmean(
        (result.valid_percent or 0) * (result.water_percent or 0) / _PER_CENT for result in counted
    )
    parts = {"ground": ("land", valid - water), "water": ("water", water), "nothing": ("no data", _PER_CENT - valid)}
    key = [
        tag("span", _spot(kind), f"{meaning} {percent(share)}", class_="key")
        for kind, (meaning, share) in parts.items()
    ]
    return tag("li", tag("b", name), _bar({kind: share for kind, (_, share) in parts.items()}), tag("p", key))


def _spot(kind: str) -> Markup:
    return tag(
        "svg", tag("rect", class_=kind, width=1, height=1), viewBox="0 0 1 1", class_="swatch", aria_hidden="true"
    )


def _bar(shares: Mapping[str, float]) -> Markup:
    position, drawn = 0.0, []
    for kind, share in shares.items():
        drawn.append(tag("rect", class_=kind, x=f"{position:.2f}", width=f"{share:.2f}", height=1))
        position += share
    return tag("svg", drawn, viewBox="0 0 100 1", preserveAspectRatio="none", class_="shares", aria_hidden="true")
