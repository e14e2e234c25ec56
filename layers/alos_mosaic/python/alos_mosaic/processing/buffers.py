"""Buffers: the memory that members are read into, used again member after member, and bounded whatever their order.

A member has tens of megabytes. Asked for anew each time, the system would hand out fresh pages, which costs as much as
filling them. What has to wait for another member (pixels for their mask, raw pixels for their header) stays in memory
while it is little; more of it lies on disk meanwhile.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alos_mosaic.errors import OutputError

WAITING_LIMIT_BYTES: Final = 512 << 20
"""What may wait in memory: three whole cells. Archives hold a cell's mask behind its other bands, so one cell waits as
a rule; an archive that holds all masks last is read all the same, by way of the disk."""
IDLE_LIMIT_BYTES: Final = 128 << 20
"""What is kept for being used again. Raw pixels come in two sizes; GeoTIFFs each have their own, and few return."""


@dataclass(frozen=True)
class Parked:
    """A member's content while it waits: in memory, or in a file of its own."""

    content: bytearray
    """Empty if it lies in a file."""
    size_bytes: int
    path: Path | None = None


class Buffers:
    """Buffers by size, idle, in use or waiting; safe to use from several threads.

    Files of what waits on disk lie in the folder that :meth:`park` is given; who made that removes what is left in it.
    """

    def __init__(
        self, waiting_limit_bytes: int = WAITING_LIMIT_BYTES, idle_limit_bytes: int = IDLE_LIMIT_BYTES
    ) -> None:
        self._may_wait, self._may_idle = waiting_limit_bytes, idle_limit_bytes
        self._free: OrderedDict[int, bytearray] = OrderedDict()
        """By the order in which they were given back, the oldest first."""
        self._given_back = self._parked = 0
        self._lock = threading.Lock()

    @property
    def idle_bytes(self) -> int:
        """What lies here for being used again."""
        with self._lock:
            return sum(map(len, self._free.values()))

    def take(self, size_bytes: int) -> bytearray:
        """Return a buffer of exactly this size; what is in it makes no sense."""
        with self._lock:
            for number, buffer in self._free.items():
                if len(buffer) == size_bytes:
                    self._may_idle += size_bytes
                    return self._free.pop(number)
        return bytearray(size_bytes)

    def give_back(self, buffer: bytearray) -> None:
        """Let a buffer be used again; nobody may look at it any more."""
        with self._lock:
            self._given_back += 1
            self._free[self._given_back] = buffer
            self._may_idle -= len(buffer)
            while self._may_idle < 0:
                self._may_idle += len(self._free.popitem(last=False)[1])

    def drop(self) -> None:
        """Forget all that is idle."""
        with self._lock:
            self._may_idle += sum(map(len, self._free.values()))
            self._free.clear()

    def park(self, content: bytearray, folder: Path) -> Parked:
        """Keep a content until :meth:`unpark`, on disk if much waits already; :class:`OutputError` if that is full."""
        size = len(content)
        with self._lock:
            if size <= self._may_wait:
                self._may_wait -= size
                return Parked(content, size)
            self._parked += 1
            path = folder / f"waiting-{self._parked}"
        try:
            with path.open("xb", buffering=0) as file:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                left.release()
        except OSError as error:
            raise OutputError(f"can't write {path.name}: {error}") from error
        self.give_back(content)
        return Parked(bytearray(), size, path)

    def unpark(self, parked: Parked) -> bytearray:
        """Return a content that was parked, once; its file is gone then."""
        if parked.path is None:
            with self._lock:
                self._may_wait += parked.size_bytes
            return parked.content
        content = self.take(parked.size_bytes)
        try:
            with parked.path.open("rb", buffering=0) as file, memoryview(content) as view:
                position = 0
                while position < len(view) and (count := file.readinto(view[position:])):
                    position += count
            parked.path.unlink()
        except OSError as error:
            raise OutputError(f"can't read {parked.path.name}: {error}") from error
        if position != parked.size_bytes:
            raise OutputError(f"{parked.path.name} has lost bytes behind {position}")
        return content


def release_memory() -> None:
    """Give free memory back to the system, where the C library knows how (glibc's ``malloc_trim``).

    Each tile has threads of its own, and glibc keeps free memory for each of them: a warm process would hold more from
    tile to tile, until all of what it keeps is in use.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
