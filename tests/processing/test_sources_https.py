"""HTTPS on a real server that misbehaves in every way on request."""

from __future__ import annotations

import gzip
import logging
import os
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alos_mosaic.errors import ArchiveUnavailableError, OutputError, SourceUnavailableError, TileAbsentError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import Credentials, Source, SourceAccess
from local.archives import place_archive
from local.certificates import write_certificate
from local.jaxa_server import Account
from local.web_server import Answer, WebServer
from tests.processing.fetching import fetch

PATH = "data/archive.zip"
CONTENT = os.urandom(3_000_000)
LOGIN = Credentials("me", "s3crét")
ENCODED = b64encode("me:s3crét".encode()).decode()


@pytest.fixture
def root(mirror: Path) -> Path:
    (mirror / "data").mkdir()
    (mirror / PATH).write_bytes(CONTENT)
    return mirror


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path / "server.pem")


@pytest.fixture
def web(root: Path) -> Iterator[WebServer]:
    with WebServer(root) as server:
        yield server


@pytest.fixture
def source(web: WebServer) -> Iterator[Source]:
    with open_source(web.url, SourceAccess(timeout_seconds=0.5)) as source:
        yield source


def content(source: Source, path: str = PATH, start: int = 0) -> bytes:
    received: list[bytes] = []
    source.read(path, received.append, start)
    return b"".join(received)


def test_a_login_opens_an_encrypted_server(root: Path, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    modified = datetime.fromtimestamp(int((root / PATH).stat().st_mtime), UTC)
    with WebServer(root, account=Account("me", "s3crét"), certificate=certificate) as server:
        with open_source(server.url, SourceAccess(LOGIN, ca_file=certificate)) as source:
            remote = source.stat(PATH)
            assert remote is not None
            assert (remote.size_bytes, remote.modified, remote.etag) == (len(CONTENT), modified, '"2dc6c0"')
            assert source.stat("data/none.zip") is None
            assert content(source) == CONTENT
        for access in (SourceAccess(ca_file=certificate), SourceAccess(Credentials("me", "no"), ca_file=certificate)):
            with open_source(server.url, access) as source:
                for attempt in (lambda: source.stat(PATH), lambda: content(source)):
                    with pytest.raises(SourceUnavailableError, match="401 Unauthorized"):
                        attempt()
        with (
            open_source(server.url, SourceAccess(LOGIN)) as source,
            pytest.raises(SourceUnavailableError, match="certificate verify failed") as caught,
        ):
            source.stat(PATH)
    for secret in ("s3crét", ENCODED):
        assert secret not in caplog.text + str(caught.value) + repr(source) + repr(LOGIN)


def test_a_transfer_begins_where_it_is_told_to(web: WebServer, source: Source) -> None:
    assert content(source, start=2_999_990) == CONTENT[-10:]
    assert web.requests[-1].headers["Range"] == "bytes=2999990-"
    with pytest.raises(SourceUnavailableError, match="416"):
        content(source, start=len(CONTENT))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, body=CONTENT), "ignores Range"),
        (Answer(206, {"Content-Range": "bytes 0-2999999/3000000"}, CONTENT), "came bytes 0-2999999/3000000"),
        (Answer(206, {"Content-Range": "bytes 0-9,20-29/3000000"}, CONTENT), "asked for bytes from 10 on"),
        (Answer(206, body=CONTENT), "came others"),
    ],
)
def test_other_bytes_than_asked_for_are_not_taken(web: WebServer, source: Source, answer: Answer, reason: str) -> None:
    web.answers[f"/{PATH}"] = answer
    with pytest.raises(SourceUnavailableError, match=reason):
        source.read(PATH, lambda _: pytest.fail("bytes were handed out"), start=10)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 405, 410, 416, 418, 421, 429, 500, 502, 503, 504, 204, 206, 299, 999]
)
def test_only_404_means_that_there_is_no_such_file(web: WebServer, source: Source, status: int) -> None:
    web.answers[f"/{PATH}"] = Answer(status, body=b"" if status == 204 else b"an explanation")
    for attempt in (lambda: source.stat(PATH), lambda: content(source)):
        with pytest.raises(SourceUnavailableError, match=f"{web.url}/{PATH}: {status}"):
            attempt()
    assert source.stat("data/none.zip") is None
    with pytest.raises(SourceUnavailableError, match="404 Not Found"):
        content(source, "data/none.zip")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 416, 429, 500, 503])
def test_what_is_about_the_file_is_told_from_what_is_about_us_and_the_server(
    web: WebServer, source: Source, status: int
) -> None:
    web.answers[f"/{PATH}"] = Answer(status)
    is_about_file = status in (400, 404, 410, 416)
    with pytest.raises(SourceUnavailableError) as caught:
        content(source)
    assert type(caught.value) is (ArchiveUnavailableError if is_about_file else SourceUnavailableError)
    if status != 404:  # an answer
        with pytest.raises(SourceUnavailableError) as caught:
            source.stat(PATH)
        assert type(caught.value) is SourceUnavailableError, "nobody has told of the file yet"


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_a_server_that_says_no_is_not_asked_again(
    web: WebServer, mirror: Path, grid: Grid, tmp_path: Path, status: int
) -> None:
    tile = Tile.from_name("N25W165")
    archive = place_archive(mirror, tile, 2020, grid, cells=tile.cells[:1])
    web.answers[f"/{archive.relative_to(mirror)}"] = Answer(status, method="GET", is_once=True)
    with open_source(web.url) as source, pytest.raises(SourceUnavailableError, match=str(status)):
        fetch(source, TileYear(2020, tile), tmp_path, layouts_of(mission_of(2020)))
    assert [request.method for request in web.requests].count("GET") == 1


def test_folders_can_not_be_listed(source: Source) -> None:
    assert not source.can_list
    with pytest.raises(SourceUnavailableError, match="can't be listed"):
        source.names("data")


def test_a_login_page_is_no_archive(web: WebServer, source: Source) -> None:
    web.answers[f"/{PATH}"] = Answer(200, {"Content-Type": "Text/HTML; charset=utf-8"}, b"<html>Who are you?</html>")
    for attempt in (lambda: source.stat(PATH), lambda: content(source)):
        with pytest.raises(SourceUnavailableError, match="a web page came"):
            attempt()


def test_a_server_that_does_not_tell_the_size_is_unavailable(web: WebServer, source: Source) -> None:
    web.answers[f"/{PATH}"] = Answer(200, {"Content-Length": ""})
    with pytest.raises(SourceUnavailableError, match="does not tell the size"):
        source.stat(PATH)


def test_a_label_of_gzip_changes_no_byte(web: WebServer, source: Source) -> None:
    body = gzip.compress(b"a tar" * 1000)
    for label in ("gzip", "x-gzip", "deflate"):
        web.answers["/a.tar.gz"] = Answer(200, {"Content-Encoding": label}, body)
        remote = source.stat("a.tar.gz")
        assert remote is not None
        assert remote.size_bytes == len(body)
        assert content(source, "a.tar.gz") == body
    assert {request.headers["Accept-Encoding"] for request in web.requests} == {"identity"}


@pytest.mark.parametrize("sent_bytes", [0, 1, 1_500_000, 2_999_999])
def test_a_connection_that_breaks_is_unavailable(web: WebServer, source: Source, sent_bytes: int) -> None:
    web.answers[f"/{PATH}"] = Answer(200, body=CONTENT, sent_bytes=sent_bytes, method="GET")
    with pytest.raises(SourceUnavailableError, match=PATH):
        content(source)


def test_silence_is_unavailable(web: WebServer, source: Source) -> None:
    web.answers[f"/{PATH}"] = Answer(200, body=CONTENT, sent_bytes=1_000_000, silence_seconds=5, method="GET")
    with pytest.raises(SourceUnavailableError, match="timed out"):
        content(source)


def test_nobody_there_is_unavailable(root: Path) -> None:
    with WebServer(root) as server:
        url = server.url
    with open_source(url) as source, pytest.raises(SourceUnavailableError, match="refused"):
        source.stat(PATH)


def test_a_redirect_on_the_same_server_is_followed_with_the_login(root: Path) -> None:
    access = SourceAccess(LOGIN, allow_plain_login=True)
    with WebServer(root, account=Account("me", "s3crét")) as server, open_source(server.url, access) as source:
        for status in (301, 302, 303, 307, 308):
            server.answers["/old.zip"] = Answer(status, {"Location": f"/{PATH}"})
            assert source.stat("old.zip") is not None
            assert content(source, "old.zip", start=10) == CONTENT[10:]


def test_a_login_never_leaves_its_server(root: Path, certificate: Path, tmp_path: Path) -> None:
    with (
        WebServer(root, account=Account("me", "s3crét"), certificate=certificate) as server,
        WebServer(root, certificate=certificate) as other,
        open_source(server.url, SourceAccess(LOGIN, ca_file=certificate)) as source,
    ):
        elsewhere = other.url.replace("https://", "https://me:their-choice@")
        server.answers["/old.zip"] = Answer(302, {"Location": f"{elsewhere}/{PATH}?signature=s1gned"})
        other.answers[f"/{PATH}?signature=s1gned"] = Answer(200, body=CONTENT)
        assert content(source, "old.zip") == CONTENT
        assert "Authorization" in server.requests[-1].headers
        assert "Authorization" not in other.requests[-1].headers
        other.answers[f"/{PATH}?signature=s1gned"] = Answer(403)
        with pytest.raises(SourceUnavailableError, match="old.zip: 403") as caught:
            content(source, "old.zip")
        assert "s1gned" not in str(caught.value)


def test_a_redirect_to_an_open_connection_is_not_followed(root: Path, certificate: Path, web: WebServer) -> None:
    with (
        WebServer(root, certificate=certificate) as server,
        open_source(server.url, SourceAccess(LOGIN, ca_file=certificate)) as source,
    ):
        server.answers["/old.zip"] = Answer(302, {"Location": f"{web.url}/{PATH}"})
        with pytest.raises(SourceUnavailableError, match="not encrypted"):
            content(source, "old.zip")
    assert web.requests == []


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/old.zip", "more than 5 redirects"),
        (None, "nowhere"),
        ("file:///etc/passwd", "nowhere"),
        ("http://169.254.169.254/latest", "not encrypted"),
        ("ftp://host/x", "not encrypted"),
        ("https://[bad", "makes no sense"),
    ],
)
def test_redirects_that_lead_nowhere(web: WebServer, source: Source, location: str | None, reason: str) -> None:
    web.answers["/old.zip"] = Answer(302, {} if location is None else {"Location": location})
    with pytest.raises(SourceUnavailableError, match=reason):
        source.stat("old.zip")


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:4x4/x?sig=s1gned",
        "https://127.0.0.1:99999/x?sig=s1gned",
        "https://127.0.0.1:1/x?sig=s1gned",
        "https://[bad/x?sig=s1gned",
        "https://host\u2100.example/x?sig=s1gned",
        "https://a..b/x?sig=s1gned",
        "https://127.0.0.1 x/?sig=s1gned",
        "https://x%3Fsig=s1gned",
        "http://x%3Fsig=s1gned",
        "https:/x?sig=s1gned",
        "https://me:s1gned@[::1/x",
        "/x?sig=s1gned\x00\x7f",
        "?sig=s1gned",
        "//?sig=s1gned",
    ],
)
@pytest.mark.parametrize("method", ["stat", "read"])
def test_no_part_of_a_signed_redirect_is_told(
    web: WebServer, source: Source, location: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers["/old.zip"] = Answer(302, {"Location": location.encode().decode("latin-1")})
    told = ""
    try:
        if method == "stat":
            assert source.stat("old.zip") is None  # some are addresses at which there is nothing
        else:
            source.read("old.zip", bytes)
    except SourceUnavailableError as error:
        told = "".join(traceback.format_exception(error))
        assert "old.zip: " in told
    assert "s1gned" not in told + caplog.text


def test_what_a_sink_raises_passes_through(source: Source) -> None:
    def refuse(_: bytes) -> None:
        raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        source.read(PATH, refuse)
    assert content(source) == CONTENT


def test_a_tile_is_fetched_or_absent(web: WebServer, mirror: Path, grid: Grid, tmp_path: Path) -> None:
    tile = Tile.from_name("N25W165")
    archive = place_archive(mirror, tile, 2020, grid, cells=tile.cells[:1])
    with open_source(web.url) as source:
        found = fetch(source, TileYear(2020, tile), tmp_path, layouts_of(mission_of(2020)))
        assert (tmp_path / archive.name).read_bytes() == archive.read_bytes()
        assert found.modified is not None
        asked = TileYear(2020, Tile.from_name("N10E010"))
        with pytest.raises(SourceUnavailableError, match="moved"):
            fetch(source, asked, tmp_path, layouts_of(mission_of(2020)))
        place_archive(mirror, Tile.from_name("N05E010"), 2020, grid, cells=[])
        with pytest.raises(TileAbsentError):
            fetch(source, asked, tmp_path, layouts_of(mission_of(2020)))


def test_a_changed_length_is_noticed(web: WebServer, mirror: Path, grid: Grid, tmp_path: Path) -> None:
    tile = Tile.from_name("N25W165")
    archive = place_archive(mirror, tile, 2020, grid, cells=tile.cells[:1])
    web.answers[f"/{archive.relative_to(mirror)}"] = Answer(200, body=b"", method="GET")
    with open_source(web.url) as source, pytest.raises(SourceUnavailableError, match="0 bytes came of"):
        fetch(source, TileYear(2020, tile), tmp_path, layouts_of(mission_of(2020)))
