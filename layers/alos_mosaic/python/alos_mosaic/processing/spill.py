"""Spilling: what is finished but not needed yet stays in memory while it is little, then goes to disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from alos_mosaic.errors import OutputError


@dataclass(frozen=True)
class Spilled:
    """Some bytes that were put away: in memory, or where they lie in a spill file."""

    length: int
    offset: int = 0
    content: bytes | None = None


class Spill:
    """A place where threads put bytes away, and get them back; a file there goes away with :meth:`close`."""

    def __init__(self, path: Path, memory_bytes: int = 0) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._memory_bytes = memory_bytes
        """What may still stay in memory."""
        self._end = 0
        with _as_output_error(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, content: bytes | bytearray) -> Spilled:
        """Put some bytes away; :class:`OutputError` for a full disk."""
        with self._lock:
            if len(content) <= self._memory_bytes:
                self._memory_bytes -= len(content)
                return Spilled(len(content), content=bytes(content))
            place = Spilled(len(content), self._end)
            self._end += len(content)
        left, offset = memoryview(content), place.offset
        with _as_output_error(self._path):
            while left:
                written = os.pwrite(self._descriptor, left, offset)
                left, offset = left[written:], offset + written
        return place

    def read(self, place: Spilled) -> bytes:
        """Return bytes that were put away; :class:`OutputError` if the disk has lost them."""
        if place.content is not None:
            return place.content
        with _as_output_error(self._path):
            content = os.pread(self._descriptor, place.length, place.offset)
        if len(content) != place.length:
            raise OutputError(f"{self._path.name} has lost bytes at {place.offset}")
        return content

    def close(self) -> None:
        """Remove the file; nothing happens the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._path.unlink(missing_ok=True)


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error
