"""HTTPS servers with Basic credentials, as the one of JAXA's web site. They serve files and no listings."""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Final, Self
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError
from alos_mosaic.processing.sources.failures import NO_ARCHIVE, REFUSAL, as_unavailable
from alos_mosaic.processing.sources.protocol import PIECE_BYTES, FromStartOnlyError, RemoteFile, Sink, SourceAccess

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_LIMIT: Final = 5
_FAILURES: Final[tuple[type[Exception], ...]] = (HTTPError, HTTPException, OSError)
_FAILURES_TO_ASK: Final[tuple[type[Exception], ...]] = (*_FAILURES, ValueError)
_NOT_ABOUT_FILES: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.TOO_MANY_REQUESTS,
)
"""Of statuses below 500: they are about us."""
_HOST: Final = re.compile(r"[a-z0-9.:-]+")
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class HttpsSource:
    """An HTTPS server. Credentials go to its own scheme, host and port only, wherever it redirects to."""

    can_list = False

    def __init__(self, url: str, access: SourceAccess) -> None:
        self.url = url.rstrip("/")
        self._origin = _origin(urlsplit(url))
        self._credentials = access.credentials
        self._pool = urllib3.PoolManager(
            num_pools=2,
            maxsize=1,
            retries=False,
            timeout=access.timeout_seconds,  # to connect, and from one piece to the next
            ssl_context=ssl.create_default_context(cafile=access.ca_file),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def stat(self, path: str) -> RemoteFile | None:
        """Return size, time and ETag of a file, or None if the server says 404."""
        with self._answer("HEAD", path) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            self._check(answer, path, HTTPStatus.OK)
            size = answer.headers.get("Content-Length", "")
            if not size.isdecimal():
                raise ArchiveUnavailableError(f"{self.url}/{path}: the server does not tell the size")
            return RemoteFile(path, int(size), _modified(answer), answer.headers.get("ETag"))

    def names(self, folder: str) -> list[str] | None:
        """Raise :class:`SourceUnavailableError`: there is no such thing as a listing over HTTPS."""
        raise SourceUnavailableError(f"{self.url}/{folder}: folders can't be listed over HTTPS")

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the file's bytes from offset ``start`` (Range) on to ``sink``, as the server stores them."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._answer("GET", path, headers) as answer:
            self._check(answer, path, HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK, is_told_of=True)
            if start:
                self._check_range(answer, path, start)
            # Servers label a .tar.gz as "Content-Encoding: gzip"; decoded, it would be another file.
            for chunk in answer.stream(PIECE_BYTES, decode_content=False):
                sink(chunk)

    def reconnect(self) -> None:
        """Forget the connections; the next question opens another."""
        self._pool.clear()

    @contextmanager
    def _answer(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer that stands at the end of all redirects; its connection is closed if bytes are left."""
        with as_unavailable(f"{self.url}/{path}", _FAILURES, self._credentials):
            answer = self._follow(method, path, headers or {})
            try:
                yield answer
            finally:
                if method == "HEAD":
                    answer.drain_conn()  # there is nothing to drain: the connection is good for the next question
                answer.close()

    def _follow(self, method: str, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        url = f"{self.url}/{quote(path)}"
        answer = self._ask(method, url, headers)
        for _ in range(_REDIRECTS_LIMIT):
            if answer.status not in _REDIRECTS:
                return answer
            location = answer.headers.get("Location", "")
            answer.close()
            try:
                url = self._redirected(url, location, path)
                answer = self._ask(method, url, headers)
            except _FAILURES_TO_ASK as error:  # whose text may quote the address
                reason = f"a redirect to an address that makes no sense or does not answer: {type(error).__name__}"
                raise SourceUnavailableError(f"{self.url}/{path}: {reason}") from None
        if answer.status not in _REDIRECTS:
            return answer
        answer.close()
        raise REFUSAL(f"{self.url}/{path}: more than {_REDIRECTS_LIMIT} redirects")

    def _ask(self, method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method,
            url,
            headers={**headers, **self._login(url), "Accept-Encoding": "identity"},
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _redirected(self, url: str, location: str, path: str) -> str:
        """Return where a redirect leads; the address itself stays out of errors, since it may be signed."""
        target = urlsplit(urljoin(url, location))
        if not location or not target.hostname:
            raise REFUSAL(f"{self.url}/{path}: a redirect to nowhere")
        if target.scheme != "https" and _origin(target) != self._origin:
            host = target.hostname if _HOST.fullmatch(target.hostname) else "..."
            raise REFUSAL(f"{self.url}/{path}: a redirect to {target.scheme}://{host}, which is not encrypted")
        # A user in the address would be the server's choice of who we are.
        return target._replace(netloc=target.netloc.rpartition("@")[2], fragment="").geturl()

    def _login(self, url: str) -> dict[str, str]:
        if self._credentials is None or _origin(urlsplit(url)) != self._origin:
            return {}
        pair = f"{self._credentials.username}:{self._credentials.password}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode()}"}

    def _check(
        self, answer: urllib3.BaseHTTPResponse, path: str, expected: HTTPStatus, *, is_told_of: bool = False
    ) -> None:
        """Raise unless the answer is the expected one; ``is_told_of``: of a file whose size the server has told."""
        if answer.status == expected:
            kind = answer.headers.get("Content-Type", "")
            if kind.partition(";")[0].strip().lower() == "text/html":
                raise REFUSAL(f"{self.url}/{path}: a web page came instead of the file; log in?")
            return
        if expected == HTTPStatus.PARTIAL_CONTENT and answer.status == HTTPStatus.OK:
            raise FromStartOnlyError(f"{self.url}/{path}: the server ignores Range, it can't begin in the middle")
        unavailable = NO_ARCHIVE if is_told_of and _is_about_file(answer.status) else REFUSAL
        raise unavailable(f"{self.url}/{path}: {_words(answer.status)}")

    def _check_range(self, answer: urllib3.BaseHTTPResponse, path: str, start: int) -> None:
        said = answer.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(said)
        if match is None or int(match[1]) != start:
            raise NO_ARCHIVE(f"{self.url}/{path}: asked for bytes from {start} on, came {said or 'others'}")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _is_about_file(status: int) -> bool:
    """Tell whether a status is about the file that was asked for, not about us or the server."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_ABOUT_FILES


def _modified(answer: urllib3.BaseHTTPResponse) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status}, which is no answer of HTTP's"
