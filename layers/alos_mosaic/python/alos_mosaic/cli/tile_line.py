"""One live line on a tile in the making: what is done now, what has come of it, how fast, how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.progress import Progress, SpinnerColumn, Task, TextColumn
from rich.table import Column

from alos_mosaic.cli.console import errors
from alos_mosaic.inventory import ArchiveKind, cells_of_tile
from alos_mosaic.messages import TileRequest
from alos_mosaic.quantities import counted, duration, size

if TYPE_CHECKING:
    from alos_mosaic.processing.progress import TileProgress

_GATHER: Final = "gather"
_STAGES: Final = {
    "": "beginning",
    "check": "looking at what is published",
    "describe": "describing",
    "keep": "keeping the archives",
    "publish": "publishing",
}
_SILENT_SECONDS: Final = 10
"""So long no byte may come before that is said."""
_A_SECOND: Final = 5
"""How often the line is drawn."""
_SPINNER: Final = "line"
"""Of ASCII, which every terminal has."""


class TileLine:
    """The line, on standard error; as a context it is there as long, and gone without a trace behind it.

    Without a terminal that can go back in a line, or if it is not ``wanted``, nothing is printed at all. ``clock``
    tells seconds, from whatever moment.
    """

    def __init__(
        self,
        request: TileRequest,
        progress: TileProgress,
        *,
        wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        year, tile = request.tile_year.year, request.tile_year.tile
        self._name, self._progress = f"{year}/{tile}", progress
        self._cells = len(cells_of_tile(year, tile, ArchiveKind.of_product(request.product)))
        self._clock, self._received, self._received_at = clock, 0, clock()
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        self._bar = Progress(SpinnerColumn(_SPINNER), text, auto_refresh=False, get_time=clock)
        self._id = self._bar.add_task(self._name, total=None)
        is_shown = wanted and sys.stderr.isatty() and not errors.is_dumb_terminal
        options = {"console": errors, "transient": True, "redirect_stdout": False, "refresh_per_second": _A_SECOND}
        self._live = Live(get_renderable=self._drawn, **options) if is_shown else None  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _drawn(self) -> Progress:
        self._bar.update(self._id, description=f"{self._name}  {self.said()}")
        return self._bar

    def said(self) -> str:
        """Return what the line says now, beside the tile's name."""
        seen = self._progress
        if seen.received_bytes != self._received or not seen.expected_bytes:
            self._received, self._received_at = seen.received_bytes, self._clock()
        self._bar.update(self._id, completed=self._received, total=seen.expected_bytes or None)
        if seen.stage == "write":
            return f"writing, {seen.written_bands} of {counted(seen.bands, 'band')}"
        if seen.stage != _GATHER:
            return _STAGES.get(seen.stage, seen.stage)
        if not seen.expected_bytes:
            return "looking for the archive"
        known = f"{seen.merged_cells} of {counted(self._cells, 'cell')}"
        cells = known if seen.merged_cells <= self._cells else counted(seen.merged_cells, "cell")
        if self._received >= seen.expected_bytes:
            return f"merging, {cells}"
        (task,) = self._bar.tasks
        return ", ".join((f"{size(self._received)} of {size(seen.expected_bytes)}", *self._pace(task), cells))

    def _pace(self, task: Task) -> Iterator[str]:
        """Yield the rate of the last half minute and the time left at it, or for how long nothing has come."""
        silent = self._clock() - self._received_at
        if silent > _SILENT_SECONDS:
            yield f"nothing for {duration(silent)}"
        elif task.speed:
            yield f"{size(task.speed)}/s"
            yield f"{duration((task.remaining or 0) / task.speed)} left"
