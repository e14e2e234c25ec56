"""The layout table: where JAXA keeps a product's archives and what it calls them, in the order to try.

A renamed archive or a moved folder is a row, here or in the configuration (:mod:`alos_mosaic.extra_layouts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.missions import ALOS_PRODUCT, JERS_PRODUCT, Mission
from alos_mosaic.products import FOREST_PRODUCT

ARCHIVE_ENDINGS: Final = (".tar.gz", ".zip")
"""What archives end with, which is how they are told from the rest of a listing."""
TREE_SCHEMES: Final = ("ftp", "ftps", "file", "s3", "https", "http")
"""What serves JAXA's FTP tree (``pub/...``): the server itself and mirrors of it."""
MIRROR_SCHEMES: Final = frozenset({"s3", "file"})
"""What a mirror of our own may be."""
SITE_SCHEMES: Final = ("https",)
"""What serves JAXA's download site, which has another tree and nothing but cells in it."""


@dataclass(frozen=True)
class Layout:
    """One way in which archives have been served. Paths are relative to the source's root, without a leading slash."""

    name: str
    """Recorded in every result and item that it served."""
    mission: str
    folder_template: str
    """The year's folder, from ``{year}`` and ``{yy}``."""
    archive_template: str
    """An archive's name, from ``{square}`` (the name of its tile or cell), ``{year}``, ``{yy}`` and ``{suffix}``."""
    suffix: str = ""
    """What stands between ``_MOS`` and the extension; published keys carry it on."""
    product: str = ALOS_PRODUCT
    release: int = 1
    """JAXA's generation of processing, which the forest map's classes depend on
    (:data:`alos_mosaic.bands.FOREST_CLASSES`): tar.gz is 1, zip is 2."""
    first_year: int | None = None
    last_year: int | None = None
    """``None``: as long as the mission."""
    schemes: tuple[str, ...] = TREE_SCHEMES
    """URL schemes of the sources that have this tree."""
    serves_tiles: bool = True
    serves_cells: bool = True

    @property
    def kind(self) -> str:
        """What archive names say of the product: ``MOS`` or ``FNF``."""
        return "FNF" if self.product == FOREST_PRODUCT else "MOS"

    @property
    def is_of_mirrors(self) -> bool:
        """Whether mirrors serve it, in S3 and in folders."""
        return set(self.schemes) >= MIRROR_SCHEMES

    def covers(self, year: int) -> bool:
        """Tell whether archives of that year may lie here (the mission's years apart)."""
        return (self.first_year or year) <= year <= (self.last_year or year)

    def folder(self, year: int) -> str:
        """Return the year's folder."""
        return self.folder_template.format(**_year_fields(year))

    def archive_path(self, tile: Tile, year: int) -> str:
        """Return the path of a tile's archive.

        >>> LAYOUTS[3].archive_path(Tile.from_name("N10E010"), 2009)
        'pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz'
        """
        return f"{self.folder(year)}/{self.archive_name(tile, year)}"

    def cell_archive_path(self, cell: Cell, year: int) -> str:
        """Return the path of a cell's own archive, in a folder of its tile (as in the listings of 2021).

        >>> LAYOUTS[3].cell_archive_path(Cell.from_name("N09E012"), 2009)
        'pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010/N09E012_09_MOS.tar.gz'
        """
        return f"{self.folder(year)}/{cell.tile}/{self.archive_name(cell, year)}"

    def archive_name(self, square: Tile | Cell, year: int) -> str:
        """Return the bare name of a tile's or cell's archive."""
        return self.archive_template.format(square=square.name, suffix=self.suffix, **_year_fields(year))

    def tile_of(self, name: str, year: int) -> Tile | None:
        """Return the tile whose archive of that year is called so, or None: listings hold junk and other products.

        >>> LAYOUTS[3].tile_of("N10E010_09_MOS.tar.gz", 2009).name, LAYOUTS[3].tile_of("off", 2009)
        ('N10E010', None)
        """
        match = re.search(r"[NS]\d{2}[EW]\d{3}", name)
        try:
            tile = Tile.from_name(match[0]) if match else None
        except InvalidRequestError:
            return None
        return tile if tile is not None and self.archive_name(tile, year) == name else None


def _year_fields(year: int) -> dict[str, str]:
    return {"year": str(year), "yy": f"{year % 100:02d}"}


_JERS: Final = "pub/ALOS-2/JERS-1_MSC/25m_MSC/{year}"
_JERS_EXT1: Final = "pub/ALOS/ext1/JERS-1_MSC/25m_MSC/{year}"
_PALSAR: Final = "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/{year}"
_PALSAR2: Final = "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/{year}"
_PALSAR2_EXT2: Final = "pub/ALOS-2/ext2/PALSAR-2_MSC/25m_MSC/{year}"
_SITE: Final = "ALOS/en/palsar_fnf/data/{{year}}/{}/{{year}}"
_MOS_GZ, _MOS_ZIP = "{square}_{yy}_MOS{suffix}.tar.gz", "{square}_{yy}_MOS{suffix}.zip"
_FNF_GZ, _FNF_ZIP = "{square}_{yy}_FNF{suffix}.tar.gz", "{square}_{yy}_FNF{suffix}.zip"


def _site(name: str, folder: str, template: str, release: int) -> Layout:
    return Layout(
        name, "PALSAR-2", _SITE.format(folder), template, "_F02DAR",
        release=release, schemes=SITE_SCHEMES, serves_tiles=False,
    )  # fmt: skip


LAYOUTS: Final = (
    Layout("jers-1-v1", "JERS-1", _JERS, _MOS_GZ, product=JERS_PRODUCT),
    Layout("jers-1-v1-ext1", "JERS-1", _JERS_EXT1, _MOS_GZ, product=JERS_PRODUCT),
    Layout("palsar-v2", "PALSAR", _PALSAR, _MOS_ZIP, "_F__DAR", release=2),
    Layout("palsar-v1", "PALSAR", _PALSAR, _MOS_GZ),
    Layout("palsar-2-v2", "PALSAR-2", _PALSAR2, _MOS_ZIP, "_F02DAR", release=2),
    Layout("palsar-2-v1", "PALSAR-2", _PALSAR2, _MOS_GZ, "_F02DAR"),
    Layout("palsar-2-v1-ext2", "PALSAR-2", _PALSAR2_EXT2, _MOS_GZ, "_F02DAR"),
    _site("palsar-2-site-v2", "dir_zip", _MOS_ZIP, release=2),
    _site("palsar-2-site-v1", "dir_gz", _MOS_GZ, release=1),
    Layout("palsar-fnf-v1", "PALSAR", _PALSAR, _FNF_GZ, "", FOREST_PRODUCT, 1, 2007, 2010),
    Layout("palsar-2-fnf-v2", "PALSAR-2", _PALSAR2, _FNF_ZIP, "_F02DAR", FOREST_PRODUCT, 2),
    Layout("palsar-2-fnf-v1", "PALSAR-2", _PALSAR2, _FNF_GZ, "_F02DAR", FOREST_PRODUCT, 1, 2015, 2017),
)
"""Zip before tar.gz: JAXA re-issues years as zip (PALSAR-2 since mid-2022, PALSAR since 2023) in the folders where the
tar.gz of v1 stood; where both lie side by side, the zip is the newer processing.

The tar.gz rows are from real listings of April 2021, except the ``ext1`` root of JERS-1 and ``ext2``; those, the zips
and the site are from public sources. Nobody has told whether a forest map of 2015-17 was re-issued as zip, so all years
of PALSAR-2 have that row.
"""


def layouts_of(mission: Mission, product: str | None = None, extra: Sequence[Layout] = ()) -> tuple[Layout, ...]:
    """Return a product's layouts in the order to try them, those of the configuration first; the mosaic's without one.

    Years and schemes are the caller's to look at (:func:`for_tiles`).
    """
    wanted = product or mission.product
    return tuple(row for row in (*extra, *LAYOUTS) if (row.mission, row.product) == (mission.name, wanted))


def in_tree(layout: Layout, layouts: Iterable[Layout], year: int) -> Layout | None:
    """Return the layout by which a mirror in S3 or in a folder serves what ``layout`` served elsewhere.

    That is the same one, unless it is of a site with a tree of its own: then the first of these by which the tree has
    archives of the same release and name; None if there is none.

    >>> site = next(row for row in LAYOUTS if row.name == "palsar-2-site-v2")
    >>> in_tree(site, LAYOUTS, 2020).name, in_tree(LAYOUTS[0], LAYOUTS, 1996).name
    ('palsar-2-v2', 'jers-1-v1')
    """
    same = (layout.mission, layout.product, layout.release, layout.archive_template, layout.suffix)
    for row in (layout, *layouts):
        is_same = (row.mission, row.product, row.release, row.archive_template, row.suffix) == same
        if is_same and row.covers(year) and row.is_of_mirrors:
            return row
    return None


def tree_roots(layouts: Iterable[Layout]) -> list[str]:
    """Return the top folders of the trees that mirrors have by these layouts; ``*`` for one that depends on the year.

    >>> tree_roots(LAYOUTS)
    ['pub']
    """
    folders = [row.folder_template for row in layouts if row.is_of_mirrors]
    roots = {folder.partition("/")[0] for folder in folders}
    return sorted({"*" if "{" in root else root for root in roots})


def for_tiles(layouts: Iterable[Layout], year: int, url: str) -> list[Layout]:
    """Return those of the layouts by which a source at this URL may serve a year's 5x5 archives."""
    scheme = url.partition(":")[0]
    return [row for row in layouts if row.serves_tiles and row.covers(year) and scheme in row.schemes]


def for_cells(layouts: Iterable[Layout], year: int, url: str) -> list[Layout]:
    """Return those of the layouts by which a source at this URL may serve a year's cells in archives of their own."""
    scheme = url.partition(":")[0]
    return [row for row in layouts if row.serves_cells and row.covers(year) and scheme in row.schemes]
