"""Tiles as the pipeline would describe them, made of fixed facts: nothing in them depends on this machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alos_mosaic.bands import BANDS
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import band_file_name
from alos_mosaic.processing.cog import Cog
from alos_mosaic.processing.download import Archive
from alos_mosaic.processing.metadata import TileProduct, WrittenFile
from alos_mosaic.processing.metadata.described import described
from alos_mosaic.processing.quicklook import QUICKLOOK_MEDIA_TYPE
from alos_mosaic.processing.statistics import TileStatistics
from alos_mosaic.products import FOREST_PRODUCT
from local.archives import CellPixels, Form, members

TILE = Tile.from_name("N10E010")
CELLS = (*TILE.cells[:7], TILE.cells[12], TILE.cells[24])
CELL_PIXELS = 4500**2
FOREST_RELEASE_2 = {0: "no_data", 1: "dense_forest", 2: "sparse_forest", 3: "non_forest", 4: "water"}

_ARCHIVES = {
    ("jers_sar_mosaic", 1996): ("jers-1-v1", datetime(2021, 4, 7, 1, 2, 3, tzinfo=UTC)),
    ("alos_palsar_mosaic", 2009): ("palsar-v2", datetime(2023, 9, 8, 7, 6, 5, tzinfo=UTC)),
    ("alos_palsar_mosaic", 2020): ("palsar-2-v1", datetime(2021, 4, 7, 1, 2, 3, tzinfo=UTC)),
    ("alos_palsar_fnf", 2020): ("palsar-2-fnf-v2", datetime(2022, 11, 10, 9, 8, 7, tzinfo=UTC)),
}
"""The layout that served a product of a year, and the server's time: re-issues (v2) are of 2022 and later."""

_CREATED = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
_SOFTWARE = {"alos-mosaic": "1", "GDAL": "3.10.3", "rasterio": "1.4.4", "numpy": "2.4.6", "isal": "1.9.1"}
_PARAMETERS = {
    "backscatter_overviews": "rms",
    "codec": "deflate",
    "level": 1,
    "predictor": 2,
    "block_pixels": 512,
    "accept_partial": False,
}


def mosaic(year: int, folder: Path) -> TileProduct:
    """Return a mosaic of nine cells; sidecars are written into the folder where the year's archives have them."""
    mission = mission_of(year)
    product = _tile(year, mission.product)
    cells = len(CELLS)
    water, layover, shadow, hidden = 3_000_000, 60_000, 12_345, 5_000_000
    land = cells * CELL_PIXELS - water - layover - shadow - hidden
    first_day = (datetime(year, 1, 1, tzinfo=UTC).date() - mission.date_epoch).days
    statistics = TileStatistics(
        {0: hidden, 50: water, 100: layover, 150: shadow, 255: land},
        {first_day - 20: 1_000_000, first_day + 120: land, first_day + 250: water + layover + shadow - 1_000_000},
        {},
        17,
        {"HH": (311, 40273), "HV": (90, 14324), "linci": (3, 82), "date": (first_day - 20, first_day + 250)},
    )
    return replace(product, statistics=statistics, sidecars=_sidecars(year, folder, first_day))


def forest_map(year: int) -> TileProduct:
    """Return a forest map of release 2."""
    product = _tile(year, FOREST_PRODUCT)
    statistics = TileStatistics(
        pixels_by_class={0: 250_000, 1: 100_000_000, 2: 50_000_000, 3: 30_000_000, 4: 2_000_000}
    )
    parameters = {name: value for name, value in _PARAMETERS.items() if name != "backscatter_overviews"}
    return replace(
        product,
        product_name=FOREST_PRODUCT,
        statistics=statistics,
        classes=FOREST_RELEASE_2,
        parameters=parameters,
    )


def _tile(year: int, product_name: str) -> TileProduct:
    name, modified = _ARCHIVES[product_name, year]
    (layout,) = (row for row in layouts_of(mission_of(year), product_name) if row.name == name)
    bands = described(product_name).bands
    path = layout.archive_path(TILE, year)
    archive = Archive(
        f"ftp://ftp.eorc.jaxa.jp/{path}",
        layout,
        1_234_567_890,
        "0f" * 32,
        modified,
    )
    codes = list(BANDS)
    cogs = tuple(
        Cog(band, Path(band_file_name(TILE, year, band, layout.suffix)), 1000 + number, f"{number:064x}")
        for number, band in enumerate(bands, start=len(codes))
    )
    quicklook = WrittenFile(Path(f"{TILE}_{year % 100:02d}.webp"), QUICKLOOK_MEDIA_TYPE, 123_456, "ab" * 32)
    return TileProduct(
        TileYear(year, TILE), Grid(), archive, CELLS, cogs, "a-run",
        quicklook=quicklook, parameters=_PARAMETERS, code_version="1+0123456789ab",
        software=_SOFTWARE, updated=_CREATED,
    )  # fmt: skip


def _sidecars(year: int, folder: Path, first_day: int) -> dict:
    """Write the sidecars of the first two cells, of years that have them."""
    if Form.of_year(year) is not Form.GEOTIFF:
        return {}
    paths = {}
    for cell in CELLS[:2]:
        arrays = {
            code: np.full((2, 2), {"mask": 255, "date": first_day}.get(code, 40), BANDS[code].dtype)
            for code in ("HH", "HV", "date", "linci", "mask")
        }
        arrays["date"][0, 0] += 14
        found = dict(members(CellPixels(cell, arrays), year))
        (name,) = (name for name in found if name.endswith(".xml"))
        paths[cell] = folder / name
        paths[cell].write_bytes(found[name])
    return paths


GOLDEN = {
    "jers-1": lambda folder: mosaic(1996, folder),
    "palsar": lambda folder: mosaic(2009, folder),
    "palsar-2": lambda folder: mosaic(2020, folder),
    "forest": lambda _: forest_map(2020),
}
"""The tiles whose items lie in ``golden/``."""
