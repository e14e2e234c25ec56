"""S3 over a socket: moto behind a server on this machine, which tells of each request, so that things happen at it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber

_HOST: Final = "s3.amazonaws.com"
_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")


@dataclass(frozen=True, eq=False)
class Asked:
    """A request to S3; another one like it is another."""

    who: str
    """The access key that it is signed with."""
    operation: str
    """Like ``PutObject``."""
    bucket: str
    key: str
    """Empty where the bucket itself is asked."""

    @classmethod
    def of(cls, method: str, target: str, headers: Any) -> Self:
        """Read a request's first line and headers; buckets stand in the path."""
        url = urlsplit(target)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        who = headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        query = parse_qs(url.query, keep_blank_values=True)
        return cls(who, _operation(method, key, query, is_copy="x-amz-copy-source" in headers), bucket, key)


def _operation(method: str, key: str, query: dict[str, list[str]], *, is_copy: bool) -> str:
    if not key:
        return {"GET": "ListObjectsV2", "POST": "DeleteObjects"}.get(method, f"{method} bucket")
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}[method]
    if is_copy:
        return "CopyObject"
    return f"{method.capitalize()}Object"


class RefusedError(Exception):
    """Ends a request before it is carried out, by an error of S3's."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code, self.status = code, status

    @property
    def answer(self) -> tuple[int, dict[str, Any], bytes]:
        """What S3 answers then."""
        body = f"<Error><Code>{self.code}</Code><Message>told so</Message></Error>"
        return self.status, {"Content-Type": "application/xml"}, body.encode()


Watch = Callable[[Asked, bool], None]
"""Called twice for a request, in its own thread: before it is carried out, and (True) before it is answered. What it
raises before leaves the request undone: :class:`RefusedError` is an answer, anything else is none."""

Spoil = Callable[[Asked, bytes], bytes]
"""Returns the body to send instead of an answer's; after a shorter one the connection ends."""


class BucketServer:
    """moto's S3 of this process as a server; one request at a time, since moto can't have two in the making."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.spoil: Spoil | None = None
        self._turn = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def tell(self, asked: Asked, is_done: bool) -> None:
        """Let happen what happens at a request."""
        if self.watch is not None:
            self.watch(asked, is_done)

    def answer(self, request: AWSPreparedRequest) -> tuple[int, dict[str, Any], bytes]:
        """Carry a request out."""
        with self._turn:
            status, headers, body = BotocoreStubber().process_request(request) or (501, {}, b"")
        return status, dict(headers), body.encode() if isinstance(body, str) else body

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked.of(self.command, self.path, self.headers)
                headers = HTTPHeaders()
                for name, value in self.headers.items():
                    headers[name] = _HOST if name.lower() == "host" else value
                url = f"https://{_HOST}{self.path}"
                try:
                    server.tell(asked, False)
                except RefusedError as refusal:
                    status, said, content = refusal.answer
                else:
                    status, said, content = server.answer(AWSPreparedRequest(self.command, url, headers, body, False))
                    server.tell(asked, True)
                self.send_response(status)
                is_head = self.command == "HEAD"
                for name, value in said.items():
                    if is_head or name.lower() != "content-length":
                        self.send_header(name, str(value))
                if not is_head:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                sent = content if server.spoil is None else server.spoil(asked, content)
                self.wfile.write(b"" if is_head else sent)
                self.close_connection |= len(sent) < len(content)

            def log_message(self, *_: object) -> None:
                pass

        for method in _METHODS:
            setattr(Handler, f"do_{method}", Handler.serve)
        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients are killed here."""
