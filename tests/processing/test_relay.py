"""Transfers that take more than one invocation, on a real and slow FTP server, parts in moto's S3."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from alos_mosaic.errors import CorruptArchiveError, PublishError, SourceUnavailableError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest, TileYear, Transfer
from alos_mosaic.processing import download, relay
from alos_mosaic.processing.mosaic import Mosaic
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import FileTarget
from alos_mosaic.processing.relay import Relay, Staging, TransferPausedError
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import RemoteFile, SourceAccess
from alos_mosaic.results import State, TileResult
from local.archives import make_cell, place_archive, place_cell_archive
from local.jaxa_server import Fault, JaxaServer

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


def invoke(
    server: JaxaServer, tmp_path: Path, how: Relay | None, request: TileRequest = REQUEST, pixels: int = 130
) -> TileResult:
    """Process the tile as one invocation does, in a fresh folder."""
    with work_folder(tmp_path / "work") as work:
        place = Workplace(server.url, FileTarget(tmp_path / "out"), work, grid=Grid(pixels), relay=how)
        return process_tile(request, place)


def place_cells(mirror: Path, count: int = 3) -> list[Path]:
    """Put cells' own archives on the server, and none of the tile."""
    return [place_cell_archive(mirror, make_cell(cell, 2017, Grid(20)), 2017) for cell in TILE.cells[:count]]


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


def test_of_small_archives_those_that_have_come_are_staged_before_the_next(
    tmp_path: Path, staging: Staging, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who is killed at the third loses of the third only: no archive of a cell is as large as a part."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    archives = place_cells(tmp_path / "cells")
    with monkeypatch.context() as patched, JaxaServer(tmp_path / "cells", breaks=[1 << 40, 1 << 40, 9, 0, 0, 0]) as ftp:
        patched.setattr(Relay, "_is_too_slow", lambda *_: True)
        patched.setattr(download.Download, "stage_rest", lambda _: None)  # as a worker that is killed
        with pytest.raises(SourceUnavailableError):
            invoke(ftp, tmp_path, Relay(staging, 60.0), pixels=20)
    assert sorted(sizes(s3)) == sorted(path.stat().st_size for path in archives[:2])
    with JaxaServer(tmp_path / "cells") as ftp:
        assert invoke(ftp, tmp_path, Relay(staging, 60.0), pixels=20).state is State.PUBLISHED
        assert starts(ftp) == [0], "only the third is asked for"


def test_small_archives_that_come_quickly_are_not_staged(tmp_path: Path, staging: Staging, s3: S3Client) -> None:
    place_cells(tmp_path / "cells")
    with JaxaServer(tmp_path / "cells") as server:
        assert invoke(server, tmp_path, Relay(staging, 600.0), pixels=20).state is State.PUBLISHED
    assert sizes(s3) == []


@pytest.mark.parametrize(("seconds_each", "staged"), [(12, [30, 30]), (6, [])])
def test_the_rate_is_that_of_all_archives(
    s3: S3Client,
    staging: Staging,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds_each: int,
    staged: list[int],
) -> None:
    """A hundred at 12 seconds each don't come in 720 seconds, at 6 they do; one alone is too short to tell."""
    clock = [0.0]
    monkeypatch.setattr(relay, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    how = Relay(staging, 720.0, _began=0.0)
    files = [RemoteFile(f"{number}.zip", 30, None, '"v1"') for number in range(100)]
    legs = [how.leg(file, tmp_path / file.path, 30 * (99 - number)) for number, file in enumerate(files)]
    for file, leg in zip(files[:2], legs, strict=False):
        leg.restore(lambda _: None)
        clock[0] += seconds_each
        (tmp_path / file.path).write_bytes(bytes(30))
        leg.advance(30)
    assert sizes(s3) == staged


@pytest.mark.parametrize("accept_partial", [True, False])
def test_pieces_of_a_file_without_a_version_are_not_taken_for_a_defective_cell(
    tmp_path: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch, accept_partial: bool
) -> None:
    """Its first half came before it was replaced by another of the same size, which is whole."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    archives, request = place_cells(tmp_path / "cells"), replace(REQUEST, accept_partial=accept_partial)
    good = archives[1].read_bytes()
    half = len(good) // 2
    archives[1].write_bytes(good[: half - 50] + bytes(50) + good[half:])
    with (
        JaxaServer(tmp_path / "cells", lacks=["MDTM"], breaks=[1 << 40, half, 0, 0, 0]) as server,
        pytest.raises(SourceUnavailableError),
    ):
        invoke(server, tmp_path, Relay(staging, 60.0), request, pixels=20)
    archives[1].write_bytes(good)
    with JaxaServer(tmp_path / "cells", lacks=["MDTM"]) as server:
        with pytest.raises(CorruptArchiveError, match="does not tell versions apart"):
            invoke(server, tmp_path, Relay(staging, 60.0), request, pixels=20)
        staging.clear()  # as the worker does then
        result = invoke(server, tmp_path, Relay(staging, 60.0), request, pixels=20)
    assert (result.state, len(result.cells), result.defective_cells) == (State.PUBLISHED, 3, ())


def test_a_cell_that_is_defective_in_one_piece_may_be_left_out(
    tmp_path: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a source that tells no times, where others broke."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    archives = place_cells(tmp_path / "cells")
    archives[1].write_bytes(archives[1].read_bytes()[:-500])
    with JaxaServer(tmp_path / "cells", lacks=["MDTM"]) as server:
        result = invoke(server, tmp_path, Relay(staging, 60.0), replace(REQUEST, accept_partial=True), pixels=20)
    assert (result.state, len(result.cells), len(result.defective_cells)) == (State.PUBLISHED, 2, 1)


def test_a_server_without_rest_sends_again_what_was_staged(
    tmp_path: Path, archive: Path, s3: S3Client, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    half = archive.stat().st_size // 2
    with (
        JaxaServer(tmp_path / "mirror", breaks=[half, 0, 0, 0, 0], lacks=["REST"]) as server,
        pytest.raises(SourceUnavailableError),
    ):
        invoke(server, tmp_path, Relay(staging, 60.0))
    assert sum(sizes(s3)) == half
    with JaxaServer(tmp_path / "mirror", lacks=["REST"]) as server:
        assert invoke(server, tmp_path, Relay(staging, 60.0)).state is State.PUBLISHED
        assert server.names().count("RETR") == 1
        assert server.sent_bytes == archive.stat().st_size


def test_what_a_server_without_rest_sends_again_is_no_progress(
    tmp_path: Path, archive: Path, staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the transfer ends once it gets no farther in an invocation's time."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.01)
    size = archive.stat().st_size
    with (
        JaxaServer(tmp_path / "mirror", breaks=[size - 1, 0, 0, 0, 0], lacks=["REST"]) as server,
        pytest.raises(SourceUnavailableError),
    ):
        invoke(server, tmp_path, Relay(staging, 60.0))
    with (
        JaxaServer(tmp_path / "mirror", lacks=["REST"], bytes_per_second=RATE) as server,
        pytest.raises(TransferPausedError) as pause,
    ):
        invoke(server, tmp_path, Relay(staging, 1.0))
    assert pause.value.received_bytes == pause.value.restored_bytes == size - 1


def test_a_part_that_is_not_as_it_was_staged_comes_from_the_source_again(
    server: JaxaServer, archive: Path, s3: S3Client, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PART_BYTES", 64 << 10)
    with pytest.raises(TransferPausedError):
        invoke(server, tmp_path, Relay(staging, 1.0))
    key = sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="runs")["Contents"])[1]
    spoil(s3, key)
    with JaxaServer(tmp_path / "mirror") as quick:
        assert invoke(quick, tmp_path, Relay(staging, 60.0)).state is State.PUBLISHED
        assert starts(quick) == [64 << 10]


def spoil(s3: S3Client, key: str) -> None:
    """Change a byte of what S3 keeps, behind its back: the checksum that it tells is that of the bytes that came."""
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets["runs"].keys[key]
    stored.value = bytes([stored.value[0] ^ 0xFF]) + stored.value[1:]
    assert s3.head_object(Bucket="runs", Key=key, ChecksumMode="ENABLED")["ChecksumCRC32"]


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


def test_who_finds_everything_staged_works_on_it_whatever_the_time(
    tmp_path: Path, archive: Path, s3: S3Client, staging: Staging
) -> None:
    """A pause ahead of the work would be one each time: no byte more can come."""
    with JaxaServer(tmp_path / "mirror") as server:
        with open_source(server.url) as source:
            remote = source.stat(str(archive.relative_to(tmp_path / "mirror")))
        assert remote is not None
        staging.write(remote, 0, archive.read_bytes())
        assert invoke(server, tmp_path, Relay(staging, 0.0)).state is State.PUBLISHED
        assert "RETR" not in server.names()


def test_a_silence_that_lasts_beyond_the_transfers_time_is_waited_for_once(
    tmp_path: Path, archive: Path, s3: S3Client, staging: Staging
) -> None:
    """So no attempt begins when the time is over, however long the source's time-out is: what came is staged."""
    half = archive.stat().st_size // 2
    access = SourceAccess(timeout_seconds=2.0)
    with (
        JaxaServer(tmp_path / "mirror", faults=[Fault("RETR", at_byte=half, is_silent=True)]) as server,
        work_folder(tmp_path / "work") as work,
        pytest.raises(TransferPausedError) as pause,
    ):
        target, how = FileTarget(tmp_path / "out"), Relay(staging, 1.0)
        process_tile(REQUEST, Workplace(server.url, target, work, access=access, grid=Grid(130), relay=how))
    assert server.names().count("RETR") == 1
    assert sum(sizes(s3)) == pause.value.received_bytes == half


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
