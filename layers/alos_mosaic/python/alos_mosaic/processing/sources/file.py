"""A mirror on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.processing.sources.failures import as_unavailable
from alos_mosaic.processing.sources.protocol import CHUNK_BYTES, RemoteFile, Sink


class FileSource:
    """A folder with the server's own tree."""

    can_list = True

    def __init__(self, root: Path) -> None:
        self.url = root.absolute().as_uri()
        self._root = root

    def __enter__(self) -> Self:
        if not self._root.is_dir():
            raise SourceUnavailableError(f"the source folder {self._root} does not exist")
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stat(self, path: str) -> RemoteFile | None:
        """Return size and time of a file, or None if there is no such file."""
        with as_unavailable(f"{self.url}/{path}", (OSError,)):
            try:
                status = (self._root / path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not (self._root / path).is_file():
                return None
        return RemoteFile(path, status.st_size, datetime.fromtimestamp(int(status.st_mtime), UTC))

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if there is no such folder."""
        with as_unavailable(f"{self.url}/{folder}", (OSError,)):
            try:
                return [entry.name for entry in (self._root / folder).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return None

    def local_path(self, path: str) -> Path:
        """Return where a file lies, to be read in place."""
        return self._root / path

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the file's bytes from offset ``start`` on to ``sink``, piece by piece."""
        with as_unavailable(f"{self.url}/{path}", (OSError,)), (self._root / path).open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                sink(chunk)

    def reconnect(self) -> None:
        """Do nothing: there is no connection."""
