"""Listing a live server or a mirror: every name in the folders in which JAXA keeps a year's archives."""

from __future__ import annotations

from collections.abc import Iterator

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import for_tiles, layouts_of
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.sources.protocol import Source


def archive_paths(source: Source, year: int) -> Iterator[str]:
    """Yield the path of everything in a year's folders and the folders of their tiles; nothing if there are none.

    One connection, one listing after the other (MLSD, else NLST, of an FTP server): about 1100 folders a year.
    :class:`~alos_mosaic.errors.SourceUnavailableError` if the source refuses or goes away in between.
    """
    layouts = for_tiles(layouts_of(mission_of(year)), year, source.url)
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
