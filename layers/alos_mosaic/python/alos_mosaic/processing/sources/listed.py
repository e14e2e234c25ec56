"""A source that is asked about many files of few folders: one listing a folder instead of two commands a file."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from alos_mosaic.processing.sources.ftp import FtpSource
from alos_mosaic.processing.sources.protocol import RemoteFile, Sink, Source


def listed(source: Source) -> Source:
    """Return a source that answers :meth:`~Source.stat` as fast as the given one can; for minutes, not for days."""
    return ListedFtp(source) if isinstance(source, FtpSource) else source


class ListedFtp:
    """An FTP server that tells sizes and times in its listings (MLSD); one that does not is asked file by file."""

    can_list = True

    def __init__(self, source: FtpSource) -> None:
        self.url = source.url
        self._source = source
        self._files: dict[str, dict[str, RemoteFile] | None] = {}

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def stat(self, path: str) -> RemoteFile | None:
        """Return what the folder's listing says of a file."""
        folder, _, name = path.rpartition("/")
        if folder not in self._files:
            self._files[folder] = self._source.files(folder)
        known = self._files[folder]
        return self._source.stat(path) if known is None else known.get(name)

    def names(self, folder: str) -> list[str] | None:
        """Return the bare names in a folder, or None if there is no such folder."""
        return self._source.names(folder)

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the file's bytes on to ``sink``."""
        self._source.read(path, sink, start)

    def reconnect(self) -> None:
        """Connect anew; what was listed holds."""
        self._source.reconnect()
