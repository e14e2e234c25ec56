"""The STAC item of a published tile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pystac

from alos_mosaic.bands import bands_of
from alos_mosaic.grid import EPSG, Grid, Tile
from alos_mosaic.messages import format_time
from alos_mosaic.naming import EO3_RELATION, THUMBNAIL, item_id
from alos_mosaic.processing.checksums import to_multihash
from alos_mosaic.processing.metadata import extensions, terms
from alos_mosaic.processing.metadata.acquisitions import (
    Sidecars,
    acquisition_properties,
    read_sidecars,
    sidecar_warnings,
)
from alos_mosaic.processing.metadata.assets import GSD_METERS, band_asset, quicklook_asset
from alos_mosaic.processing.metadata.carried import SIDECAR_WARNING
from alos_mosaic.processing.metadata.collection import COLLECTION_FILE_NAME, COLLECTION_MEDIA_TYPE
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.footprint import bounding_box, footprint
from alos_mosaic.processing.metadata.observations import (
    class_properties,
    class_warnings,
    date_properties,
    mask_properties,
    pixel_warnings,
)
from alos_mosaic.processing.metadata.provenance import provenance_properties
from alos_mosaic.processing.metadata.tile_product import TileProduct, WrittenFile

ITEM_MEDIA_TYPE: Final = "application/geo+json"


def describe(product: TileProduct, self_href: str, eo3: WrittenFile | None = None) -> dict[str, Any]:
    """Return the STAC 1.1 item of a tile as a JSON object; its assets lie beside it.

    ``eo3`` is the EO3 document beside the item, if there is one. The collection that it links to lies two folders above
    it.
    """
    year, tile = product.tile_year.year, product.tile_year.tile
    times = nominal_times(year)
    item = pystac.Item(
        id=str(item_id(product.described.algorithm, year, tile)),
        geometry=footprint(product.cells),
        bbox=bounding_box(product.cells),
        datetime=times["datetime"],
        start_datetime=times["start_datetime"],
        end_datetime=times["end_datetime"],
        properties=_properties(product),
    )
    for cog in product.cogs:
        item.add_asset(cog.band.measurement, band_asset(product, cog))
    if product.quicklook is not None:
        item.add_asset(THUMBNAIL, quicklook_asset(product.quicklook))
    item.stac_extensions = _extensions(item)
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    document["links"] = _links(self_href, eo3)
    document["collection"] = product.described.name
    return document


def projection(tile: Tile, grid: Grid) -> dict[str, Any]:
    """Return how a tile's pixels lie on a grid, in the fields of the projection extension."""
    return {
        "proj:code": f"EPSG:{EPSG}",
        "proj:shape": [grid.tile_pixels] * 2,
        "proj:transform": list(grid.transform(tile)),
    }


def nominal_times(year: int) -> dict[str, datetime]:
    """Return a year's interval and its middle, by the item's names for them.

    It is the nominal year, as Digital Earth Africa's: a data cube groups by it.
    """
    return {
        "datetime": datetime(year, 7, 1, tzinfo=UTC),
        "start_datetime": datetime(year, 1, 1, tzinfo=UTC),
        "end_datetime": datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC),
    }


def _properties(product: TileProduct) -> dict[str, Any]:
    mission, tile = product.mission, product.tile_year.tile
    carried = product.carried
    sidecars = read_sidecars(product.sidecars)
    properties = {
        "title": f"{product.described.title}: {tile.name}, {product.tile_year.year}",
        "created": format_time(product.created or product.updated),
        "updated": format_time(product.updated),
        "license": terms.LICENSE,
        "providers": terms.PROVIDERS,
        f"{PREFIX}:attribution": terms.ATTRIBUTION,
        "platform": mission.platform,
        "instruments": [mission.instrument],
        "gsd": GSD_METERS,
        "odc:product": product.described.name,
        "odc:region_code": tile.name,
        **projection(tile, product.grid),
        **_cells(product),
        **_measured(product, sidecars),
        **(provenance_properties(product) if carried is None else carried.properties),
    }
    warnings = _warnings(product, sidecars)
    if warnings:
        properties[f"{PREFIX}:warnings"] = warnings
    return properties


def _cells(product: TileProduct) -> dict[str, Any]:
    facts: dict[str, Any] = {
        f"{PREFIX}:cells": [cell.name for cell in product.cells],
        f"{PREFIX}:cells_present": len(product.cells),
        f"{PREFIX}:cells_absent": [cell.name for cell in product.absent_cells],
    }
    if product.defective_cells:
        facts[f"{PREFIX}:cells_defective"] = [cell.name for cell in product.defective_cells]
    return facts


def _measured(product: TileProduct, sidecars: Sidecars) -> dict[str, Any]:
    """Return what is known by looking: from sidecars and pixels."""
    properties: dict[str, Any] = {}
    pixels = product.grid.tile_pixels**2
    statistics = product.statistics
    if product.polarizations:
        properties |= {
            "sar:frequency_band": "L",
            "sar:polarizations": list(product.polarizations),
            "sar:product_type": "RTC",
            f"{PREFIX}:calibration_factor_db": product.mission.calibration_factor_db,
            f"{PREFIX}:date_epoch": str(product.mission.date_epoch),
        }
        properties |= acquisition_properties(sidecars)
    if statistics is not None and statistics.pixels_by_mask_value:
        properties |= mask_properties(statistics, pixels)
        properties |= date_properties(statistics, product.mission, product.tile_year.year)
    if statistics is not None and product.classes is not None:
        properties |= class_properties(statistics, dict(product.classes), pixels)
    return properties


def _warnings(product: TileProduct, sidecars: Sidecars) -> list[str]:
    warnings = []
    if product.defective_cells:
        names = ", ".join(cell.name for cell in product.defective_cells)
        warnings.append(f"JAXA has cells that can't be read and are left out: {names}")
    if product.listing is not None and product.lacking_cells:
        names = ", ".join(cell.name for cell in product.lacking_cells)
        warnings.append(f"JAXA's listing of {product.listing.date} has cells that this archive lacks: {names}")
    if product.statistics is not None:
        bands = bands_of(product.mission)
        measured = sum(band.role == "amplitude" for band in bands)
        warnings += pixel_warnings(product.statistics, len(bands) - 1, measured)
    if product.statistics is not None and product.classes is not None:
        warnings += class_warnings(product.statistics, product.classes)
    if product.polarizations:
        left_out = sorted(product.sidecar_problems.items())
        warnings += [f"a {SIDECAR_WARNING} {cell} is left out: {reason}" for cell, reason in left_out]
        warnings += sidecar_warnings(sidecars, product.mission)
    return warnings if product.carried is None else [*warnings, *product.carried.warnings]


def _extensions(item: pystac.Item) -> list[str]:
    """Return the extensions whose fields the item has."""
    prefixes = {name.partition(":")[0] for name in item.properties}
    prefixes |= {name.partition(":")[0] for asset in item.assets.values() for name in asset.extra_fields}
    by_prefix = {
        "proj": extensions.PROJECTION,
        "sar": extensions.SAR,
        "sat": extensions.SAT,
        "classification": extensions.CLASSIFICATION,
        "file": extensions.FILE,
        "processing": extensions.PROCESSING,
    }
    return [extensions.RASTER, *(uri for prefix, uri in by_prefix.items() if prefix in prefixes)]


def _links(self_href: str, eo3: WrittenFile | None) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = [
        {"rel": "self", "href": self_href, "type": ITEM_MEDIA_TYPE},
        {"rel": "collection", "href": f"../../{COLLECTION_FILE_NAME}", "type": COLLECTION_MEDIA_TYPE},
    ]
    if eo3 is not None:
        # No asset, which readers might take for a band; the file extension allows its fields in links, too.
        links.append(
            {
                "rel": EO3_RELATION,
                "href": f"./{eo3.path.name}",
                "type": eo3.media_type,
                "title": "Open Data Cube dataset",
                "file:size": eo3.size_bytes,
                "file:checksum": to_multihash(eo3.sha256),
            }
        )
    return links + [dict(link) for link in terms.LINKS]
