"""Quicklooks of what a run has published, for its report: copies beside it, and thumbnails in it."""

from __future__ import annotations

import base64
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from alos_mosaic.naming import ITEM_ENDING
from alos_mosaic.report import Picture
from alos_mosaic.results import State, TileResult

_THUMBNAIL_PIXELS: Final = 224


def collect_pictures(buckets: Path, results: Iterable[TileResult], folder: Path) -> dict[str, Picture]:
    """Copy the quicklooks of published tiles into a folder beside the report, and return them by ``YEAR/TILE``.

    ``buckets`` holds a folder for each bucket, as the emulator keeps them.
    """
    pictures = {}
    for result in results:
        place = (result.item_uri or "").removeprefix("s3://")
        quicklook = buckets / f"{place.removesuffix(ITEM_ENDING)}.webp"
        if result.state is not State.PUBLISHED or not quicklook.is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"{result.year}-{result.tile}.webp"
        shutil.copyfile(quicklook, copy)
        thumbnail = base64.b64encode(_thumbnail(copy)).decode()
        href = f"{folder.name}/{copy.name}"
        pictures[f"{result.year}/{result.tile}"] = Picture(href, f"data:image/webp;base64,{thumbnail}")
    return pictures


def _thumbnail(path: Path) -> bytes:
    """Return a small WebP of a picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            side = min(_THUMBNAIL_PIXELS, dataset.width, dataset.height)
            bands = dataset.read(out_shape=(dataset.count, side, side), resampling=Resampling.average)
        profile = {"driver": "WEBP", "width": side, "height": side, "count": len(bands), "dtype": "uint8"}
        with MemoryFile() as memory:
            with memory.open(**profile, QUALITY=80) as dataset:
                dataset.write(bands)
            return bytes(memory.getbuffer())
