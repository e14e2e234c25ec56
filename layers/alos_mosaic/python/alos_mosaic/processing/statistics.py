"""Counting: what a tile's pixels say about it, as plain numbers, block by block."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import NODATA

Pixels = npt.NDArray[np.unsignedinteger[Any]]

_DATE: Final = "date"
_MASK: Final = "mask"
_CLASSES: Final = "C"
_SAMPLED: Final = 16
"""Rows and columns from one pixel that is looked at to the next."""
_FEW_VALUES: Final = 8
COUNTED: Final = (_DATE, _MASK, _CLASSES)
"""Codes of the bands whose values are few and counted one by one."""


@dataclass(frozen=True)
class TileStatistics:
    """Counts over the cells that exist; cells that don't are in none of them."""

    pixels_by_mask_value: dict[int, int] = field(default_factory=dict)
    """Every pixel once; empty for a product without a mask."""
    pixels_by_date: dict[int, int] = field(default_factory=dict)
    """Valid pixels by the date band's day number (days since the mission's epoch)."""
    pixels_by_class: dict[int, int] = field(default_factory=dict)
    """Every pixel of the forest map by its class; empty for a mosaic."""
    values_under_nodata: int | None = 0
    """Values under mask 0 that are neither 0 nor the file's nodata tag, all bands together; None if nobody knows."""
    range_by_band: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Least and greatest valid value by band code; a band without a valid pixel is not in it."""
    values_missing: int | None = 0
    """Backscatter that is nodata where the mask says data, in bands that every cell has; None if nobody knows."""


class BandCounts:
    """What one band's blocks hold, nodata being 0; blocks may come from several threads."""

    def __init__(self, code: str, dtype: str) -> None:
        self._counts = np.zeros(np.iinfo(dtype).max + 1, np.int64) if code in COUNTED else None
        self._range: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def add(self, block: Pixels, least: int, greatest: int) -> None:
        """Count a block that holds a valid pixel, and values from ``least`` to ``greatest``."""
        counted = None if self._counts is None else _counted(block, least, greatest)
        if least == NODATA:
            least = int(np.where(block == NODATA, block.dtype.type(greatest), block).min())
        with self._lock:
            low, high = self._range or (least, greatest)
            self._range = min(low, least), max(high, greatest)
            if self._counts is not None and counted is not None:
                for value, count in counted.items():
                    self._counts[value] += count

    @property
    def value_range(self) -> tuple[int, int] | None:
        """Least and greatest valid value; None if there is none."""
        return self._range

    def pixels_by_value(self, pixels: int | None = None) -> dict[int, int]:
        """Return how often each valid value occurs, in ascending order; 0 makes up what ``pixels`` has more, if given.

        Of a band that is not in :data:`COUNTED` nothing is known.
        """
        if self._counts is None:
            return {}
        counts = {int(value): int(self._counts[value]) for value in np.flatnonzero(self._counts) if value != NODATA}
        empty = 0 if pixels is None else pixels - sum(counts.values())
        return {NODATA: empty, **counts} if empty else counts


def _counted(block: Pixels, least: int, greatest: int) -> dict[int, int]:
    """Return how often each value occurs.

    Dates and classes come in patches: what a few pixels hold is mostly all there is, and counting one value is much
    faster than sorting all into bins.
    """
    if least == greatest:
        return {least: block.size}
    few = np.unique(block[::_SAMPLED, ::_SAMPLED])
    if few.size <= _FEW_VALUES:
        counts = {int(value): int(np.count_nonzero(block == value)) for value in few}
        if sum(counts.values()) == block.size:
            return counts
    bins = np.bincount((block - block.dtype.type(least)).ravel())
    return {least + int(value): int(bins[value]) for value in np.flatnonzero(bins)}


def tile_statistics(
    counts: dict[str, BandCounts],
    cell_pixels: int,
    values_under_nodata: int | None,
    values_missing: int | None = 0,
) -> TileStatistics:
    """Put the bands' counts together; ``cell_pixels`` is how many pixels the cells that exist have in all."""
    by_value = {
        code: of_band.pixels_by_value(None if code == _DATE else cell_pixels) for code, of_band in counts.items()
    }
    ranges = {code: of_band.value_range for code, of_band in counts.items() if code != _MASK}
    return TileStatistics(
        by_value.get(_MASK, {}),
        by_value.get(_DATE, {}),
        by_value.get(_CLASSES, {}),
        values_under_nodata,
        {code: found for code, found in ranges.items() if found is not None},
        values_missing,
    )
