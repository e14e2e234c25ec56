"""From a URL to the source behind it; what can't be opened safely is refused here."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.ftp import FtpSource
from alos_mosaic.processing.sources.https import HttpsSource
from alos_mosaic.processing.sources.protocol import Source, SourceAccess
from alos_mosaic.settings import check_plain_login

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_EXAMPLES: Final = "ftp://host, ftps://host, https://host/folder, s3://bucket/folder or file:///folder"


def open_source(url: str, access: SourceAccess | None = None) -> Source:
    """Return the source behind a URL; nothing is connected before its with-block.

    Raises :class:`InvalidRequestError` for a URL that is no source, that carries credentials or a query (both would be
    recorded), and for credentials on their way over an unencrypted connection that nobody allowed.
    """
    access = access or SourceAccess()
    parts = _split(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileSource(Path(unquote(parts.path)))
    if not parts.hostname:
        raise _not_a_source(url)
    check_plain_login(url, access.credentials is not None, access.allow_plain_login)
    if parts.scheme in ("ftp", "ftps"):
        return FtpSource(url, access)
    if parts.scheme == "https":
        return HttpsSource(url, access)
    if parts.scheme == "http":
        if parts.hostname not in LOOPBACK_HOSTS:
            raise InvalidRequestError(
                f"http://{parts.hostname} could be read and changed on the way; use https:// (http:// is for servers "
                "on this machine)"
            )
        return HttpsSource(url, access)
    if parts.scheme == "s3":
        from alos_mosaic.processing.sources.s3 import S3Source  # noqa: PLC0415 - boto3 takes a third of a second

        return S3Source(url, access)
    raise _not_a_source(url)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _not_a_source(url) from error
    if "@" in parts.netloc:
        raise InvalidRequestError("credentials don't belong into the source's URL, where logs would show them")
    if parts.query or parts.fragment:
        raise InvalidRequestError("a source's URL has neither query nor fragment: what they hold would be recorded")
    return parts


def _not_a_source(url: str) -> InvalidRequestError:
    shown = "this" if "@" in url else repr(url)
    return InvalidRequestError(f"{shown} is no source; one looks like {_EXAMPLES}")
