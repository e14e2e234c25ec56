"""Merging: the cells of a tile onto its fixed grid, all bands side by side, on all cores, while they still arrive.

The raster is the whole tile, whatever cells exist. Members come in any order; a band of a cell waits for the cell's
mask, which says where there is data, and then goes into the band's pyramid (:mod:`alos_mosaic.processing.pyramid`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

import numpy as np
import numpy.typing as npt

from alos_mosaic.bands import BANDS, MASK, NODATA, Band, Resampling, bands_of, bands_with
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import Mission
from alos_mosaic.processing.archive import Member
from alos_mosaic.processing.blocks import DEFLATE, Codec
from alos_mosaic.processing.buffers import Buffers, Parked
from alos_mosaic.processing.progress import TileProgress
from alos_mosaic.processing.pyramid import Pyramid
from alos_mosaic.processing.spill import Spill
from alos_mosaic.processing.statistics import TileStatistics, tile_statistics
from alos_mosaic.products import Product

if TYPE_CHECKING:
    from alos_mosaic.processing.decoding import Decoded, Where

P = ParamSpec("P")
T = TypeVar("T")
PackedBits = npt.NDArray[np.uint8]

_BLOCKS_IN_MEMORY_BYTES: Final = 96 << 20
"""Compressed blocks of one band that need not go to disk: those of some six cells."""
_TASKS_AHEAD: Final = 6
"""Members that are decompressed while all threads are busy: enough for the half second in which GDAL loads."""


@dataclass(frozen=True)
class Recipe:
    """What a tile's rasters depend on beside its members."""

    mission: Mission
    product: Product
    grid: Grid
    backscatter_overviews: Resampling = Resampling.RMS
    """RMS, or AVERAGE as the ancestors made them."""
    codec: Codec = DEFLATE

    @property
    def required(self) -> tuple[Band, ...]:
        """The bands that every cell has."""
        return bands_of(self.mission, self.product)

    def resampling(self, band: Band) -> Resampling:
        """Return how a band's overviews are made."""
        return self.backscatter_overviews if band.resampling is Resampling.RMS else band.resampling


@dataclass(frozen=True)
class Merged:
    """A tile's bands, compressed, and what they hold."""

    pyramids: tuple[Pyramid, ...]
    """In the order they are published."""
    cells: tuple[Cell, ...]
    statistics: TileStatistics


@dataclass
class _MergedCell:
    """What came of a cell so far."""

    codes: set[str] = field(default_factory=set)
    masked: Future[PackedBits | None] | None = None
    """Where the mask is 0, as packed bits; None for nowhere."""
    waiting: list[tuple[Member, Parked]] = field(default_factory=list)
    """Members that came ahead of the mask, without their content, and where that is."""
    merged: int = 0
    """Bands that are in their pyramids."""


class Mosaic:
    """A tile in the making. Use it as a context: what it has on disk goes away with it."""

    def __init__(
        self, recipe: Recipe, folder: Path, buffers: Buffers | None = None, progress: TileProgress | None = None
    ) -> None:
        self.defects: dict[Cell, str] = {}
        """The first thing that is wrong with a cell, naming the member; complete after :meth:`finish`."""
        self._recipe, self._folder, self._buffers = recipe, folder, buffers or Buffers()
        self._cells: dict[Cell, _MergedCell] = {}
        self._progress = progress or TileProgress()
        self._progress.merged_cells = 0
        self._pyramids: dict[str, Pyramid] = {}
        self._values_under_nodata = self._values_missing = 0
        self._measured = {band.code for band in recipe.required if band.role == "amplitude"}
        threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="merge")
        self._room = threading.Semaphore(threads + _TASKS_AHEAD)
        self._running: set[Future[Any]] = set()
        self._failure: BaseException | None = None
        """What the first task raised that did not end well: nothing will come of this tile."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for pyramid in self._pyramids.values():
            pyramid.spill.close()

    def take(self, member: Member) -> None:
        """Merge a member in the background, once for each cell and band; waits while there is too much to do.

        Raises what went wrong with an earlier one beside a defect: :class:`OutputError` for a full disk.
        """
        cell = self._cells.setdefault(member.name.cell, _MergedCell())
        code = member.name.band_code
        cell.codes.add(code)
        if code == MASK.code:
            cell.masked = self._submit(self._merge_mask, member)
            for waiting, parked in cell.waiting:
                content = self._buffers.unpark(parked)
                self._submit(self._merge, replace(waiting, content=content), cell.masked)
            cell.waiting.clear()
        elif cell.masked is not None or MASK not in self._recipe.required:
            self._submit(self._merge, member, cell.masked)
        else:
            parked = self._buffers.park(member.content, self._folder)
            cell.waiting.append((replace(member, content=bytearray()), parked))

    def finish(self) -> Merged | None:
        """Wait for all that was taken and compress the rest; None if there are :attr:`defects`.

        Raises :class:`~alos_mosaic.errors.OutputError` if the disk is full.
        """
        with self._lock:
            running = tuple(self._running)
        wait(running)
        self._raise_failure()
        for task in running:  # one that failed last may not have told of it yet
            task.result()
        self._buffers.drop()
        for name, cell in sorted(self._cells.items()):
            missing = [band.code for band in self._recipe.required if band.code not in cell.codes]
            if missing:
                self.defects.setdefault(name, f"cell {name} has no {', '.join(missing)}")
        if self.defects:
            return None
        for task in [self._pool.submit(pyramid.finish) for pyramid in self._pyramids.values()]:
            task.result()
        bands = bands_with(self._pyramids.keys(), self._recipe.mission, self._recipe.product)
        pyramids = tuple(self._pyramids[band.code] for band in bands)
        counts = {pyramid.band.code: pyramid.counts for pyramid in pyramids}
        pixels = len(self._cells) * self._recipe.grid.cell_pixels**2
        statistics = tile_statistics(counts, pixels, self._values_under_nodata, self._values_missing)
        return Merged(pyramids, tuple(sorted(self._cells)), statistics)

    def _submit(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> Future[T]:
        self._room.acquire()
        self._raise_failure()
        task = self._pool.submit(work, *given, **named)
        with self._lock:
            self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: Future[Any]) -> None:
        """Forget a task: one that failed would keep its member as long as it is remembered."""
        failure = None if task.cancelled() else task.exception()
        with self._lock:
            self._running.discard(task)
            self._failure = self._failure or failure
        self._room.release()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _merge_mask(self, member: Member) -> PackedBits | None:
        decoded = self._decoded(member)
        if decoded is None:
            return None
        masked = decoded.pixels == NODATA
        packed = np.packbits(masked) if masked.any() else None
        self._add(member, decoded)
        return packed

    def _merge(self, member: Member, packed: Future[PackedBits | None] | None) -> None:
        from alos_mosaic.processing.decoding import clear_nodata  # noqa: PLC0415 - GDAL loads while members come

        # The mask was submitted ahead of this, so it is being worked on or done: waiting for it can't block for ever.
        bits = None if packed is None else packed.result()
        decoded = self._decoded(member)
        if decoded is None:
            return
        masked = None
        if bits is not None:
            masked = np.unpackbits(bits, count=decoded.pixels.size).view(bool).reshape(decoded.pixels.shape)
            self._count_hidden(decoded, masked)
        clear_nodata(decoded, BANDS[member.name.band_code], masked)
        if packed is not None and member.name.band_code in self._measured:
            self._count_missing(decoded, masked)
        self._add(member, decoded)

    def _decoded(self, member: Member) -> Decoded | None:
        from alos_mosaic.processing.decoding import decode  # noqa: PLC0415 - GDAL loads while members come

        name = member.name
        try:
            return decode(member, BANDS[name.band_code], name.cell, self._recipe.grid)
        except CorruptArchiveError as error:
            with self._lock:
                self.defects.setdefault(name.cell, str(error))
            return None

    def _count_hidden(self, decoded: Decoded, masked: Where) -> None:
        values = decoded.pixels[masked]
        hidden = values != NODATA
        if decoded.nodata is not None:
            hidden &= values != decoded.nodata
        with self._lock:
            self._values_under_nodata += int(np.count_nonzero(hidden))

    def _count_missing(self, decoded: Decoded, masked: Where | None) -> None:
        """Count what a file does not hold though its mask says so: one that was not written to its end, say."""
        valid = decoded.pixels.size - (0 if masked is None else int(np.count_nonzero(masked)))
        with self._lock:
            self._values_missing += valid - int(np.count_nonzero(decoded.pixels))

    def _add(self, member: Member, decoded: Decoded) -> None:
        if self.defects:  # nothing will come of this tile as it is
            return
        self._pyramid(BANDS[member.name.band_code]).add(decoded.pixels, *self._recipe.grid.offset(member.name.cell))
        self._buffers.give_back(member.content)
        cell = self._cells[member.name.cell]
        with self._lock:
            cell.merged += 1
            self._progress.merged_cells += cell.merged == len(self._recipe.required)

    def _pyramid(self, band: Band) -> Pyramid:
        with self._lock:
            if band.code not in self._pyramids:
                spill = Spill(self._folder / f"{band.code}.blocks", _BLOCKS_IN_MEMORY_BYTES)
                resampling = self._recipe.resampling(band)
                self._pyramids[band.code] = Pyramid(band, self._recipe.grid, resampling, spill, self._recipe.codec)
            return self._pyramids[band.code]
