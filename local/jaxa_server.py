"""JAXA's file server on this machine: a real FTP server over a folder that has the server's own tree (``pub/...``).

python -m local.jaxa_server FOLDER --port 2121
"""

from __future__ import annotations

import argparse
import atexit
import logging
import socket
import struct
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pyftpdlib stands on the standard library's old asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import DTPHandler, FTPHandler, ThrottledDTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

_logger: Final = logging.getLogger("pyftpdlib")
_READ_ONLY: Final = "elr"
_POLL_SECONDS: Final = 0.05
_BUSY: Final = "421"
"""The one answer after which a server hangs up by itself (RFC 959)."""
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset, and what is still on its way is lost."""


@dataclass(frozen=True)
class Account:
    """The one user who may log in."""

    user: str
    password: str


@dataclass(frozen=True)
class Command:
    """An FTP command as a client sent it; passwords are blanked."""

    name: str
    """In capitals: ``PASV``, ``TYPE``, ``RETR``."""
    argument: str
    """As sent; a path for ``RETR`` and its like, relative or absolute, as the client wrote it."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a command: it is answered so, or its transfer ends at a byte of the file."""

    command: str
    """In capitals: ``USER``, ``SIZE``, ``RETR``."""
    reply: str = ""
    """Said instead of carrying the command out; in a transfer, at the byte where it ends. 421 also hangs up."""
    at_byte: int | None = None
    """Where in the file a transfer ends: by ``reply``, by silence, or else by a reset."""
    is_silent: bool = False
    """Whether it just stops sending there."""
    ending: str = ""
    """What the command's argument ends with."""
    times: int = sys.maxsize
    """How many of these commands it happens to; what comes later is as it should be."""
    meanwhile: Callable[[], object] | None = None
    """Called as it happens, in the server's thread."""

    def strike(self) -> None:
        """Let happen what happens meanwhile."""
        if self.meanwhile is not None:
            self.meanwhile()


class JaxaServer:
    """A read-only FTP server in a thread of its own, for a ``with`` block or :meth:`start` and :meth:`stop`.

    Anonymous unless there is an account. ``max_connections`` counts control connections; the next one is turned away
    with 421. ``bytes_per_second`` throttles each transfer, in bursts of about that many bytes. With a ``certificate``
    (a PEM file that holds its key, too) it is an FTPS server: nothing goes without TLS, and there is no throttle.
    ``lacks`` names commands, in capitals, that it does not understand. ``breaks`` are bytes after which it hangs up,
    one for each transfer of a file from the first on; those that are longer than a transfer do nothing. With
    ``keeps_quiet`` it never says that a transfer is complete: it hangs up instead. ``faults`` go wrong in their order:
    of those of a command, the first that has not happened often enough.
    """

    def __init__(
        self,
        folder: Path,
        *,
        account: Account | None = None,
        max_connections: int = 0,
        bytes_per_second: int = 0,
        port: int = 0,
        certificate: Path | None = None,
        lacks: Collection[str] = (),
        breaks: Iterable[int] = (),
        keeps_quiet: bool = False,
        faults: Iterable[Fault] = (),
    ) -> None:
        self.commands: list[Command] = []
        """Every command since the start, in the order of arrival."""
        self.sent_bytes = 0
        """Of files, all transfers together."""
        self._authorizer = _authorizer(folder, account)
        self._max_connections = max_connections
        self._bytes_per_second = bytes_per_second
        self._wanted_port = port
        self._certificate = certificate
        self._lacks = frozenset(lacks)
        self._breaks = iter(breaks)
        self._keeps_quiet = keeps_quiet
        self._faults = [fault for fault in faults if fault.times > 0]
        self._happened: dict[int, int] = {}
        """How often each fault happened, by its place in the list."""
        self._transfers: weakref.WeakSet[DTPHandler] = weakref.WeakSet()
        self._stopping = threading.Event()
        self._server: FTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """The address it listens on."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it listens on; :class:`RuntimeError` unless started."""
        if self._server is None:
            raise RuntimeError("the server is not running")
        return int(self._server.address[1])

    @property
    def url(self) -> str:
        """``ftp://127.0.0.1:PORT`` (or ``ftps``), without account and closing slash."""
        return f"{'ftps' if self._certificate else 'ftp'}://{self.host}:{self.port}"

    def names(self) -> list[str]:
        """Return the names of the commands seen, in order."""
        return [command.name for command in list(self.commands)]

    def start(self) -> Self:
        """Listen and serve until :meth:`stop` or the interpreter's end."""
        _quieten()
        self._stopping.clear()
        self._server = FTPServer((self.host, self._wanted_port), self._handler(), ioloop=IOLoop())
        self._server.max_cons_per_ip = self._max_connections  # everyone here comes from one address
        self._thread = threading.Thread(target=self._serve, args=(self._server,), name="jaxa-server", daemon=True)
        self._thread.start()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Hang up on everyone and close the port; harmless when stopped already."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = self._server = None
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, server: FTPServer) -> None:
        try:
            while not self._stopping.is_set():
                server.ioloop.loop(timeout=_POLL_SECONDS, blocking=False)
        finally:
            for transfer in list(self._transfers):  # a throttled one that pauses is unknown to the loop
                transfer.close()
            server.close_all()

    def _handler(self) -> type[FTPHandler]:
        """Return a handler class of this server's own: pyftpdlib keeps settings on classes."""
        commands, next_fault = self.commands, self._next_fault

        class Handler(FTPHandler):  # type: ignore[misc]
            authorizer = self._authorizer
            dtp_handler = _data_handler(
                self._bytes_per_second, self._breaks, self._keeps_quiet, self._transfers, self._count
            )
            use_sendfile = False  # what is sent is counted
            auth_failed_timeout = 0
            begin = 0
            """Where the next transfer begins."""
            fault: Fault | None = None
            """What goes wrong with the next transfer."""

            def pre_process_command(self, line: str, cmd: str, arg: str) -> Any:
                commands.append(Command(cmd, "***" if cmd == "PASS" else arg))
                if cmd == "REST":
                    self.begin = int(arg)
                fault = next_fault(Command(cmd, arg))
                if fault is None or fault.at_byte is not None:
                    self.fault = fault
                    return super().pre_process_command(line, cmd, arg)
                self.begin = 0
                fault.strike()
                self.respond(fault.reply)
                if fault.reply.startswith(_BUSY):
                    self.close_when_done()
                return None

        handler = Handler if self._certificate is None else self._encrypted(Handler)
        handler.proto_cmds = {name: use for name, use in handler.proto_cmds.items() if name not in self._lacks}
        return handler

    def _count(self, sent: int) -> None:
        self.sent_bytes += sent

    def _next_fault(self, command: Command) -> Fault | None:
        for place, fault in enumerate(self._faults):
            happened = self._happened.get(place, 0)
            is_meant = fault.command == command.name and command.argument.endswith(fault.ending)
            if is_meant and happened < fault.times:
                self._happened[place] = happened + 1
                return fault
        return None

    def _encrypted(self, handler: type[FTPHandler]) -> type[FTPHandler]:
        from pyftpdlib.handlers import TLS_FTPHandler  # noqa: PLC0415 - it needs pyOpenSSL, which nothing else does

        class EncryptedHandler(handler, TLS_FTPHandler):  # type: ignore[misc]
            dtp_handler = TLS_FTPHandler.dtp_handler
            certfile = str(self._certificate)
            tls_control_required = tls_data_required = True

        return EncryptedHandler


def _authorizer(folder: Path, account: Account | None) -> DummyAuthorizer:
    authorizer = DummyAuthorizer()
    if account is None:
        authorizer.add_anonymous(str(folder), perm=_READ_ONLY)
    else:
        authorizer.add_user(account.user, account.password, str(folder), perm=_READ_ONLY)
    return authorizer


def _data_handler(
    bytes_per_second: int,
    breaks: Iterator[int],
    keeps_quiet: bool,
    transfers: weakref.WeakSet[DTPHandler],
    count: Callable[[int], None],
) -> type[DTPHandler]:
    class DataHandler(ThrottledDTPHandler if bytes_per_second else DTPHandler):  # type: ignore[misc]
        write_limit = bytes_per_second
        left: int | None = None
        fault: Fault | None = None

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            transfers.add(self)

        def send(self, data: bytes) -> int:
            if self.file_obj is None:  # a listing
                return int(super().send(data))
            if self.left is None:
                self.fault, begin = self.cmd_channel.fault, self.cmd_channel.begin
                self.cmd_channel.fault, self.cmd_channel.begin = None, 0
                self.left = next(breaks, sys.maxsize)
                if self.fault is not None and self.fault.at_byte is not None:
                    self.left = max(self.fault.at_byte - begin, 0)
            sent = int(super().send(data[: self.left]))
            self.left -= sent
            count(sent)
            if not self.left:
                self._break()
            return sent

        def _break(self) -> None:
            fault = self.fault
            if fault is None:
                self.cmd_channel.close()  # and this connection with it
                return
            fault.strike()
            if fault.is_silent:
                self.del_channel()  # the loop sends nothing more
            elif fault.reply:
                self._resp: tuple[Any, ...] = (fault.reply, _logger.debug)
                self.close()
            else:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                self.cmd_channel.close()

        def close(self) -> None:
            is_file = self.file_obj is not None
            if is_file and keeps_quiet:
                self._resp = ()
            super().close()
            if is_file and keeps_quiet:
                self.cmd_channel.close()

    return DataHandler


def _quieten() -> None:
    """Keep pyftpdlib from setting up logging to stderr by itself and from telling of every client."""
    if not _logger.handlers:
        _logger.addHandler(logging.NullHandler())
    _logger.setLevel(logging.ERROR)


def main() -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description="Serve a folder as JAXA's FTP server would.")
    parser.add_argument("folder", type=Path, help="holds the server's own tree: pub/...")
    parser.add_argument("--port", type=int, default=2121, help="0 for any free port (default: %(default)s)")
    arguments = parser.parse_args()
    with JaxaServer(arguments.folder, port=arguments.port) as server:
        print(f"{server.url} serves {arguments.folder}; Ctrl-C stops it")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
