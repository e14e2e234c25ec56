"""What two COGs are compared by: their blocks' sizes and their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import rasterio
import tifffile
from rasterio.windows import Window

from alos_mosaic.bands import NODATA, Resampling

Pixels = npt.NDArray[np.unsignedinteger[Any]]

OVERVIEWS_COMPARED: Final = (2, 4)
"""Factors at which the levels of a cell of 4500 pixels and of a tile of 22500 divide evenly, so that a pixel has the
same four below it in both; further up GDAL stretches its windows over odd sizes and ours does not."""
_ROWS: Final = 512
_RMS_TOLERANCE: Final = 1
"""DN. GDAL takes the root of a mean in double precision and rounds as it likes."""


class DifferentPixelsError(Exception):
    """Ours and the reference differ; the message says where first, and by what."""


@dataclass(frozen=True)
class Comparison:
    """What was found equal."""

    band: str
    base_pixels: int
    overview_pixels: int
    differing_overview_pixels: int
    """Within what is allowed: 1 DN of a root mean square, another of equally frequent values."""


def block_bytes(path: Path) -> dict[int, npt.NDArray[np.int64]]:
    """Return the stored bytes of a COG's blocks, (rows, columns) of blocks, by overview factor; the base's is 1.

    Blocks that are not stored have 0 bytes.
    """
    with tifffile.TiffFile(path) as tiff:
        pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
        base = pages[0].imagewidth
        levels = {}
        for page in pages:
            rows = -(-page.imagelength // page.tilelength)
            levels[round(base / page.imagewidth)] = np.array(page.databytecounts, np.int64).reshape(rows, -1)
    return levels


def common_bytes(rasters: list[Path]) -> list[int]:
    """Return the bytes that each of some COGs of one band needs for the blocks that all of them store."""
    levels = [block_bytes(path) for path in rasters]
    totals = [0] * len(rasters)
    for factor in set.intersection(*(set(of_one) for of_one in levels)):
        sizes = [of_one[factor] for of_one in levels]
        rows, columns = (min(size.shape[axis] for size in sizes) for axis in (0, 1))
        shared = np.stack([size[:rows, :columns] for size in sizes])
        stored = (shared > 0).all(axis=0)
        totals = [total + int(size[stored].sum()) for total, size in zip(totals, shared, strict=True)]
    return totals


def compare_band(ours: Path, reference: Path, mask: Path, resampling: Resampling) -> Comparison:
    """Compare a band of ours with the reference's, which begins at the same corner and may be smaller.

    The base has to be equal where the reference's mask says that there is data, and nodata elsewhere. Overviews of
    factors 2 and 4: equal for averages, within 1 DN for root mean squares; of equally frequent values any will
    do, where both had the same four pixels below. Raises :class:`DifferentPixelsError`.
    """
    base = _compare_base(ours, reference, mask)
    counted = [_compare_overview(ours, reference, factor, resampling) for factor in OVERVIEWS_COMPARED]
    return Comparison(ours.name, base, sum(total for total, _ in counted), sum(other for _, other in counted))


def _compare_base(ours: Path, reference: Path, mask: Path) -> int:
    with rasterio.open(ours) as mine, rasterio.open(reference) as theirs, rasterio.open(mask) as seen:
        _check_place(mine, theirs)
        for top in range(0, theirs.height, _ROWS):
            window = Window(0, top, theirs.width, min(_ROWS, theirs.height - top))
            expected = np.where(seen.read(1, window=window) != NODATA, theirs.read(1, window=window), NODATA)
            _check_equal(ours.name, top, mine.read(1, window=window), expected)
        return int(theirs.width * theirs.height)


def _check_place(mine: rasterio.DatasetReader, theirs: rasterio.DatasetReader) -> None:
    same_grid = np.allclose(mine.transform[:6], theirs.transform[:6], rtol=0, atol=1e-9)
    if not same_grid or mine.dtypes != theirs.dtypes or mine.width < theirs.width or mine.height < theirs.height:
        raise DifferentPixelsError(f"{mine.name} is not on the grid, of the type or of the size of {theirs.name}")


def _check_equal(name: str, top: int, found: Pixels, expected: Pixels) -> None:
    wrong = np.argwhere(found != expected)
    if len(wrong):
        row, column = (int(number) for number in wrong[0])
        raise DifferentPixelsError(
            f"{name} has {len(wrong)} wrong pixels below row {top}; the first, at row {top + row}, column {column}, is "
            f"{found[row, column]} and should be {expected[row, column]}"
        )


def _compare_overview(ours: Path, reference: Path, factor: int, resampling: Resampling) -> tuple[int, int]:
    """Return how many pixels were compared, and how many of them differ as they may."""
    mine, theirs = (_level(path, factor) for path in (ours, reference))
    mine = mine[: theirs.shape[0], : theirs.shape[1]]
    valid = theirs != _nodata(reference)
    _check_equal(f"{ours.name}, validity at 1:{factor},", 0, (mine != NODATA).astype(np.uint8), valid.astype(np.uint8))
    differ = valid & (mine != theirs)
    if resampling is Resampling.RMS:
        wrong = differ & (np.abs(mine.astype(np.int32) - theirs) > _RMS_TOLERANCE)
    elif resampling is Resampling.MODE:
        wrong = differ & ~_are_ties(mine, theirs, *(_level(path, factor // 2) for path in (ours, reference)))
    else:
        wrong = differ
    _check_equal(f"{ours.name}, overview 1:{factor},", 0, np.where(wrong, mine, theirs), theirs)
    return int(valid.sum()), int(differ.sum())


def _are_ties(mine: Pixels, theirs: Pixels, my_below: Pixels, their_below: Pixels) -> npt.NDArray[np.bool_]:
    """Tell where two values are equally frequent among the four below, or where those four differ themselves."""
    rows, columns = theirs.shape
    below = [level[: 2 * rows, : 2 * columns] for level in (my_below, their_below)]
    quarters = [[level[row::2, column::2] for row in (0, 1) for column in (0, 1)] for level in below]
    votes = [sum((value == quarter).astype(np.uint8) for quarter in quarters[0]) for value in (mine, theirs)]
    other_below = np.any([a != b for a, b in zip(*quarters, strict=True)], axis=0)
    return np.asarray((votes[0] == votes[1]) | other_below, np.bool_)


def _level(path: Path, factor: int) -> Pixels:
    if factor == 1:
        with rasterio.open(path) as dataset:
            return np.asarray(dataset.read(1))
    with rasterio.open(path) as dataset:
        number = dataset.overviews(1).index(factor)
    with rasterio.open(path, overview_level=number) as dataset:
        return np.asarray(dataset.read(1))


def _nodata(path: Path) -> float:
    with rasterio.open(path) as dataset:
        return NODATA if dataset.nodata is None else float(dataset.nodata)
