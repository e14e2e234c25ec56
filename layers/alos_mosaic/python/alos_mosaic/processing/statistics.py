"""Counting: what a cell's pixels say about a tile, as plain numbers that add up over cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alos_mosaic.bands import MASK, NODATA

Pixels = NDArray[Any]

_DATE: Final = "date"
_CLASSES: Final = "C"
_ROWS: Final = 512
"""Rows counted at once: ``bincount`` widens what it counts to eight bytes a pixel."""


@dataclass(frozen=True)
class TileStatistics:
    """Counts over the cells that exist; cells that don't are in none of them."""

    pixels_by_mask_value: dict[int, int] = field(default_factory=dict)
    """Every pixel once; empty for a product without a mask."""
    pixels_by_date: dict[int, int] = field(default_factory=dict)
    """Valid pixels by the date band's day number (days since the mission's epoch)."""
    pixels_by_class: dict[int, int] = field(default_factory=dict)
    """Every pixel of the forest map by its class; empty for a mosaic."""
    values_under_nodata: int = 0
    """Values under mask 0 that are neither 0 nor the file's nodata tag, all bands together."""
    range_by_band: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Least and greatest valid value by band code; a band without a valid pixel is not in it."""

    def __add__(self, other: TileStatistics) -> TileStatistics:
        return TileStatistics(
            _sum(self.pixels_by_mask_value, other.pixels_by_mask_value),
            _sum(self.pixels_by_date, other.pixels_by_date),
            _sum(self.pixels_by_class, other.pixels_by_class),
            self.values_under_nodata + other.values_under_nodata,
            _hull(self.range_by_band, other.range_by_band),
        )


def of_cell(arrays: Mapping[str, Pixels], nodata_tags: Mapping[str, float | None]) -> TileStatistics:
    """Count a cell's bands as they stand in its files, before anything is set to nodata.

    ``arrays`` are by band code, (rows, columns) of unsigned integers and all of one shape; ``nodata_tags`` by band
    code, None or missing where a file declares none. A cell without a mask (the forest map) is valid where it is
    neither 0 nor the tag.
    """
    mask = arrays.get(MASK.code)
    bands = {code: pixels for code, pixels in arrays.items() if code != MASK.code}
    valid = {code: _valid(pixels, mask, nodata_tags.get(code)) for code, pixels in bands.items()}
    dates = arrays[_DATE][valid[_DATE]] if _DATE in arrays else np.zeros(0, np.uint16)
    classes = np.where(valid[_CLASSES], arrays[_CLASSES], NODATA) if _CLASSES in arrays else np.zeros(0, np.uint8)
    hidden = 0
    if mask is not None:
        hidden = sum(_values_under(pixels, mask, nodata_tags.get(code)) for code, pixels in bands.items())
    return TileStatistics(
        {} if mask is None else count_values(mask),
        count_values(dates),
        count_values(classes),
        hidden,
        _ranges(bands, valid),
    )


def count_values(pixels: Pixels) -> dict[int, int]:
    """Return how often each value occurs, in ascending order; unsigned integers of at most 16 bits."""
    counts = np.zeros(1 << (8 * pixels.dtype.itemsize), np.int64)
    rows = pixels.reshape(len(pixels), -1) if pixels.size else pixels.reshape(0, 1)
    step = _ROWS if pixels.ndim > 1 else _ROWS**2
    for top in range(0, len(rows), step):
        counts += np.bincount(rows[top : top + step].ravel(), minlength=counts.size)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def _valid(pixels: Pixels, mask: Pixels | None, tag: float | None) -> NDArray[np.bool_]:
    """Where a band holds data by its mask and its own tag; 0 is nodata in every published band."""
    valid: NDArray[np.bool_] = pixels != NODATA
    if mask is not None:
        valid &= mask != NODATA
    if tag is not None:
        valid &= pixels != tag
    return valid


def _values_under(pixels: Pixels, mask: Pixels, tag: float | None) -> int:
    hidden = (mask == NODATA) & (pixels != NODATA)
    if tag is not None:
        hidden &= pixels != tag
    return int(np.count_nonzero(hidden))


def _ranges(bands: Mapping[str, Pixels], valid: Mapping[str, NDArray[np.bool_]]) -> dict[str, tuple[int, int]]:
    ranges = {}
    for code, pixels in bands.items():
        if valid[code].any():
            top = np.iinfo(pixels.dtype).max
            least = pixels.min(where=valid[code], initial=top)
            ranges[code] = int(least), int(pixels.max(where=valid[code], initial=0))
    return ranges


def _sum(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return dict(sorted((Counter(one) + Counter(other)).items()))


def _hull(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    hull = dict(one)
    for code, (least, greatest) in other.items():
        low, high = hull.get(code, (least, greatest))
        hull[code] = min(low, least), max(high, greatest)
    return hull
