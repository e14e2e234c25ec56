"""The layout table: where JAXA keeps a mission's archives and what it calls them, in the order to try.

A renamed archive or a moved folder is a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alos_mosaic.grid import Tile
from alos_mosaic.missions import Mission


@dataclass(frozen=True)
class Layout:
    """One way in which archives have been served. Paths are relative to the source's root, without a leading slash."""

    name: str
    """Recorded in every result and item that it served."""
    mission: str
    folder_template: str
    archive_template: str
    suffix: str
    """What stands between ``_MOS`` and the extension; published keys carry it on."""

    def folder(self, year: int) -> str:
        """Return the year's folder."""
        return self.folder_template.format(year=year)

    def archive_path(self, tile: Tile, year: int) -> str:
        """Return the path of a tile's archive.

        >>> LAYOUTS[2].archive_path(Tile.from_name("N10E010"), 2009)
        'pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz'
        """
        archive = self.archive_template.format(tile=tile.name, yy=f"{year % 100:02d}", suffix=self.suffix)
        return f"{self.folder(year)}/{archive}"


def _tar_gz(name: str, mission: str, folder_template: str, suffix: str = "") -> Layout:
    return Layout(name, mission, folder_template, "{tile}_{yy}_MOS{suffix}.tar.gz", suffix)


LAYOUTS: Final = (
    _tar_gz("jers-1-v1", "JERS-1", "pub/ALOS-2/JERS-1_MSC/25m_MSC/{year}"),
    _tar_gz("jers-1-v1-ext1", "JERS-1", "pub/ALOS/ext1/JERS-1_MSC/25m_MSC/{year}"),
    _tar_gz("palsar-v1", "PALSAR", "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/{year}"),
    _tar_gz("palsar-2-v1", "PALSAR-2", "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/{year}", "_F02DAR"),
    _tar_gz("palsar-2-v1-ext2", "PALSAR-2", "pub/ALOS-2/ext2/PALSAR-2_MSC/25m_MSC/{year}", "_F02DAR"),
)
"""From real listings of April 2021, except the ``ext1`` root of JERS-1 and ``ext2`` (public sources)."""


def layouts_of(mission: Mission) -> tuple[Layout, ...]:
    """Return a mission's layouts in the order to try them."""
    return tuple(layout for layout in LAYOUTS if layout.mission == mission.name)
