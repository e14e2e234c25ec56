"""The look-alike of JAXA's FTP server, seen by a plain ftplib client."""

import ftplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.jaxa_server import Account, Command, Fault, JaxaServer

ARCHIVE = "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz"
CONTENT = bytes(range(256)) * 800


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    path = tmp_path / ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path


@contextmanager
def client_of(server: JaxaServer, user: str = "", password: str = "") -> Iterator[ftplib.FTP]:
    with ftplib.FTP(timeout=10) as client:  # noqa: S321 - what JAXA speaks
        client.connect(server.host, server.port)
        client.login(user, password)
        yield client


def download(client: ftplib.FTP, path: str, rest: int | None = None) -> bytes:
    blocks: list[bytes] = []
    client.retrbinary(f"RETR {path}", blocks.append, rest=rest)
    return b"".join(blocks)


def test_a_passive_download_brings_the_same_bytes(mirror: Path) -> None:
    with JaxaServer(mirror) as server, client_of(server) as client:
        assert download(client, f"/{ARCHIVE}") == CONTENT
        assert download(client, ARCHIVE, rest=1000) == CONTENT[1000:]
        names = server.names()
    assert Command("TYPE", "I") in server.commands
    assert {"PASV", "EPSV"} & set(names)
    assert not {"PORT", "EPRT"} & set(names)
    assert Command("PASS", "***") in server.commands


def test_size_time_and_listing(mirror: Path) -> None:
    folder, name = ARCHIVE.rsplit("/", 1)
    with JaxaServer(mirror) as server, client_of(server) as client:
        client.voidcmd("TYPE I")
        assert client.size(ARCHIVE) == len(CONTENT)
        modified = time.gmtime((mirror / ARCHIVE).stat().st_mtime)
        assert client.voidcmd(f"MDTM {ARCHIVE}") == f"213 {time.strftime('%Y%m%d%H%M%S', modified)}"
        listing = dict(client.mlsd(folder))
        assert listing[name]["size"] == str(len(CONTENT))
        assert "REST STREAM" in client.voidcmd("FEAT")


def test_what_is_not_there_is_550(mirror: Path) -> None:
    with JaxaServer(mirror) as server, client_of(server) as client:
        client.voidcmd("TYPE I")
        for attempt in (lambda: download(client, "pub/none"), lambda: client.size("pub/none")):
            with pytest.raises(ftplib.error_perm, match="^550"):
                attempt()


def test_nothing_can_be_written(mirror: Path) -> None:
    with JaxaServer(mirror) as server, client_of(server) as client, pytest.raises(ftplib.error_perm, match="^550"):
        client.delete(ARCHIVE)
    assert (mirror / ARCHIVE).exists()


def test_an_account_keeps_others_out(mirror: Path) -> None:
    with JaxaServer(mirror, account=Account("alos", "secret")) as server:
        with client_of(server, "alos", "secret") as client:
            assert download(client, ARCHIVE) == CONTENT
        for user, password in (("alos", "wrong"), ("", "")):
            with pytest.raises(ftplib.error_perm, match="^530"), client_of(server, user, password):
                pass


def test_one_connection_too_many_is_421(mirror: Path) -> None:
    with JaxaServer(mirror, max_connections=2) as server:
        with client_of(server), client_of(server) as client:
            with pytest.raises(ftplib.error_temp, match="^421"), client_of(server):
                pass
            assert download(client, ARCHIVE) == CONTENT
        with client_of(server) as client:
            assert download(client, ARCHIVE) == CONTENT


def test_transfers_can_be_slow(mirror: Path) -> None:
    with JaxaServer(mirror, bytes_per_second=50_000) as server, client_of(server) as client:
        start = time.monotonic()
        assert download(client, ARCHIVE) == CONTENT
    assert time.monotonic() - start > 0.5


def test_the_port_is_closed_after_the_block(mirror: Path) -> None:
    with JaxaServer(mirror) as server:
        address = server.host, server.port
        assert server.url == f"ftp://127.0.0.1:{server.port}"
        with client_of(server):
            server.stop()
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    with pytest.raises(RuntimeError):
        server.port  # noqa: B018


def test_servers_do_not_share_what_they_saw(mirror: Path) -> None:
    with JaxaServer(mirror) as one, JaxaServer(mirror) as other, client_of(one):
        assert other.commands == []
        assert one.names()[:2] == ["USER", "PASS"]


def test_faults_happen_in_their_order_and_as_often_as_told(mirror: Path) -> None:
    faults = [
        Fault("SIZE", "450 Busy", times=1),
        Fault("SIZE", "213 7", ending=".tar.gz", times=1),
        Fault("RETR", at_byte=100, reply="426 Gone", times=1),
    ]
    with JaxaServer(mirror, faults=faults) as server, client_of(server) as client:
        with pytest.raises(ftplib.error_temp, match="450 Busy"):
            client.size(ARCHIVE)
        client.voidcmd("TYPE I")
        assert [client.size(ARCHIVE) for _ in range(2)] == [7, len(CONTENT)]
        blocks: list[bytes] = []
        with pytest.raises(ftplib.error_temp, match="426 Gone"):
            client.retrbinary(f"RETR {ARCHIVE}", blocks.append, rest=30)
        assert b"".join(blocks) == CONTENT[30:100]
        assert download(client, ARCHIVE) == CONTENT


def test_a_forgotten_server_does_not_keep_python_alive(mirror: Path) -> None:
    code = (
        f"from pathlib import Path; from local.jaxa_server import JaxaServer; JaxaServer(Path({str(mirror)!r})).start()"
    )
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
