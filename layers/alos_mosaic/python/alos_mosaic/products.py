"""The product table: what is published, from whose archives, and which product a year's request means.

A year's own mosaic follows from the year; the forest map of the same year is chosen by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.missions import ALOS_PRODUCT, JERS_PRODUCT, Mission, mission_of

FOREST_PRODUCT: Final = "alos_palsar_fnf"


@dataclass(frozen=True)
class Product:
    """One kind of tile that is published."""

    name: str
    """The Open Data Cube product and the first folder of every published key."""
    algorithm: str
    """First line of the name that item ids are made of (:func:`alos_mosaic.naming.item_id`)."""
    missions: tuple[str, ...]
    """Names of the missions whose years have it."""


PRODUCTS: Final = {
    product.name: product
    for product in (
        Product(ALOS_PRODUCT, "alos", ("PALSAR", "PALSAR-2")),
        Product(JERS_PRODUCT, "jers", ("JERS-1",)),
        # With the mosaic's algorithm name, the forest map's ids would be the mosaic's.
        Product(FOREST_PRODUCT, "alos_fnf", ("PALSAR", "PALSAR-2")),
    )
}
"""The mosaics' names and algorithms are Digital Earth Africa's."""


def product_of(year: int, name: str | None = None, current_year: int | None = None) -> Product:
    """Return the product of that name, or without a name the year's own mosaic.

    :class:`InvalidRequestError` if there is no such product or the year has none of it. Forest maps are known of
    2007-10 and 2015-17 and come for later years, so every year of ALOS and ALOS-2 may be asked for.

    >>> product_of(1996).name, product_of(2020).name, product_of(2020, "alos_palsar_fnf").algorithm
    ('jers_sar_mosaic', 'alos_palsar_mosaic', 'alos_fnf')
    """
    mission = mission_of(year, current_year)
    if name is None:
        return PRODUCTS[mission.product]
    product = PRODUCTS.get(name) if isinstance(name, str) else None
    if product is None:
        raise InvalidRequestError(f"no product is called {name!r}; known are {', '.join(PRODUCTS)}")
    if mission.name not in product.missions:
        raise InvalidRequestError(f"{year} has no {name}; it has {', '.join(_names_of(mission))}")
    return product


def _names_of(mission: Mission) -> list[str]:
    return [product.name for product in PRODUCTS.values() if mission.name in product.missions]
