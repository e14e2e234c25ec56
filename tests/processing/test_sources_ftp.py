"""FTPS on a real server, and what FTP servers say that is easily misread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.processing.sources.ftp import FtpSource
from alos_mosaic.processing.sources.listed import listed
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from local.certificates import write_certificate
from local.jaxa_server import Account, Fault, JaxaServer
from tests.processing.test_download import scripted_server

CONTENT = os.urandom(3_000_000)
PATH = "pub/2020/archive.zip"


@pytest.fixture
def root(mirror: Path) -> Path:
    (mirror / PATH).parent.mkdir(parents=True)
    (mirror / PATH).write_bytes(CONTENT)
    return mirror


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path / "server.pem")


def test_ftps_encrypts_commands_and_data_alike(root: Path, certificate: Path) -> None:
    access = SourceAccess(Credentials("me", "s3cret"), timeout_seconds=5, ca_file=certificate)
    received: list[bytes] = []
    with JaxaServer(root, account=Account("me", "s3cret"), certificate=certificate) as server:
        assert server.url.startswith("ftps://")
        with open_source(server.url, access) as source:
            remote = source.stat(PATH)
            assert remote is not None
            assert remote.size_bytes == len(CONTENT)
            assert source.stat("pub/2020/none.zip") is None
            assert source.names("pub/2020") == ["archive.zip"]
            assert source.names("pub/2021") is None
            source.read(PATH, received.append)
            source.read(PATH, received.append, start=len(CONTENT) - 10)
        names = server.names()
    assert b"".join(received) == CONTENT + CONTENT[-10:]
    assert names.index("AUTH") < names.index("USER")
    assert names.index("PROT") < min(names.index(name) for name in ("SIZE", "RETR", "MLSD"))


def test_a_certificate_nobody_vouches_for_is_refused(root: Path, certificate: Path, tmp_path: Path) -> None:
    other = write_certificate(tmp_path / "other.pem", "127.0.0.2")
    with JaxaServer(root, certificate=certificate) as server:
        for ca_file in (None, other):
            source = open_source(server.url, SourceAccess(ca_file=ca_file, timeout_seconds=5))
            with pytest.raises(SourceUnavailableError, match="certificate verify failed"), source:
                pass
        assert "USER" not in server.names()
    with JaxaServer(root, certificate=other) as server:
        source = open_source(server.url, SourceAccess(ca_file=other, timeout_seconds=5))
        with pytest.raises(SourceUnavailableError, match="IP address mismatch"), source:
            pass


def test_a_server_without_tls_gets_no_password(root: Path) -> None:
    with JaxaServer(root, account=Account("me", "s3cret")) as server:
        url = server.url.replace("ftp://", "ftps://")
        with (
            pytest.raises(SourceUnavailableError, match="AUTH"),
            open_source(url, SourceAccess(Credentials("me", "s3cret"), timeout_seconds=5)),
        ):
            pass
        assert not {"USER", "PASS"} & set(server.names())


def test_a_transfer_begins_where_it_is_told_to(root: Path) -> None:
    received: list[bytes] = []
    with JaxaServer(root) as server, open_source(server.url) as source:
        source.read(PATH, received.append, start=1_000_000)
        assert "REST" in server.names()
    assert b"".join(received) == CONTENT[1_000_000:]


def test_a_server_that_can_not_begin_in_the_middle_says_so() -> None:
    with (
        scripted_server({"REST": "502 what?"}) as url,
        open_source(url, SourceAccess(timeout_seconds=2)) as source,
        pytest.raises(SourceUnavailableError, match="502"),
    ):
        source.read(PATH, bytes, start=10)


@pytest.mark.parametrize(
    ("answer", "is_absent"),
    [
        ("550 No such file or directory", True),
        ("550 Could not get file size.", True),
        ("550 Permission denied", False),
        ("550 Access is denied.", False),
        ("550 Not enough privileges.", False),
        ("550 SIZE not allowed in ASCII mode", False),
        ("553 name?", False),
        ("213 -1", False),
    ],
)
def test_absent_is_told_from_refused_by_the_words_behind_550(answer: str, is_absent: bool) -> None:
    with (
        scripted_server({"SIZE": answer}) as url,
        open_source(url, SourceAccess(timeout_seconds=2)) as source,
    ):
        if is_absent:
            assert source.stat(PATH) is None
            return
        with pytest.raises(SourceUnavailableError):
            source.stat(PATH)


@pytest.mark.parametrize(
    ("answer", "is_absent"),
    [
        ("550 No such directory.", True),
        ("450 pub/2020: No such file or directory", True),
        ("450 busy", False),
        ("550 Permission denied.", False),
        ("550 pub/2020: Operation not permitted", False),
        ("530 log in", False),
    ],
)
def test_a_listing_that_is_refused_is_no_empty_folder(answer: str, is_absent: bool) -> None:
    with (
        scripted_server({"NLST": answer}) as url,
        open_source(url, SourceAccess(timeout_seconds=2)) as source,
    ):
        if is_absent:
            assert source.names("pub/2020") is None
            return
        with pytest.raises(SourceUnavailableError):
            source.names("pub/2020")


FEATURES = "211-Features:\n MDTM\n MLST type*;size*;modify*;\n211 End"


@pytest.mark.parametrize(
    ("lacks", "asked"),
    [
        ((), ["FEAT", "MLSD", "MLSD", "MLSD", "NLST"]),  # of the folder that is not there it says 501
        (("MLSD", "MLST"), ["FEAT", "NLST", "NLST", "NLST"]),  # it doesn't announce MLSD then
        (("MLSD",), ["FEAT", "MLSD", "NLST", "NLST", "NLST"]),  # it announces MLSD, and refuses it
        (("FEAT",), ["FEAT", "NLST", "NLST", "NLST"]),
    ],
    ids=["mlsd", "no mlsd", "mlsd refused", "no feat"],
)
def test_folders_are_listed_by_mlsd_where_there_is_one(root: Path, lacks: tuple[str, ...], asked: list[str]) -> None:
    (root / "pub/2020/N00E000").mkdir()
    (root / "pub/2020/off").touch()
    with JaxaServer(root, lacks=lacks) as server, open_source(server.url) as source:
        assert sorted(source.names("pub/2020") or ()) == ["N00E000", "archive.zip", "off"]
        assert source.names("pub/2020/N00E000") == []
        assert source.names("pub/2021") is None
        remote = source.stat(PATH)
        assert remote is not None
        assert remote.size_bytes == len(CONTENT)
        assert [name for name in server.names() if name in ("FEAT", "MLSD", "NLST")] == asked


def test_what_mlsd_tells_beside_the_entries_is_passed_over() -> None:
    lines = [
        "type=cdir;modify=20210328000000; /pub/2020", "Type=pdir; ..", "type=dir; .", "type=file; ..",
        "type=dir;modify=20210328000000; N00E000", "type=file;size=1; a name of words.zip", "junk", "",
        "type=OS.unix=slink:/elsewhere; link.zip", "size=1; /pub/2020/whole-path.zip",
    ]  # fmt: skip
    data = "\r\n".join([*lines, ""]).encode()
    answers = {"FEAT": FEATURES, "MLSD": "150 here it comes"}
    with scripted_server(answers, data) as url, open_source(url, SourceAccess(timeout_seconds=2)) as source:
        assert source.names("pub/2020") == ["N00E000", "a name of words.zip", "link.zip", "whole-path.zip"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"MLSD": "550 Permission denied", "NLST": "550 Permission denied"}, "pub/2020: 550 Permission denied"),
        ({"MLSD": "550 Operation not permitted", "NLST": "502 what?"}, "pub/2020: 502"),
        ({"MLSD": "530 log in"}, "pub/2020: 502"),
        ({"MLSD": "425 no connection"}, "pub/2020: 425"),
        ({"MLSD": "150 here it comes", "after": "426 broken off"}, "pub/2020: 426"),
        ({"FEAT": "421 too many"}, "pub/2020: 421"),
    ],
)
def test_a_refused_mlsd_is_no_empty_folder(answers: dict[str, str], reason: str) -> None:
    with (
        scripted_server({"FEAT": FEATURES, **answers}, b"type=file; a\r\n") as url,
        open_source(url, SourceAccess(timeout_seconds=2)) as source,
        pytest.raises(SourceUnavailableError, match=reason),
    ):
        source.names("pub/2020")


def test_a_server_that_quotes_the_password_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    access = SourceAccess(Credentials("me", "s3cret"), allow_plain_login=True, timeout_seconds=2)
    with (
        scripted_server({"PASS": "530 the password s3cret is wrong"}) as url,
        pytest.raises(SourceUnavailableError, match=r"530 the password \*\*\* is wrong") as caught,
        open_source(url, access),
    ):
        pass
    assert caught.value.__suppress_context__
    assert "s3cret" not in str(caught.value) + repr(caught.value) + repr(access) + caplog.text


def test_one_listing_tells_of_all_files_what_size_and_mdtm_tell_of_one(root: Path) -> None:
    folder, _, name = PATH.rpartition("/")
    with JaxaServer(root) as server, FtpSource(server.url, SourceAccess()) as source:
        told = source.stat(PATH)
        assert told is not None
        assert source.files(folder) == {name: told}
        assert source.files("pub/1999") is None, "MLSD's 501 may mean anything"
        server.commands.clear()
        asked = listed(source)
        assert [asked.stat(PATH), asked.stat(f"{folder}/nothing"), asked.stat(PATH)] == [told, None, told]
        assert server.names().count("MLSD") == 1
        assert not {"SIZE", "MDTM"} & set(server.names())


@pytest.mark.parametrize("lacks", [(), ("MLSD", "MLST")])
def test_a_listing_that_tells_no_sizes_leaves_it_to_size_and_mdtm(root: Path, lacks: tuple[str, ...]) -> None:
    """RFC 3659 has a server say 501 of what it takes for no folder."""
    refused = Fault("MLSD", "501 not a folder")
    with (
        JaxaServer(root, faults=[refused], lacks=lacks) as server,
        FtpSource(server.url, SourceAccess()) as source,
    ):
        assert source.files("pub/2020") is None
        told = source.stat(PATH)
        assert told is not None
        assert listed(source).stat(PATH) == told
