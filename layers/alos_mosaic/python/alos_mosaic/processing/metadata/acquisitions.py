"""What the sidecars of a tile's cells say together, as properties of its item.

A sidecar that can't be read is left out and named in a warning, it does not fail the tile: the pixels do not depend on
it (they are checked on their own), and whoever waits for a tile wants its pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell
from alos_mosaic.missions import Mission
from alos_mosaic.processing.metadata.carried import SIDECAR_WARNING
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.sidecar import Acquisition, Sidecar, read_sidecar, values_of

logger = logging.getLogger(__name__)

_TOLERANCE_DB: Final = 0.001

_SAR_FIELDS: Final = {
    "sar:observation_direction": "look_direction",
    "sar:center_frequency": "frequency_ghz",
    "sar:instrument_mode": "mode",
    "sat:orbit_state": "orbit_state",
}
"""Fields that hold one value: they stand in an item only if all acquisitions agree."""

_LISTS: Final = {
    "products": "product_id",
    "orbit_states": "orbit_state",
    "modes": "mode",
    "looks_range": "looks_range",
    "looks_azimuth": "looks_azimuth",
    "resolution_range_m": "resolution_range_m",
    "resolution_azimuth_m": "resolution_azimuth_m",
}
"""What is listed of the acquisitions. Looks and resolution are the source images'; the mosaic's own are others."""


@dataclass(frozen=True)
class Sidecars:
    """A tile's sidecars, by cell in ascending order."""

    read: dict[Cell, Sidecar]
    unreadable: dict[Cell, str]
    """Why, by cell."""

    @property
    def acquisitions(self) -> tuple[Acquisition, ...]:
        """The different acquisitions; a pass over several cells is in each of their sidecars."""
        found = {acquisition for sidecar in self.read.values() for acquisition in sidecar.acquisitions}
        return tuple(sorted(found, key=repr))


def read_sidecars(paths: Mapping[Cell, Path]) -> Sidecars:
    """Read the sidecars there are; those that can't be read are kept by the reason."""
    read, unreadable = {}, {}
    for cell, path in sorted(paths.items()):
        try:
            read[cell] = read_sidecar(path)
        except CorruptArchiveError as error:
            unreadable[cell] = str(error)
            logger.warning(
                "Sidecar is unreadable, the item goes without it", extra={"cell": cell.name, "cause": str(error)}
            )
    return Sidecars(read, unreadable)


def acquisition_properties(sidecars: Sidecars) -> dict[str, Any]:
    """Return the item properties that the sidecars give: ``sar:``, ``sat:`` and our own; none without a sidecar."""
    if not sidecars.read:
        return {}
    found = sidecars.acquisitions
    properties: dict[str, Any] = {
        f"{PREFIX}:cells_with_sidecar": len(sidecars.read),
        f"{PREFIX}:acquisitions": _without_none(
            {
                "count": len(found),
                "first": min(values_of(found, "start"), default=None),
                "last": max(values_of(found, "end"), default=None),
                "incidence_angles_deg": _incidence(found),
                **{name: values_of(found, field) or None for name, field in _LISTS.items()},
            }
        ),
        "sar:beam_ids": values_of(found, "beam"),
        **_source_properties(sidecars),
    }
    for name, field in _SAR_FIELDS.items():
        values = values_of(found, field)
        if len(values) == 1:
            properties[name] = values[0]
    return {name: value for name, value in properties.items() if value not in (None, [], {})}


def sidecar_warnings(sidecars: Sidecars, mission: Mission) -> list[str]:
    """Return what is wrong with the sidecars: unreadable ones, and those that contradict the mission table."""
    warnings = [f"the {SIDECAR_WARNING} {cell} is unreadable: {reason}" for cell, reason in sidecars.unreadable.items()]
    for cell, sidecar in sidecars.read.items():
        if sidecar.date_epoch not in (None, mission.date_epoch):
            warnings.append(
                f"the {SIDECAR_WARNING} {cell} counts days from {sidecar.date_epoch}, not {mission.date_epoch}"
            )
        factor = sidecar.calibration_factor_db
        expected = mission.calibration_factor_db
        if factor is not None and abs(factor - expected) > _TOLERANCE_DB:
            warnings.append(f"the {SIDECAR_WARNING} {cell} has a calibration factor of {factor} dB, not {expected}")
    return warnings


def _source_properties(sidecars: Sidecars) -> dict[str, Any]:
    def known(field: str) -> list[str]:
        return sorted({value for sidecar in sidecars.read.values() if (value := getattr(sidecar, field)) is not None})

    return {
        f"{PREFIX}:dem": known("dem"),
        f"{PREFIX}:source_software": known("software"),
        f"{PREFIX}:source_specification": known("specification"),
        f"{PREFIX}:source_processed": max(known("processed"), default=None),
    }


def _incidence(acquisitions: tuple[Acquisition, ...]) -> list[float] | None:
    near = values_of(acquisitions, "near_incidence_deg")
    far = values_of(acquisitions, "far_incidence_deg")
    return [near[0], far[-1]] if near and far else None


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
