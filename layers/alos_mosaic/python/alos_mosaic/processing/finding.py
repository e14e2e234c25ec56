"""Finding: where a tile's archive lies, or those of its cells; and what makes a tile absent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError, TileAbsentError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.inventory import ArchiveKind, nearest_listing
from alos_mosaic.layouts import Layout, for_cells, for_tiles
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.sources.protocol import RemoteFile, Source

_TILE: Final = re.compile(r"[NS]\d{2}[EW]\d{3}")
"""In a year's folder: the folder of a tile's cells."""
_ARCHIVE: Final = re.compile(rf"{_TILE.pattern}_\d{{2,4}}_(?P<kind>MOS|FNF)\w*\.(tar\.gz|zip)")
"""A tile's or cell's archive in any form, also one that no layout serves: what is listed is not absent."""
_FOLDERS_LOOKED_INTO: Final = 8
"""Of other tiles' folders of cells, until one holds an archive."""


@dataclass(frozen=True)
class Found:
    """An archive on a source."""

    layout: Layout
    remote: RemoteFile
    cell: Cell | None = None
    """Whose own archive it is; None for a whole tile's."""


def find(source: Source, tile_year: TileYear, layouts: Sequence[Layout]) -> list[Found]:
    """Return a tile's archive, by the first of these layouts that has it, or those of its cells where there is none.

    Raises :class:`TileAbsentError` if there are neither, though the year's folder holds other archives (of a source
    that can't list: though an archive that JAXA is known to publish is where it should be), and
    :class:`SourceUnavailableError` for anything that stands between us and the answer: :class:`ArchiveUnavailableError`
    if that is about this tile alone.
    """
    for_tile = for_tiles(layouts, tile_year.year, source.url)
    for_cell = for_cells(layouts, tile_year.year, source.url)
    if not for_tile and not for_cell:
        raise SourceUnavailableError(f"no layout is known by which {source.url} serves archives of {tile_year.year}")
    for layout in for_tile:
        remote = source.stat(layout.archive_path(tile_year.tile, tile_year.year))
        if remote is not None:
            return [Found(layout, remote)]
    of_cells = find_cells(source, tile_year, layouts, tile_year.tile.cells)
    if of_cells:
        return of_cells
    explain = _by_listing if source.can_list else _by_known_archives
    raise explain(source, tile_year, list(dict.fromkeys([*for_tile, *for_cell])))


def has_archives(source: Source, year: int, layouts: Sequence[Layout]) -> bool:
    """Tell whether the source has any archive of a year where these layouts have them.

    Of a source that can't list, whether it has one that JAXA is known to publish of the nearest year that is known.
    """
    rows = list(dict.fromkeys([*for_tiles(layouts, year, source.url), *for_cells(layouts, year, source.url)]))
    if not rows:
        return False
    kinds = frozenset(layout.kind for layout in rows)
    if not source.can_list:
        listing = nearest_listing(year, ArchiveKind(rows[0].kind))
        tiles = sorted(listing.tiles) if listing else []
        return any(source.stat(path) for tile in tiles[:1] for path in _known_archives(TileYear(year, tile), rows))
    for folder in dict.fromkeys(layout.folder(year) for layout in rows):
        names = source.names(folder) or ()
        if any(_is_archive(name, kinds) for name in names):
            return True
        of_cells = [f"{folder}/{name}" for name in names if _TILE.fullmatch(name)]
        if any(_archives(source, path, kinds) for path in of_cells[:_FOLDERS_LOOKED_INTO]):
            return True
    return False


def find_cells(source: Source, tile_year: TileYear, layouts: Sequence[Layout], cells: Collection[Cell]) -> list[Found]:
    """Return those of the cells' own archives that there are, all of one release: the one that has the most.

    Raises :class:`ArchiveUnavailableError` if another release has cells that this one lacks: JAXA is in the middle of a
    re-issue, and a tile of either would have holes.
    """
    releases: dict[int, dict[Cell, Found]] = {}
    for layout in for_cells(layouts, tile_year.year, source.url):
        found = releases.setdefault(layout.release, {})
        lacking = [cell for cell in cells if cell not in found]
        found |= _served(source, tile_year, layout, lacking)
    chosen = max(releases.values(), key=len, default={})
    beyond = {cell: each for found in releases.values() for cell, each in found.items() if cell not in chosen}
    if beyond:
        names = ", ".join(cell.name for cell in sorted(beyond))
        one, other = next(iter(chosen.values())).layout, next(iter(beyond.values())).layout
        raise ArchiveUnavailableError(
            f"{source.url} has cells of {tile_year.tile} of {tile_year.year} by layout {other.name} that {one.name} "
            f"lacks: {names}; is JAXA re-issuing them?"
        )
    return [chosen[cell] for cell in sorted(chosen)]


def _served(source: Source, tile_year: TileYear, layout: Layout, cells: Collection[Cell]) -> dict[Cell, Found]:
    """Return the cells' archives of one layout; of a source that can't list, every one has to be asked for."""
    if source.can_list and cells:
        names = source.names(f"{layout.folder(tile_year.year)}/{tile_year.tile}") or ()
        cells = [cell for cell in cells if layout.archive_name(cell, tile_year.year) in names]
    found = {}
    for cell in cells:
        path = layout.cell_archive_path(cell, tile_year.year)
        remote = source.stat(path)
        if remote is not None:
            found[cell] = Found(layout, remote, cell)
        elif source.can_list:
            raise ArchiveUnavailableError(f"{source.url} lists {path}, but does not serve it")
    return found


def _by_listing(
    source: Source, tile_year: TileYear, layouts: Sequence[Layout]
) -> TileAbsentError | SourceUnavailableError:
    """Return what it means that no layout has a tile or its cells: see what the year's folders hold instead."""
    folders = dict.fromkeys(layout.folder(tile_year.year) for layout in layouts)
    kinds = frozenset(layout.kind for layout in layouts)
    paths = [f"{folder}/{name}" for folder in folders for name in source.names(folder) or ()]
    archives = [path for path in paths if _is_archive(path, kinds)]
    own = [path for path in archives if _file_name(path).startswith(tile_year.tile.name)]
    cell_folders = [path for path in paths if _TILE.fullmatch(_file_name(path))]
    for folder in (path for path in cell_folders if _file_name(path) == tile_year.tile.name):
        own += _archives(source, folder, kinds)
    if own:
        return ArchiveUnavailableError(f"{source.url} lists {own[0]}, but does not serve it by any name that is known")
    if archives or any(_archives(source, folder, kinds) for folder in cell_folders[:_FOLDERS_LOOKED_INTO]):
        return TileAbsentError(f"{source.url} has other archives of {tile_year.year}, but none of {tile_year.tile}")
    return SourceUnavailableError(f"{source.url} has no archive in {' or '.join(folders)}: has the folder moved?")


def _by_known_archives(
    source: Source, tile_year: TileYear, layouts: Sequence[Layout]
) -> TileAbsentError | SourceUnavailableError:
    """Return what it means that no layout has a tile or its cells, of a source that can't list: ask for others."""
    if any(source.stat(path) is not None for path in _known_archives(tile_year, layouts)):
        return TileAbsentError(f"{source.url} has other archives of {tile_year.year}, but none of {tile_year.tile}")
    return SourceUnavailableError(
        f"{source.url} has no archive of {tile_year.year} where known ones should be: has the folder moved?"
    )


def _known_archives(tile_year: TileYear, layouts: Sequence[Layout]) -> Iterator[str]:
    """Yield where archives of other tiles should be, and of one cell of each: near ones first, and ever farther ones.

    The 1st, 2nd, 4th, 8th ... in order of distance: a mirror of one region has the first, one of the world any.
    """
    year, tile = tile_year.year, tile_year.tile
    listing = nearest_listing(year, ArchiveKind(layouts[0].kind))
    if listing is None:
        return
    others = sorted(listing.tiles - {tile}, key=lambda other: (_distance(tile, other), other))
    for step in range(len(others).bit_length()):
        other = others[2**step - 1]
        cells = listing.cells_of(other)
        yield from (layout.archive_path(other, year) for layout in layouts if layout.serves_tiles)
        yield from (layout.cell_archive_path(cells[0], year) for layout in layouts if layout.serves_cells and cells)


def _distance(one: Tile, other: Tile) -> int:
    """Return how many degrees lie between two tiles, north and east added up."""
    east = abs(one.west - other.west)
    return abs(one.north - other.north) + min(east, 360 - east)


def _archives(source: Source, folder: str, kinds: Collection[str]) -> list[str]:
    return [f"{folder}/{name}" for name in source.names(folder) or () if _is_archive(name, kinds)]


def _is_archive(path: str, kinds: Collection[str]) -> bool:
    match = _ARCHIVE.fullmatch(_file_name(path))
    return match is not None and match["kind"] in kinds


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
