"""The Open Data Cube's own document of a tile: EO3, beside the item, for indexing without a STAC converter."""

from __future__ import annotations

from typing import Any, Final

from alos_mosaic.grid import EPSG
from alos_mosaic.messages import format_time
from alos_mosaic.naming import THUMBNAIL, item_id
from alos_mosaic.processing.metadata.assets import GSD_METERS
from alos_mosaic.processing.metadata.footprint import footprint
from alos_mosaic.processing.metadata.tile_product import TileProduct
from alos_mosaic.processing.metadata.yaml_text import to_yaml

EO3_MEDIA_TYPE: Final = "text/yaml"
_SCHEMA: Final = "https://schemas.opendatacube.org/dataset"


def eo3_text(product: TileProduct, item_name: str) -> str:
    """Return the EO3 document as YAML; ``item_name`` is the STAC item's file name beside it."""
    return to_yaml(eo3_document(product, item_name))


def eo3_document(product: TileProduct, item_name: str) -> dict[str, Any]:
    """Return the EO3 dataset document; its id is the item's, so that either may be indexed."""
    year, tile, name = product.tile_year.year, product.tile_year.tile, product.described.name
    grid = {
        "shape": [product.grid.tile_pixels] * 2,
        "transform": [*product.grid.transform(tile), 0.0, 0.0, 1.0],
    }
    accessories = {"metadata:stac": {"path": item_name}}
    if product.quicklook is not None:
        accessories[THUMBNAIL] = {"path": product.quicklook.path.name}
    return {
        "$schema": _SCHEMA,
        "id": str(item_id(product.described.algorithm, year, tile)),
        "label": f"{name}_{tile.name}_{year}",
        "product": {"name": name},
        "crs": f"epsg:{EPSG}",
        "geometry": footprint(product.cells),
        "grids": {"default": grid},
        "properties": _properties(product),
        "measurements": {cog.band.measurement: {"path": cog.path.name} for cog in product.cogs},
        "accessories": accessories,
        "lineage": {},
    }


def _properties(product: TileProduct) -> dict[str, Any]:
    year = product.tile_year.year
    properties = {
        "datetime": f"{year}-07-01T00:00:00Z",
        "dtr:start_datetime": f"{year}-01-01T00:00:00Z",
        "dtr:end_datetime": f"{year}-12-31T23:59:59Z",
        "eo:gsd": GSD_METERS,
        "eo:instrument": product.mission.instrument,
        "eo:platform": product.mission.platform.lower(),  # as EO3 spells platforms
        "odc:file_format": "GeoTIFF",
        "odc:processing_datetime": format_time(product.updated),
        "odc:region_code": product.tile_year.tile.name,
        # The name that EO3's tools know for it.
        "odc:dataset_version": (product.source_release or "").removeprefix("v") or None,
    }
    return {name: value for name, value in properties.items() if value is not None}
