"""Files on this machine that are written as bytes come from elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alos_mosaic.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LocalFile(io.FileIO):
    """A new file, written through to the system; a full disk is :class:`OutputError`, never the source's fault."""

    def __init__(self, path: Path) -> None:
        """Make the file, or empty the one that is there."""
        self._path = path
        with self._as_output_error():
            super().__init__(path, "w")

    def write(self, content: ReadableBuffer) -> int:
        """Append all of these bytes: the system may take a part of them where the disk is nearly full."""
        whole = left = memoryview(content)
        with self._as_output_error():
            while left:
                left = left[super().write(left) or 0 :]
        return len(whole)

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"can't write {self._path.name}: {error}") from error
