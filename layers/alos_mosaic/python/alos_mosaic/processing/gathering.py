"""Gathering: a tile's cells from its archive, or from those of its cells, merged while they arrive.

JAXA serves a tile as one archive of up to 25 cells, and each cell as an archive of its own. The second is the way in
where the first is not there; and where a cell in the first is damaged, it may be whole in the second.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alos_mosaic.bands import possible_codes
from alos_mosaic.errors import CorruptArchiveError, PublishError, SourceUnavailableError
from alos_mosaic.grid import Cell
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileRequest
from alos_mosaic.processing.archive import Unpacking, Wanted
from alos_mosaic.processing.buffers import Buffers
from alos_mosaic.processing.download import Archive, Download, Downloads
from alos_mosaic.processing.finding import Found, find, find_cells
from alos_mosaic.processing.mosaic import Merged, Mosaic, Recipe
from alos_mosaic.processing.relay import TransferPausedError
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import Source

if TYPE_CHECKING:
    from alos_mosaic.processing.pipeline import Workplace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gathered:
    """A tile's bands, and what they came from. ``merged`` lives as long as the context it was made in."""

    merged: Merged
    archives: tuple[Archive, ...]
    """The tile's own first, if there is one, then those of single cells."""
    sidecars: dict[Cell, Path]
    sidecar_problems: dict[Cell, str]
    """Of sidecars that were left out."""
    defective: tuple[Cell, ...]
    """Cells that JAXA has and that are left out because nothing whole could be had of them."""
    transfer_seconds: float
    whole: tuple[Download, ...] = ()
    """The archives, still here, if nothing is wrong with any of them and the place keeps them."""


@dataclass
class _Attempt:
    """One pass over archives."""

    merged: Merged | None
    defects: dict[Cell, str] = field(default_factory=dict)
    sidecars: dict[Cell, Path] = field(default_factory=dict)
    sidecar_problems: dict[Cell, str] = field(default_factory=dict)


class Gathering:
    """Everything it takes to gather one tile; what it leaves in the work folder is for the caller to remove."""

    def __init__(self, request: TileRequest, recipe: Recipe, place: Workplace, context: ExitStack) -> None:
        self._request, self._recipe, self._place, self._context = request, recipe, place, context
        self._tile_year = request.tile_year
        self._layouts = layouts_of(recipe.mission, recipe.product.name, place.extra_layouts)
        self._downloads: list[Download] = []
        self._own: set[Cell] = set()
        """Cells that are taken from archives of their own."""
        self._left_out: dict[Cell, str] = {}
        self._in_tile_archive = frozenset(request.tile_year.tile.cells)
        """Cells that the tile's archive may have; after the first pass, those that it has."""
        self._passes = 0
        self._buffers = Buffers()

    def run(self) -> Gathered:
        """Fetch and merge; raises what :func:`~alos_mosaic.processing.finding.find` does, and CorruptArchiveError.

        A defective cell is fetched as its own archive first. If that is not there or no better, the tile fails, or is
        made without the cell where the request accepts that. A transfer that has to pause is
        :class:`~alos_mosaic.processing.relay.TransferPausedError`, with the bytes of all archives.
        """
        try:
            return self._run()
        except TransferPausedError:
            self._stage_rest()
            received = sum(download.received for download in self._downloads)
            raise TransferPausedError(received, sum(download.restored for download in self._downloads)) from None
        except SourceUnavailableError:
            try:
                self._stage_rest()
            except PublishError:  # then the next invocation begins earlier; the source's failure is the one to tell
                logger.exception("What came is not staged")
            raise
        finally:
            for download in self._downloads:
                download.forget_failure()

    def _stage_rest(self) -> None:
        """Leave for the next invocation what came in this one, of all archives."""
        for download in self._downloads:
            download.stage_rest()

    def _run(self) -> Gathered:
        with open_source(self._place.source_url, self._place.access) as source:
            found = find(source, self._tile_year, self._layouts)
            self._own = {each.cell for each in found if each.cell is not None}
            with self._downloads_of(source, found) as downloads:
                self._downloads = list(downloads)
                attempt = self._attempt()
        while attempt.merged is None:
            self._refuse_mixed(attempt.defects)
            attempt = self._again(attempt.defects)
        archives = tuple(download.whole() for download in self._used())
        seconds = sum(download.seconds for download in self._downloads)
        # What needed a second pass had something wrong with it.
        is_whole = self._passes == 1 and not attempt.sidecar_problems
        whole = tuple(self._downloads) if is_whole and self._place.mirror is not None else ()
        for download in self._downloads:
            if download not in whole:
                download.discard()
        defective = tuple(sorted(self._left_out))
        sidecars, problems = attempt.sidecars, attempt.sidecar_problems
        return Gathered(attempt.merged, archives, sidecars, problems, defective, seconds, whole)

    def _downloads_of(self, source: Source, found: Sequence[Found]) -> Downloads:
        return Downloads(source, found, self._place.work, self._place.relay, self._place.progress)

    def _refuse_mixed(self, defects: dict[Cell, str]) -> None:
        """Raise CorruptArchiveError if cells may be defective because a file was replaced while it came in pieces.

        What is whole in it may be of either version then: the tile is not to be mended, but fetched anew.
        """
        mixed = [download.url for download in self._used() if download.may_be_mixed]
        if mixed:
            why = "came in pieces from a server that does not tell versions apart"
            raise CorruptArchiveError(f"{', '.join(mixed)} {why}: {_in_words(defects)}")

    def _again(self, defects: dict[Cell, str]) -> _Attempt:
        """Try with the defective cells' own archives, and without those that can't be mended.

        Only an archive of the same release will do: another has other pixels, and the forest map other classes.
        """
        logger.warning("Cells are defective", extra={"cells": {cell.name: text for cell, text in defects.items()}})
        hopeless = {cell: text for cell, text in defects.items() if cell in self._own}
        mendable = defects.keys() - hopeless.keys()
        release = self._downloads[0].found.layout.release
        layouts = [layout for layout in self._layouts if layout.release == release]
        with open_source(self._place.source_url, self._place.access) as source:
            found = find_cells(source, self._tile_year, layouts, sorted(mendable)) if mendable else []
            for cell in mendable - {each.cell for each in found}:
                hopeless[cell] = f"{defects[cell]}; there is no archive of the cell alone of the same release"
            self._leave_out(hopeless)
            self._own |= mendable
            with self._downloads_of(source, found) as downloads:
                self._downloads += downloads
                return self._attempt()

    def _leave_out(self, hopeless: dict[Cell, str]) -> None:
        if not hopeless:
            return
        self._left_out |= hopeless
        if not self._request.accept_partial:
            others = {cell for download in self._downloads for cell in self._cells_of(download.found)} - hopeless.keys()
            raise CorruptArchiveError(
                _in_words(hopeless), defective_cells=(cell.name for cell in sorted(hopeless) if others)
            )

    def _attempt(self) -> _Attempt:
        """Read all archives into a mosaic; what it has on disk goes away with the context, or with this attempt."""
        self._passes += 1
        folder = self._place.work / f"pass-{self._passes}"
        folder.mkdir()
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            mosaic = undo.enter_context(Mosaic(self._recipe, folder, self._buffers, self._place.progress))
            attempt = _Attempt(None)
            if not self._used():
                raise CorruptArchiveError(f"no cell can be read: {_in_words(self._left_out)}")
            for download in self._used():
                self._read(download, mosaic, attempt)
            attempt.merged = mosaic.finish()
            attempt.defects = mosaic.defects | attempt.defects
            if attempt.defects:
                attempt.merged = None
            else:
                self._context.push(undo.pop_all())
        return attempt

    def _used(self) -> list[Download]:
        """Return the archives that cells are taken from; others turned out to hold nothing whole."""
        return [download for download in self._downloads if self._cells_of(download.found)]

    def _cells_of(self, found: Found) -> Collection[Cell]:
        if found.cell is None:
            return self._in_tile_archive - self._own
        return [found.cell] if found.cell not in self._left_out else []

    def _read(self, download: Download, mosaic: Mosaic, attempt: _Attempt) -> None:
        codes, cells = possible_codes(self._recipe.product), frozenset(self._cells_of(download.found))
        wanted = Wanted(self._tile_year, self._recipe.grid, codes, cells)
        folder = self._place.work / f"pass-{self._passes}"
        unpacking = Unpacking(wanted, folder, self._buffers)
        try:
            with download.open() as file:
                for member in unpacking.members(file, download.name):
                    mosaic.take(member)
        except CorruptArchiveError as error:
            if download.found.cell is None:
                raise
            attempt.defects.setdefault(download.found.cell, str(error))
            return
        download.whole()
        if download.found.cell is None:
            self._in_tile_archive &= unpacking.cells
        attempt.defects |= {cell: f"{download.name}: {text}" for cell, text in unpacking.defects.items()}
        attempt.sidecars |= unpacking.sidecars
        attempt.sidecar_problems |= unpacking.sidecar_problems


def _in_words(defects: dict[Cell, str]) -> str:
    return "; ".join(text for _, text in sorted(defects.items()))
