"""The mission table: who measured which years, with which polarizations, epoch and calibration.

A new year of a running mission needs no change here; a new mission is a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from alos_mosaic.errors import InvalidRequestError

ALOS_PRODUCT: Final = "alos_palsar_mosaic"
JERS_PRODUCT: Final = "jers_sar_mosaic"


@dataclass(frozen=True)
class Mission:
    """A satellite's mosaics."""

    name: str
    """What messages and layouts call it."""
    platform: str
    instrument: str
    product: str
    """Name of its mosaic in the product table (:mod:`alos_mosaic.products`), as Digital Earth Africa has it."""
    first_year: int
    last_year: int | None
    """``None`` while the mission's mosaics go on: then the current year is the last that can be asked for."""
    polarizations: tuple[str, ...]
    """Those that every cell has; PALSAR-2 cells in quad-polarization bring VH and VV on top."""
    date_epoch: date
    """The date band counts days since this day (the mission's launch)."""
    calibration_factor_db: float
    """gamma-0 in dB is ``10 * log10(DN ** 2)`` plus this."""

    def covers(self, year: int, current_year: int) -> bool:
        """Tell whether this mission has a mosaic of that year (or may have one by now)."""
        return self.first_year <= year <= (self.last_year or current_year)


MISSIONS: Final = (
    Mission("JERS-1", "JERS-1", "SAR", JERS_PRODUCT, 1993, 1998, ("HH",), date(1992, 2, 11), -84.66),
    Mission("PALSAR", "ALOS", "PALSAR", ALOS_PRODUCT, 2007, 2010, ("HH", "HV"), date(2006, 1, 24), -83.0),
    Mission("PALSAR-2", "ALOS-2", "PALSAR-2", ALOS_PRODUCT, 2015, None, ("HH", "HV"), date(2014, 5, 24), -83.0),
)
"""Epochs: the launch days; PALSAR-2's was checked on a real cell of 2020. Factors: JAXA's dataset description."""


def mission_of(year: int, current_year: int | None = None) -> Mission:
    """Return the mission that measured a year.

    Raises :class:`InvalidRequestError` with the years that exist: there is no mosaic of 1999-2006 and 2011-2014.

    >>> mission_of(2009).platform
    'ALOS'
    """
    this_year = current_year or datetime.now(UTC).year
    for mission in MISSIONS:
        if mission.covers(year, this_year):
            return mission
    raise InvalidRequestError(f"there is no mosaic of {year}; years are {valid_years(this_year)}")


def mosaic_years(current_year: int) -> tuple[int, ...]:
    """Return the years that can be asked for.

    >>> len(mosaic_years(2026))
    22
    """
    return tuple(
        year for mission in MISSIONS for year in range(mission.first_year, (mission.last_year or current_year) + 1)
    )


def valid_years(current_year: int) -> str:
    """Spell out the years that can be asked for.

    >>> valid_years(2026)
    '1993-1998, 2007-2010, 2015-2026'
    """
    return ", ".join(f"{mission.first_year}-{mission.last_year or current_year}" for mission in MISSIONS)
