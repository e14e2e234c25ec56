"""Measuring: how long a tile's stages take, and what it takes of memory and disk at most."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

_STATUS: Final = Path("/proc/self/status")
_HIGH_WATER: Final = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER: Final = "5"
"""https://docs.kernel.org/filesystems/proc.html: resets the peak resident set size to the current one."""


class Stopwatch:
    """Wall time by stage, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        logger.info("Stage begins", extra={"stage": name})
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)


class Peak:
    """What this process holds in memory, and a folder on disk, at most since this was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.disk_bytes = 0
        """The most that was measured: to be told ahead of every deletion, since in between a tile only adds."""
        with suppress(OSError):  # where that is not allowed, a warm process tells of its largest tile
            _CLEAR_REFS.write_text(_RESET_HIGH_WATER)

    def measure_disk(self) -> None:
        """Look at what lies in the folder now: bytes on disk, not lengths."""
        blocks = 0
        for path in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                blocks += path.stat().st_blocks if path.is_file() else 0
        self.disk_bytes = max(self.disk_bytes, 512 * blocks)

    @property
    def memory_bytes(self) -> int:
        """Peak resident set size; 0 where the system does not tell."""
        try:
            found = _HIGH_WATER.search(_STATUS.read_text())
        except OSError:
            return 0
        return 0 if found is None else 1024 * int(found[1])
