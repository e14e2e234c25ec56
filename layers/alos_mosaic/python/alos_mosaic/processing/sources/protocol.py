"""What every source offers, and what a source may be given to open it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from alos_mosaic.errors import SourceUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 1 << 16
"""Read at once where a read waits until all of it is there: what came ahead of a silence is lost with the rest."""

Sink = Callable[[bytes], object]
"""Takes a file's bytes, piece by piece, in order. What it raises itself passes through a source unchanged."""


class FromStartOnlyError(SourceUnavailableError):
    """The source can't begin in the middle of a file; asked for all of it, the same connection answers.

    Never leaves a worker, which asks so.
    """


@dataclass(frozen=True)
class Credentials:
    """A user of the source; the password never shows in a repr, so in no log."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class SourceAccess:
    """What it takes to open a source, beside its URL; nothing of it is ever recorded."""

    credentials: Credentials | None = None
    """For ``ftp``, ``ftps`` and ``https``; without them FTP is anonymous."""
    allow_plain_login: bool = False
    """Whether credentials may travel unencrypted (``ftp://``)."""
    timeout_seconds: float = 60.0
    """No byte for so long ends as :class:`~alos_mosaic.errors.SourceUnavailableError`; S3's stand in its client."""
    requester_pays: bool = False
    """Whether we pay for what we read from ``s3://``; without it such a bucket refuses."""
    s3: S3Client | None = None
    """Needed for ``s3://`` only; made in handlers and the command."""
    ca_file: Path | None = None
    """PEM certificates to trust instead of the system's. OpenSSL's own variable SSL_CERT_FILE does the same."""


@dataclass(frozen=True)
class RemoteFile:
    """What a source says of a file before it is fetched."""

    path: str
    size_bytes: int
    modified: datetime | None
    """The server's modification time, UTC; None where it doesn't tell."""
    etag: str | None = None
    """HTTP's and S3's mark of this version of the file, as the server writes it."""

    @property
    def has_version(self) -> bool:
        """Whether the source tells this file from another of the same size in its place."""
        return self.modified is not None or self.etag is not None


class Source(AbstractContextManager["Source"], Protocol):
    """A server or folder that holds JAXA's own folder tree (``pub/...``).

    Paths are relative to the source's URL, without a leading slash. Every method raises
    :class:`~alos_mosaic.errors.SourceUnavailableError` for whatever stands between us and the answer: a refusal, too
    many connections, silence, a connection that breaks. "There is no such thing" is an answer: None.
    """

    url: str
    """Without credentials and closing slash: it is logged and recorded."""
    can_list: bool
    """Whether :meth:`names` is to be asked: HTTPS has no listings."""

    def stat(self, path: str) -> RemoteFile | None:
        """Return what the source says of a file, or None if there is no such file."""

    def names(self, folder: str) -> list[str] | None:
        """Return the bare names in a folder, or None if there is no such folder."""

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the file's bytes from offset ``start`` on to ``sink``.

        A source that can't begin there raises :class:`FromStartOnlyError`: it never hands out other bytes. A sink that
        raises ends the transfer; the source is good for nothing but closing then, or connecting anew.
        """

    def reconnect(self) -> None:
        """Connect anew, after a failure has left the connection good for nothing; never a second one beside it."""
