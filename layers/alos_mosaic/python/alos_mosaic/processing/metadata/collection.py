"""The STAC collections: one a product, the same bytes whichever tiles are published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from alos_mosaic.grid import EPSG, NORTHERNMOST_ROW, SOUTHERNMOST_ROW, TILE_DEGREES
from alos_mosaic.processing.cog import MEDIA_TYPE
from alos_mosaic.processing.metadata import extensions, terms
from alos_mosaic.processing.metadata.assets import GSD_METERS, band_fields
from alos_mosaic.processing.metadata.described import Described, described

STAC_VERSION = "1.1.0"
COLLECTION_FILE_NAME = "collection.json"
COLLECTION_MEDIA_TYPE = "application/json"


def collection_key(product_name: str) -> str:
    """Return the collection's key; items two folders below link to it.

    >>> collection_key("jers_sar_mosaic")
    'jers_sar_mosaic/collection.json'
    """
    return f"{product_name}/{COLLECTION_FILE_NAME}"


def collection_of(product_name: str) -> dict[str, Any]:
    """Return a product's STAC 1.1 collection as a JSON object, without a self link: it may be copied anywhere."""
    product = described(product_name)
    item_assets = {band.measurement: _item_asset(product, band) for band in product.bands}
    used = [extensions.PROJECTION, extensions.RASTER, extensions.CLASSIFICATION]
    if not product.is_classified:
        used.append(extensions.SAR)
    else:
        used.remove(extensions.CLASSIFICATION)  # which table holds is known by the item only
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": used,
        "id": product.name,
        "title": product.title,
        "description": f"{product.description} {terms.ATTRIBUTION}.",
        "keywords": list(product.keywords),
        "license": terms.LICENSE,
        "providers": terms.PROVIDERS,
        "extent": _extent(product),
        "summaries": _summaries(product),
        "item_assets": item_assets,
        "links": [dict(link) for link in terms.LINKS],
    }


def _item_asset(product: Described, band: Any) -> dict[str, Any]:
    return {
        "title": band.title,
        "type": MEDIA_TYPE,
        "roles": ["data", band.role],
        **band_fields(band, product.missions, None),
    }


def _extent(product: Described) -> dict[str, Any]:
    """Return the whole grid, and the years from the first on; open-ended while mosaics of a mission go on."""
    first, last = product.missions[0].first_year, product.missions[-1].last_year
    end = None if last is None else _text(datetime(last, 12, 31, 23, 59, 59, tzinfo=UTC))
    return {
        "spatial": {"bbox": [[-180, SOUTHERNMOST_ROW - TILE_DEGREES, 180, NORTHERNMOST_ROW]]},
        "temporal": {"interval": [[_text(datetime(first, 1, 1, tzinfo=UTC)), end]]},
    }


def _summaries(product: Described) -> dict[str, Any]:
    summaries: dict[str, Any] = {
        "platform": [mission.platform for mission in product.missions],
        "instruments": [mission.instrument for mission in product.missions],
        "gsd": [GSD_METERS],
        "proj:code": [f"EPSG:{EPSG}"],
        "odc:product": [product.name],
    }
    if not product.is_classified:
        polarizations = dict.fromkeys(code for mission in product.missions for code in mission.polarizations)
        summaries |= {
            "sar:frequency_band": ["L"],
            "sar:polarizations": list(polarizations),
            "sar:product_type": ["RTC"],
        }
    return summaries


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
