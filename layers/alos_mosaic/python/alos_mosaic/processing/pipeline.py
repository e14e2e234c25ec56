"""One tile of one year, from the source to its published item."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from alos_mosaic.bands import Resampling
from alos_mosaic.errors import OutputError, TileAbsentError
from alos_mosaic.grid import Grid
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.messages import Mode, TileRequest
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import band_file_name, item_key, tile_prefix
from alos_mosaic.processing.blocks import DEFLATE, Codec
from alos_mosaic.processing.buffers import release_memory
from alos_mosaic.processing.cog import MEDIA_TYPE, Cog, write_cog
from alos_mosaic.processing.freshness import is_fresh
from alos_mosaic.processing.gathering import Gathered, Gathering
from alos_mosaic.processing.measuring import Peak, Stopwatch
from alos_mosaic.processing.mirror import Mirror
from alos_mosaic.processing.mosaic import Recipe
from alos_mosaic.processing.progress import TileProgress
from alos_mosaic.processing.publish import FileToPut, Target, Uploads
from alos_mosaic.processing.pyramid import Pyramid
from alos_mosaic.processing.relay import Relay
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import SourceAccess
from alos_mosaic.processing.standing import Expected, Standing, expected_of, look
from alos_mosaic.products import Product, product_of
from alos_mosaic.publication import done_at
from alos_mosaic.results import State, TileResult

logger = logging.getLogger(__name__)

_DOCUMENTS: Final = "alos_mosaic.processing.documents"
"""Loading it, GDAL and pystac with it, takes half a second, in which the archive can already come."""
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the interpreter from others that want it. By default it is ten times as long, longer
than it takes to decompress a piece of the archive: while modules load, that would come to a stand."""
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
    relay: Relay | None = None
    """How a transfer is handed on to another invocation; without one it takes as long as it takes."""
    mirror: Mirror | None = None
    """Where archives are kept as they came; without one they are removed as soon as they are merged, else they lie in
    the work folder to the end."""
    peak: Peak | None = None
    """What watches one tile's work folder for who wants to know of it however the tile ends; its result tells else."""
    progress: TileProgress = field(default_factory=TileProgress)
    """Where is told how far the tile is, for who looks on."""


def process_tile(request: TileRequest, place: Workplace) -> TileResult:
    """Gather a tile's cells, write COGs, describe, publish; the item last, as the mark that all is there.

    What is published already decides with the request's mode whether there is anything to do, and whether readers see
    new files one by one or, where an item stands, in one go.

    Returns a result that is published, skipped or absent; raises the errors of :mod:`alos_mosaic.errors` otherwise,
    and then there is no new item, though COGs may lie there if it was the target that failed. With a relay, a transfer
    that takes longer than its time is :class:`~alos_mosaic.processing.relay.TransferPausedError`.
    """
    release_memory()  # what a tile that broke off held was still held when it ended
    try:
        return _processed(request, place)
    except OSError as error:  # whatever is about the source or the target has its own name by now
        raise OutputError(f"can't work in {place.work}: {error}") from error
    finally:
        release_memory()


def _processed(request: TileRequest, place: Workplace) -> TileResult:
    stopwatch, peak, not_kept = Stopwatch(place.progress), place.peak or Peak(place.work), None
    year, tile = request.tile_year.year, request.tile_year.tile
    product = product_of(year, request.product)
    key = item_key(product, year, tile)
    facts: dict[str, Any] = {"year": year, "tile": tile.name, "run": request.run, "attempt": request.attempt}
    facts["product"] = product.name
    expected = expected_of(request.tile_year, product, place.grid, accept_partial=request.accept_partial)
    with stopwatch.stage("check"):
        standing = look(place.target, key)
        if _is_done(request, product, place, standing, expected):
            return TileResult(State.SKIPPED, **facts, item_uri=place.target.uri(key), seconds=stopwatch.seconds)
    sys.setswitchinterval(_SWITCH_SECONDS)
    threading.Thread(target=import_module, args=(_DOCUMENTS,), name="load").start()
    with ExitStack() as context, peak:
        uploads = context.enter_context(Uploads(place.target, standing))
        if request.mode is Mode.METADATA_ONLY:
            with stopwatch.stage("describe"):
                from alos_mosaic.processing.rebuilding import rebuilt_tile  # noqa: PLC0415

                done, archive = rebuilt_tile(request, product, place, standing, expected), {}
        else:
            recipe = Recipe(mission_of(year), product, place.grid, place.backscatter_overviews, place.codec)
            try:
                with stopwatch.stage("gather"):
                    gathered = Gathering(request, recipe, place, context).run()
            except TileAbsentError as error:
                return TileResult(State.ABSENT, **facts, cause=str(error), seconds=stopwatch.seconds)
            stopwatch.seconds["transfer"] = round(gathered.transfer_seconds, 3)
            with stopwatch.stage("write"):
                cogs = tuple(_write_bands(gathered, request, place, uploads, peak))
            with stopwatch.stage("describe"):
                from alos_mosaic.processing.documents import described_tile  # noqa: PLC0415

                done, archive = described_tile(gathered, cogs, request, product, place), _archive_facts(gathered)
            if place.mirror is not None:
                with stopwatch.stage("keep"):  # ahead of the item, so that what is published has its archives there
                    layouts = layouts_of(mission_of(year), product.name, place.extra_layouts)
                    not_kept = place.mirror.keep(gathered.whole, request.tile_year, layouts)
        with stopwatch.stage("publish"):
            from alos_mosaic.processing.documents import publish_documents, shares  # noqa: PLC0415

            publish_documents(replace(done, created=standing.time("created")), expected, place, uploads)
    return TileResult(
        State.PUBLISHED,
        **facts,
        item_uri=place.target.uri(key),
        cells=tuple(cell.name for cell in done.cells),
        defective_cells=tuple(cell.name for cell in done.defective_cells),
        values_under_nodata=0 if done.statistics is None else done.statistics.values_under_nodata or 0,
        archive=archive,
        **shares(done),
        output_bytes=sum(cog.size_bytes for cog in done.cogs),
        peak_memory_bytes=peak.memory_bytes,
        peak_disk_bytes=peak.disk_bytes,
        seconds=stopwatch.seconds,
        archives_not_kept=not_kept,
    )


def _is_done(request: TileRequest, product: Product, place: Workplace, standing: Standing, expected: Expected) -> bool:
    """Tell whether what is published of a tile is what is asked for; to overwrite, that need not even be looked at."""
    properties = standing.item.get("properties")
    done = done_at(properties, request.mode) if isinstance(properties, dict) else None
    is_later = request.since is not None and done is not None and done > request.since
    if not is_later and request.mode not in (Mode.SKIP, Mode.REFRESH):
        return False
    if not standing.is_whole(place.target, expected):
        return False
    if is_later or request.mode is Mode.SKIP:
        return True
    layouts = layouts_of(mission_of(request.tile_year.year), product.name, place.extra_layouts)
    with open_source(place.source_url, place.access) as source:
        return is_fresh(standing.item, source, request.tile_year, layouts)


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
        uploads.start(FileToPut(path, f"{prefix}/{path.name}", MEDIA_TYPE, cog.sha256))
        peak.measure_disk()
        pyramid.spill.close()
        return cog

    place.progress.bands = len(gathered.merged.pyramids)
    with ThreadPoolExecutor(_BANDS_AT_ONCE, thread_name_prefix="write") as threads:
        for cog in threads.map(write, gathered.merged.pyramids):
            place.progress.written_bands += 1
            yield cog


def _archive_facts(gathered: Gathered) -> dict[str, Any]:
    """Return what a result says of where a tile came from; the item tells more."""
    archives = gathered.archives
    layouts = list(dict.fromkeys(archive.layout.name for archive in archives))
    size = sum(archive.size_bytes for archive in archives)
    facts = {"url": archives[0].url, "layouts": layouts, "size": size}
    return facts if len(archives) == 1 else {**facts, "archives": len(archives)}


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
