"""Listing a live server or a mirror: every name in the folders in which JAXA keeps a year's archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import Layout, for_cells, for_tiles, layouts_of
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.sources.protocol import Source
from alos_mosaic.products import PRODUCTS


def archive_paths(source: Source, year: int, extra: Sequence[Layout] = ()) -> Iterator[str]:
    """Yield the path of everything in a year's folders and the folders of their tiles; nothing if there are none.

    Folders are those of all products' layouts, the ``extra`` ones among them.
    One connection, one listing after the other (MLSD, else NLST, of an FTP server): about 1100 folders a year.
    :class:`~alos_mosaic.errors.SourceUnavailableError` if the source refuses or goes away in between.
    """
    mission = mission_of(year)
    known = [row for product in PRODUCTS for row in layouts_of(mission, product, extra)]
    layouts = [*for_tiles(known, year, source.url), *for_cells(known, year, source.url)]
    for folder in dict.fromkeys(layout.folder(year) for layout in layouts):
        for name in source.names(folder) or ():
            yield f"{folder}/{name}"
            if _is_tile(name):
                yield from (f"{folder}/{name}/{cell}" for cell in source.names(f"{folder}/{name}") or ())


def _is_tile(name: str) -> bool:
    try:
        return Tile.from_name(name).name == name
    except InvalidRequestError:
        return False
