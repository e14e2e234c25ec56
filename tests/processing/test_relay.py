"""Transfers that take more than one invocation, on a real and slow FTP server, parts in moto's S3."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import PublishError, SourceUnavailableError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest, TileYear, Transfer
from alos_mosaic.processing import download, relay
from alos_mosaic.processing.mosaic import Mosaic
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.processing.relay import Relay, Staging, TransferPausedError
from alos_mosaic.processing.sources.protocol import RemoteFile
from alos_mosaic.results import State, TileResult
from local.archives import make_cell, place_archive, place_cell_archive
from local.jaxa_server import JaxaServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE = Tile.from_name("N25W165")
REQUEST = TileRequest(TileYear(2017, TILE))
PREFIX = "staging/a-run/2017/N25W165/mosaic/"
RATE = 150_000
"""Bytes a second; the archive has some 1.8 million, which the server sends in goes of half a million."""


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="runs")
        yield client


@pytest.fixture
def staging(s3: S3Client) -> Staging:
    return Staging(s3, "runs", PREFIX)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return place_archive(tmp_path / "mirror", TILE, 2017, Grid(130))


@pytest.fixture
def server(tmp_path: Path, archive: Path) -> Iterator[JaxaServer]:
    with JaxaServer(tmp_path / "mirror", bytes_per_second=RATE) as server:
        yield server


def sizes(s3: S3Client) -> list[int]:
    return [entry["Size"] for entry in s3.list_objects_v2(Bucket="runs").get("Contents", ())]


def invoke(server: JaxaServer, tmp_path: Path, how: Relay | None) -> TileResult:
    """Process the tile as one invocation does, in a fresh folder."""
    with work_folder(tmp_path / "work") as work:
        place = Workplace(server.url, FileTarget(tmp_path / "out"), work, grid=Grid(130), relay=how)
        return process_tile(REQUEST, place)


def starts(server: JaxaServer) -> list[int]:
    """Offsets from which the archive was asked for."""
    offsets, offset = [], 0
    for command in server.commands:
        offset = int(command.argument) if command.name == "REST" else offset
        if command.name == "RETR":
            offsets.append(offset)
            offset = 0
    return offsets


def test_an_archive_arrives_in_several_invocations_and_no_byte_of_it_twice(
    server: JaxaServer, archive: Path, s3: S3Client, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PART_BYTES", 64 << 10)
    transfer, rounds, before = Transfer(), 0, 0
    while True:
        try:
            result = invoke(server, tmp_path, Relay(staging, 1.0))
        except TransferPausedError as pause:
            rounds += 1
            transfer = Transfer.after(rounds, pause.received_bytes, pause.restored_bytes)
            assert pause.restored_bytes == before
            before = pause.received_bytes
            assert sum(sizes(s3)) == pause.received_bytes
            assert not (tmp_path / "out").exists()
        else:
            break
    assert result.state is State.PUBLISHED
    assert result.archive["size"] == archive.stat().st_size
    assert rounds >= 2
    assert starts(server)[0] == 0
    assert starts(server)[1:] == sorted(set(starts(server)[1:])), "each invocation begins behind the one before"
    assert starts(server)[-1] == transfer.received_bytes
    staging.clear()
    assert sizes(s3) == []


def test_a_transfer_that_is_quick_enough_stages_nothing(
    server: JaxaServer, s3: S3Client, staging: Staging, tmp_path: Path
) -> None:
    assert invoke(server, tmp_path, Relay(staging, 600.0)).state is State.PUBLISHED
    assert sizes(s3) == []


def test_once_the_rate_says_so_whole_parts_are_staged_while_the_rest_comes(
    s3: S3Client, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who is killed, and stages nothing at his end, loses less than a part."""
    monkeypatch.setattr(relay, "PART_BYTES", 1000)
    remote, path, content = RemoteFile("archive.zip", 50_000, None), tmp_path / "archive.zip", b""
    leg = Relay(staging, 0.4).leg(remote, path, following_bytes=0)
    leg.restore(lambda _: None)
    staged = []
    with pytest.raises(TransferPausedError) as pause:
        while True:
            content += bytes(700)
            path.write_bytes(content)
            leg.advance(len(content))
            staged.append(len(content) - sum(sizes(s3)))
            time.sleep(0.02)
    assert 0 < pause.value.received_bytes < 50_000
    assert set(sizes(s3)) == {1000}
    assert staged[-1] < 1000
    leg.stage_rest(len(content))
    assert sum(sizes(s3)) == len(content)


def test_a_leg_behind_others_stages_from_the_first_part_on(
    s3: S3Client, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PART_BYTES", 1000)
    remote, path, come = RemoteFile("archive.zip", 50_000, None), tmp_path / "archive.zip", bytearray()
    staging.write(remote, 0, b"x" * 1500)
    leg = Relay(staging, 600.0).leg(remote, path, following_bytes=0)
    leg.restore(come.extend)
    assert bytes(come) == b"x" * 1500
    path.write_bytes(bytes(come) + b"y" * 1200)
    leg.advance(2700)
    assert sorted(sizes(s3)) == [1000, 1500]
    leg.stage_rest(2700)
    assert [part.size_bytes for part in staging.parts(remote)] == [1500, 1000, 200]


def test_a_file_that_was_replaced_starts_anew(
    server: JaxaServer, archive: Path, staging: Staging, tmp_path: Path
) -> None:
    with pytest.raises(TransferPausedError):
        invoke(server, tmp_path, Relay(staging, 1.0))
    os.utime(archive, (1_500_000_000, 1_500_000_000))
    assert invoke(server, tmp_path, Relay(staging, 60.0)).state is State.PUBLISHED
    assert starts(server) == [0, 0]


def test_what_came_before_a_source_failed_is_not_fetched_again(
    tmp_path: Path, archive: Path, s3: S3Client, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    half = archive.stat().st_size // 2
    with JaxaServer(tmp_path / "mirror", breaks=[half, 0, 0, 0, 0]) as server:
        with pytest.raises(SourceUnavailableError):
            invoke(server, tmp_path, Relay(staging, 60.0))
        come = sum(sizes(s3))
        assert come >= half
    with JaxaServer(tmp_path / "mirror") as server:
        assert invoke(server, tmp_path, Relay(staging, 60.0)).state is State.PUBLISHED
        assert starts(server) == [come]


def test_parts_of_all_archives_of_a_tile_are_handed_on(
    tmp_path: Path, staging: Staging, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    mirror = tmp_path / "cells"
    for cell in TILE.cells[:3]:
        place_cell_archive(mirror, make_cell(cell, 2017, Grid(130)), 2017)
    with JaxaServer(mirror, breaks=[1 << 40, 5000, 0, 0, 0, 0]) as server:
        with pytest.raises(SourceUnavailableError):
            invoke(server, tmp_path, Relay(staging, 60.0))
        assert len(sizes(s3)) == 2
        assert 5000 in sizes(s3)
    with JaxaServer(mirror) as server:
        result = invoke(server, tmp_path, Relay(staging, 60.0))
        assert (result.state, len(result.cells)) == (State.PUBLISHED, 3)
        assert starts(server) == [5000, 0], "what was whole is not asked for again"


def test_parts_with_a_gap_or_of_nothing_are_taken_up_as_far_as_they_go(s3: S3Client, staging: Staging) -> None:
    remote = RemoteFile("pub/a/archive.zip", 100, datetime(2026, 11, 24, tzinfo=UTC))
    for offset, size in ((0, 40), (40, 20), (70, 30)):
        staging.write(remote, offset, b"x" * size)
    assert [(part.offset, part.size_bytes) for part in staging.parts(remote)] == [(0, 40), (40, 20)]
    s3.put_object(Bucket="runs", Key=f"{PREFIX}pub/a/archive.zip/100-20261124T000000Z/junk", Body=b"")
    s3.put_object(Bucket="runs", Key=f"{PREFIX}pub/a/archive.zip/100-20261124T000000Z/{60:015d}", Body=b"")
    assert sum(part.size_bytes for part in staging.parts(remote)) == 60
    staging.write(remote, 60, b"x" * 1000)
    assert staging.parts(remote) == [], "more than the file has is not its"
    for other in (replace(remote, size_bytes=101), replace(remote, modified=None), replace(remote, etag='"v2"')):
        assert staging.parts(other) == []


def test_a_bucket_that_refuses_parts_is_a_publish_error(s3: S3Client) -> None:
    nowhere = Staging(s3, "nowhere", PREFIX)
    remote = RemoteFile("archive.zip", 100, None)
    for call in (lambda: nowhere.write(remote, 0, b"x"), lambda: nowhere.parts(remote), nowhere.clear):
        with pytest.raises(PublishError, match="NoSuchBucket"):
            call()


def test_a_transfer_goes_on_only_while_bytes_come_and_only_so_often() -> None:
    assert Transfer.after(19, 19_000, 18_999) == Transfer(19, 19_000)
    with pytest.raises(SourceUnavailableError, match="only 20000 bytes came in 20 invocations"):
        Transfer.after(20, 20_000, 0)
    with pytest.raises(SourceUnavailableError, match="no byte came behind the first 5"):
        Transfer.after(2, 5, 5)
    assert Transfer.after(2, 10, 0) == Transfer(2, 10), "a file that was replaced begins anew"


def test_time_left_is_measured_from_the_start(staging: Staging) -> None:
    how = Relay(staging, 0.05)
    assert 0 < how.seconds_left <= 0.05
    time.sleep(0.06)
    assert how.seconds_left < 0


def test_what_a_paused_tile_held_is_given_back(server: JaxaServer, staging: Staging, tmp_path: Path) -> None:
    """An error holds the frames that it passed, and a download its error: the collector can't undo all such cycles."""
    for _ in range(2):
        with pytest.raises(TransferPausedError):
            invoke(server, tmp_path, Relay(staging, 0.5))
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, Mosaic)] == []
