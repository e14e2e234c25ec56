"""Overviews: each level from the one below, every pixel from four.

A pixel of an overview is valid if any of the four below it is, in every band alike, and is made of the valid ones only.
Backscatter is stored as amplitude, so its mean is the root mean square; a day or a class is never averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import NODATA, Resampling

Pixels = npt.NDArray[np.unsignedinteger[Any]]

_SHARE: Final = np.array([0, 1, 1 / 2, 1 / 3, 1 / 4], np.float32)
"""Of one in a mean, by how many there are."""


def halved(pixels: Pixels, resampling: Resampling, is_full: bool = False) -> Pixels:
    """Return the next level: half as many rows and columns, rounded up, of the same dtype (uint8 or uint16).

    ``is_full`` says that no pixel is nodata, which is less to do.
    """
    missing = [(0, length % 2) for length in pixels.shape]
    is_odd = any(more for _, more in missing)
    even = np.pad(pixels, missing) if is_odd else pixels
    return _MAKERS[resampling](even, is_full and not is_odd)


def _root_mean_square(even: Pixels, is_full: bool) -> Pixels:
    # float32 holds every square to 24 bits: far better than half a DN after the root.
    rows, below = even[0::2].astype(np.float32), even[1::2].astype(np.float32)
    rows *= rows
    below *= below
    rows += below
    total = rows[:, 0::2] + rows[:, 1::2]
    total *= np.float32(0.25) if is_full else _SHARE.take(_valid(even))
    np.sqrt(total, out=total)
    total += np.float32(0.5)
    level: Pixels = total.astype(even.dtype)
    return level


def _average(even: Pixels, is_full: bool) -> Pixels:
    wide = np.dtype(np.uint16 if even.dtype == np.uint8 else np.uint32)  # four times the greatest value fits
    rows = np.add(even[0::2], even[1::2], dtype=wide)
    total = rows[:, 0::2] + rows[:, 1::2]
    level: Pixels
    if is_full:
        level = ((total + wide.type(2)) >> wide.type(2)).astype(even.dtype)
        return level
    valid = np.maximum(_valid(even), 1).astype(wide)
    level = ((total + (valid >> 1)) // valid).astype(even.dtype)
    return level


def _mode(even: Pixels, _is_full: bool) -> Pixels:
    """Return the most frequent valid value; of equally frequent ones the first, from the north-west on."""
    quarters = (even[0::2, 0::2], even[0::2, 1::2], even[1::2, 0::2], even[1::2, 1::2])
    level = quarters[0].copy()
    rows_agree = even[0::2] == even[1::2]
    agree = rows_agree[:, 0::2] & rows_agree[:, 1::2] & (quarters[0] == quarters[1])
    if agree.all():
        return level
    differing = np.nonzero(~agree)
    level[differing] = _most_frequent(*(quarter[differing] for quarter in quarters))
    return level


def _most_frequent(*quarters: Pixels) -> Pixels:
    best = quarters[0].copy()
    votes = _votes(quarters[0], quarters)
    for quarter in quarters[1:]:
        of_this = _votes(quarter, quarters)
        better = of_this > votes
        np.copyto(best, quarter, where=better)
        np.copyto(votes, of_this, where=better)
    return best


def _votes(values: Pixels, quarters: tuple[Pixels, ...]) -> npt.NDArray[np.uint8]:
    votes = np.zeros(values.shape, np.uint8)
    for quarter in quarters:
        votes += quarter == values
    votes[values == NODATA] = 0
    return votes


def _valid(even: Pixels) -> npt.NDArray[np.uint8]:
    """Return how many of the four pixels below are valid."""
    valid = (even != NODATA).view(np.uint8)
    rows = valid[0::2] + valid[1::2]
    count: npt.NDArray[np.uint8] = rows[:, 0::2] + rows[:, 1::2]
    return count


_MAKERS: Final[dict[Resampling, Callable[[Pixels, bool], Pixels]]] = {
    Resampling.RMS: _root_mean_square,
    Resampling.AVERAGE: _average,
    Resampling.MODE: _mode,
}
