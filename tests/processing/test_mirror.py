"""What a mirror of one's own takes in and what it refuses, in a bucket and in a folder; archives are any bytes here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Cell, Tile
from alos_mosaic.layouts import LAYOUTS, Layout
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.download import Download
from alos_mosaic.processing.finding import Found
from alos_mosaic.processing.mirror import Mirror, open_mirror
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.protocol import RemoteFile
from alos_mosaic.processing.sources.s3 import S3Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE = Tile.from_name("N25W165")
WHAT = TileYear(2020, TILE)
TREE, SITE = (next(row for row in LAYOUTS if row.name == name) for name in ("palsar-2-v2", "palsar-2-site-v2"))
PATH = TREE.archive_path(TILE, 2020)
MARCH, APRIL = (int(datetime(2021, month, 16, 12, 20, tzinfo=UTC).timestamp()) for month in (3, 4))


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="archives")
        yield client


@pytest.fixture(params=["s3", "file"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> Mirror:
    if request.param == "s3":
        return open_mirror("s3://archives/jaxa", request.getfixturevalue("s3"))
    return open_mirror((tmp_path / "mirror").as_uri(), None)


Fetch = Callable[..., Download]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Fetch an archive of these bytes that was changed then; None: nobody knows when."""

    def fetched(content: bytes, when: int | None, layout: Layout = TREE, cell: Cell | None = None) -> Download:
        source = FileSource(tmp_path / "served")
        path = layout.archive_path(TILE, 2020) if cell is None else layout.cell_archive_path(cell, 2020)
        file = tmp_path / "served" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        modified = None if when is None else datetime.fromtimestamp(when, UTC)
        download = Download(Found(layout, RemoteFile(path, len(content), modified), cell), source.url, tmp_path)
        download.run(source, threading.Event(), is_broken=False)
        return download

    return fetched


def content(mirror: Mirror, path: str = PATH) -> bytes:
    pieces: list[bytes] = []
    mirror.source.read(path, pieces.append)
    return b"".join(pieces)


def keep(mirror: Mirror, *downloads: Download) -> str | None:
    return mirror.keep(downloads, WHAT, LAYOUTS)


def test_what_is_kept_has_the_servers_path_bytes_and_time(mirror: Mirror, fetch: Fetch) -> None:
    assert keep(mirror, fetch(b"archive", MARCH)) is None
    stored = mirror.source.stat(PATH)
    assert stored is not None
    assert (stored.size_bytes, stored.modified) == (7, datetime.fromtimestamp(MARCH, UTC))
    assert content(mirror) == b"archive"


@pytest.mark.parametrize(
    ("when", "second", "outcome"),
    [
        (APRIL, b"less", "new"),
        (APRIL, b"more bytes", "new"),
        (APRIL, b"ARCHIVE", "new"),
        (MARCH, b"more bytes", "new"),
        (MARCH, b"less", "refused"),
        (MARCH, b"ARCHIVE", "old"),
        (MARCH - 1, b"more bytes", "refused"),
        (MARCH - 1, b"ARCHIVE", "old"),
        (None, b"more bytes", "new"),
        (None, b"less", "refused"),
        (None, b"ARCHIVE", "old"),
    ],
)
def test_a_later_archive_takes_the_place_of_another_and_an_older_one_never(
    mirror: Mirror, fetch: Fetch, when: int | None, second: bytes, outcome: str
) -> None:
    """JAXA re-issues archives under their names; where times don't tell two apart, the larger one is kept."""
    keep(mirror, fetch(b"archive", MARCH))
    reason = keep(mirror, fetch(second, when))
    assert content(mirror) == (second if outcome == "new" else b"archive")
    if outcome == "refused":
        assert reason is not None
        assert "stays as it is: it has 7 bytes of 2021-03-16T12:20:00Z, and what came has" in reason
    else:
        assert reason is None


def test_cells_of_jaxas_site_are_kept_where_a_mirror_serves_them(mirror: Mirror, fetch: Fetch) -> None:
    cell = TILE.cells[3]
    assert keep(mirror, fetch(b"cell", MARCH, SITE, cell)) is None
    assert content(mirror, TREE.cell_archive_path(cell, 2020)) == b"cell"
    assert mirror.source.stat(SITE.cell_archive_path(cell, 2020)) is None


def test_what_no_mirror_serves_is_not_kept_and_that_is_said(mirror: Mirror, fetch: Fetch) -> None:
    mine = Layout("mine", "PALSAR-2", "mine/{year}", "{square}.zip", schemes=("https",))
    reason = keep(mirror, fetch(b"cell", MARCH, mine, TILE.cells[3]))
    assert reason is not None
    assert "of layout mine" in reason


def test_the_original_of_a_file_in_a_mirror_is_left_alone(fetch: Fetch, tmp_path: Path) -> None:
    mirror, download = open_mirror((tmp_path / "mirror").as_uri(), None), fetch(b"archive", MARCH)
    os.utime(download.path, (APRIL, APRIL))
    keep(mirror, download)
    assert download.path.stat().st_mtime == APRIL
    download.path.write_bytes(b"changed")
    assert content(mirror) == b"archive"


def test_an_object_without_a_time_of_its_own_has_that_of_its_copy(s3: S3Client) -> None:
    for path, metadata in (("none", {}), ("senseless", {"modified": "yesterday"})):
        s3.put_object(Bucket="archives", Key=path, Body=b"archive", Metadata=metadata)
        mirror = open_mirror("s3://archives", s3)
        assert isinstance(mirror.source, S3Source)
        stored = mirror.source.stat(path)
        assert stored is not None
        assert stored.modified == s3.head_object(Bucket="archives", Key=path)["LastModified"]


@pytest.mark.parametrize("uri", ["ftp://host", "s3://", "https://host/mirror", "mirror"])
def test_a_mirror_is_a_bucket_or_a_folder(uri: str) -> None:
    with pytest.raises(InvalidRequestError):
        open_mirror(uri, boto3.client("s3"))
