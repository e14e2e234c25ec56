"""What a tile's documents are made of, and how they are published; apart, because GDAL and pystac load slowly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.session import DummySession

from alos_mosaic.bands import FOREST_CLASSES
from alos_mosaic.errors import OutputError
from alos_mosaic.inventory import ArchiveKind, listing_of
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import eo3_file_name, item_file_name, quicklook_file_name, tile_prefix
from alos_mosaic.processing.blocks import BLOCK_PIXELS, PREDICTOR
from alos_mosaic.processing.cog import Cog
from alos_mosaic.processing.metadata import (
    COLLECTION_MEDIA_TYPE,
    EO3_MEDIA_TYPE,
    ITEM_MEDIA_TYPE,
    TileProduct,
    WrittenFile,
    collection_key,
    collection_of,
    describe,
    eo3_text,
)
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.observations import class_properties, mask_properties
from alos_mosaic.processing.picture import draw
from alos_mosaic.processing.publish import FileToPut, Uploads
from alos_mosaic.processing.standing import Expected
from alos_mosaic.products import FOREST_PRODUCT, PRODUCTS, Product

if TYPE_CHECKING:
    from alos_mosaic.processing.gathering import Gathered
    from alos_mosaic.processing.pipeline import Workplace


def described_tile(
    gathered: Gathered, cogs: tuple[Cog, ...], request: TileRequest, product: Product, place: Workplace
) -> TileProduct:
    """Return what a tile's documents tell, once its COGs are written; the quicklook is drawn, too.

    When it was first published is for the caller to add.
    """
    year = request.tile_year.year
    of_tile = next((archive for archive in gathered.archives if archive.cell is None), None)
    release = gathered.archives[0].layout.release
    classes = FOREST_CLASSES[release] if product.name == FOREST_PRODUCT else None
    quicklook = drawn_quicklook(cogs, request.tile_year, classes, place)
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
        listing=listing_of(year, ArchiveKind.of_product(product.name)),
        statistics=gathered.merged.statistics,
        sidecars=gathered.sidecars,
        sidecar_problems=gathered.sidecar_problems,
        quicklook=quicklook,
        classes=classes,
        parameters=_parameters(request, place),
    )


def drawn_quicklook(
    cogs: tuple[Cog, ...], tile_year: TileYear, classes: Mapping[int, str] | None, place: Workplace
) -> WrittenFile:
    """Draw a tile's quicklook into the work folder, of a forest map by its release's classes."""
    path = place.work / quicklook_file_name(tile_year.tile, tile_year.year)
    with rasterio.Env(session=DummySession()):  # GDAL needs no AWS session, which rasterio would make for each file
        return draw(cogs, mission_of(tile_year.year).calibration_factor_db, classes, path)


def _parameters(request: TileRequest, place: Workplace) -> dict[str, Any]:
    """Return what may be chosen and makes other bytes of the same archive."""
    overviews = {"backscatter_overviews": place.backscatter_overviews.value.lower()}
    return {
        **({} if request.product == FOREST_PRODUCT else overviews),
        "codec": place.codec.name,
        "level": place.codec.level,
        "predictor": PREDICTOR,
        "block_pixels": BLOCK_PIXELS,
        "accept_partial": request.accept_partial,
    }


def shares(done: TileProduct) -> dict[str, Any]:
    """Return what a result tells of a tile's pixels: the item's own percentages, of data and of water."""
    if done.statistics is None:
        return {}
    pixels = done.grid.tile_pixels**2
    if done.classes is not None:
        properties = class_properties(done.statistics, dict(done.classes), pixels)
    else:
        properties = mask_properties(done.statistics, pixels)
    named = {name: properties.get(f"{PREFIX}:{name}") for name in ("valid_percent", "water_percent")}
    return {name: share for name, share in named.items() if share is not None}


def publish_documents(done: TileProduct, expected: Expected, place: Workplace, uploads: Uploads) -> None:
    """Publish a tile's documents: the item last of all, when every upload has ended well."""
    year, tile, product = done.tile_year.year, done.tile_year.tile, done.described
    prefix = tile_prefix(PRODUCTS[product.name], year, tile)
    item_name, eo3_name = item_file_name(tile, year), eo3_file_name(tile, year)
    if done.quicklook is not None:
        uploads.start(_to_put(done.quicklook, prefix))
    eo3 = _written(place.work / eo3_name, eo3_text(done, item_name), EO3_MEDIA_TYPE)
    _publish_collection(product.name, place)
    item = describe(done, place.target.uri(f"{prefix}/{item_name}"), eo3)
    last = _written(place.work / item_name, json.dumps(item, indent=2), ITEM_MEDIA_TYPE)
    uploads.finish(_to_put(last, prefix), item, expected, ahead=[_to_put(eo3, prefix)])


def _publish_collection(product_name: str, place: Workplace) -> None:
    """See to it that the collection that items link to is there as this release makes it; all workers make the same."""
    key = collection_key(product_name)
    text = json.dumps(collection_of(product_name), indent=2)
    folder, _, name = key.rpartition("/")
    if name in place.target.names(folder) and place.target.read(key) == text.encode():
        return
    file = _written(place.work / name, text, COLLECTION_MEDIA_TYPE)
    place.target.put(_to_put(file, folder))


def _to_put(file: WrittenFile, folder: str) -> FileToPut:
    return FileToPut(file.path, f"{folder}/{file.path.name}", file.media_type, file.sha256)


def _written(path: Path, text: str, media_type: str) -> WrittenFile:
    try:
        path.write_text(text)
        return WrittenFile.of(path, media_type)
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
