"""A mirror of one's own: archives that came here whole are kept as they came, in the server's own tree.

Whoever names the mirror as source finds in it what JAXA's server had. An archive gets there once all of it was read and
checked, so never a damaged one, and takes the place of an older one, never of a later one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alos_mosaic.errors import MosaicError, PublishError
from alos_mosaic.layouts import ARCHIVE_ENDINGS, Layout, in_tree
from alos_mosaic.messages import TileYear, format_time
from alos_mosaic.processing.download import Download
from alos_mosaic.processing.publish import FileToPut, Target, open_target
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import RemoteFile, Source, SourceAccess

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_MEDIA_TYPES: Final = dict(zip(ARCHIVE_ENDINGS, ("application/gzip", "application/zip"), strict=True))


@dataclass(frozen=True)
class Mirror:
    """A bucket, or a folder in one or of this machine, seen from both sides."""

    source: Source
    """Of the kinds that need no connection."""
    target: Target

    def keep(self, downloads: Sequence[Download], tile_year: TileYear, layouts: Sequence[Layout]) -> str | None:
        """Keep a tile's archives; return why not all of them are kept, None if they are.

        There are none where one was damaged: a mirror that had the others would make another tile. Nothing is raised: a
        tile that can be published is not to fail for this.
        """
        if not downloads:
            return "something is wrong with an archive"
        try:
            for download in downloads:
                self._keep(download, tile_year, layouts)
        except MosaicError as error:
            logger.warning("Archives not kept", extra={"cause": str(error), "tile": str(tile_year.tile)})
            return str(error)
        return None

    def _keep(self, download: Download, tile_year: TileYear, layouts: Sequence[Layout]) -> None:
        archive = download.whole()
        path = _path(download, tile_year, layouts)
        now = RemoteFile(path, archive.size_bytes, archive.modified)
        then = self.source.stat(path)
        if then is not None and not _is_older(then, now):
            if then.size_bytes != now.size_bytes:
                versions = f"{_version(then)}, and what came has {_version(now)}"
                raise PublishError(f"{self.target.uri(path)} stays as it is: it has {versions}")
            return
        ending = next(ending for ending in ARCHIVE_ENDINGS if path.endswith(ending))
        self.target.put(FileToPut(download.path, path, _MEDIA_TYPES[ending], archive.sha256, archive.modified))
        logger.info("Archive kept", extra={"url": self.target.uri(path), "size_bytes": archive.size_bytes})


def open_mirror(uri: str, client: S3Client | None) -> Mirror:
    """Return the mirror behind an ``s3://`` or ``file://`` URI; ``client`` may be None for a folder.

    Raises :class:`~alos_mosaic.errors.InvalidRequestError` for a URI that is neither.
    """
    target = open_target(uri, client)
    return Mirror(open_source(uri, SourceAccess(s3=client)), target)


def _path(download: Download, tile_year: TileYear, layouts: Sequence[Layout]) -> str:
    """Return where a mirror has an archive: where the server has it, unless that is in a tree that no mirror has."""
    layout, cell = download.found.layout, download.found.cell
    row = in_tree(layout, layouts, tile_year.year)
    if row is None:
        raise PublishError(f"no layout is known by which a mirror serves {download.url}, of layout {layout.name}")
    if cell is None:
        return row.archive_path(tile_year.tile, tile_year.year)
    return row.cell_archive_path(cell, tile_year.year)


def _is_older(then: RemoteFile, now: RemoteFile) -> bool:
    """Tell whether an archive is to be replaced: by a later one; where times don't tell them apart, by a larger one.

    JAXA re-issues archives under their names, and the new one may be the smaller one.
    """
    if then.modified is None or now.modified is None or then.modified == now.modified:
        return then.size_bytes < now.size_bytes
    return then.modified < now.modified


def _version(remote: RemoteFile) -> str:
    when = "an unknown time" if remote.modified is None else format_time(remote.modified)
    return f"{remote.size_bytes} bytes of {when}"
