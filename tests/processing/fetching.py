"""One archive found and fetched, as tests look at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alos_mosaic.layouts import Layout
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.download import Archive, Downloads
from alos_mosaic.processing.finding import find
from alos_mosaic.processing.sources.protocol import Source


def fetch(source: Source, asked: TileYear, folder: Path, layouts: Sequence[Layout]) -> Archive:
    """Fetch a tile's only archive into a folder."""
    with Downloads(source, find(source, asked, layouts), folder) as downloads:
        (download,) = downloads
        return download.whole()
