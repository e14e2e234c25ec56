"""Targets: a folder, and S3 as moto has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from alos_mosaic.errors import InvalidRequestError, PublishError
from alos_mosaic.processing.checksums import from_multihash, sha256_of, to_multihash
from alos_mosaic.processing.publish import FileToPut, Target, open_target
from alos_mosaic.processing.standing import Expected, look

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


EXPECTED = Expected("the-id", (10, 10), {"hh": "T_20_sl_HH", "vh": "T_20_sl_VH"}, frozenset({"hh"}), "T_20.yaml")


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="out")
        yield client


@pytest.fixture(params=["file", "s3", "s3-prefix"])
def target(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Client) -> Target:
    uris = {"file": (tmp_path / "out").as_uri(), "s3": "s3://out", "s3-prefix": "s3://out/some/folder/"}
    return open_target(uris[request.param], s3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def put(target: Target, file: Path, key: str) -> None:
    target.put(FileToPut(file, key, "text/plain", sha256_of(file)))


def test_what_was_put_is_there(target: Target, file: Path) -> None:
    assert target.read("a/key") is None
    assert target.stat("a/key") is None
    put(target, file, "a/key")
    put(target, file, "a/deeper/key")
    assert target.names("a") == {"key"}
    assert target.names("b") == set()
    assert target.read("a/key") == b"content"
    found = target.stat("a/key")
    assert found is not None
    assert (found.size_bytes, found.sha256) == (7, sha256_of(file))
    assert target.uri("a/key").endswith("/a/key")


def test_s3_keys_lie_below_the_prefix(s3: S3Client, file: Path) -> None:
    put(open_target("s3://out/some/folder/", s3), file, "a/key")
    head = s3.head_object(Bucket="out", Key="some/folder/a/key")
    assert head["ContentType"] == "text/plain"


def test_a_folder_shows_no_scratch(tmp_path: Path, file: Path) -> None:
    target = open_target((tmp_path / "out").as_uri(), None)
    put(target, file, "a/key")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["a", "key"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_missing_bucket_is_a_publish_error(s3: S3Client, file: Path) -> None:
    with pytest.raises(PublishError, match="s3://nowhere/key"):
        put(open_target("s3://nowhere", s3), file, "key")
    with pytest.raises(PublishError):
        open_target("s3://nowhere", s3).read("key")


def test_forbidden_is_never_missing(s3: S3Client) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("head_object", "403", http_status_code=403)
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
        target = open_target("s3://out", s3)
        with pytest.raises(PublishError, match="403"):
            target.stat("key")
        with pytest.raises(PublishError, match="AccessDenied"):
            target.read("key")
        with pytest.raises(PublishError, match="AccessDenied"):
            look(target, "tile/item.json").is_whole(target, EXPECTED)


def test_a_missing_item_is_never_asked_for(s3: S3Client) -> None:
    """Where listing is limited to a prefix, S3 may answer 403 for a missing key."""
    with Stubber(s3) as stub:
        stub.add_response("list_objects_v2", {"KeyCount": 0})
        target = open_target("s3://out", s3)
        assert not look(target, "tile/item.json").is_whole(target, EXPECTED)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://host/x",
        "s3://",
        "/folder",
        "",
        "file://host/x",
        "file:x",
        "file:///a#b",
        "s3://b/p?c",
        "s3://[",
        "file:///a%00",
        "s3://me:s3cret@bucket",
        "s3//me:s3cret@bucket",
        "s3://bucket/a?token=s3cret",
    ],
)
def test_what_is_no_target_is_refused_without_its_secrets(uri: str, s3: S3Client) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        open_target(uri, s3)
    assert "s3cret" not in str(caught.value)


def item(file: Path, **changes: Any) -> bytes:
    asset = {"href": "./T_20_sl_HH.tif", "file:size": 7, "file:checksum": to_multihash(sha256_of(file)), **changes}
    return json.dumps({"id": "the-id", "properties": {"proj:shape": [10, 10]}, "assets": {"hh": asset}}).encode()


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        ({}, True),
        ({"file:size": 8}, False),
        ({"file:checksum": to_multihash("0" * 64)}, False),
        ({"file:checksum": "no multihash"}, False),
        ({"href": "./T_20_sl_HH_F02DAR.tif"}, False),
        ({"href": "./T_20_sl_HV.tif"}, False),
        ({"href": "https://elsewhere.example/T_20_sl_HH.tif"}, False),
        ({"href": "./T_20_sl_HH/../../T_20_sl_HH.tif"}, False),
        ({"href": None}, False),
    ],
)
def test_published_is_what_is_as_its_item_says(
    target: Target, file: Path, tmp_path: Path, changes: dict[str, Any], published: bool
) -> None:
    put(target, file, "tile/T_20_sl_HH.tif")
    put(target, file, "tile/T_20_sl_HV.tif")
    assert not look(target, "tile/item.json").is_whole(target, EXPECTED)
    (tmp_path / "item").write_bytes(item(file, **changes))
    put(target, tmp_path / "item", "tile/item.json")
    assert look(target, "tile/item.json").is_whole(target, EXPECTED) is published


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b'{"assets": {}}', b'{"assets": []}', b"\xff", b"[" * 100_000]
)
def test_an_item_that_makes_no_sense_is_not_published(target: Target, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "item").write_bytes(content)
    put(target, tmp_path / "item", "tile/item.json")
    assert not look(target, "tile/item.json").is_whole(target, EXPECTED)


def test_multihash_round_trip() -> None:
    assert from_multihash(to_multihash("ab" * 32)) == "ab" * 32
