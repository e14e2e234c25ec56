"""The assets of an item: one a band, and the quicklook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pystac

from alos_mosaic.bands import MASK, NODATA, Band
from alos_mosaic.missions import Mission
from alos_mosaic.processing.checksums import to_multihash
from alos_mosaic.processing.cog import MEDIA_TYPE, Cog
from alos_mosaic.processing.metadata.classes import MASK_MEANINGS, stac_classes
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.tile_product import TileProduct, WrittenFile

GSD_METERS = 25
"""What JAXA names the mosaics after; a pixel has 0.8 arc-seconds, 24.7 m at the equator."""


def band_asset(product: TileProduct, cog: Cog) -> pystac.Asset:
    """Return a COG's asset; its file lies beside the item."""
    found = None if product.statistics is None else product.statistics.range_by_band.get(cog.band.code)
    fields = {
        **band_fields(cog.band, (product.mission,), product.classes),
        "file:size": cog.size_bytes,
        "file:checksum": to_multihash(cog.sha256),
    }
    if found is not None:
        fields["bands"][0]["statistics"] = {"minimum": found[0], "maximum": found[1]}
    return pystac.Asset(
        href=f"./{cog.path.name}",
        title=cog.band.title,
        media_type=MEDIA_TYPE,
        roles=["data", cog.band.role],
        extra_fields=fields,
    )


def band_fields(band: Band, missions: tuple[Mission, ...], classes: Mapping[int, str] | None) -> dict[str, Any]:
    """Return what holds for a band in every tile of these missions: name, type, nodata, unit, how to read it."""
    described: dict[str, Any] = {
        "name": band.code,
        "description": reading_of(band, missions),
        "data_type": band.dtype,
        "nodata": NODATA,
        "unit": band.unit,
        "raster:sampling": "area",
        "raster:spatial_resolution": GSD_METERS,
    }
    fields: dict[str, Any] = {"bands": [described]}
    if band.role == "amplitude":
        fields["sar:polarizations"] = [band.code]
        factors = {mission.calibration_factor_db for mission in missions}
        if len(factors) == 1:
            described[f"{PREFIX}:calibration_factor_db"] = factors.pop()
    if band.code == "date" and len(missions) == 1:
        described[f"{PREFIX}:date_epoch"] = str(missions[0].date_epoch)
    names = MASK_MEANINGS if band is MASK else classes if band.role == "classification" else None
    if names is not None:
        fields["classification:classes"] = stac_classes(names)
    return fields


def reading_of(band: Band, missions: tuple[Mission, ...]) -> str:
    """Return in words how a band's numbers are to be read."""
    if band.role == "amplitude":
        factors = " or ".join(f"{factor:+.2f}" for factor in sorted({m.calibration_factor_db for m in missions}))
        return (
            f"Amplitude as digital number (DN). gamma-0 [dB] = 10 * log10(DN ** 2) {_spaced(factors)}. DN is no power: "
            "average DN ** 2, not DN, and not dB"
        )
    if band.code == "date":
        return "Days since " + ", ".join(f"{m.date_epoch} ({m.platform})" for m in missions)
    return {
        "linci": "Local incidence angle in whole degrees",
        "mask": "What a pixel shows, and whether it holds data (0: no data in any band)",
    }.get(band.code, band.title)


def quicklook_asset(quicklook: WrittenFile) -> pystac.Asset:
    """Return the quicklook's asset; its file lies beside the item."""
    return pystac.Asset(
        href=f"./{quicklook.path.name}",
        title="Quicklook",
        media_type=quicklook.media_type,
        roles=["thumbnail"],
        extra_fields={"file:size": quicklook.size_bytes, "file:checksum": to_multihash(quicklook.sha256)},
    )


def _spaced(signed: str) -> str:
    return signed.replace("-", "- ").replace("+", "+ ")
