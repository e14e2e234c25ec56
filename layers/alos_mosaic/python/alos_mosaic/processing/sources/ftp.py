"""FTP and FTPS servers: passive, binary, one connection."""

from __future__ import annotations

import ftplib
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError
from alos_mosaic.processing.sources.failures import BREAK, NO_ARCHIVE, REFUSAL, Unavailable, as_unavailable
from alos_mosaic.processing.sources.protocol import (
    CHUNK_BYTES,
    Credentials,
    FromStartOnlyError,
    RemoteFile,
    Sink,
    SourceAccess,
)

_ANONYMOUS: Final = Credentials("anonymous", "anonymous@")
_NO_SUCH_FILE: Final = "550"
_TOO_MANY: Final = "421"
_FILE_BUSY: Final = "450"
_NOT_LOGGED_IN: Final = "530"
_NO_SUCH_LISTING: Final = re.compile(r"450.*no such", re.IGNORECASE | re.DOTALL)
"""ProFTPD and Pure-FTPd answer 450 to the listing of a folder that is not there."""
_REFUSAL: Final = re.compile(r"permi(ssion|tted)|denied|privilege|not allowed|forbidden|authori[sz]ed", re.IGNORECASE)
"""Servers say 550 for what is not there and for what we may not see; only the words tell which."""


_FEATURES_OF_MLSD: Final = ("MLST", "MLSD")
"""RFC 3659 lets a server announce both commands as MLST; some say MLSD."""
_NOT_UNDERSTOOD: Final = ("500", "502", "504")
_NOT_IN_FOLDER: Final = ("cdir", "pdir")
"""What MLSD's type says of the folder itself and of the one above it."""


_KEEP_ALIVE_SECONDS: Final = 60
"""Less than the few minutes after which routers forget a silent connection."""
_HANGUPS: Final[tuple[type[Exception], ...]] = (*ftplib.all_errors, AttributeError)
"""What a good-bye may end with; ftplib raises AttributeError once a connection is closed."""


class _TlsSocket(ssl.SSLSocket):
    """A connection whose other end may hang up without TLS' good-bye, as FTP servers do after the last byte.

    Nothing is lost by it: the server still says 226 over the control connection, and sizes are compared.
    """

    def unwrap(self) -> socket.socket:
        try:
            return super().unwrap()
        except OSError:
            return self


class _FtpTls(ftplib.FTP_TLS):
    """FTP_TLS whose data connections go on with the control connection's TLS session, as vsftpd and ProFTPD demand."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        # The grandparent's, not FTP_TLS': that one wraps the connection in a session of its own.
        connection, size = super(ftplib.FTP_TLS, self).ntransfercmd(cmd, rest)
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        try:
            return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size
        except BaseException:
            connection.close()
            raise


class FtpSource:
    """An FTP server: anonymous unless there are credentials.

    ``ftps://`` is explicit TLS (``AUTH TLS`` on the usual port), with encrypted data connections and a certificate that
    is verified against the host's name. A server without TLS is refused: there is no way back to plain FTP.
    """

    can_list = True

    def __init__(self, url: str, access: SourceAccess) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname or "", parts.port or ftplib.FTP_PORT
        self._root = unquote(parts.path).rstrip("/")
        self._credentials = access.credentials
        self._has_mlsd: bool | None = None
        """None until the server was asked."""
        self._timeout_seconds, self._context = access.timeout_seconds, None
        if parts.scheme == "ftps":
            self._context = ssl.create_default_context(cafile=access.ca_file)
            self._context.sslsocket_class = _TlsSocket
        self._ftp = self._client()

    def __enter__(self) -> Self:
        try:
            with self._as_unavailable():
                self._ftp.connect(self._host, self._port)
                self._keep_alive()
                user = self._credentials or _ANONYMOUS
                self._ftp.login(user.username, user.password)  # FTP_TLS encrypts the connection first
                if isinstance(self._ftp, ftplib.FTP_TLS):
                    self._ftp.prot_p()
                self._ftp.set_pasv(True)
                self._ftp.voidcmd("TYPE I")
        except SourceUnavailableError:
            self._ftp.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):  # Ctrl-C waits for no answer
            self._ftp.close()
            return
        try:
            self._ftp.quit()
        except _HANGUPS:
            self._ftp.close()

    def stat(self, path: str) -> RemoteFile | None:
        """Return size and time of a file, or None if the server says 550."""
        with self._as_unavailable(path):
            try:
                size = self._ftp.size(f"{self._root}/{path}")
            except ftplib.error_perm as error:
                if _says_absent(error):
                    return None
                raise
            if size is None or size < 0:
                raise ArchiveUnavailableError(f"{self.url}/{path}: the server does not tell the size")
            return RemoteFile(path, size, self._modified(path))

    def names(self, folder: str) -> list[str] | None:
        """Return the names in a folder, or None if the server says 550; by MLSD where the server has it, else NLST."""
        path = f"{self._root}/{folder}"
        with self._as_unavailable(folder):
            try:
                lines = self._listed(path)
            except (ftplib.error_perm, ftplib.error_temp) as error:
                if not _says_absent(error):
                    raise
                lines = None
            self._ftp.voidcmd("TYPE I")  # listings are text; the next SIZE is to count bytes
        return None if lines is None else [line.rpartition("/")[2] for line in lines]

    def files(self, folder: str) -> dict[str, RemoteFile] | None:
        """Return the files in a folder by name, with size and time, by one MLSD; None if that does not tell them.

        A folder that is not there has no files.
        """
        files: dict[str, RemoteFile] | None
        with self._as_unavailable(folder):
            if self._has_mlsd is None:
                self._has_mlsd = self._announces_mlsd()
            if not self._has_mlsd:
                return None
            try:
                entries = [
                    (name, facts)
                    for name, facts in self._ftp.mlsd(f"{self._root}/{folder}")
                    if facts.get("type") == "file"
                ]
                files = {name: _file(f"{folder}/{name}", facts) for name, facts in entries}
            except (ftplib.error_perm, ftplib.error_temp) as error:
                files = {} if _says_absent(error) else None
            except KeyError:  # a server may leave out what it does not want to tell
                files = None
            self._ftp.voidcmd("TYPE I")  # as after every listing
        return files

    def read(self, path: str, sink: Sink, start: int = 0) -> None:
        """Hand the file's bytes from offset ``start`` (REST) on to ``sink``, piece by piece."""
        with self._as_unavailable(path, _kind_of_read):
            try:
                self._ftp.retrbinary(f"RETR {self._root}/{path}", sink, blocksize=CHUNK_BYTES, rest=start or None)
            except ftplib.error_perm as error:
                if start and str(error).startswith(_NOT_UNDERSTOOD):  # of the two commands it can only be REST
                    raise FromStartOnlyError(f"{self.url}/{path}: the server has no REST: {error}") from error
                raise

    def reconnect(self) -> None:
        """Hang up and log in again."""
        self._ftp.close()
        self._ftp = self._client()
        self.__enter__()

    def _keep_alive(self) -> None:
        """Let the connection tell that it is still there while only data flows: on the way, silence may end it."""
        if self._ftp.sock is not None:
            self._ftp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                self._ftp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_SECONDS)

    def _client(self) -> ftplib.FTP:
        if self._context is None:
            return ftplib.FTP(timeout=self._timeout_seconds, encoding="latin-1")  # noqa: S321 - JAXA serves so
        return _FtpTls(context=self._context, timeout=self._timeout_seconds, encoding="latin-1")

    def _listed(self, path: str) -> list[str]:
        """Return what a folder holds. What MLSD refuses, NLST is asked for: its answers are the ones that are known.

        A server may announce MLSD and refuse it all the same; RFC 3659 has it say 501 of what is no folder.
        """
        if self._has_mlsd is None:
            self._has_mlsd = self._announces_mlsd()
        if self._has_mlsd:
            try:
                return [name for name, facts in self._ftp.mlsd(path) if name and _is_entry(name, facts)]
            except ftplib.error_perm as error:
                self._has_mlsd = not str(error).startswith(_NOT_UNDERSTOOD)
        return self._ftp.nlst(path)

    def _announces_mlsd(self) -> bool:
        try:
            features = self._ftp.sendcmd("FEAT")
        except ftplib.error_perm:  # a server without FEAT lists all the same
            return False
        return any(line.strip().upper().startswith(_FEATURES_OF_MLSD) for line in features.splitlines())

    def _modified(self, path: str) -> datetime | None:
        try:
            answer = self._ftp.sendcmd(f"MDTM {self._root}/{path}")
        except ftplib.error_perm:  # a server without MDTM serves all the same
            return None
        return _time(answer[4:])

    def _as_unavailable(
        self, path: str | None = None, kind_of: Callable[[Exception], Unavailable] | None = None
    ) -> AbstractContextManager[None]:
        url = self.url if path is None else f"{self.url}/{path}"
        # OSErrors and EOFError are among them
        return as_unavailable(url, ftplib.all_errors, self._credentials, kind_of or _kind_of)


def _kind_of(error: Exception) -> Unavailable:
    """Tell what an error means: 425 and 426 are connections that broke, like those that end without a word."""
    is_refusal = isinstance(error, ftplib.error_perm) or _has_code(error, _TOO_MANY)
    return REFUSAL if is_refusal else BREAK


def _kind_of_read(error: Exception) -> Unavailable:
    """Tell what an error means to who asks for a file that the server has told the size of."""
    if _has_code(error, _FILE_BUSY):
        return ArchiveUnavailableError  # often for moments only
    if isinstance(error, ftplib.error_perm) and not _has_code(error, _NOT_LOGGED_IN):
        return NO_ARCHIVE
    return _kind_of(error)


def _has_code(error: Exception, code: str) -> bool:
    return isinstance(error, ftplib.Error) and str(error).startswith(code)


def _file(path: str, facts: Mapping[str, str]) -> RemoteFile:
    return RemoteFile(path, int(facts["size"]), _time(facts.get("modify", "")))


def _time(digits: str) -> datetime | None:
    """Return the time that MDTM and MLSD spell in 14 digits, of UTC."""
    try:
        return datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_entry(name: str, facts: Mapping[str, str]) -> bool:
    return name not in (".", "..") and facts.get("type", "").lower() not in _NOT_IN_FOLDER


def _says_absent(error: ftplib.Error) -> bool:
    answer = str(error)
    return _NO_SUCH_LISTING.match(answer) is not None or (
        answer.startswith(_NO_SUCH_FILE) and _REFUSAL.search(answer) is None
    )
