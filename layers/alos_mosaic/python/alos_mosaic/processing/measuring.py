"""Measuring: how long a tile's stages take, and what it takes of memory and disk at most."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from alos_mosaic.processing.progress import TileProgress

logger = logging.getLogger(__name__)

_STATUS: Final = Path("/proc/self/status")
_HIGH_WATER: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")
_LOOK_SECONDS: Final = 0.25
_STAT_BLOCK_BYTES: Final = 512
"""What ``st_blocks`` counts in, whatever the file system's own blocks are."""
_RESET_HIGH_WATER: Final = "5"
"""https://docs.kernel.org/filesystems/proc.html: resets the peak resident set size to the current one."""


class Stopwatch:
    """Wall time by stage, in seconds; the stage that goes on is told to ``progress``."""

    def __init__(self, progress: TileProgress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        self._progress.stage = name
        logger.info("Stage begins", extra={"stage": name})
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)


class Peak:
    """What this process holds in memory, and a folder on disk, at most.

    As a context, once, it keeps looking by itself, and looks a last time at its end, ahead of what cleans up behind it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.disk_bytes = 0
        """The most that was seen."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._watch = threading.Thread(target=self._look_on, name="peak", daemon=True)
        with suppress(OSError):  # where that is not allowed, a warm process tells of its largest tile
            _CLEAR_REFS.write_text(_RESET_HIGH_WATER)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.measure_disk()
        self._ended.set()
        self._watch.join()

    def measure_disk(self) -> None:
        """Look at what lies in the folder now: bytes on disk, not lengths. Worth it ahead of a deletion."""
        blocks = 0
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with suppress(FileNotFoundError):
                    blocks += Path(folder, name).lstat().st_blocks
        with self._lock:
            self.disk_bytes = max(self.disk_bytes, _STAT_BLOCK_BYTES * blocks)

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.measure_disk()

    @property
    def memory_bytes(self) -> int:
        """As :func:`peak_memory_bytes`."""
        return peak_memory_bytes()


def peak_memory_bytes() -> int:
    """Return this process' peak resident set size since the last :class:`Peak`; 0 where the system does not tell."""
    try:
        found = _HIGH_WATER.search(_STATUS.read_text())
    except OSError:
        return 0
    return 0 if found is None else 1024 * int(found[1])
