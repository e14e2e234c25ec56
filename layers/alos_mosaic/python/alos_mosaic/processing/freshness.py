"""Freshness: whether a published tile was made from what the source has now. JAXA re-issues under the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alos_mosaic.errors import TileAbsentError
from alos_mosaic.layouts import Layout
from alos_mosaic.messages import TileYear, format_time
from alos_mosaic.processing.finding import Found, find, find_cells
from alos_mosaic.processing.sources.protocol import Source

_Key = tuple[bool, str]
"""Whether it is the archive of a cell alone, and its name: the one in a tile's corner is called as the tile's is."""
_Version = tuple[Any, Any]
"""Size in bytes, and the server's time as items spell it or None."""


def is_fresh(item: Mapping[str, Any], source: Source, tile_year: TileYear, layouts: Sequence[Layout]) -> bool:
    """Tell whether the source has the archives that an item was made from: same names, sizes and server's times.

    Where either side knows no time, name and size decide. An item that tells of no archive is not fresh, nor is that of
    a partial tile: what was defective may be mended. Raises :class:`~alos_mosaic.errors.SourceUnavailableError` for
    whatever stands between us and the answer; a tile that the source has no longer is not fresh.
    """
    if item["properties"].get("alos_mosaic:cells_defective"):
        return False
    return has_same_archives(item, source, tile_year, layouts) is True


def has_same_archives(
    item: Mapping[str, Any], source: Source, tile_year: TileYear, layouts: Sequence[Layout]
) -> bool | None:
    """As :func:`is_fresh`, also of a partial tile; None if the item does not tell what it was made from."""
    try:
        then = _recorded(item["properties"])
    except (KeyError, TypeError, AttributeError):
        return None
    if not then:
        return None
    try:
        found = find(source, tile_year, layouts)
    except TileAbsentError:
        return False
    if found[0].cell is None and len(then) > 1:  # beside the tile's archive, cells came from archives of their own
        release = [layout for layout in layouts if layout.release == found[0].layout.release]
        cells = find_cells(source, tile_year, release, tile_year.tile.cells)
        found += [each for each in cells if _key(each) in then]
    now = {_key(each): _version(each) for each in found}
    return now.keys() == then.keys() and all(_is_same(now[key], then[key]) for key in now)


def _recorded(properties: Mapping[str, Any]) -> dict[_Key, _Version]:
    """Return the archives that an item was made from."""
    of_tile, of_cells = properties.get("alos_mosaic:archive"), properties.get("alos_mosaic:cell_archives", ())
    archives = [*([(False, of_tile)] if of_tile else []), *((True, archive) for archive in of_cells)]
    return {
        (is_of_cell, _name(archive["url"])): (archive["size"], archive.get("modified"))
        for is_of_cell, archive in archives
    }


def _key(found: Found) -> _Key:
    return found.cell is not None, _name(found.remote.path)


def _version(found: Found) -> _Version:
    modified = found.remote.modified
    return found.remote.size_bytes, None if modified is None else format_time(modified)


def _is_same(now: _Version, then: _Version) -> bool:
    return now[0] == then[0] and (None in (now[1], then[1]) or now[1] == then[1])


def _name(path: str) -> str:
    return path.rpartition("/")[2]
