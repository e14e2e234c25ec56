"""Planning: what a run would do, before anything is started, and what that takes.

What JAXA has is read off the inventory, what is published off the output itself; nothing asks the source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from alos_mosaic.costs import TAR, ZIP, Architecture, Engine, Worker
from alos_mosaic.estimates import in_mode
from alos_mosaic.grid import CELLS_PER_TILE, Tile
from alos_mosaic.inventory import ArchiveKind, listing_of, nearest_listing, tiles_of_any_year
from alos_mosaic.manifests import seeded
from alos_mosaic.messages import Mode, RunRequest, TileYear
from alos_mosaic.products import Product, product_of
from alos_mosaic.quantities import counted
from alos_mosaic.seeding import none_of, tiles_to_try
from alos_mosaic.settings import RunLimits

SOURCE_RATES: Final = (20e6, 1e6)
"""Bytes a second of one connection, the fast and the slow end of what is planned with until ``doctor`` measured it."""
_READERS: Final = 8


class Standing(StrEnum):
    """Where a selected tile stands before the run."""

    TO_DO = "to do"
    UNLISTED = "not listed upstream"
    """Named, so it will be tried, though JAXA's listing of the year does not have it."""
    PUBLISHED = "published"
    """It has an item; the worker looks at its files before it skips it."""
    UNPUBLISHED = "not published"
    """It has no item, where tiles are only described again: it would be tried, and fail."""
    ABSENT = "absent upstream"
    """JAXA has such a tile, but not of that year, as far as its listings tell: not seeded."""
    IN_NO_YEAR = "in no year"
    """JAXA has no such tile of any year, since most of its square is open sea: not seeded."""


_DONE_BY_RUN: Final = (Standing.TO_DO, Standing.UNLISTED)
_LOOKING: Final = (Mode.SKIP, Mode.METADATA_ONLY)
"""Modes in which what is published decides whether there is anything to do."""


@dataclass(frozen=True)
class PlannedTile:
    """One selected tile of one year."""

    year: int
    tile: Tile
    standing: Standing
    cells: int
    """Cells that JAXA has of it; of a year without a listing those of the nearest one that has."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"year": self.year, "tile": self.tile.name, "standing": self.standing.value, "cells": self.cells}


@dataclass(frozen=True)
class Taken:
    """What a plan takes, if one connection to the source gives so much."""

    megabytes_per_second: float
    """From the source or, where tiles are only described again, from the output."""
    download_bytes: float
    """From the source."""
    read_bytes: float
    """From the output: COGs that are described again."""
    output_bytes: float
    minutes: float
    dollars: float


@dataclass(frozen=True)
class Estimate:
    """What a plan takes: from a fast source with tar.gz archives to a slow one with zips.

    Where no source is asked, both are the same.
    """

    low: Taken
    high: Taken

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"low": asdict(self.low), "high": asdict(self.high)}


@dataclass(frozen=True)
class Machine:
    """What the tiles would be made with."""

    memory_mib: int
    architecture: Architecture
    ephemeral_storage_mib: int
    concurrency: int
    """Tiles at once."""
    source_bytes_per_second: tuple[float, float] = SOURCE_RATES
    """Of one connection: the fast and the slow end."""

    def worker(self, rate: float, engine: Engine) -> Worker:
        """Return the worker of the cost model."""
        return Worker(rate, self.memory_mib, self.architecture, self.ephemeral_storage_mib, engine=engine)

    def estimate(self, cells_by_tile: Iterable[int], mode: Mode = Mode.SKIP) -> Estimate:
        """Return what tiles of so many cells each take."""
        by_cells = Counter(cells_by_tile)
        fast, slow = self.source_bytes_per_second
        best, worst = (in_mode(self.worker(*each), mode) for each in ((fast, TAR), (slow, ZIP)))
        return Estimate(self._taken(by_cells, best, mode), self._taken(by_cells, worst, mode))

    def _taken(self, by_cells: Mapping[int, int], worker: Worker, mode: Mode) -> Taken:
        seconds = {cells: worker.times(cells).total_seconds for cells in by_cells}
        in_all = sum(seconds[cells] * count for cells, count in by_cells.items())
        longest = max(seconds.values(), default=0.0)
        cells_in_all = sum(cells * count for cells, count in by_cells.items())
        bytes_in = cells_in_all * worker.engine.archive_bytes
        is_described = mode is Mode.METADATA_ONLY
        return Taken(
            megabytes_per_second=worker.source_bytes_per_second / 1e6,
            download_bytes=0 if is_described else bytes_in,
            read_bytes=bytes_in if is_described else 0,
            output_bytes=cells_in_all * worker.engine.output_bytes,
            minutes=max(in_all / self.concurrency, longest) / 60,
            dollars=sum(worker.cost(cells).total * count for cells, count in by_cells.items()),
        )


@dataclass(frozen=True)
class Guard:
    """What a deployment will say of the run before it begins, whatever is published by then."""

    count: int
    """Tiles that it lists."""
    max_tiles: int
    usd: float
    """US dollars that it is estimated at."""
    max_usd: float
    megabytes_per_second: float
    """From the source, as the estimate has it."""
    refusal: str
    """Why it would be refused; empty if it would not."""

    @classmethod
    def of(cls, request: RunRequest, listed: tuple[TileYear, ...], limits: RunLimits) -> Guard:
        """Return what a deployment with these limits will say of a run over the tiles that it lists."""
        seed = seeded("plan", "", request.requests(listed), limits, request)
        count, max_tiles = seed["count"], seed["max_tiles"]
        refusal = seed["cost_refusal"]
        if count > max_tiles:
            ceiling = limits.max_tiles_ceiling
            more = f"raise max_tiles, up to {ceiling}" if max_tiles < ceiling else "deploy with a higher ceiling"
            refusal = f"it lists {counted(count, 'tile')}, its limit is {max_tiles}; ask for fewer tiles, or {more}"
        rate = limits.assumed_megabytes_per_second
        return cls(count, max_tiles, seed["estimated_usd"], seed["max_usd"], rate, refusal)


@dataclass(frozen=True)
class Plan:
    """What a run over a selection would find and do."""

    mode: Mode
    tiles: tuple[PlannedTile, ...]
    """All that the selection spans, years first."""
    unlisted_years: tuple[int, ...]
    """Years whose archives nobody has listed: their tiles are those that exist in any year."""
    estimate: Estimate
    max_concurrency: int
    """Tiles at once, which is what the estimate's time is by."""
    none_listed: str = ""
    """That JAXA has none of the selected tiles; empty if it may have some."""
    guard: Guard | None = None
    """What the deployment will say of it; None where it is planned without one."""

    @property
    def refusal(self) -> str:
        """Why the run would be refused; empty if it would not, or if there is nothing to do."""
        return self.guard.refusal if self.guard and self.to_do else ""

    @property
    def nothing(self) -> str:
        """Why there is nothing to do; empty if there is something."""
        if self.to_do:
            return ""
        if self.none_listed:
            return self.none_listed
        if self.counts[Standing.UNPUBLISHED]:
            return "none of it has an item to be made anew from its COGs"
        return "all that JAXA has of it has an item"

    @property
    def counts(self) -> dict[str, int]:
        """Tiles by standing; those to do are all that are seeded, also those that are not listed upstream."""
        return _counts(self.tiles)

    @property
    def counts_by_year(self) -> dict[int, dict[str, int]]:
        """As :attr:`counts`, by year."""
        by_year: dict[int, list[PlannedTile]] = {}
        for tile in self.tiles:
            by_year.setdefault(tile.year, []).append(tile)
        return {year: _counts(tiles) for year, tiles in by_year.items()}

    @property
    def to_do(self) -> tuple[PlannedTile, ...]:
        """The tiles that the run would process."""
        return tuple(tile for tile in self.tiles if tile.standing in _DONE_BY_RUN)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "mode": self.mode.value,
            "max_concurrency": self.max_concurrency,
            **{name.replace(" ", "_"): count for name, count in self.counts.items()},
            "years": {str(year): counts for year, counts in self.counts_by_year.items()},
            "unlisted_years": list(self.unlisted_years),
            "estimate": self.estimate.to_dict(),
            "guard": None if self.guard is None else asdict(self.guard),
            "tiles": [tile.to_dict() for tile in self.tiles],
        }

    def to_geojson(self) -> dict[str, Any]:
        """Return the tiles as a GeoJSON FeatureCollection, a square each."""
        return {"type": "FeatureCollection", "features": [_feature(tile) for tile in self.tiles]}


def _counts(tiles: Iterable[PlannedTile]) -> dict[str, int]:
    found = Counter(tile.standing for tile in tiles)
    counts = {standing.value: found[standing] for standing in Standing}
    return counts | {Standing.TO_DO.value: sum(found[standing] for standing in _DONE_BY_RUN)}


def _feature(planned: PlannedTile) -> dict[str, Any]:
    box = planned.tile.bounds
    ring = [[box.west, box.south], [box.east, box.south], [box.east, box.north], [box.west, box.north]]
    return {
        "type": "Feature",
        "id": f"{planned.year}/{planned.tile}",
        "properties": planned.to_dict(),
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


PublishedTiles = Callable[[Product, int], frozenset[Tile]]
"""Says which tiles of a product and year are published."""


def nothing_published(_product: Product, _year: int) -> frozenset[Tile]:
    """Return no tile: for a plan that looks at no output."""
    return frozenset()


def all_published(product: Product, _year: int) -> frozenset[Tile]:
    """Return every tile that exists: for a plan that looks at no output, of a run over what is published."""
    return tiles_of_any_year(ArchiveKind.of_product(product.name))


def plan_run(request: RunRequest, machine: Machine, published: PublishedTiles, limits: RunLimits | None = None) -> Plan:
    """Return what a run would do; :class:`~alos_mosaic.errors.InvalidRequestError` if it would be refused.

    ``limits`` are the deployment's; what a run is refused for that they bound, the plan itself says.
    With the mode ``refresh`` all published tiles count as to do: only the source knows which of them JAXA re-issued.
    With ``metadata-only`` none but published ones do. Tiles that no listing knows are estimated at their most: as if
    JAXA had all their cells.
    """
    kind = ArchiveKind.of_product(request.product)
    listed = tiles_to_try(request)
    to_seed = frozenset(listed)
    there: dict[int, frozenset[Tile]] = {}
    if request.mode in _LOOKING:
        with ThreadPoolExecutor(_READERS) as readers:
            looked = readers.map(lambda year: published(product_of(year, request.product), year), request.years)
            there = dict(zip(request.years, looked, strict=True))
    known = tiles_of_any_year(kind)
    planned = []
    for year in request.years:
        listing = nearest_listing(year, kind)
        is_listed = listing_of(year, kind) is not None
        for tile in request.tiles:
            cells = 0 if listing is None else listing.cell_count_of(tile)
            is_published = tile in there.get(year, ())
            if is_published and request.mode is Mode.SKIP:
                standing = Standing.PUBLISHED
            elif TileYear(year, tile) not in to_seed:
                standing = Standing.ABSENT if tile in known else Standing.IN_NO_YEAR
            elif request.mode is Mode.METADATA_ONLY:
                standing = Standing.TO_DO if is_published else Standing.UNPUBLISHED
            elif is_listed and listing is not None and tile not in listing.tiles:
                standing = Standing.UNLISTED
            else:
                standing = Standing.TO_DO
            if standing is Standing.TO_DO:
                cells = cells or CELLS_PER_TILE
            planned.append(PlannedTile(year, tile, standing, cells))
    to_do = (tile for tile in planned if tile.standing in _DONE_BY_RUN)
    estimate = machine.estimate((tile.cells or CELLS_PER_TILE for tile in to_do), request.mode)
    unlisted = tuple(year for year in request.years if listing_of(year, kind) is None)
    guard = None if limits is None else Guard.of(request, listed, limits)
    none_listed = "" if listed else none_of(request)
    return Plan(request.mode, tuple(planned), unlisted, estimate, machine.concurrency, none_listed, guard)
