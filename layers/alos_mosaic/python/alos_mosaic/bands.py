"""The band table: what each of JAXA's codes measures and how it is stored, resampled and described."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.missions import Mission
from alos_mosaic.products import FOREST_PRODUCT, Product

NODATA: Final = 0
"""Nodata of every published band, and its tag."""


BACKSCATTER_OVERVIEWS: Final = ("rms", "average")
"""How overviews of HH, HV, VH and VV are made: as the mean of backscatter, or as the ancestors' mean of amplitudes."""


class Resampling(StrEnum):
    """How an overview's pixel comes out of the four below it; the values are GDAL's names."""

    RMS = "RMS"
    AVERAGE = "AVERAGE"
    MODE = "MODE"


def backscatter_resampling(name: str) -> Resampling:
    """Return how overviews of backscatter are made, by the setting's word for it.

    :class:`~alos_mosaic.errors.InvalidRequestError` for another word.

    >>> backscatter_resampling("average")
    <Resampling.AVERAGE: 'AVERAGE'>
    """
    if name not in BACKSCATTER_OVERVIEWS:
        raise InvalidRequestError(
            f"overviews of backscatter are made by {' or '.join(BACKSCATTER_OVERVIEWS)}, not {shown(name)}"
        )
    return Resampling(name.upper())


@dataclass(frozen=True)
class Band:
    """One band of a mosaic."""

    code: str
    """JAXA's code, as it stands in member names and in the keys we publish."""
    measurement: str
    """The Open Data Cube's name, and the asset's in STAC."""
    title: str
    dtype: str
    unit: str
    resampling: Resampling
    role: str
    """STAC role beside ``data``."""

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of one pixel."""
        return 2 if self.dtype == "uint16" else 1


def _backscatter(code: str) -> Band:
    # DN is an amplitude: the mean of backscatter is the mean of DN squared.
    title = f"{code} gamma-0 backscatter as amplitude (DN)"
    return Band(code, code.lower(), title, "uint16", "1", Resampling.RMS, "amplitude")


BANDS: Final = {
    band.code: band
    for band in (
        *(_backscatter(code) for code in ("HH", "HV", "VH", "VV")),
        Band("linci", "linci", "Local incidence angle", "uint8", "deg", Resampling.AVERAGE, "local-incidence-angle"),
        Band("date", "date", "Observation date, days since launch", "uint16", "d", Resampling.MODE, "date"),
        Band("mask", "mask", "Processing mask", "uint8", "1", Resampling.MODE, "data-mask"),
        Band("C", "c", "Forest / non-forest class", "uint8", "1", Resampling.MODE, "classification"),
    )
}
"""Dtypes: HH, HV and date are unsigned (a real HH reaches 40273, which int16 does not hold)."""

MASK: Final = BANDS["mask"]
FOREST: Final = BANDS["C"]
ANCILLARY_CODES: Final = ("linci", "date", "mask")

MASK_CLASSES: Final = {0: "no_data", 50: "water", 100: "lay_over", 150: "shadowing", 255: "land"}
"""Values of the mask band up to v2.3, with Digital Earth Africa's flag names."""

FOREST_CLASSES: Final = {
    1: {0: "no_data", 1: "forest", 2: "non_forest", 3: "water"},
    2: {0: "no_data", 1: "dense_forest", 2: "sparse_forest", 3: "non_forest", 4: "water"},
}
"""Values of the forest map by JAXA's release (:attr:`alos_mosaic.layouts.Layout.release`): same codes, other meaning.

Release 2 calls forest dense above 90 % of canopy cover, sparse from 10 to 90 %.
"""


def bands_of(mission: Mission, product: Product | None = None) -> tuple[Band, ...]:
    """Return the bands that every cell of a product has, in the order they are published; the mosaic's without one.

    >>> from alos_mosaic.missions import mission_of
    >>> [band.code for band in bands_of(mission_of(1996))]
    ['HH', 'linci', 'date', 'mask']
    """
    if product is not None and product.name == FOREST_PRODUCT:
        return (FOREST,)
    return tuple(BANDS[code] for code in (*mission.polarizations, *ANCILLARY_CODES))


def bands_with(found: Collection[str], mission: Mission, product: Product | None = None) -> tuple[Band, ...]:
    """Return the bands to publish when these codes were found: those of every cell, and what some cells have on top.

    PALSAR-2's cells in quad-polarization bring VH and VV.

    >>> from alos_mosaic.missions import mission_of
    >>> [band.code for band in bands_with({"VV", "VH", "mask"}, mission_of(2020))]
    ['HH', 'HV', 'VH', 'VV', 'linci', 'date', 'mask']
    """
    codes = {band.code for band in bands_of(mission, product)} | (possible_codes(product) & set(found))
    return tuple(band for code, band in BANDS.items() if code in codes)


def possible_codes(product: Product | None = None) -> frozenset[str]:
    """Return the codes that members of a product's archives may have; a member of another code is not ours to read.

    >>> sorted(possible_codes())
    ['HH', 'HV', 'VH', 'VV', 'date', 'linci', 'mask']
    """
    is_forest = product is not None and product.name == FOREST_PRODUCT
    return frozenset({FOREST.code}) if is_forest else frozenset(BANDS) - {FOREST.code}
