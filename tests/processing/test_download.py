"""Sources, on a real FTP server and on folders."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alos_mosaic.errors import ArchiveUnavailableError, OutputError, SourceUnavailableError, TileAbsentError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.download import Archive, Downloads
from alos_mosaic.processing.finding import find
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from local.archives import make_cell, place_archive, place_cell_archive
from local.jaxa_server import Account, Fault, JaxaServer
from tests.processing.fetching import fetch

TILE = Tile.from_name("N25W165")
ASKED = TileYear(2017, TILE)


@pytest.fixture
def archive(mirror: Path, grid: Grid) -> Path:
    return place_archive(mirror, TILE, 2017, grid, cells=TILE.cells[:1])


@pytest.fixture
def ftp(mirror: Path) -> Iterator[JaxaServer]:
    with JaxaServer(mirror) as server:
        yield server


def fetched(url: str, folder: Path, asked: TileYear = ASKED, credentials: Credentials | None = None) -> Archive:
    access = SourceAccess(credentials, allow_plain_login=True, timeout_seconds=2)
    with open_source(url, access) as source:
        return fetch(source, asked, folder, layouts_of(mission_of(asked.year)))


@pytest.mark.parametrize("scheme", ["ftp", "file"])
def test_an_archive_arrives_whole_with_its_provenance(
    scheme: str, archive: Path, mirror: Path, ftp: JaxaServer, tmp_path: Path
) -> None:
    url = ftp.url if scheme == "ftp" else mirror.as_uri()
    found = fetched(url, tmp_path)
    content = archive.read_bytes()
    if scheme == "file":
        assert not list(tmp_path.glob("*.tar.gz")), "what lies on this machine is read in place"
    else:
        assert (tmp_path / archive.name).read_bytes() == content
    assert found.size_bytes == archive.stat().st_size
    assert found.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found.modified == datetime.fromtimestamp(int(archive.stat().st_mtime), UTC)
    assert found.url == f"{url}/pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2017/N25W165_17_MOS_F02DAR.tar.gz"
    assert found.layout.name == "palsar-2-v1"


def test_ftp_is_passive_and_binary(archive: Path, ftp: JaxaServer, tmp_path: Path) -> None:
    fetched(ftp.url, tmp_path)
    names = ftp.names()
    assert {"PASV", "EPSV"} & set(names)
    assert "PORT" not in names
    types = [command.argument for command in ftp.commands if command.name == "TYPE"]
    assert types
    assert set(types) == {"I"}
    assert names[-1] == "QUIT"


def test_a_folder_below_the_servers_root_may_be_the_source(archive: Path, mirror: Path, tmp_path: Path) -> None:
    with JaxaServer(mirror.parent) as server:
        assert fetched(f"{server.url}/mirror/", tmp_path).size_bytes == archive.stat().st_size


def test_layouts_are_tried_in_order(archive: Path, mirror: Path, ftp: JaxaServer, tmp_path: Path) -> None:
    moved = mirror / "pub/ALOS-2/ext2/PALSAR-2_MSC/25m_MSC/2017" / archive.name
    moved.parent.mkdir(parents=True)
    archive.rename(moved)
    assert fetched(ftp.url, tmp_path).layout.name == "palsar-2-v1-ext2"


@pytest.mark.parametrize("scheme", ["ftp", "file"])
def test_absent_is_only_what_its_folder_lacks(
    scheme: str, archive: Path, mirror: Path, ftp: JaxaServer, tmp_path: Path
) -> None:
    url = ftp.url if scheme == "ftp" else mirror.as_uri()
    with pytest.raises(TileAbsentError, match="none of N10E010"):
        fetched(url, tmp_path, TileYear(2017, Tile.from_name("N10E010")))
    with pytest.raises(SourceUnavailableError, match="moved"):
        fetched(url, tmp_path, TileYear(2018, TILE))
    for reissue in ("N10E010_17_MOS_F03DAR.zip", "N10E010_2017_MOS_F02DAR.tar.gz"):
        (archive.parent / reissue).touch()
        with pytest.raises(SourceUnavailableError, match=f"lists .*/2017/{reissue}"):
            fetched(url, tmp_path, TileYear(2017, Tile.from_name("N10E010")))
        (archive.parent / reissue).unlink()
    archive.unlink()
    for junk in ("off", "list.zip", "N10E010_17_FNF_F02DAR.tar.gz"):
        (archive.parent / junk).touch()
    with pytest.raises(SourceUnavailableError, match="moved"):
        fetched(url, tmp_path)


def test_credentials_open_a_server_that_wants_them(archive: Path, mirror: Path, tmp_path: Path) -> None:
    with JaxaServer(mirror, account=Account("me", "secret")) as server:
        assert fetched(server.url, tmp_path, credentials=Credentials("me", "secret")).size_bytes
        for credentials in (None, Credentials("me", "wr0ng")):
            with pytest.raises(SourceUnavailableError, match="530") as caught:
                fetched(server.url, tmp_path, credentials=credentials)
            assert "wr0ng" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(Credentials("me", "secret"))


def test_a_server_that_is_full_is_unavailable(archive: Path, mirror: Path, tmp_path: Path) -> None:
    with (
        JaxaServer(mirror, max_connections=1) as server,
        open_source(server.url),
        pytest.raises(SourceUnavailableError, match="421"),
    ):
        fetched(server.url, tmp_path)


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceUnavailableError, match=f"127.0.0.1:{port}"):
        fetched(f"ftp://127.0.0.1:{port}", tmp_path)
    with pytest.raises(SourceUnavailableError, match="does not exist"):
        fetched((tmp_path / "nowhere").as_uri(), tmp_path)


def test_silence_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ftp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SourceUnavailableError, match="timed out"):
            fetched(url, tmp_path)


@contextmanager
def scripted_server(answers: dict[str, str], data: bytes = b"") -> Iterator[str]:
    """Serve clients with fixed answers by command; what answers 150 sends ``data`` and closes its connection."""
    control, passive = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    passive_port = passive.getsockname()[1]
    known = {
        "USER": "331 go on", "PASS": "230 in", "TYPE": "200 binary", "EPSV": f"229 on (|||{passive_port}|)",
        "PASV": f"227 on (127,0,0,1,{passive_port // 256},{passive_port % 256})", "QUIT": "221 bye",
        "MDTM": "213 20210316122000", "SIZE": "213 1000", "RETR": "150 here it comes", **answers,
    }  # fmt: skip

    def serve() -> None:
        while True:
            try:
                connection, _ = control.accept()
            except OSError:  # closed: that's all
                return
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    def serve_one(connection: socket.socket) -> None:
        with connection, connection.makefile("rw", newline="\r\n") as lines:
            print("220 hello", file=lines, flush=True)
            for line in lines:
                name = line.split()[0]
                print(known.get(name, "502 what?"), file=lines, flush=True)
                if known.get(name, "").startswith("150"):
                    with passive.accept()[0] as transfer:
                        transfer.sendall(data)
                    print(known.get("after", "226 done"), file=lines, flush=True)
                if name == "QUIT":
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"ftp://127.0.0.1:{control.getsockname()[1]}"
    finally:
        control.close()
        passive.close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({}, "0 bytes came of 1000"),
        ({"after": "426 connection closed"}, "426"),
        ({"RETR": "550 permission denied"}, "550"),
        ({"RETR": "425 can't open"}, "425"),
        ({"RETR": "450 busy"}, "450"),
        ({"SIZE": "530 not logged in"}, "530"),
        ({"SIZE": "421 too many"}, "421"),
        ({"SIZE": "213 many"}, "many"),
        ({"PASS": "530 no"}, "530"),
    ],
)
def test_whatever_stands_between_us_and_the_bytes_is_unavailable(
    answers: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with scripted_server(answers) as url, pytest.raises(SourceUnavailableError, match=reason):
        fetched(url, tmp_path)


DOWN = SourceUnavailableError
OWN = ArchiveUnavailableError


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"USER": "421 too many"}, DOWN),
        ({"PASS": "530 no"}, DOWN),
        ({"SIZE": "421 too many"}, DOWN),
        ({"SIZE": "550 permission denied"}, DOWN),
        ({"RETR": "421 too many"}, DOWN),
        ({"RETR": "425 can't open"}, DOWN),
        ({"RETR": "530 not logged in"}, DOWN),
        ({"after": "426 connection closed"}, DOWN),
        ({"RETR": "450 busy"}, OWN),
        ({"RETR": "550 no such file"}, OWN),
        ({"RETR": "550 permission denied"}, OWN),
        ({}, OWN),  # no byte of 1000, and 226
    ],
)
def test_a_source_that_is_down_is_told_from_an_archive_that_it_does_not_give(
    answers: dict[str, str], kind: type[SourceUnavailableError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the very class, whose name the state machine knows; what a server says no to is final."""
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    with scripted_server(answers) as url, pytest.raises(SourceUnavailableError) as caught:
        fetched(url, tmp_path)
    assert type(caught.value) is kind
    assert caught.value.is_final is any(code in str(caught.value) for code in (" 421 ", " 530 ", " 550 "))


@pytest.mark.parametrize("reply", ["421 Too many connections", "530 Not logged in", "550 No such file"])
def test_a_server_that_says_no_is_not_asked_again(reply: str, archive: Path, mirror: Path, tmp_path: Path) -> None:
    """Whoever invokes the worker again waits for a minute first, at random, and longer each time."""
    with (
        JaxaServer(mirror, faults=[Fault("RETR", reply, times=1)]) as server,
        pytest.raises(SourceUnavailableError, match=reply),
    ):
        fetched(server.url, tmp_path)
    assert (server.names().count("USER"), server.names().count("RETR")) == (1, 1)


def test_a_server_that_says_no_is_not_asked_for_the_tiles_other_archives(
    mirror: Path, grid: Grid, tmp_path: Path
) -> None:
    """However long who reads takes to notice."""
    cells = [place_cell_archive(mirror, make_cell(cell, 2017, grid), 2017) for cell in TILE.cells[:5]]
    busy = Fault("RETR", "421 Too many connections", ending=cells[1].name)
    with JaxaServer(mirror, faults=[busy]) as server, open_source(server.url) as source:
        with Downloads(source, find(source, ASKED, layouts_of(mission_of(2017))), tmp_path) as downloads:
            first, second, *others = downloads
            assert first.whole().size_bytes == cells[0].stat().st_size
            with pytest.raises(SourceUnavailableError, match="421"):
                second.whole()
            for download in others:
                with pytest.raises(SourceUnavailableError, match="given up"):
                    download.whole()
        assert len(others) == 3
    assert (server.names().count("USER"), server.names().count("RETR")) == (1, 2)


def test_more_bytes_than_were_announced_are_another_file(tmp_path: Path) -> None:
    with (
        scripted_server({"SIZE": "213 499"}, b"x" * 500) as url,
        pytest.raises(SourceUnavailableError, match="more bytes come than the 499"),
    ):
        fetched(url, tmp_path)


def test_a_transfer_that_breaks_goes_on_where_it_stopped(archive: Path, mirror: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    with JaxaServer(mirror, breaks=[100, 2000, 1]) as server:
        found = fetched(server.url, tmp_path)
        starts = [command.argument for command in server.commands if command.name == "REST"]
    assert starts == ["100", "2100", "2101"]
    assert (tmp_path / archive.name).read_bytes() == content
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_who_leaves_wants_nothing_more(mirror: Path, grid: Grid, tmp_path: Path) -> None:
    place_archive(mirror, Tile.from_name("N10E010"), 2017, grid, cells=[])
    for cell in TILE.cells[:3]:
        place_cell_archive(mirror, make_cell(cell, 2017, grid), 2017)
    with (
        pytest.MonkeyPatch.context() as patch,
        JaxaServer(mirror, breaks=[100]) as server,
        open_source(server.url) as source,
    ):
        patch.setattr(random, "uniform", lambda *_: 60.0)  # the broken transfer waits for longer than we stay
        with Downloads(source, find(source, ASKED, layouts_of(mission_of(2017))), tmp_path) as downloads:
            first, *others = downloads
            assert first.wait_for(99)
        assert len(others) == 2
        for download in others:
            with pytest.raises(SourceUnavailableError, match="given up"):
                download.whole()
    assert (server.names().count("USER"), server.names().count("RETR")) == (1, 1)


def test_a_transfer_without_its_last_word_is_whole(archive: Path, mirror: Path, tmp_path: Path) -> None:
    with JaxaServer(mirror, keeps_quiet=True) as server:
        assert fetched(server.url, tmp_path).size_bytes == archive.stat().st_size
        assert "REST" not in server.names()


def test_a_server_that_can_not_begin_in_the_middle_sends_all_again(archive: Path, mirror: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    with JaxaServer(mirror, breaks=[100, 2000], lacks=["REST"]) as server:
        found = fetched(server.url, tmp_path)
        assert server.sent_bytes == 100 + 2000 + len(content)
    assert (tmp_path / archive.name).read_bytes() == content
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_breaks_ahead_of_the_first_new_byte_end_it(archive: Path, mirror: Path, tmp_path: Path) -> None:
    """What comes once more is no progress."""
    with (
        JaxaServer(mirror, breaks=[100, 100, 50, 99, 1 << 40], lacks=["REST"]) as server,
        pytest.raises(SourceUnavailableError, match=archive.name),
    ):
        fetched(server.url, tmp_path)
    assert server.names().count("RETR") == 4


def test_what_is_sent_again_is_compared(archive: Path, mirror: Path, tmp_path: Path) -> None:
    """Of a server that tells no times, a file of the same size in its place shows by nothing else."""

    def change(*_: object) -> float:
        archive.write_bytes(b"other" + archive.read_bytes()[5:])
        return 0.0

    with (
        pytest.MonkeyPatch.context() as patch,
        JaxaServer(mirror, breaks=[100], lacks=["REST", "MDTM"]) as server,
        pytest.raises(SourceUnavailableError, match="has changed while it was fetched"),
    ):
        patch.setattr(random, "uniform", change)
        fetched(server.url, tmp_path)


def test_a_file_that_changes_meanwhile_is_another_file(archive: Path, mirror: Path, tmp_path: Path) -> None:
    def change(*_: object) -> float:
        archive.write_bytes(archive.read_bytes() + b"more")
        return 0.0

    with (
        pytest.MonkeyPatch.context() as patch,
        JaxaServer(mirror, breaks=[100]) as server,
        pytest.raises(SourceUnavailableError, match="has changed while it was fetched"),
    ):
        patch.setattr(random, "uniform", change)
        fetched(server.url, tmp_path)


@pytest.mark.parametrize("answer", ["502 what?", "213 yesterday"])
def test_a_server_without_file_times_serves_all_the_same(answer: str, tmp_path: Path) -> None:
    with scripted_server({"MDTM": answer}, b"x" * 1000) as url:
        found = fetched(url, tmp_path)
    assert (found.size_bytes, found.modified) == (1000, None)


def test_a_disk_that_refuses_is_not_the_sources_fault(archive: Path, ftp: JaxaServer, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / archive.name).symlink_to("/dev/full")
    with pytest.raises(OutputError, match=re.escape(archive.name)):
        fetched(ftp.url, full)
