"""Probing: whether the source is there at all, asked once before a run begins, so that a dead one costs no run.

Without a login: the source's secret is for the worker alone. What only a worker can see, such as a refused password,
ends a run by way of its breaker (``source_failures_tolerated``).
"""

from __future__ import annotations

import ftplib
import http.client
import ssl
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from alos_mosaic.errors import InvalidRequestError, SourceUnavailableError
from alos_mosaic.settings import RunLimits

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REASON_LIMIT: Final = 300
"""Characters of a server's answer that an error carries."""


def probe_source(settings: RunLimits, s3: S3Client) -> None:
    """Raise :class:`SourceUnavailableError` unless the source answers, :class:`InvalidRequestError` if it is none.

    An FTP server has to greet with 220 (one of ``ftps://`` to prove who it is, too), a web server to answer anything
    but 5xx, a bucket to be listed, a folder to be there.
    """
    url = urlsplit(settings.source_uri)
    failures: tuple[type[Exception], ...] = (*ftplib.all_errors, http.client.HTTPException, s3.exceptions.ClientError)
    try:
        if url.scheme == "s3":
            payer = {"RequestPayer": "requester"} if settings.requester_pays else {}
            prefix = f"{url.path.strip('/')}/".lstrip("/")
            s3.list_objects_v2(Bucket=url.netloc, Prefix=prefix, MaxKeys=1, **payer)  # type: ignore[arg-type]
        elif url.scheme in _PROBES:
            _PROBES[url.scheme](url, settings.source_timeout_seconds)
        else:
            raise InvalidRequestError(f"{settings.source_uri} is no source")
    except failures as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceUnavailableError(f"{settings.source_uri} does not answer: {reason[:_REASON_LIMIT]}") from error


def _ftp(url: SplitResult, timeout_seconds: float) -> None:
    _greet(ftplib.FTP(timeout=timeout_seconds, encoding="latin-1"), url)  # noqa: S321 - JAXA serves so


def _ftps(url: SplitResult, timeout_seconds: float) -> None:
    context = ssl.create_default_context()
    _greet(ftplib.FTP_TLS(timeout=timeout_seconds, context=context, encoding="latin-1"), url)  # noqa: S321


def _greet(ftp: ftplib.FTP, url: SplitResult) -> None:
    try:
        ftp.connect(url.hostname or "", url.port or ftplib.FTP_PORT)
        if isinstance(ftp, ftplib.FTP_TLS):
            ftp.auth()
        with suppress(*ftplib.all_errors):
            ftp.quit()
    finally:
        ftp.close()


def _http(url: SplitResult, timeout_seconds: float) -> None:
    """Ask for the source's folder; 401, 403 and 404 are answers of a server that is there."""
    plain, secure = http.client.HTTPConnection, http.client.HTTPSConnection
    connection = (secure if url.scheme == "https" else plain)(url.netloc, timeout=timeout_seconds)
    try:
        connection.request("HEAD", url.path or "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise http.client.HTTPException(f"HTTP status {status}")


def _file(url: SplitResult, _timeout_seconds: float) -> None:
    if not Path(unquote(url.path)).is_dir():
        raise FileNotFoundError("no such folder")


_PROBES: Final[dict[str, Callable[[SplitResult, float], None]]] = {
    "ftp": _ftp,
    "ftps": _ftps,
    "https": _http,
    "http": _http,
    "file": _file,
}
SCHEMES: Final = frozenset({"s3", *_PROBES})
"""What a source's URI may begin with."""
