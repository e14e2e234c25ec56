"""What the values of the classified bands mean: the mask and the two tables of the forest map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alos_mosaic.bands import MASK_CLASSES


@dataclass(frozen=True)
class Meaning:
    """One value's name, what it says, and the colour to draw it in."""

    name: str
    """Digital Earth Africa's flag name, where it has one."""
    description: str
    color: str
    """Six hexadecimal digits."""


_DESCRIBED: Final = {
    meaning.name: meaning
    for meaning in (
        Meaning("no_data", "No data", "000000"),
        Meaning("water", "Ocean and water", "2B6CB0"),
        Meaning("lay_over", "Radar layover", "ED8936"),
        Meaning("shadowing", "Radar shadow", "4A5568"),
        Meaning("land", "Land", "C6B68A"),
        Meaning("scansar_land", "Land, filled from ScanSAR (since JAXA's v2.4)", "DED2AF"),
        Meaning("scansar_lay_over", "Radar layover, filled from ScanSAR (since JAXA's v2.4)", "F6AD55"),
        Meaning("scansar_shadowing", "Radar shadow, filled from ScanSAR (since JAXA's v2.4)", "718096"),
        Meaning("scansar_water", "Ocean and water, filled from ScanSAR (since JAXA's v2.4)", "63B3ED"),
        Meaning("forest", "Forest", "1B7A3D"),
        Meaning("dense_forest", "Forest, canopy cover above 90 %", "0F5E2C"),
        Meaning("sparse_forest", "Forest, canopy cover 10 to 90 %", "74B65F"),
        Meaning("non_forest", "Non-forest", "EADFA0"),
    )
}

_SCANSAR: Final = {1: "scansar_land", 2: "scansar_lay_over", 3: "scansar_shadowing", 4: "scansar_water"}
"""Mask values since v2.4; 1 is valid data there, whatever 1 is in other bands."""

MASK_MEANINGS: Final = dict(sorted({**MASK_CLASSES, **_SCANSAR}.items()))
"""Names of all mask values, ascending."""

WATER, LAYOVER, SHADOW, LAND = (
    frozenset(value for value, name in MASK_MEANINGS.items() if name.endswith(kind))
    for kind in ("water", "lay_over", "shadowing", "land")
)
SCANSAR: Final = frozenset(_SCANSAR)


def meaning_of(name: str) -> Meaning:
    """Return what a class of that name means; a name that has no row here describes itself.

    >>> meaning_of("lay_over").description
    'Radar layover'
    """
    return _DESCRIBED.get(name) or Meaning(name, name.replace("_", " ").capitalize(), "A0AEC0")


def stac_classes(names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return ``classification:classes`` of a table of names by value."""
    described = ((value, meaning_of(name)) for value, name in sorted(names.items()))
    return [
        {"value": value, "name": meaning.name, "description": meaning.description, "color_hint": meaning.color}
        for value, meaning in described
    ]
