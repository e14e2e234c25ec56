"""The COG container, held against GDAL's own COG driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rio_cogeo.cogeo import cog_info, cog_validate

from alos_mosaic.bands import Resampling
from alos_mosaic.errors import InvalidRequestError, OutputError
from alos_mosaic.grid import Grid
from alos_mosaic.processing import container
from alos_mosaic.processing.blocks import codec_of
from alos_mosaic.settings import CODECS
from tests.processing.pyramids import TILE, levels_of, write_tile


def speckle(shape: tuple[int, int], dtype: str) -> np.ndarray:
    pixels = (np.sqrt(np.random.default_rng(3).gamma(4, 1, shape)) * 60).astype(dtype)
    pixels[: shape[0] // 2, shape[1] // 2 :] = 0
    return pixels


def write_with_gdal(path: Path, pixels: np.ndarray) -> None:
    """Write the same pixels with GDAL's COG driver."""
    profile: dict[str, Any] = {
        "driver": "MEM", "height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype,
        "crs": "EPSG:4326", "transform": rasterio.Affine(*Grid(pixels.shape[0] // 5).transform(TILE)), "nodata": 0,
    }  # fmt: skip
    with rasterio.open("memory", "w", **profile) as dataset:
        dataset.write(pixels, 1)
        rasterio.shutil.copy(
            dataset, path, driver="COG", BLOCKSIZE=512, COMPRESS="DEFLATE", PREDICTOR="YES", SPARSE_OK="YES",
            OVERVIEW_RESAMPLING="NEAREST",
        )  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("side", [5, 510, 515, 1025, 1500, 2050])
def test_gdal_reads_every_level_and_sees_a_cog_like_its_own(tmp_path: Path, side: int, dtype: str) -> None:
    pixels = speckle((side, side), dtype)
    levels = levels_of(pixels, Resampling.RMS)
    ours, theirs = tmp_path / "ours.tif", tmp_path / "theirs.tif"
    write_tile(ours, pixels)
    write_with_gdal(theirs, pixels)

    assert cog_validate(ours, strict=True, quiet=True) == (True, [], [])
    with rasterio.open(ours) as our, rasterio.open(theirs) as their:
        np.testing.assert_array_equal(our.read(1), pixels)
        for attribute in (
            "profile",
            "crs",
            "bounds",
            "block_shapes",
            "compression",
            "colorinterp",
        ):
            assert getattr(our, attribute) == getattr(their, attribute), attribute
        assert our.overviews(1) == [2**number for number in range(1, len(levels))]
        assert our.tags(ns="IMAGE_STRUCTURE") == their.tags(ns="IMAGE_STRUCTURE")
    for number, level in enumerate(levels[1:]):
        with rasterio.open(ours, overview_level=number) as dataset:
            np.testing.assert_array_equal(dataset.read(1), level)
    assert [(ifd.Height, ifd.Width) for ifd in cog_info(ours).IFD] == [level.shape for level in levels]


def test_the_ghost_area_is_true(tmp_path: Path) -> None:
    """Blocks have their size before and their last four bytes behind them; overviews lie before the base, row-major."""
    pixels = speckle((1100, 1100), "uint16")
    levels = levels_of(pixels, Resampling.RMS)
    path = tmp_path / "ours.tif"
    write_tile(path, pixels)
    write_with_gdal(tmp_path / "theirs.tif", pixels)
    content = path.read_bytes()
    assert content[8:191] == (tmp_path / "theirs.tif").read_bytes()[8:191]
    with rasterio.open(path) as dataset:
        offsets = [block_offsets(dataset, level, number) for number, level in enumerate(levels)]
    assert any(None in of_level for of_level in offsets), "a block without valid pixels is not stored"
    stored = [offset for of_level in reversed(offsets) for offset in of_level if offset is not None]
    assert stored == sorted(stored)
    for offset in stored:
        size = int.from_bytes(content[offset - 4 : offset], "little")
        assert content[offset + size - 4 : offset + size] == content[offset + size : offset + size + 4]
    last = stored[-1]
    assert len(content) == last + int.from_bytes(content[last - 4 : last], "little") + 4


def block_offsets(dataset: rasterio.DatasetReader, level: np.ndarray, number: int) -> list[int | None]:
    """Return where GDAL says that a level's blocks lie, None for one that is not stored."""
    rows, columns = (-(-length // 512) for length in level.shape)
    overview = {} if number == 0 else {"ovr": number - 1}
    found = [
        dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1, **overview)
        for row in range(rows)
        for column in range(columns)
    ]
    return [None if offset is None else int(offset) for offset in found]


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    pixels = speckle((1100, 1100), "uint16")
    for name in ("one", "two"):
        write_tile(tmp_path / name, pixels)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_raster_without_a_valid_pixel_is_next_to_nothing(tmp_path: Path) -> None:
    pixels = np.zeros((2000, 2000), "uint16")
    write_tile(tmp_path / "empty.tif", pixels)
    assert (tmp_path / "empty.tif").stat().st_size < 2000
    with rasterio.open(tmp_path / "empty.tif") as dataset:
        assert not dataset.read(1).any()


def test_a_file_beyond_32_bit_offsets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_SIZE_LIMIT_BYTES", 100_000)
    with pytest.raises(OutputError, match="classic TIFF"):
        write_tile(tmp_path / "large.tif", speckle((1100, 1100), "uint16"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_zstd_is_read_by_gdal_as_its_own(tmp_path: Path, dtype: str) -> None:
    pixels = speckle((1100, 1100), dtype)
    write_tile(tmp_path / "zstd.tif", pixels, codec=codec_of("zstd"))
    assert cog_validate(tmp_path / "zstd.tif", strict=True, quiet=True) == (True, [], [])
    for number, level in enumerate(levels_of(pixels, Resampling.RMS)):
        with rasterio.open(tmp_path / "zstd.tif", **({"overview_level": number - 1} if number else {})) as dataset:
            assert dataset.compression is rasterio.enums.Compression.zstd
            np.testing.assert_array_equal(dataset.read(1), level)


def test_a_codec_that_is_not_known_is_refused() -> None:
    assert {codec_of(name).name for name in CODECS} == {"deflate", "zstd"}
    with pytest.raises(InvalidRequestError, match="lzw.*deflate, zstd"):
        codec_of("lzw")
