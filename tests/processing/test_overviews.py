"""Overviews, against plain arithmetic and against GDAL's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst
from rasterio.enums import Resampling as GdalResampling

from alos_mosaic.bands import Resampling
from alos_mosaic.processing.overviews import halved
from tests.processing.pyramids import levels_of

SHAPES = nst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
PIXELS = st.sampled_from(["uint8", "uint16"]).flatmap(
    lambda dtype: nst.arrays(dtype, SHAPES, elements=st.sampled_from([0, 1, 2, 3, 50, 100, 255]))
)


def below(pixels: np.ndarray, row: int, column: int) -> list[int]:
    four = pixels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    return [int(value) for value in four.ravel() if value]


@given(PIXELS, st.sampled_from(list(Resampling)))
def test_every_pixel_is_made_of_the_valid_ones_below(pixels: np.ndarray, resampling: Resampling) -> None:
    level = halved(pixels, resampling, is_full=bool(pixels.all()))
    assert level.dtype == pixels.dtype
    assert level.shape == tuple((length + 1) // 2 for length in pixels.shape)
    for (row, column), value in np.ndenumerate(level):
        valid = below(pixels, row, column)
        if not valid:
            assert value == 0
        elif resampling is Resampling.RMS:
            assert abs(int(value) - np.sqrt(np.mean(np.square(valid)))) <= 0.501
        elif resampling is Resampling.AVERAGE:
            assert abs(int(value) - np.mean(valid)) <= 0.5
        else:
            votes = Counter(valid)
            assert votes[int(value)] == max(votes.values())
            assert value == next(first for first in valid if votes[first] == max(votes.values()))


def test_the_largest_amplitudes_do_not_overflow() -> None:
    pixels = np.full((2, 2), 65535, "uint16")
    assert halved(pixels, Resampling.RMS)[0, 0] == 65535
    assert halved(pixels, Resampling.AVERAGE)[0, 0] == 65535


def test_the_same_pixels_are_valid_in_every_band() -> None:
    mask = np.random.default_rng(1).integers(0, 2, (101, 77)).astype("uint8") * 255
    valid = [
        [level != 0 for level in levels_of(np.where(mask, value, 0).astype(dtype), resampling, 4)[1:]]
        for value, dtype, resampling in [(1, "uint16", "RMS"), (7, "uint8", "AVERAGE"), (900, "uint16", "MODE")]
        for resampling in [Resampling(resampling)]
    ]
    for levels in zip(*valid, strict=True):
        assert all((level == levels[0]).all() for level in levels)


def test_parts_meet_without_a_seam() -> None:
    pixels = np.random.default_rng(4).integers(0, 4, (1101, 1301)).astype("uint8")
    for resampling in Resampling:
        level = halved(pixels, resampling)
        parts = [halved(pixels[top : top + 2], resampling) for top in range(0, 1101, 2)]
        np.testing.assert_array_equal(level, np.vstack(parts))


@pytest.mark.parametrize("resampling", [Resampling.RMS, Resampling.AVERAGE])
def test_within_one_of_gdals(tmp_path: Path, resampling: Resampling) -> None:
    rng = np.random.default_rng(2)
    pixels = (np.sqrt(rng.gamma(4, 1, (600, 800))) * 2000).astype("uint16")
    pixels[rng.random(pixels.shape) < 0.3] = 0
    profile = {"driver": "GTiff", "height": 600, "width": 800, "count": 1, "dtype": "uint16", "nodata": 0}
    profile |= {"crs": "EPSG:4326", "transform": rasterio.Affine(0.01, 0, 0, 0, -0.01, 0)}
    with rasterio.open(tmp_path / "gdal.tif", "w", **profile) as dataset:
        dataset.write(pixels, 1)
        dataset.build_overviews([2], GdalResampling[resampling.value.lower()])
    with rasterio.open(tmp_path / "gdal.tif", overview_level=0) as dataset:
        theirs = dataset.read(1).astype(int)
    ours = halved(pixels, resampling).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    np.testing.assert_array_equal(ours == 0, theirs == 0)
