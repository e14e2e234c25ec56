"""Sources: where archives come from, and how one is found and fetched."""

from __future__ import annotations

import ftplib
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import unquote, urlsplit

from alos_mosaic.errors import InvalidRequestError, OutputError, SourceUnavailableError, TileAbsentError
from alos_mosaic.layouts import Layout
from alos_mosaic.messages import TileYear

logger = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 1 << 20
_NO_SUCH_FILE: Final = "550"
_ARCHIVE_ENDINGS: Final = (".tar.gz", ".zip")


@dataclass(frozen=True)
class Credentials:
    """A user of the source; the password never shows in a repr, so in no log."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class RemoteFile:
    """What a source says of a file before it is fetched."""

    path: str
    size_bytes: int
    modified: datetime | None


@dataclass(frozen=True)
class Archive:
    """A tile's archive on this machine, with where it came from."""

    path: Path
    url: str
    layout: Layout
    size_bytes: int
    sha256: str
    modified: datetime | None
    """The server's modification time: JAXA replaces files in place."""


class Source(AbstractContextManager["Source"], Protocol):
    """A server or folder that holds JAXA's own folder tree (``pub/...``)."""

    url: str

    def stat(self, path: str) -> RemoteFile | None:
        """Return size and time of a file, or None if there is no such file."""

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if there is no such folder."""

    def read(self, path: str, sink: Callable[[bytes], object]) -> None:
        """Hand the file's bytes to ``sink``, piece by piece."""


class FileSource:
    """A mirror on this machine."""

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
        with _as_unavailable(f"{self.url}/{path}"):
            if not (self._root / path).is_file():
                return None
            status = (self._root / path).stat()
        return RemoteFile(path, status.st_size, datetime.fromtimestamp(int(status.st_mtime), UTC))

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if there is no such folder."""
        with _as_unavailable(f"{self.url}/{folder}"):
            if not (self._root / folder).is_dir():
                return None
            return [entry.name for entry in (self._root / folder).iterdir()]

    def read(self, path: str, sink: Callable[[bytes], object]) -> None:
        """Hand the file's bytes to ``sink``, piece by piece."""
        with _as_unavailable(f"{self.url}/{path}"), (self._root / path).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                sink(chunk)


class FtpSource:
    """An FTP server: passive, binary, one connection. Anonymous unless there are credentials."""

    def __init__(self, url: str, credentials: Credentials | None, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname or "", parts.port or ftplib.FTP_PORT
        self._root = unquote(parts.path).rstrip("/")
        self._credentials = credentials or Credentials("anonymous", "anonymous@")
        self._ftp = ftplib.FTP(timeout=timeout_seconds)  # noqa: S321 - JAXA serves the 5x5 archives by FTP only

    def __enter__(self) -> Self:
        try:
            with _as_unavailable(self.url):
                self._ftp.connect(self._host, self._port)
                self._ftp.login(self._credentials.username, self._credentials.password)
                self._ftp.set_pasv(True)
                self._ftp.voidcmd("TYPE I")
        except SourceUnavailableError:
            self._ftp.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ftp.quit()
        except ftplib.all_errors:
            self._ftp.close()

    def stat(self, path: str) -> RemoteFile | None:
        """Return size and time of a file, or None if the server says 550."""
        with _as_unavailable(f"{self.url}/{path}"):
            try:
                size = self._ftp.size(f"{self._root}/{path}")
            except ftplib.error_perm as error:
                if str(error).startswith(_NO_SUCH_FILE):
                    return None
                raise
            if size is None:
                raise SourceUnavailableError(f"{self.url}/{path}: the server does not tell the size")
            return RemoteFile(path, size, self._modified(path))

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if the server says 550."""
        with _as_unavailable(f"{self.url}/{folder}"):
            try:
                lines = self._ftp.nlst(f"{self._root}/{folder}")
            except ftplib.error_perm as error:
                if str(error).startswith(_NO_SUCH_FILE):
                    return None
                raise
        return [line.rpartition("/")[2] for line in lines]

    def read(self, path: str, sink: Callable[[bytes], object]) -> None:
        """Hand the file's bytes to ``sink``, piece by piece."""
        with _as_unavailable(f"{self.url}/{path}"):
            self._ftp.retrbinary(f"RETR {self._root}/{path}", sink, blocksize=_CHUNK_BYTES)

    def _modified(self, path: str) -> datetime | None:
        try:
            answer = self._ftp.sendcmd(f"MDTM {self._root}/{path}")
        except ftplib.error_perm:  # a server without MDTM serves all the same
            return None
        try:
            return datetime.strptime(answer[4:18], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None


def open_source(url: str, credentials: Credentials | None = None, timeout_seconds: float = 60.0) -> Source:
    """Return the source behind an ``ftp://`` or ``file://`` URL; nothing is connected before its with-block."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidRequestError("credentials don't belong into the source's URL, where logs would show them")
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return FileSource(Path(unquote(parts.path)))
    if parts.scheme == "ftp" and parts.hostname:
        return FtpSource(url, credentials, timeout_seconds)
    raise InvalidRequestError(f"{url!r} is no source; one looks like ftp://ftp.eorc.jaxa.jp or file:///mirror")


def fetch(source: Source, tile_year: TileYear, folder: Path, layouts: Sequence[Layout]) -> Archive:
    """Find a tile's archive by the first of these layouts that has it and fetch it into ``folder``.

    Raises :class:`TileAbsentError` if the year's folder holds other archives but not this one, and
    :class:`SourceUnavailableError` for anything that stands between us and the bytes.
    """
    layout, remote = _find(source, tile_year, layouts)
    path = folder / remote.path.rpartition("/")[2]
    url = f"{source.url}/{remote.path}"
    logger.info("Fetching archive", extra={"url": url, "size_bytes": remote.size_bytes})
    checksum = hashlib.sha256()
    received = 0
    with _open_output(path) as write:

        def sink(chunk: bytes) -> None:
            nonlocal received
            received += len(chunk)
            checksum.update(chunk)
            write(chunk)

        source.read(remote.path, sink)
    if received != remote.size_bytes:
        raise SourceUnavailableError(f"{url}: {received} bytes came of {remote.size_bytes}")
    return Archive(path, url, layout, received, checksum.hexdigest(), remote.modified)


def _find(source: Source, tile_year: TileYear, known: Sequence[Layout]) -> tuple[Layout, RemoteFile]:
    scheme = urlsplit(source.url).scheme
    layouts = [row for row in known if row.serves_tiles and row.covers(tile_year.year) and scheme in row.schemes]
    for layout in layouts:
        remote = source.stat(layout.archive_path(tile_year.tile, tile_year.year))
        if remote is not None:
            return layout, remote
    folders = list(dict.fromkeys(layout.folder(tile_year.year) for layout in layouts))
    if any(_holds_archives(source, folder) for folder in folders):
        raise TileAbsentError(f"{source.url} has other archives of {tile_year.year}, but none of {tile_year.tile}")
    raise SourceUnavailableError(f"{source.url} has no archive in {' or '.join(folders)}: has the folder moved?")


def _holds_archives(source: Source, folder: str) -> bool:
    return any(name.endswith(_ARCHIVE_ENDINGS) for name in source.names(folder) or ())


@contextmanager
def _open_output(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that appends to a file; a full disk is :class:`OutputError`, never the source's fault."""
    try:
        with path.open("wb") as file:

            def write(chunk: bytes) -> None:
                try:
                    file.write(chunk)
                except OSError as error:
                    raise OutputError(f"can't write {path.name}: {error}") from error

            yield write
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error


@contextmanager
def _as_unavailable(url: str) -> Iterator[None]:
    try:
        yield
    except ftplib.all_errors as error:  # OSErrors and EOFError are among them
        raise SourceUnavailableError(f"{url}: {error or type(error).__name__}") from error
    except ValueError as error:
        raise SourceUnavailableError(f"{url}: an answer that makes no sense: {error}") from error
