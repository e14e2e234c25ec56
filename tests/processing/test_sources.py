"""Which URLs are sources, and what no source may do."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from alos_mosaic.errors import InvalidRequestError, SourceUnavailableError
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess

LOGIN = Credentials("me", "s3cret")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:s3cret@host",
        "https://s3cret@host/a",
        "ftp//me:s3cret@host",
        "https://host/a?token=s3cret",
        "https://host/a#s3cret",
        "gopher://host",
        "ftp://",
        "ftp://host:port",
        "ftp://me:s3cret@host:port",
        "ftp://me:s3cret@ho\u2100st",
        "ftp://host/a%00b",
        "ftp://[::1",
        "https:///path",
        "/a/folder",
        "",
        "file://host/folder",
        "s3://bucket",
        "s3:///prefix",
        "http://www.eorc.jaxa.jp/ALOS",
    ],
)
def test_what_is_no_source_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        open_source(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "can_list"),
    [
        ("ftp://host/pub", True),
        ("ftps://host:2121", True),
        ("https://host/data/", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
        ("s3://bucket/prefix/", True),
        ("file:///mirror", True),
    ],
)
def test_a_source_shows_its_url_and_whether_it_lists(url: str, can_list: bool) -> None:
    source = open_source(url, SourceAccess(s3=boto3.client("s3")))
    assert (source.url, source.can_list) == (url.rstrip("/"), can_list)


@pytest.mark.parametrize("url", ["ftp://host", "FTP://host", "http://localhost"])
def test_a_password_goes_unencrypted_only_where_that_is_allowed(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="unencrypted"):
        open_source(url, SourceAccess(LOGIN))
    assert open_source(url, SourceAccess(LOGIN, allow_plain_login=True)).url
    assert open_source(url).url


def test_a_mirror_on_this_machine(mirror: Path) -> None:
    (mirror / "pub").mkdir()
    (mirror / "pub/file").write_bytes(b"0123456789")
    with open_source(mirror.as_uri()) as source:
        received: list[bytes] = []
        source.read("pub/file", received.append, start=4)
        assert received == [b"456789"]
        assert source.names("pub") == ["file"]
        assert source.names("none") is source.names("pub/file") is None
        assert source.stat("pub") is source.stat("pub/none") is source.stat("pub/file/none") is None
        with pytest.raises(SourceUnavailableError, match="pub/none"):
            source.read("pub/none", bytes)


def test_a_folder_we_may_not_see_is_not_absent(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    source = open_source(mirror.as_uri())
    for ask in (source.stat, source.names):
        with pytest.raises(SourceUnavailableError, match="Permission denied"):
            ask("pub")
