"""Fetching: which of the layouts a tile's archive lies in, and how it comes here whole."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from alos_mosaic.errors import OutputError, SourceUnavailableError, TileAbsentError
from alos_mosaic.layouts import Layout, for_tiles
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.sources.protocol import RemoteFile, Source

logger = logging.getLogger(__name__)

_ARCHIVE: Final = re.compile(r"(?P<tile>[NS]\d{2}[EW]\d{3})_\d{2,4}_(?P<kind>MOS|FNF)\w*\.(tar\.gz|zip)")
"""A tile's mosaic in any form, also one that no layout serves: what is listed is not absent."""


@dataclass(frozen=True)
class Archive:
    """A tile's archive on this machine, with where it came from."""

    path: Path
    url: str
    layout: Layout
    size_bytes: int
    sha256: str
    modified: datetime | None
    """The server's modification time: JAXA replaces files in place."""


def fetch(source: Source, tile_year: TileYear, folder: Path, layouts: Sequence[Layout]) -> Archive:
    """Find a tile's archive by the first of these layouts that has it and fetch it into ``folder``.

    Raises :class:`TileAbsentError` if the year's folder holds other archives but not this one (of a source that can't
    list: if no layout's place has it), and :class:`SourceUnavailableError` for anything that stands between us and the
    bytes.
    """
    layout, remote = _find(source, tile_year, layouts)
    path = folder / remote.path.rpartition("/")[2]
    url = f"{source.url}/{remote.path}"
    logger.info("Fetching archive", extra={"url": url, "size_bytes": remote.size_bytes})
    checksum = hashlib.sha256()
    received = 0
    with _open_output(path) as write:

        def sink(chunk: bytes) -> None:
            nonlocal received
            received += len(chunk)
            if received > remote.size_bytes:
                raise SourceUnavailableError(f"{url}: more bytes come than the {remote.size_bytes} it should have")
            checksum.update(chunk)
            write(chunk)

        source.read(remote.path, sink)
    if received != remote.size_bytes:
        raise SourceUnavailableError(f"{url}: {received} bytes came of {remote.size_bytes}")
    return Archive(path, url, layout, received, checksum.hexdigest(), remote.modified)


def _find(source: Source, tile_year: TileYear, known: Sequence[Layout]) -> tuple[Layout, RemoteFile]:
    layouts = for_tiles(known, tile_year.year, source.url)
    if not layouts:
        raise SourceUnavailableError(
            f"no layout is known by which {source.url} serves 5x5 archives of {tile_year.year}"
        )
    for layout in layouts:
        remote = source.stat(layout.archive_path(tile_year.tile, tile_year.year))
        if remote is not None:
            return layout, remote
    if not source.can_list:
        raise TileAbsentError(f"{source.url} has no archive of {tile_year.tile} of {tile_year.year} where it could be")
    folders = dict.fromkeys(layout.folder(tile_year.year) for layout in layouts)
    kinds = {layout.kind for layout in layouts}
    names = (name for folder in folders for name in source.names(folder) or ())
    listed = [match for name in names if (match := _ARCHIVE.fullmatch(name)) and match["kind"] in kinds]
    own = [match[0] for match in listed if match["tile"] == tile_year.tile.name]
    if own:
        raise SourceUnavailableError(f"{source.url} lists {own[0]}, but does not serve it by any name that is known")
    if listed:
        raise TileAbsentError(f"{source.url} has other archives of {tile_year.year}, but none of {tile_year.tile}")
    raise SourceUnavailableError(f"{source.url} has no archive in {' or '.join(folders)}: has the folder moved?")


@contextmanager
def _open_output(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that appends to a file; a full disk is :class:`OutputError`, never the source's fault."""
    try:
        with path.open("wb") as file:

            def write(chunk: bytes) -> None:
                try:
                    file.write(chunk)
                except OSError as error:
                    raise OutputError(f"can't write {path.name}: {error}") from error

            yield write
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
