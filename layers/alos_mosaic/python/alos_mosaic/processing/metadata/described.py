"""The products in words: what stands in collections, product definitions and titles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alos_mosaic.bands import Band, bands_of
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.missions import ALOS_PRODUCT, JERS_PRODUCT, MISSIONS, Mission
from alos_mosaic.products import FOREST_PRODUCT, PRODUCTS


@dataclass(frozen=True)
class Described:
    """A product's names and texts."""

    name: str
    title: str
    source_title: str
    """What JAXA calls it."""
    description: str
    mission_names: tuple[str, ...]
    keywords: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        """First line of the name that item ids are made of (:func:`alos_mosaic.naming.item_id`)."""
        return PRODUCTS[self.name].algorithm

    @property
    def missions(self) -> tuple[Mission, ...]:
        """The missions that measured it, the earliest first."""
        return tuple(mission for mission in MISSIONS if mission.name in self.mission_names)

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands that every one of its tiles has, in the order they are published."""
        return bands_of(self.missions[-1], PRODUCTS[self.name])

    @property
    def is_classified(self) -> bool:
        """Whether its pixels are classes, not measurements."""
        return self.name == FOREST_PRODUCT


_COMMON: Final = (
    "Tiles of 5 x 5 degrees, named by their north-west corner, on one grid of 0.8 arc-seconds in EPSG:4326 for all "
    "years; one Cloud-Optimized GeoTIFF a band. 0 is nodata in every band."
)

_DESCRIBED: Final = {
    each.name: each
    for each in (
        Described(
            ALOS_PRODUCT,
            "ALOS PALSAR and ALOS-2 PALSAR-2 annual mosaic, 25 m",
            "JAXA's global 25 m PALSAR-2/PALSAR mosaic",
            "Annual mosaics of L-band backscatter (gamma-0, HH and HV) by ALOS PALSAR (2007-2010) and ALOS-2 PALSAR-2 "
            f"(since 2015), with local incidence angle, observation date and processing mask. {_COMMON}",
            ("PALSAR", "PALSAR-2"),
            ("ALOS", "ALOS-2", "PALSAR", "PALSAR-2", "SAR", "L-band", "backscatter", "mosaic", "JAXA"),
        ),
        Described(
            JERS_PRODUCT,
            "JERS-1 SAR annual mosaic, 25 m",
            "JAXA's global 25 m JERS-1 mosaic",
            "Annual mosaics of L-band backscatter (gamma-0, HH) by JERS-1 SAR: 1996 global, 1993-1995, 1997 and 1998 "
            f"tropics only, with local incidence angle, observation date and processing mask. {_COMMON}",
            ("JERS-1",),
            ("JERS-1", "SAR", "L-band", "backscatter", "mosaic", "JAXA"),
        ),
        Described(
            FOREST_PRODUCT,
            "ALOS PALSAR and ALOS-2 PALSAR-2 forest / non-forest map, 25 m",
            "JAXA's global 25 m PALSAR-2/PALSAR forest / non-forest map",
            "Annual classification of the mosaics into forest, non-forest and water. JAXA's releases 1 and 2 use the "
            f"same codes with other meanings: each item carries the table its pixels follow. {_COMMON}",
            ("PALSAR", "PALSAR-2"),
            ("ALOS", "ALOS-2", "PALSAR", "PALSAR-2", "forest", "land cover", "JAXA"),
        ),
    )
}

PRODUCT_NAMES: Final = tuple(_DESCRIBED)
"""All products that are published."""


def described(name: str) -> Described:
    """Return a product's description; :class:`InvalidRequestError` if there is no such product.

    >>> [band.measurement for band in described("jers_sar_mosaic").bands]
    ['hh', 'linci', 'date', 'mask']
    """
    if name not in _DESCRIBED:
        raise InvalidRequestError(f"no product is called {name!r}; known are {', '.join(_DESCRIBED)}")
    return _DESCRIBED[name]
