"""A mirror in S3, on moto, and S3's refusals by stubs."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from alos_mosaic.errors import ArchiveUnavailableError, SourceUnavailableError, TileAbsentError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import layouts_of
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import FromStartOnlyError, SourceAccess
from tests.processing.fetching import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

FOLDER = "pub/2020"
PATH = f"{FOLDER}/archive.zip"
CONTENT = bytes(range(256)) * 10


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="mirror")
        client.put_object(Bucket="mirror", Key=f"jaxa/{PATH}", Body=CONTENT, ContentEncoding="gzip")
        client.put_object(Bucket="mirror", Key=f"jaxa/{FOLDER}/N10E010/cell.zip", Body=b"")
        yield client


def test_files_folders_and_what_is_neither(s3: S3Client) -> None:
    with open_source("s3://mirror/jaxa/", SourceAccess(s3=s3)) as source:
        remote = source.stat(PATH)
        assert remote is not None
        assert remote.size_bytes == len(CONTENT)
        assert remote.modified is not None
        assert remote.etag
        assert source.stat("pub/2020/archive") is source.stat("pub/2020/none") is source.stat(FOLDER) is None
        assert sorted(source.names(FOLDER) or ()) == ["N10E010", "archive.zip"]
        assert source.names("pub/202") is source.names("pub/2021") is None
        received: list[bytes] = []
        source.read(PATH, received.append)
        source.read(PATH, received.append, start=len(CONTENT) - 4)
    assert b"".join(received) == CONTENT + CONTENT[-4:]


def test_a_bucket_or_key_that_is_gone_is_unavailable(s3: S3Client, tmp_path: Path) -> None:
    with open_source("s3://nowhere", SourceAccess(s3=s3)) as source:
        for ask in (source.stat, source.names, lambda path: source.read(path, bytes)):
            with pytest.raises(SourceUnavailableError, match=f"s3://nowhere/{PATH}.*NoSuchBucket"):
                ask(PATH)
    with open_source("s3://mirror", SourceAccess(s3=s3)) as source:
        with pytest.raises(SourceUnavailableError, match="NoSuchKey"):
            source.read(PATH, bytes)
        with pytest.raises(SourceUnavailableError, match="moved"):
            fetch(source, TileYear(2020, Tile.from_name("N10E010")), tmp_path, layouts_of(mission_of(2020)))


def test_absent_is_only_what_its_folder_lacks(s3: S3Client, tmp_path: Path) -> None:
    folder = "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2020"
    s3.put_object(Bucket="mirror", Key=f"{folder}/N25W165_20_MOS_F02DAR.tar.gz", Body=CONTENT)
    with open_source("s3://mirror", SourceAccess(s3=s3)) as source:
        archive = fetch(source, TileYear(2020, Tile.from_name("N25W165")), tmp_path, layouts_of(mission_of(2020)))
        assert archive.url == f"s3://mirror/{folder}/N25W165_20_MOS_F02DAR.tar.gz"
        assert (tmp_path / "N25W165_20_MOS_F02DAR.tar.gz").read_bytes() == CONTENT
        with pytest.raises(TileAbsentError):
            fetch(source, TileYear(2020, Tile.from_name("N10E010")), tmp_path, layouts_of(mission_of(2020)))


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InvalidRange", "InternalError", "ExpiredToken"])
def test_refusals_are_unavailable(code: str) -> None:
    client = boto3.client("s3")
    with Stubber(client) as stub, open_source("s3://mirror", SourceAccess(s3=client)) as source:
        for operation in ("list_objects_v2", "list_objects_v2", "get_object"):
            stub.add_client_error(operation, code)
        for ask in (source.stat, source.names, lambda path: source.read(path, bytes, start=1)):
            with pytest.raises(SourceUnavailableError, match=code):
                ask(PATH)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ArchiveUnavailableError), (416, ArchiveUnavailableError), (403, SourceUnavailableError),
     (503, SourceUnavailableError)],
)  # fmt: skip
def test_an_object_that_is_listed_and_not_there_is_told_from_a_bucket_that_refuses(
    status: int, kind: type[SourceUnavailableError]
) -> None:
    client = boto3.client("s3")
    with Stubber(client) as stub, open_source("s3://mirror", SourceAccess(s3=client)) as source:
        stub.add_client_error("get_object", "SomeCode", http_status_code=status)
        with pytest.raises(SourceUnavailableError, match="SomeCode") as caught:
            source.read(PATH, bytes)
    assert type(caught.value) is kind
    assert caught.value.is_final


@pytest.mark.parametrize("pays", [True, False])
def test_who_pays_is_said_with_every_request(pays: bool) -> None:
    client = boto3.client("s3")
    payer: dict[str, Any] = {"RequestPayer": "requester"} if pays else {}
    access = SourceAccess(requester_pays=pays, s3=client)
    with Stubber(client) as stub, open_source("s3://mirror", access) as source:
        stub.add_response("list_objects_v2", {}, {"Bucket": "mirror", "Prefix": PATH, "MaxKeys": 1, **payer})
        stub.add_response("list_objects_v2", {}, {"Bucket": "mirror", "Prefix": "pub/", "Delimiter": "/", **payer})
        body = StreamingBody(BytesIO(CONTENT), len(CONTENT))
        stub.add_response("get_object", {"Body": body}, {"Bucket": "mirror", "Key": PATH, **payer})
        assert source.stat(PATH) is None
        assert source.names("pub") is None
        source.read(PATH, bytes)
        stub.assert_no_pending_responses()


def test_a_body_that_breaks_off_or_starts_elsewhere_is_unavailable() -> None:
    client = boto3.client("s3")
    with Stubber(client) as stub, open_source("s3://mirror", SourceAccess(s3=client)) as source:
        stub.add_response("get_object", {"Body": StreamingBody(BytesIO(b"half"), 8)})
        stub.add_response("get_object", {"Body": StreamingBody(BytesIO(b"whole"), 5)})
        with pytest.raises(SourceUnavailableError, match="4 read"):
            source.read(PATH, bytes)
        with pytest.raises(FromStartOnlyError, match="ignores Range"):
            source.read(PATH, bytes, start=2)


def test_nobody_there_is_unavailable() -> None:
    config = boto3.session.Config(retries={"max_attempts": 0}, connect_timeout=1)
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:9", config=config)
    with (
        open_source("s3://mirror", SourceAccess(s3=client)) as source,
        pytest.raises(SourceUnavailableError, match="Could not connect"),
    ):
        source.stat(PATH)
