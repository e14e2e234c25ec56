"""Buffers: memory that is used again, member after member.

A member has tens of megabytes. Asked for anew each time, the system would hand out fresh pages, which costs as much as
filling them.
"""

from __future__ import annotations

import threading


class Buffers:
    """Buffers that were given back, by size; safe to use from several threads."""

    def __init__(self) -> None:
        self._free: dict[int, list[bytearray]] = {}
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bytearray:
        """Return a buffer of exactly this size; what is in it makes no sense."""
        with self._lock:
            free = self._free.get(size_bytes)
            if free:
                return free.pop()
        return bytearray(size_bytes)

    def give_back(self, buffer: bytearray) -> None:
        """Let a buffer be used again; nobody may look at it any more."""
        with self._lock:
            self._free.setdefault(len(buffer), []).append(buffer)
