"""One tile of one year, from the source to its published item."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import rasterio
from rasterio.session import DummySession

from alos_mosaic.bands import BANDS, FOREST_CLASSES, Resampling, bands_of, possible_codes
from alos_mosaic.errors import OutputError, TileAbsentError
from alos_mosaic.grid import Grid
from alos_mosaic.layouts import Layout
from alos_mosaic.messages import Mode, TileRequest
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
from alos_mosaic.processing.blocks import BLOCK_PIXELS, DEFLATE, PREDICTOR, Codec
from alos_mosaic.processing.cog import MEDIA_TYPE, Cog, write_cog
from alos_mosaic.processing.download import Archive
from alos_mosaic.processing.gathering import Gathered, Gathering
from alos_mosaic.processing.measuring import Peak, Stopwatch
from alos_mosaic.processing.metadata import (
    COLLECTION_MEDIA_TYPE,
    EO3_MEDIA_TYPE,
    ITEM_MEDIA_TYPE,
    TileProduct,
    WrittenFile,
    collection_key,
    collection_of,
    describe,
    eo3_file_name,
    eo3_text,
)
from alos_mosaic.processing.metadata.item import THUMBNAIL
from alos_mosaic.processing.mosaic import Recipe
from alos_mosaic.processing.picture import draw
from alos_mosaic.processing.publish import Expected, Target, Uploads, is_published
from alos_mosaic.processing.pyramid import Pyramid
from alos_mosaic.processing.sources.protocol import SourceAccess
from alos_mosaic.products import FOREST_PRODUCT, Product, product_of
from alos_mosaic.results import State, TileResult

logger = logging.getLogger(__name__)

_BANDS_AT_ONCE: Final = 2
"""Files written at the same time: more would need more disk beside the blocks they are made of."""


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
    backscatter_overviews: Resampling = Resampling.RMS
    """How overviews of backscatter are made: RMS, or AVERAGE as the ancestors'."""
    codec: Codec = DEFLATE
    """How blocks are compressed."""


def process_tile(request: TileRequest, place: Workplace) -> TileResult:
    """Gather a tile's cells, write COGs, describe, publish; the item last, as the mark that all is there.

    Returns a result that is published, skipped or absent; raises the errors of :mod:`alos_mosaic.errors` otherwise,
    and then there is no new item, though COGs may lie there if it was the target that failed.
    """
    stopwatch, peak = Stopwatch(), Peak(place.work)
    year, tile = request.tile_year.year, request.tile_year.tile
    product = product_of(year, request.product)
    key = item_key(product, year, tile)
    facts: dict[str, Any] = {"year": year, "tile": tile.name, "run": request.run, "attempt": request.attempt}
    facts["product"] = product.name
    with stopwatch.stage("check"):
        if request.mode is Mode.SKIP and is_published(place.target, key, _expected(request, product, place.grid)):
            return TileResult(State.SKIPPED, **facts, item_uri=place.target.uri(key), seconds=stopwatch.seconds)
    recipe = Recipe(mission_of(year), product, place.grid, place.backscatter_overviews, place.codec)
    with ExitStack() as context:
        try:
            with stopwatch.stage("gather"):
                gathered = Gathering(request, recipe, place, context).run()
        except TileAbsentError as error:
            return TileResult(State.ABSENT, **facts, cause=str(error), seconds=stopwatch.seconds)
        stopwatch.seconds["transfer"] = round(gathered.transfer_seconds, 3)
        uploads = context.enter_context(Uploads(place.target))
        with stopwatch.stage("write"):
            cogs = tuple(_write_bands(gathered, request, place, uploads, peak))
        with stopwatch.stage("describe"):
            done = _described(gathered, cogs, request, product, place)
        with stopwatch.stage("publish"):
            _publish(done, product, place, uploads)
    peak.measure_disk()
    return TileResult(
        State.PUBLISHED,
        **facts,
        item_uri=place.target.uri(key),
        cells=tuple(cell.name for cell in done.cells),
        defective_cells=tuple(cell.name for cell in done.defective_cells),
        archive=_archive_facts(gathered.archives),
        output_bytes=sum(cog.size_bytes for cog in done.cogs),
        peak_memory_bytes=peak.memory_bytes,
        peak_disk_bytes=peak.disk_bytes,
        seconds=stopwatch.seconds,
    )


def _write_bands(
    gathered: Gathered, request: TileRequest, place: Workplace, uploads: Uploads, peak: Peak
) -> Iterator[Cog]:
    """Write the bands, two at once, and upload each while others are written; what it was made of goes away with it."""
    year, tile = request.tile_year.year, request.tile_year.tile
    prefix = tile_prefix(product_of(year, request.product), year, tile)
    suffix = gathered.archives[0].layout.suffix

    def write(pyramid: Pyramid) -> Cog:
        path = place.work / band_file_name(tile, year, pyramid.band, suffix)
        cog = write_cog(pyramid, tile, place.grid, path)
        uploads.start(path, f"{prefix}/{path.name}", MEDIA_TYPE, cog.sha256)
        peak.measure_disk()
        pyramid.spill.close()
        return cog

    with ThreadPoolExecutor(_BANDS_AT_ONCE, thread_name_prefix="write") as threads:
        yield from threads.map(write, gathered.merged.pyramids)


def _described(
    gathered: Gathered, cogs: tuple[Cog, ...], request: TileRequest, product: Product, place: Workplace
) -> TileProduct:
    year, tile = request.tile_year.year, request.tile_year.tile
    of_tile = next((archive for archive in gathered.archives if archive.cell is None), None)
    release = gathered.archives[0].layout.release
    classes = FOREST_CLASSES[release] if product.name == FOREST_PRODUCT else None
    factor = mission_of(year).calibration_factor_db
    with _gdal():
        quicklook = draw(cogs, factor, classes, place.work / quicklook_file_name(tile, year))
    return TileProduct(
        request.tile_year,
        place.grid,
        of_tile,
        gathered.merged.cells,
        cogs,
        request.run,
        product_name=product.name,
        cell_archives=tuple(archive for archive in gathered.archives if archive.cell is not None),
        defective_cells=gathered.defective,
        statistics=gathered.merged.statistics,
        sidecars=gathered.sidecars,
        quicklook=quicklook,
        classes=classes,
        parameters=_parameters(request, place),
    )


def _parameters(request: TileRequest, place: Workplace) -> dict[str, Any]:
    """Return what may be chosen and makes other bytes of the same archive."""
    return {
        "backscatter_overviews": place.backscatter_overviews.value.lower(),
        "codec": place.codec.name,
        "level": place.codec.level,
        "predictor": PREDICTOR,
        "block_pixels": BLOCK_PIXELS,
        "accept_partial": request.accept_partial,
    }


def _archive_facts(archives: tuple[Archive, ...]) -> dict[str, Any]:
    """Return what a result says of where a tile came from; the item tells more."""
    first = archives[0]
    facts = {"url": first.url, "layout": first.layout.name, "size": sum(archive.size_bytes for archive in archives)}
    return facts if len(archives) == 1 else {**facts, "archives": len(archives)}


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


def _publish(done: TileProduct, product: Product, place: Workplace, uploads: Uploads) -> None:
    year, tile = done.tile_year.year, done.tile_year.tile
    prefix = tile_prefix(product, year, tile)
    item_name, eo3_name = item_file_name(tile, year), eo3_file_name(tile, year)
    beside = [] if done.quicklook is None else [done.quicklook]
    beside.append(_written(place.work / eo3_name, eo3_text(done, item_name), EO3_MEDIA_TYPE))
    for file in beside:
        uploads.start(file.path, f"{prefix}/{file.path.name}", file.media_type, file.sha256)
    _publish_collection(product.name, place)
    item = describe(done, place.target.uri(f"{prefix}/{item_name}"), eo3_name=eo3_name)
    last = _written(place.work / item_name, json.dumps(item, indent=2), ITEM_MEDIA_TYPE)
    uploads.wait()
    place.target.put(last.path, f"{prefix}/{item_name}", last.media_type, last.sha256)


def _publish_collection(product_name: str, place: Workplace) -> None:
    """See to it that the collection that items link to is there as this release makes it; all workers make the same."""
    key = collection_key(product_name)
    text = json.dumps(collection_of(product_name), indent=2)
    folder, _, name = key.rpartition("/")
    if name in place.target.names(folder) and place.target.read(key) == text.encode():
        return
    file = _written(place.work / name, text, COLLECTION_MEDIA_TYPE)
    place.target.put(file.path, key, file.media_type, file.sha256)


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
