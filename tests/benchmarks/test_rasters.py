from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from alos_mosaic.bands import Resampling
from benchmarks.rasters import DifferentPixelsError, block_bytes, common_bytes, compare_band

SIDE = 1024
SHAPES = {Resampling.RMS: "uint16", Resampling.AVERAGE: "uint8", Resampling.MODE: "uint8"}


def write(path: Path, pixels: np.ndarray, resampling: str, side: int = SIDE, nodata: int = 0) -> Path:
    """Write a COG with GDAL; its base can be larger than the pixels."""
    full = np.zeros((side, side), pixels.dtype)
    full[: pixels.shape[0], : pixels.shape[1]] = pixels
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": pixels.dtype, "nodata": nodata,
        "crs": "EPSG:4326", "transform": rasterio.Affine(0.001, 0, 10, 0, -0.001, 5),
    }  # fmt: skip
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(plain, "w", **profile) as dataset:
        dataset.write(full, 1)
    rasterio.shutil.copy(
        plain, path, driver="COG", BLOCKSIZE=128, COMPRESS="DEFLATE", OVERVIEW_RESAMPLING=resampling, SPARSE_OK="YES"
    )
    return path


def pixels_of(resampling: Resampling, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, (SIDE, SIDE)).astype(SHAPES[resampling])


@pytest.mark.parametrize("resampling", list(Resampling))
def test_the_same_pixels_on_a_larger_grid_are_equal(resampling: Resampling, tmp_path: Path) -> None:
    pixels = pixels_of(resampling)
    pixels[100:300, 50:90] = 0
    mask = write(tmp_path / "mask.tif", (pixels > 0).astype("uint8"), "MODE")
    reference = write(tmp_path / "reference.tif", pixels, str(resampling))
    ours = write(tmp_path / "ours.tif", pixels, str(resampling), side=2 * SIDE)
    found = compare_band(ours, reference, mask, resampling)
    assert found.base_pixels == SIDE**2
    assert SIDE**2 // 4 < found.overview_pixels < SIDE**2 // 2


@pytest.mark.parametrize("resampling", list(Resampling))
def test_one_wrong_pixel_of_the_base_is_found(resampling: Resampling, tmp_path: Path) -> None:
    pixels = pixels_of(resampling)
    mask = write(tmp_path / "mask.tif", np.ones_like(pixels, "uint8"), "MODE")
    reference = write(tmp_path / "reference.tif", pixels, str(resampling))
    pixels[700, 13] += 1
    ours = write(tmp_path / "ours.tif", pixels, str(resampling))
    with pytest.raises(DifferentPixelsError, match="at row 700, column 13"):
        compare_band(ours, reference, mask, resampling)


def test_what_the_reference_has_where_the_mask_has_nothing_is_nodata_in_ours(tmp_path: Path) -> None:
    pixels = pixels_of(Resampling.AVERAGE)
    pixels = np.maximum(pixels, 20)  # GDAL lets no average come out as nodata
    seen = np.ones_like(pixels)
    pixels[:64], seen[:64] = 7, 0
    reference = write(tmp_path / "reference.tif", pixels, "AVERAGE", nodata=7)
    mask = write(tmp_path / "mask.tif", seen, "MODE")
    copied = write(tmp_path / "copied.tif", pixels, "AVERAGE")
    with pytest.raises(DifferentPixelsError, match="is 7 and should be 0"):
        compare_band(copied, reference, mask, Resampling.AVERAGE)
    blanked = write(tmp_path / "blanked.tif", np.where(seen, pixels, 0).astype("uint8"), "AVERAGE")
    assert compare_band(blanked, reference, mask, Resampling.AVERAGE).differing_overview_pixels == 0


@pytest.mark.parametrize(
    ("resampling", "other"),
    [(Resampling.RMS, "AVERAGE"), (Resampling.AVERAGE, "NEAREST"), (Resampling.MODE, "AVERAGE")],
)
def test_overviews_of_another_resampling_are_found(resampling: Resampling, other: str, tmp_path: Path) -> None:
    pixels = pixels_of(resampling)
    if resampling is Resampling.MODE:  # without a majority any of the four would do
        pixels[1::2] = pixels[::2]
        pixels[:, ::2] = 1
    mask = write(tmp_path / "mask.tif", np.ones_like(pixels, "uint8"), "MODE")
    reference = write(tmp_path / "reference.tif", pixels, str(resampling))
    ours = write(tmp_path / "ours.tif", pixels, other)
    with pytest.raises(DifferentPixelsError, match="overview 1:2"):
        compare_band(ours, reference, mask, resampling)


def test_bytes_are_counted_over_blocks_that_all_store(tmp_path: Path) -> None:
    pixels = pixels_of(Resampling.AVERAGE)
    full = write(tmp_path / "full.tif", pixels, "AVERAGE")
    half = pixels.copy()
    half[:, 512:] = 0
    sparse = write(tmp_path / "sparse.tif", half, "AVERAGE", side=2 * SIDE)
    sizes, all_sizes = block_bytes(sparse), block_bytes(full)
    assert sizes[1].shape == (16, 16)
    assert (sizes[1][:8, :4] > 0).all()
    assert not sizes[1][:, 4:].any()
    assert sorted(all_sizes) == [1, 2, 4, 8]
    counted = common_bytes([full, sparse])
    factors = [factor for factor in all_sizes if factor in sizes]
    assert counted[1] == sum(int(sizes[factor].sum()) for factor in factors)
    assert counted[0] < sum(int(size.sum()) for size in all_sizes.values())
    assert common_bytes([full, full]) == [sum(int(size.sum()) for size in all_sizes.values())] * 2
