"""Describing: the STAC item of a published tile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pystac
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension

import alos_mosaic
from alos_mosaic.bands import NODATA
from alos_mosaic.grid import EPSG, Cell, Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import item_id
from alos_mosaic.processing.checksums import to_multihash
from alos_mosaic.processing.cog import MEDIA_TYPE, Cog
from alos_mosaic.processing.download import Archive
from alos_mosaic.products import Product

ITEM_MEDIA_TYPE: Final = "application/geo+json"

_PREFIX: Final = "alos_mosaic"
"""Properties of our own stand behind this prefix."""
_GSD_METERS: Final = 25


@dataclass(frozen=True)
class TileProduct:
    """Everything an item tells of a tile."""

    tile_year: TileYear
    grid: Grid
    archive: Archive
    cells: tuple[Cell, ...]
    cogs: tuple[Cog, ...]
    run: str | None
    product: Product


def describe(product: TileProduct, self_href: str) -> dict[str, Any]:
    """Return the STAC 1.1 item of a tile as a JSON object; its assets lie beside it.

    The interval is the nominal year, as Digital Earth Africa's: a data cube groups by it.
    """
    year, tile = product.tile_year.year, product.tile_year.tile
    mission = mission_of(year)
    box = tile.bounds
    item = pystac.Item(
        id=str(item_id(product.product.algorithm, year, tile)),
        geometry=_polygon(box.west, box.south, box.east, box.north),
        bbox=[box.west, box.south, box.east, box.north],
        datetime=datetime(year, 7, 1, tzinfo=UTC),
        start_datetime=datetime(year, 1, 1, tzinfo=UTC),
        end_datetime=datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC),
        properties=_properties(product),
    )
    item.common_metadata.created = datetime.now(UTC).replace(microsecond=0)
    item.common_metadata.platform = mission.platform
    item.common_metadata.instruments = [mission.instrument]
    item.common_metadata.gsd = _GSD_METERS
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.code = f"EPSG:{EPSG}"
    projection.shape = [product.grid.tile_pixels, product.grid.tile_pixels]
    projection.transform = list(product.grid.transform(tile))
    for cog in product.cogs:
        _add_asset(item, cog)
    item.add_link(pystac.Link(pystac.RelType.SELF, self_href, ITEM_MEDIA_TYPE))
    return item.to_dict(include_self_link=True, transform_hrefs=False)


def _properties(product: TileProduct) -> dict[str, Any]:
    archive = product.archive
    provenance = {
        "url": archive.url,
        "layout": archive.layout.name,
        "size": archive.size_bytes,
        "sha256": archive.sha256,
        "modified": None if archive.modified is None else archive.modified.isoformat().replace("+00:00", "Z"),
    }
    properties = {
        "odc:product": product.product.name,
        "odc:region_code": product.tile_year.tile.name,
        f"{_PREFIX}:version": alos_mosaic.__version__,
        f"{_PREFIX}:cells": [cell.name for cell in product.cells],
        f"{_PREFIX}:archive": {key: value for key, value in provenance.items() if value is not None},
    }
    if product.run is not None:
        properties[f"{_PREFIX}:run"] = product.run
    return properties


def _add_asset(item: pystac.Item, cog: Cog) -> None:
    band = cog.band
    described = {"name": band.code, "data_type": band.dtype, "nodata": NODATA, "unit": band.unit}
    asset = pystac.Asset(
        href=f"./{cog.path.name}",
        title=band.title,
        media_type=MEDIA_TYPE,
        roles=["data", band.role],
        extra_fields={"bands": [described]},
    )
    item.add_asset(band.measurement, asset)
    file = FileExtension.ext(asset, add_if_missing=True)
    file.size = cog.size_bytes
    file.checksum = to_multihash(cog.sha256)


def _polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}
