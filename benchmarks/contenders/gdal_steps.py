"""The contenders that extract an archive, mosaic its members in a VRT and let GDAL write: one recipe a row.

Outputs are named as ours are and moved into the output folder when they are done, which costs nothing.
"""

from __future__ import annotations

import argparse
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import rasterio
import rasterio.shutil
from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles

from alos_mosaic.bands import Band, Resampling, bands_of
from alos_mosaic.grid import Cell
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import band_file_name, parse_member

_BLOCK: Final = 512
_GDAL_TYPES: Final = {"uint8": "Byte", "uint16": "UInt16"}

Write = Callable[[Path, Band, Path], None]
"""Writes a band's VRT as a COG."""


def _ancestor(vrt: Path, band: Band, path: Path) -> None:
    """DEFLATE 9 with predictor, 5 overviews, averaged also where that means amplitudes; nodata 0 whatever it is."""
    average = band.resampling in {Resampling.RMS, Resampling.AVERAGE}
    cog_translate(
        str(vrt), str(path), cog_profiles.get("deflate") | {"zlevel": 9, "predictor": 2}, nodata=0, overview_level=5,
        overview_resampling="average" if average else "nearest", quiet=True,
    )  # fmt: skip


def _successor(vrt: Path, _band: Band, path: Path) -> None:
    cog_translate(str(vrt), str(path), cog_profiles.get("deflate"), quiet=True)


def _cog_driver(vrt: Path, band: Band, path: Path, codec: str) -> None:
    rasterio.shutil.copy(
        str(vrt), str(path), driver="COG", COMPRESS=codec, LEVEL=1, PREDICTOR="YES", NUM_THREADS="ALL_CPUS",
        OVERVIEW_RESAMPLING=str(band.resampling), BLOCKSIZE=_BLOCK, BIGTIFF="IF_SAFER",
    )  # fmt: skip


RECIPES: Final[dict[str, Write]] = {
    "ancestor": _ancestor,
    "successor": _successor,
    "gdal-deflate": partial(_cog_driver, codec="DEFLATE"),
    "gdal-zstd": partial(_cog_driver, codec="ZSTD"),
}


@dataclass(frozen=True)
class _Source:
    """A member on disk and where it lies."""

    path: Path
    cell: Cell
    pixels: int
    nodata: float | None
    transform: rasterio.Affine


def extract(archive: Path, folder: Path) -> None:
    """Extract all members."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)  # noqa: S202 - an archive of our own making
        return
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def write_vrt(members: list[Path], band: Band, path: Path) -> None:
    """Write what gdalbuildvrt makes of one band's members: their mosaic over the cells that are there."""
    sources = [_opened(member) for member in members]
    pixels = sources[0].pixels
    north, west = max(source.cell.north for source in sources), min(source.cell.west for source in sources)
    rows = (1 + north - min(source.cell.north for source in sources)) * pixels
    columns = (1 + max(source.cell.west for source in sources) - west) * pixels
    root = ElementTree.Element("VRTDataset", rasterXSize=str(columns), rasterYSize=str(rows))
    ElementTree.SubElement(root, "SRS").text = "EPSG:4326"
    geo = rasterio.Affine(sources[0].transform.a, 0, west, 0, sources[0].transform.e, north).to_gdal()
    ElementTree.SubElement(root, "GeoTransform").text = ", ".join(repr(float(number)) for number in geo)
    raster = ElementTree.SubElement(root, "VRTRasterBand", dataType=_GDAL_TYPES[band.dtype], band="1")
    nodata = sources[0].nodata
    ElementTree.SubElement(raster, "NoDataValue").text = f"{0 if nodata is None else nodata:g}"
    for source in sources:
        element = ElementTree.SubElement(raster, "SimpleSource")
        ElementTree.SubElement(element, "SourceFilename", relativeToVRT="0").text = str(source.path)
        ElementTree.SubElement(element, "SourceBand").text = "1"
        size: dict[str, Any] = {"xSize": str(pixels), "ySize": str(pixels)}
        ElementTree.SubElement(element, "SrcRect", xOff="0", yOff="0", **size)
        left, top = (source.cell.west - west) * pixels, (north - source.cell.north) * pixels
        ElementTree.SubElement(element, "DstRect", xOff=str(left), yOff=str(top), **size)
    ElementTree.ElementTree(root).write(path)


def _opened(path: Path) -> _Source:
    name = parse_member(path.name)
    if name is None:
        raise ValueError(f"{path.name} is no member of ours")
    with rasterio.open(path) as dataset:
        return _Source(path, name.cell, dataset.width, dataset.nodata, dataset.transform)


def members_of(folder: Path, band: Band) -> list[Path]:
    """Return a band's extracted rasters."""
    named = {path: parse_member(path.name) for path in sorted(folder.iterdir())}
    return [path for path, name in named.items() if name and name.band_code == band.code and name.extension != ".hdr"]


def main(arguments: list[str] | None = None) -> None:
    """Make a tile's COGs by one of the recipes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    for folder in ("archive", "work", "out"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    options = parser.parse_args(arguments)
    members = options.work / "members"
    extract(options.archive, members)
    first = next(name for name in (parse_member(path.name) for path in members.iterdir()) if name)
    year = 2000 + int(first.year_digits)
    for band in bands_of(mission_of(year)):
        name = band_file_name(first.cell.tile, year, band, f"_{first.suffix}")
        vrt = options.work / f"{band.code}.vrt"
        write_vrt(members_of(members, band), band, vrt)
        RECIPES[options.recipe](vrt, band, options.work / name)
        (options.work / name).replace(options.out / name)


if __name__ == "__main__":
    main()
