"""From a URL to the source behind it; what can't be opened safely is refused here."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.ftp import FtpSource
from alos_mosaic.processing.sources.protocol import Source, SourceAccess
from alos_mosaic.processing.uris import shown_uri, split_uri
from alos_mosaic.settings import check_plain_http, check_plain_login

_EXAMPLES: Final = "ftp://host, ftps://host, https://host/folder, s3://bucket/folder or file:///folder"


def open_source(url: str, access: SourceAccess | None = None) -> Source:
    """Return the source behind a URL; nothing is connected before its with-block.

    Raises :class:`InvalidRequestError` for a URL that is no source, that carries credentials or a query (both would be
    recorded), and for credentials on their way over an unencrypted connection that nobody allowed.
    """
    access = access or SourceAccess()
    parts = split_uri(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileSource(Path(unquote(parts.path)))
    if not parts.hostname:
        raise _not_a_source(url)
    check_plain_login(url, access.credentials is not None, access.allow_plain_login)
    if parts.scheme in ("ftp", "ftps"):
        return FtpSource(url, access)
    # A tile is made in seconds; what other schemes need is not waited for.
    if parts.scheme in ("http", "https"):
        from alos_mosaic.processing.sources.https import HttpsSource  # noqa: PLC0415

        check_plain_http(url)
        return HttpsSource(url, access)
    if parts.scheme == "s3":
        from alos_mosaic.processing.sources.s3 import S3Source  # noqa: PLC0415

        return S3Source(url, access)
    raise _not_a_source(url)


def _not_a_source(url: str) -> InvalidRequestError:
    return InvalidRequestError(f"{shown_uri(url)} is no source; one looks like {_EXAMPLES}")
