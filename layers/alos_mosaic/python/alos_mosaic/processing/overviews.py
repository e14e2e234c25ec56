"""Overviews: each level from the one below, every pixel from four.

A pixel of an overview is valid if any of the four below it is, in every band alike, and is made of the valid ones only.
Backscatter is stored as amplitude, so its mean is the root mean square; a day or a class is never averaged.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import NODATA, Resampling

Pixels = npt.NDArray[np.unsignedinteger[Any]]

_PATCH_PIXELS: Final = 256
"""Side of what is made at once: the passes over it stay in the processor's cache, and empty patches cost nothing."""


def overviews(pixels: Pixels, resampling: Resampling, block_pixels: int) -> list[Pixels]:
    """Return the levels above a band's pixels, halved until one fits into a block; largest first, none if it fits."""
    levels: list[Pixels] = []
    while max(pixels.shape) > block_pixels:
        pixels = halved(pixels, resampling)
        levels.append(pixels)
    return levels


def halved(pixels: Pixels, resampling: Resampling) -> Pixels:
    """Return the next level: half as many rows and columns, rounded up, of the same dtype (uint8 or uint16)."""
    rows, columns = ((length + 1) // 2 for length in pixels.shape)
    level = np.zeros((rows, columns), pixels.dtype)
    for top, left in product(range(0, rows, _PATCH_PIXELS), range(0, columns, _PATCH_PIXELS)):
        bottom, right = top + _PATCH_PIXELS, left + _PATCH_PIXELS
        below = pixels[2 * top : 2 * bottom, 2 * left : 2 * right]
        if below.any():
            level[top:bottom, left:right] = _MAKERS[resampling](*_quarters(below))
    return level


def _quarters(patch: Pixels) -> tuple[Pixels, ...]:
    """Return the north-west, north-east, south-west and south-east pixels; what an odd edge lacks is nodata."""
    missing = [(0, length % 2) for length in patch.shape]
    even = np.pad(patch, missing) if any(more for _, more in missing) else patch
    return even[0::2, 0::2], even[0::2, 1::2], even[1::2, 0::2], even[1::2, 1::2]


def _root_mean_square(*quarters: Pixels) -> Pixels:
    # float32 holds every square to 24 bits: far better than half a DN after the root.
    total = np.zeros(quarters[0].shape, np.float32)
    for quarter in quarters:
        wide = quarter.astype(np.float32)
        total += wide * wide
    mean = np.sqrt(total / np.maximum(_valid(quarters), 1)) + np.float32(0.5)
    return mean.astype(quarters[0].dtype)


def _average(*quarters: Pixels) -> Pixels:
    total = np.zeros(quarters[0].shape, np.uint32)
    for quarter in quarters:
        total += quarter
    valid = np.maximum(_valid(quarters), 1).astype(np.uint32)
    return ((2 * total + valid) // (2 * valid)).astype(quarters[0].dtype)


def _mode(*quarters: Pixels) -> Pixels:
    """Return the most frequent valid value; of equally frequent ones the first, from the north-west on."""
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


def _valid(quarters: tuple[Pixels, ...]) -> npt.NDArray[np.uint8]:
    valid = np.zeros(quarters[0].shape, np.uint8)
    for quarter in quarters:
        valid += quarter != NODATA
    return valid


_MAKERS: Final = {Resampling.RMS: _root_mean_square, Resampling.AVERAGE: _average, Resampling.MODE: _mode}
