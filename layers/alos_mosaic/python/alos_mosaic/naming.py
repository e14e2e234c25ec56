"""The one home of names: members of archives, keys of what is published, ids of items, keys of a run's records."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Final

from alos_mosaic.bands import Band
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.products import Product, product_of

_MEMBER = re.compile(
    r"(?P<cell>[NS]\d{2}[EW]\d{3})_(?P<year>\d{4}|\d{2})_(?:sl_)?(?P<band>HH|HV|VH|VV|linci|date|mask|C)"
    r"(?:_(?P<suffix>[FU][0-9A-Z_]{2}[SDQ][AD_][RL_]))?(?P<extension>\.tif|\.hdr)?"
)
"""Every member name seen or read of; the suffix is mode, beam, polarization, orbit, look (``F02DAR``, ``FP6QAR``)."""

_SIDECAR = re.compile(
    r"(?P<cell>[NS]\d{2}[EW]\d{3})_(?P<year>\d{4}|\d{2})"
    r"(?:_(?P<suffix>[FU][0-9A-Z_]{2}[SDQ][AD_][RL_]))?(?P<extension>\.xml)"
)
"""A cell's metadata beside its GeoTIFFs, as in the real archive of 2020: ``N23W161_20_F02DAR.xml``."""

_ITEM_KEY = re.compile(r"(?P<product>[^/]+)/(?P<year>[0-9]{4})/(?P<tile>[NS][0-9]{2}[EW][0-9]{3})/[^/]+")

_ITEM_ID_NAMESPACE: Final = uuid.UUID("6f34c6f4-13d6-43c0-8e4e-42b6c13203af")
"""The namespace of the Open Data Cube tools' deterministic dataset ids."""

STACK_DESCRIPTION: Final = "JAXA's global 25 m radar mosaics as cloud-optimized data"
"""What every stack of this system says it is: by this, and by its outputs, it is told from others."""

STAGING_FOLDER: Final = "staging/"
"""Prefix in the runs bucket of all that is not finished: what a dead worker leaves there expires."""

RUN_LOCK_KEY: Final = "runs/.running"
"""Key in the runs bucket of the lock that names the run that is going on; lies beside the runs' folders."""

ITEM_ENDING: Final = ".stac-item.json"
"""What the file name of every STAC item ends with."""
EO3_RELATION: Final = "odc_yaml"
"""Under which eodatasets3 links the document that Open Data Cube indexes, and so does an item."""
THUMBNAIL: Final = "thumbnail"
"""Key of the quicklook's asset."""


@dataclass(frozen=True)
class MemberName:
    """What the name of a file in an archive says."""

    cell: Cell
    year_digits: str
    band_code: str
    """Empty for a sidecar, which is about all bands."""
    suffix: str
    extension: str
    """``.tif``, ``.hdr``, ``.xml`` or nothing: the raw pixels that an ENVI header describes."""

    def is_of_year(self, year: int) -> bool:
        """Tell whether the name's year, of two or four digits, is this one."""
        return self.year_digits in (f"{year:04d}", f"{year % 100:02d}")


def parse_member(name: str) -> MemberName | None:
    """Return what a member's bare file name says, or None if it is no raster of ours.

    :class:`~alos_mosaic.errors.InvalidRequestError` if it looks like one but names a cell off the grid.

    >>> parse_member("N23W161_20_sl_HH_F02DAR.tif").cell.tile.name
    'N25W165'
    >>> parse_member("readme.txt") is None
    True
    """
    match = _MEMBER.fullmatch(name)
    if match is None:
        return None
    cell = Cell.from_name(match["cell"])
    return MemberName(cell, match["year"], match["band"], match["suffix"] or "", match["extension"] or "")


def parse_sidecar(name: str) -> MemberName | None:
    """Return what the bare name of a cell's XML sidecar says (its band code is empty), or None if it is none.

    :class:`~alos_mosaic.errors.InvalidRequestError` if it looks like one but names a cell off the grid.

    >>> parse_sidecar("N23W161_20_F02DAR.xml").cell.name
    'N23W161'
    """
    match = _SIDECAR.fullmatch(name)
    if match is None:
        return None
    return MemberName(Cell.from_name(match["cell"]), match["year"], "", match["suffix"] or "", match["extension"])


def parse_cell_archive(name: str, tile: Tile) -> Cell | None:
    """Return the cell of a tile that an archive's bare file name begins with, or None if it names none of its cells.

    >>> tile = Tile.from_name("N10E010")
    >>> parse_cell_archive("N09E013_20_MOS_F02DAR.tar.gz", tile).name, parse_cell_archive("inner.zip", tile)
    ('N09E013', None)
    """
    square = re.match(r"[NS]\d{2}[EW]\d{3}(?=[_.])", name)
    return next((cell for cell in tile.cells if square and cell.name == square[0]), None)


def tile_prefix(product: Product, year: int, tile: Tile) -> str:
    """Return the folder below which everything published for a tile lies, without a closing slash."""
    return f"{product.name}/{year}/{tile.name}"


def band_file_name(tile: Tile, year: int, band: Band, suffix: str) -> str:
    """Return a band's file name; the suffix is its archive's. Every band of every product is named like this.

    Digital Earth Africa has ``sl_`` before every band; the forest map, which it does not publish, follows suit.

    >>> from alos_mosaic.bands import BANDS
    >>> band_file_name(Tile.from_name("N10E010"), 2020, BANDS["HH"], "_F02DAR")
    'N10E010_20_sl_HH_F02DAR.tif'
    >>> band_file_name(Tile.from_name("N10E010"), 2009, BANDS["C"], "")
    'N10E010_09_sl_C.tif'
    """
    return f"{band_file_stem(tile, year, band)}{suffix}.tif"


def band_file_stem(tile: Tile, year: int, band: Band) -> str:
    """Return what a band's file name begins with, whatever its archive's suffix."""
    return f"{tile.name}_{year % 100:02d}_sl_{band.code}"


def quicklook_file_name(tile: Tile, year: int) -> str:
    """Return the quicklook's file name."""
    return f"{tile.name}_{year % 100:02d}.webp"


def eo3_file_name(tile: Tile, year: int) -> str:
    """Return the file name of the EO3 document, the Open Data Cube's own.

    >>> eo3_file_name(Tile.from_name("N10E010"), 2020)
    'N10E010_20.odc-metadata.yaml'
    """
    return f"{tile.name}_{year % 100:02d}.odc-metadata.yaml"


def item_file_name(tile: Tile, year: int) -> str:
    """Return the STAC item's file name."""
    return f"{tile.name}_{year % 100:02d}{ITEM_ENDING}"


def item_key(product: Product, year: int, tile: Tile) -> str:
    """Return the STAC item's key.

    >>> from alos_mosaic.products import product_of
    >>> item_key(product_of(2020), 2020, Tile.from_name("N10E010"))
    'alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json'
    """
    return f"{tile_prefix(product, year, tile)}/{item_file_name(tile, year)}"


def parse_item_key(key: str) -> tuple[Product, int, Tile] | None:
    """Return product, year and tile of which a key is the item, or None: a copy elsewhere is no tile's item.

    >>> product, year, tile = parse_item_key("alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json")
    >>> product.name, year, tile.name
    ('alos_palsar_mosaic', 2020, 'N10E010')
    >>> parse_item_key("alos_palsar_mosaic/2020/backup/N10E010_20.stac-item.json") is None
    True
    """
    match = _ITEM_KEY.fullmatch(key)
    if match is None:
        return None
    try:
        year, tile = int(match["year"]), Tile.from_name(match["tile"])
        product = product_of(year, match["product"])
    except InvalidRequestError:
        return None
    return (product, year, tile) if key == item_key(product, year, tile) else None


def item_id(algorithm: str, year: int, tile: Tile) -> uuid.UUID:
    """Return the item's id, the same as Digital Earth Africa's: a uuid5 over algorithm, version and tags.

    >>> item_id("alos", 2020, Tile.from_name("N10E010"))
    UUID('8b5a33ba-ccdd-54a0-b6ca-d68941461fc9')
    >>> item_id("jers", 1996, Tile.from_name("N00E010"))
    UUID('4c331a1d-75f2-52ac-a4cc-216fc9c61728')
    """
    lines = (algorithm, "1", "", f"tile={tile.name}", f"year={year}")
    return uuid.uuid5(_ITEM_ID_NAMESPACE, "\n".join(lines).lower())


def catalogue_keys(folder: str) -> tuple[str, str]:
    """Return the keys of a folder's catalogue: the STAC catalog, and its items as a table (stac-geoparquet).

    >>> catalogue_keys("alos_palsar_mosaic/2020")
    ('alos_palsar_mosaic/2020/catalog.json', 'alos_palsar_mosaic/2020/items.parquet')
    """
    return f"{folder}/catalog.json", f"{folder}/items.parquet"


def run_prefix(run: str) -> str:
    """Return the prefix below which everything that a run leaves behind lies, with its closing slash."""
    return f"runs/{run}/"


def manifest_key(run: str) -> str:
    """Return the key of the list of tiles that a run is to process."""
    return f"{run_prefix(run)}manifest.json"


def results_prefix(run: str) -> str:
    """Return the prefix below which the workers of a run leave their results."""
    return f"{run_prefix(run)}results/"


def result_key(run: str, year: int, tile: str, product: str | None = None) -> str:
    """Return the key of one tile's result; a product that was named in the request stands in it.

    >>> result_key("a-run", 2020, "N10E010"), result_key("a-run", 2020, "N10E010", "alos_palsar_fnf")
    ('runs/a-run/results/2020/N10E010.json', 'runs/a-run/results/2020/N10E010.alos_palsar_fnf.json')
    """
    return f"{results_prefix(run)}{_record_name(year, tile, product)}.json"


def outcomes_prefix(run: str) -> str:
    """Return the prefix below which keys tell in short what a run's results say (:mod:`alos_mosaic.outcomes`)."""
    return f"{run_prefix(run)}outcomes/"


def outcome_prefix(run: str, year: int, tile: str, product: str | None = None) -> str:
    """Return the prefix of the keys that tell one tile's results in short."""
    return f"{outcomes_prefix(run)}{_record_name(year, tile, product)}/"


def _record_name(year: int, tile: str, product: str | None) -> str:
    return f"{year}/{tile}{'' if product is None else f'.{product}'}"


def letters_prefix(run: str) -> str:
    """Return the prefix below which a run's dead letters are kept once they have been sent."""
    return f"{run_prefix(run)}letters/"


def letter_key(run: str, child: str) -> str:
    """Return the key of the dead letter that a child of the run's Map has sent; the child's name is Step Functions'."""
    return f"{letters_prefix(run)}{child}.json"


def staging_prefix(run: str) -> str:
    """Return the prefix below which a run's workers put what is not finished, with its closing slash."""
    return f"{STAGING_FOLDER}{run}/"


def summary_key(run: str) -> str:
    """Return the key of a run's summary."""
    return f"{run_prefix(run)}summary.json"


def report_key(run: str) -> str:
    """Return the key of a run's report, a page to look at."""
    return f"{run_prefix(run)}report.html"


def map_run_prefix(run: str) -> str:
    """Return the prefix, without a closing slash, of Step Functions' own account of a run; nothing of ours reads it."""
    return f"{run_prefix(run)}map-run"


def digest_key(run: str) -> str:
    """Return the key of the record of a run's digest: that it was sent, and what it said."""
    return f"{run_prefix(run)}digest.json"
