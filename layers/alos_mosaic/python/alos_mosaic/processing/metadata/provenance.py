"""Where a tile comes from and what made it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import isal
import numpy as np
import rasterio

import alos_mosaic
from alos_mosaic.processing.download import Archive
from alos_mosaic.processing.metadata.extensions import PREFIX

if TYPE_CHECKING:
    from alos_mosaic.processing.metadata.tile_product import TileProduct


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Return the versions of what decides about bytes: this package, GDAL, rasterio, numpy, ISA-L."""
    return {
        "alos-mosaic": alos_mosaic.__version__,
        "GDAL": rasterio.__gdal_version__,
        "rasterio": rasterio.__version__,
        "numpy": np.__version__,
        "isal": isal.__version__,
    }


def provenance_properties(product: TileProduct) -> dict[str, Any]:
    """Return the item properties that let the tile be made again, and a re-issue of its archive be noticed."""
    properties: dict[str, Any] = {
        "processing:software": dict(product.software),
        "processing:lineage": _lineage(product),
        f"{PREFIX}:version": alos_mosaic.__version__,
    }
    if product.archive is not None:
        properties[f"{PREFIX}:archive"] = archive_facts(product.archive)
    if product.cell_archives:
        properties[f"{PREFIX}:cell_archives"] = [archive_facts(archive) for archive in product.cell_archives]
    if product.code_version is not None:
        properties["processing:version"] = product.code_version
    if product.parameters:
        properties[f"{PREFIX}:parameters"] = dict(product.parameters)
    if product.run is not None:
        properties[f"{PREFIX}:run"] = product.run
    return properties


def archive_facts(archive: Archive) -> dict[str, Any]:
    """Return what is recorded of an archive: JAXA replaces files in place, so the address alone does not name one."""
    facts = {
        "url": archive.url,
        "layout": archive.layout.name,
        "size": archive.size_bytes,
        "sha256": archive.sha256,
        "modified": None if archive.modified is None else archive.modified.isoformat().replace("+00:00", "Z"),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _lineage(product: TileProduct) -> str:
    return (
        f"{len(product.cells)} of {len(product.tile_year.tile.cells)} cells of {product.described.source_title} merged "
        "onto the tile's grid without resampling; pixels without data set to 0 in every band; overviews added."
    )
