"""The Lambda Runtime API over HTTP, one small server for each worker process.

Protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import socket
import socketserver
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from queue import SimpleQueue
from typing import Any

_PREFIX = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Invocation:
    """One call of a function, as the runtime receives it."""

    request_id: str
    function_arn: str
    deadline_ms: int
    """Milliseconds since the epoch, by which the function must have answered."""
    payload: bytes
    """JSON."""


@dataclass(frozen=True)
class Answer:
    """What the runtime said about an invocation, or about its own start."""

    failed: bool
    payload: bytes
    """JSON: the handler's result, or the error with errorType and errorMessage."""


@dataclass(frozen=True)
class ProcessEnd:
    """The worker process ended; negative is the number of the signal that killed it."""

    exit_status: int


class RuntimeApi(socketserver.ThreadingTCPServer):
    """Hands invocations to one runtime process and collects its answers.

    A plain TCP server rather than ``http.server.HTTPServer``, which looks up the host's name in DNS.
    """

    daemon_threads = True
    invocations: "SimpleQueue[Invocation | None]"
    answers: "SimpleQueue[Answer | ProcessEnd]"

    def __init__(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        super().__init__(("127.0.0.1", 0), _RuntimeApiRequest)
        self.invocations = SimpleQueue()
        self.answers = SimpleQueue()
        self.asked = threading.Event()
        """Set once the runtime asked for its first invocation: it has started."""
        self._closed = threading.Event()
        threading.Thread(target=self._serve, name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """``host:port``, the value of ``AWS_LAMBDA_RUNTIME_API``."""
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        """Stop listening and let go of a runtime that waits for its next invocation."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.invocations.put(None)
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A runtime that was killed hangs up: nothing to report."""

    def _serve(self) -> None:
        while not self._closed.is_set():
            self.handle_request()
        self.server_close()


class _RuntimeApiRequest(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 88 ms an invocation without

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}/invocation/next":
            return self._reply(HTTPStatus.NOT_FOUND)
        self.server.asked.set()
        invocation = self.server.invocations.get()
        if invocation is None:
            return self._reply(HTTPStatus.GONE)
        return self._reply(
            HTTPStatus.OK,
            invocation.payload,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            },
        )

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = self.path.rsplit("/", 1)[-1]
        if not self.path.startswith(_PREFIX) or what not in ("response", "error"):
            return self._reply(HTTPStatus.NOT_FOUND)
        self.server.answers.put(Answer(failed=what == "error", payload=payload))
        return self._reply(HTTPStatus.ACCEPTED, b'{"status":"OK"}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet: the emulator logs invocations, not their transport."""

    def _reply(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
