"""What the pixels say: shares of the mask's classes, dates of observation, and what is odd about either."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any, Final

from alos_mosaic.bands import FOREST_CLASSES, NODATA
from alos_mosaic.missions import Mission
from alos_mosaic.processing.metadata.classes import LAND, LAYOVER, MASK_MEANINGS, SCANSAR, SHADOW, WATER
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.statistics import TileStatistics

HIDDEN_VALUES_LIMIT: Final = 0.001
"""Share of the values under mask 0 above which an item carries a warning."""

_SHARES: Final = {
    "water_percent": WATER,
    "layover_percent": LAYOVER,
    "shadow_percent": SHADOW,
    "land_percent": LAND,
    "scansar_percent": SCANSAR,
}


def mask_properties(statistics: TileStatistics, tile_pixels: int) -> dict[str, Any]:
    """Return percentages from the mask: valid ones of all pixels of the tile, the others of the valid pixels.

    ``tile_pixels`` is the number of pixels in the whole tile, absent cells included.
    """
    counts = statistics.pixels_by_mask_value
    valid = _valid_pixels(statistics)
    properties = {f"{PREFIX}:valid_percent": _percent(valid, tile_pixels)}
    for name, values in _SHARES.items():
        properties[f"{PREFIX}:{name}"] = _percent(sum(counts.get(value, 0) for value in values), valid)
    if statistics.values_under_nodata is not None:
        properties[f"{PREFIX}:values_under_nodata"] = statistics.values_under_nodata
    if statistics.values_missing:
        properties[f"{PREFIX}:values_missing"] = statistics.values_missing
    return properties


def class_properties(statistics: TileStatistics, names: dict[int, str], tile_pixels: int) -> dict[str, Any]:
    """Return percentages from the forest map's classes, denominators as in :func:`mask_properties`."""
    counts = {value: count for value, count in statistics.pixels_by_class.items() if value != NODATA}
    valid = sum(counts.values())
    shares = {
        f"{PREFIX}:{name}_percent": _percent(counts.get(value, 0), valid) for value, name in names.items() if value
    }
    return {f"{PREFIX}:valid_percent": _percent(valid, tile_pixels), **shares}


def date_properties(statistics: TileStatistics, mission: Mission, year: int) -> dict[str, Any]:
    """Return first, median and last day of observation; the median pixel's day, the earlier one of two.

    Days outside the nominal year are no error (JAXA fills gaps from neighbouring years); their share is told.
    """
    by_day = sorted(statistics.pixels_by_date.items())
    total = sum(count for _, count in by_day)
    if not total:
        return {}
    reached, median = 0, by_day[0][0]
    for median, count in by_day:  # noqa: B007 - where the loop stops is what is looked for
        reached += count
        if 2 * reached >= total:
            break
    outside = sum(count for day, count in by_day if _date(mission, day).year != year)
    return {
        f"{PREFIX}:first_observation": str(_date(mission, by_day[0][0])),
        f"{PREFIX}:median_observation": str(_date(mission, median)),
        f"{PREFIX}:last_observation": str(_date(mission, by_day[-1][0])),
        f"{PREFIX}:observation_days": len(by_day),
        f"{PREFIX}:outside_year_percent": _percent(outside, total),
    }


def pixel_warnings(statistics: TileStatistics, value_bands: int, measured_bands: int) -> list[str]:
    """Return what is odd about the pixels; ``value_bands`` is the number of bands that every cell has beside the mask.

    ``measured_bands`` are those of them that hold backscatter.

    The bands that only some cells have (VH, VV) are not among the possible values: where they are is not counted.
    """
    warnings = []
    hidden_pixels = statistics.pixels_by_mask_value.get(NODATA, 0)
    hidden, possible = statistics.values_under_nodata, hidden_pixels * value_bands
    if possible and hidden is not None and hidden > HIDDEN_VALUES_LIMIT * possible:
        warnings.append(f"{hidden} of {possible} values under mask 0 are neither 0 nor the file's nodata tag")
    missing, expected = statistics.values_missing or 0, _valid_pixels(statistics) * measured_bands
    if missing > HIDDEN_VALUES_LIMIT * expected:
        warnings.append(f"{missing} of {expected} values of backscatter are not there, where the mask says data")
    unknown = _unknown(statistics.pixels_by_mask_value)
    if unknown:
        warnings.append(f"the mask holds values of no known meaning: {', '.join(map(str, unknown))}")
    return warnings


def class_warnings(statistics: TileStatistics, names: Mapping[int, str]) -> list[str]:
    """Return what is odd about the forest map's classes, which ``names`` is the table of."""
    unknown = {value: count for value, count in statistics.pixels_by_class.items() if value not in names}
    if not unknown:
        return []
    warning = f"{sum(unknown.values())} pixels have classes that the table lacks: {', '.join(map(str, unknown))}"
    others = [f"v{release}" for release, table in FOREST_CLASSES.items() if unknown.keys() <= table.keys()]
    return [f"{warning}; that of {' or '.join(others)} has them: is this the wrong table?" if others else warning]


def _unknown(values: Collection[int]) -> list[int]:
    return sorted(value for value in values if value not in MASK_MEANINGS)


def _valid_pixels(statistics: TileStatistics) -> int:
    return sum(count for value, count in statistics.pixels_by_mask_value.items() if value != NODATA)


def _date(mission: Mission, day: int) -> date:
    return mission.date_epoch + timedelta(days=day)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0
