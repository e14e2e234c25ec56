"""One tile of one year, from the source to its published item."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
from rasterio.session import DummySession

from alos_mosaic.bands import BANDS, FOREST_CLASSES, Band, bands_of, bands_with, possible_codes
from alos_mosaic.errors import OutputError, TileAbsentError
from alos_mosaic.grid import Grid
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.messages import Mode, State, TileRequest, TileResult
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import (
    band_file_name,
    band_file_stem,
    item_file_name,
    item_id,
    item_key,
    quicklook_file_name,
    tile_prefix,
)
from alos_mosaic.processing.archive import Members, unpack
from alos_mosaic.processing.cog import MEDIA_TYPE, Cog, write_cog
from alos_mosaic.processing.download import Archive, fetch
from alos_mosaic.processing.metadata import (
    EO3_MEDIA_TYPE,
    ITEM_MEDIA_TYPE,
    TileProduct,
    WrittenFile,
    describe,
    eo3_file_name,
    eo3_text,
)
from alos_mosaic.processing.metadata.item import THUMBNAIL
from alos_mosaic.processing.mosaic import check_complete, count_pixels, mosaic
from alos_mosaic.processing.picture import draw
from alos_mosaic.processing.publish import Expected, Target, is_published
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import SourceAccess
from alos_mosaic.products import FOREST_PRODUCT, Product, product_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workplace:
    """Where a tile comes from, goes to, and is worked on in between."""

    source_url: str
    target: Target
    work: Path
    """An existing, empty folder on this machine; who made it removes it."""
    access: SourceAccess = field(default_factory=SourceAccess)
    """What it takes to open the source."""
    grid: Grid = field(default_factory=Grid)
    extra_layouts: tuple[Layout, ...] = ()
    """Tried ahead of the layout table's."""


def process_tile(request: TileRequest, place: Workplace) -> TileResult:
    """Fetch, unpack, mosaic, write COGs, describe, publish; the item last, as the mark that all is there.

    Returns a result that is published, skipped or absent; raises the errors of :mod:`alos_mosaic.errors` otherwise,
    and then there is no new item, though COGs may lie there if it was the target that failed.
    """
    stopwatch = Stopwatch()
    year, tile = request.tile_year.year, request.tile_year.tile
    product = product_of(year, request.product)
    key = item_key(product, year, tile)
    facts: dict[str, Any] = {"year": year, "tile": tile.name, "run": request.run, "attempt": request.attempt}
    facts["product"] = product.name
    with stopwatch.stage("check"):
        if request.mode is Mode.SKIP and is_published(place.target, key, _expected(request, product, place.grid)):
            return TileResult(State.SKIPPED, **facts, item_uri=place.target.uri(key), seconds=stopwatch.seconds)
    try:
        with stopwatch.stage("fetch"):
            archive = _fetch(request, product, place)
    except TileAbsentError as error:
        return TileResult(State.ABSENT, **facts, cause=str(error), seconds=stopwatch.seconds)
    done = _make(request, product, archive, place, stopwatch)
    with stopwatch.stage("publish"):
        _publish(done, product, place)
    return TileResult(
        State.PUBLISHED,
        **facts,
        item_uri=place.target.uri(key),
        cells=tuple(cell.name for cell in done.cells),
        archive={"url": archive.url, "layout": archive.layout.name, "size": archive.size_bytes},
        output_bytes=sum(cog.size_bytes for cog in done.cogs),
        seconds=stopwatch.seconds,
    )


def _fetch(request: TileRequest, product: Product, place: Workplace) -> Archive:
    layouts = layouts_of(mission_of(request.tile_year.year), product.name, place.extra_layouts)
    with open_source(place.source_url, place.access) as source:
        return fetch(source, request.tile_year, place.work, layouts)


def _make(
    request: TileRequest, product: Product, archive: Archive, place: Workplace, stopwatch: Stopwatch
) -> TileProduct:
    """Unpack an archive, write its COGs and quicklook, and count what its pixels say."""
    year, tile = request.tile_year.year, request.tile_year.tile
    mission = mission_of(year)
    with stopwatch.stage("unpack"):
        unpacked = unpack(archive.path, place.work / "members", request.tile_year, place.grid, product)
        members = unpacked.members
        archive.path.unlink()
        check_complete(members, mission, product)
    with stopwatch.stage("write"), _gdal():
        bands = bands_with({code for of_cell in members.values() for code in of_cell}, mission, product)
        cogs = tuple(_write_band(band, members, request, archive, place) for band in bands)
    classes = FOREST_CLASSES[archive.layout.release] if product.name == FOREST_PRODUCT else None
    with stopwatch.stage("describe"), _gdal():
        return TileProduct(
            request.tile_year,
            place.grid,
            archive,
            tuple(sorted(members)),
            cogs,
            request.run,
            product_name=product.name,
            statistics=count_pixels(members, place.grid),
            sidecars=unpacked.sidecars,
            quicklook=draw(cogs, mission.calibration_factor_db, classes, place.work / quicklook_file_name(tile, year)),
            classes=classes,
        )


def _expected(request: TileRequest, product: Product, grid: Grid) -> Expected:
    year, tile = request.tile_year.year, request.tile_year.tile
    bands = [BANDS[code] for code in possible_codes(product)]
    return Expected(
        item_id=str(item_id(product.algorithm, year, tile)),
        shape=(grid.tile_pixels, grid.tile_pixels),
        file_stems={band.measurement: band_file_stem(tile, year, band) for band in bands}
        | {THUMBNAIL: quicklook_file_name(tile, year)},
        required=frozenset(band.measurement for band in bands_of(mission_of(year), product)),
    )


def _gdal() -> rasterio.Env:
    """Return GDAL's settings: it needs no AWS session, which rasterio would make for each file."""
    return rasterio.Env(session=DummySession())


def _write_band(band: Band, members: Members, request: TileRequest, archive: Archive, place: Workplace) -> Cog:
    year, tile = request.tile_year.year, request.tile_year.tile
    path = place.work / band_file_name(tile, year, band, archive.layout.suffix)
    return write_cog(mosaic(members, band, place.grid), band, tile, place.grid, path)


def _publish(done: TileProduct, product: Product, place: Workplace) -> None:
    year, tile = done.tile_year.year, done.tile_year.tile
    prefix = tile_prefix(product, year, tile)
    files = [WrittenFile(cog.path, MEDIA_TYPE, cog.size_bytes, cog.sha256) for cog in done.cogs]
    files += [] if done.quicklook is None else [done.quicklook]
    item_name, eo3_name = item_file_name(tile, year), eo3_file_name(tile, year)
    files.append(_written(place.work / eo3_name, eo3_text(done, item_name), EO3_MEDIA_TYPE))
    item = describe(done, place.target.uri(f"{prefix}/{item_name}"), eo3_name=eo3_name)
    files.append(_written(place.work / item_name, json.dumps(item, indent=2), ITEM_MEDIA_TYPE))
    for file in files:  # the item is the last
        place.target.put(file.path, f"{prefix}/{file.path.name}", file.media_type, file.sha256)


def _written(path: Path, text: str, media_type: str) -> WrittenFile:
    try:
        path.write_text(text)
        return WrittenFile.of(path, media_type)
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Yield a fresh, empty folder below ``parent``, which goes away with all that is in it."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="alos-mosaic-", dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(f"can't make a work folder below {parent}: {error}") from error
    with folder as name:
        yield Path(name)


class Stopwatch:
    """Wall time by stage, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        logger.info("Stage begins", extra={"stage": name})
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)
