"""The band table: what each of JAXA's codes measures and how it is stored, resampled and described."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from alos_mosaic.missions import Mission

NODATA: Final = 0
"""Nodata of every published band, and its tag."""


class Resampling(StrEnum):
    """How an overview's pixel comes out of the four below it; the values are GDAL's names."""

    RMS = "RMS"
    AVERAGE = "AVERAGE"
    MODE = "MODE"


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
    )
}
"""Dtypes: HH, HV and date are unsigned (a real HH reaches 40273, which int16 does not hold)."""

MASK: Final = BANDS["mask"]
ANCILLARY_CODES: Final = ("linci", "date", "mask")

MASK_CLASSES: Final = {0: "no_data", 50: "water", 100: "lay_over", 150: "shadowing", 255: "land"}
"""Values of the mask band up to v2.3, with Digital Earth Africa's flag names."""


def bands_of(mission: Mission) -> tuple[Band, ...]:
    """Return the bands that every tile of a mission has, in the order they are published.

    >>> from alos_mosaic.missions import mission_of
    >>> [band.code for band in bands_of(mission_of(1996))]
    ['HH', 'linci', 'date', 'mask']
    """
    return tuple(BANDS[code] for code in (*mission.polarizations, *ANCILLARY_CODES))
