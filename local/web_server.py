"""A file server over HTTP or HTTPS in a thread of its own: Basic accounts, Range, and any misbehaviour one asks for."""

from __future__ import annotations

import ssl
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from local.jaxa_server import Account

_RANGE_PREFIX: Final = "bytes="


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What to say instead of the file; Content-Length is the body's unless it is among the headers."""

    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent_bytes: int | None = None
    """Hang up after so many bytes of the body; all of it unless told."""
    silence_seconds: float = 0.0
    """How long to wait before hanging up (ends early when the server stops)."""
    method: str | None = None
    """The only method that is answered so; all unless told."""
    is_once: bool = False
    """Whether only the first such request is answered so."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Pass over clients that hang up or trust no certificate of ours: tests ask for both."""


class WebServer:
    """Serves a folder's files, for a ``with`` block; ``answers`` by path come before the files.

    With ``ignores_range`` it sends all of a file whatever part is asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        account: Account | None = None,
        certificate: Path | None = None,
        ignores_range: bool = False,
    ) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[Request] = []
        """Every request since the start, in the order of arrival."""
        self.folder, self.ignores_range = folder, ignores_range
        self.stopping = threading.Event()
        self.login = None if account is None else _basic(account)
        self._server = _QuietServer(("127.0.0.1", 0), _handler(self))
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT`` or the same with ``https``."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _basic(account: Account) -> str:
    return "Basic " + b64encode(f"{account.user}:{account.password}".encode()).decode()


def _handler(server: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self) -> None:
            self._serve()

        def do_HEAD(self) -> None:
            self._serve()

        def log_message(self, *_: object) -> None:
            return None

        def _serve(self) -> None:
            server.requests.append(Request(self.command, self.path, dict(self.headers)))
            answer = server.answers.get(self.path)
            if answer is None or answer.method not in (None, self.command):
                answer = _file_answer(server, self.path, self.headers.get("Range"), self.headers.get("Authorization"))
            elif answer.is_once:
                del server.answers[self.path]
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer.body[: answer.sent_bytes])
            if answer.sent_bytes is not None or answer.silence_seconds:
                server.stopping.wait(answer.silence_seconds)
                self.close_connection = True

    return Handler


def _file_answer(server: WebServer, path: str, wanted: str | None, login: str | None) -> Answer:
    if server.login is not None and login != server.login:
        return Answer(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="mosaics"'})
    file = server.folder / path.lstrip("/")
    if not file.is_file():
        return Answer(HTTPStatus.NOT_FOUND)
    content, status = file.read_bytes(), file.stat()
    headers = {"Last-Modified": formatdate(int(status.st_mtime), usegmt=True), "ETag": f'"{status.st_size:x}"'}
    if wanted is None or server.ignores_range:
        return Answer(HTTPStatus.OK, headers, content)
    start = int(wanted.removeprefix(_RANGE_PREFIX).partition("-")[0])
    if start >= len(content):
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{len(content)}"})
    said = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Answer(HTTPStatus.PARTIAL_CONTENT, {**headers, "Content-Range": said}, content[start:])
