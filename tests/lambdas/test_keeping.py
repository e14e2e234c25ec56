"""Raw archives kept as a mirror: written by one run, the source of the next, on moto and a real FTP server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.layouts import LAYOUTS, Layout
from alos_mosaic.settings import SummarySettings, TileSettings
from lambdas.process_tile import handler as process_tile
from lambdas.summarise_run import handler as summarise_run
from local.archives import first_layout, make_cell, members, place_archive, place_cell_archive, write_archive
from local.jaxa_server import JaxaServer
from tests.lambdas.test_handlers import CONTEXT, event, read, use

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE = Tile.from_name("N25W165")
CELLS = (TILE.cells[0], TILE.cells[7], TILE.cells[24])
YEAR = 2020
ZIP: Layout = next(row for row in LAYOUTS if row.name == "palsar-2-v2")
MIRROR = "s3://archives/jaxa"
MARCH_2021 = 1_615_897_200


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("runs", "out", "archives"):
            client.create_bucket(Bucket=bucket)
        yield client
    for cache in (process_tile._s3, summarise_run._s3, summarise_run._sqs):
        cache.cache_clear()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the FTP server serves."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / "served"


def tar_gz(served: Path, grid: Grid) -> None:
    place_archive(served, TILE, YEAR, grid, cells=CELLS)


def zipped(served: Path, grid: Grid) -> None:
    made = (make_cell(cell, YEAR, grid) for cell in CELLS)
    write_archive(served / ZIP.archive_path(TILE, YEAR), made, YEAR)


def cells(served: Path, grid: Grid) -> None:
    for cell in CELLS:
        place_cell_archive(served, make_cell(cell, YEAR, grid), YEAR)


def process(
    monkeypatch: pytest.MonkeyPatch,
    source_uri: str,
    grid: Grid,
    asked: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> dict[str, Any]:
    """Process the tile with settings that keep its archives, apart from the changes."""
    settings = TileSettings("s3://out/first", "runs", source_uri, cell_pixels=grid.cell_pixels, keep_archives_in=MIRROR)
    for name in settings.to_env():
        monkeypatch.delenv(name, raising=False)
    use(monkeypatch, replace(settings, **changes))
    return process_tile.lambda_handler(event(**asked), CONTEXT)


def objects(s3: S3Client, bucket: str, prefix: str = "") -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    keys = [entry["Key"] for entry in found]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def item(s3: S3Client, prefix: str) -> dict[str, Any]:
    (content,) = (body for key, body in objects(s3, "out", prefix).items() if key.endswith("stac-item.json"))
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.mark.parametrize("place", [tar_gz, zipped, cells])
def test_the_mirror_of_one_run_is_the_source_of_the_next(
    s3: S3Client, served: Path, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    place(served, grid)
    for path in served.rglob("*.*"):
        os.utime(path, (MARCH_2021, MARCH_2021))
    with JaxaServer(served) as server:
        result = process(monkeypatch, server.url, grid)
    assert result["state"] == "published"
    assert "archives_not_kept" not in result
    assert objects(s3, "archives", "jaxa/") == tree(served)
    assert [path.name for path in tmp_path.iterdir()] == ["served"], "nothing is left of the work folder"

    second = process(monkeypatch, MIRROR, grid, output_uri="s3://out/second", keep_archives_in=None)
    assert second["archive"]["url"].startswith(f"{MIRROR}/pub/ALOS-2/")
    first, again = (objects(s3, "out", prefix) for prefix in ("first/", "second/"))
    rasters = [key for key in first if key.endswith((".tif", ".webp"))]
    assert len(rasters) == 6
    assert {key: first[key] for key in rasters} == {key: again[key] for key in rasters}
    ours, theirs = (item(s3, prefix)["properties"] for prefix in ("first/", "second/"))
    for name in ("alos_mosaic:archive", "alos_mosaic:cell_archives"):
        if name in ours:
            archives = [properties[name] for properties in (ours, theirs)]
            assert _without_urls(archives[0]) == _without_urls(archives[1]), "JAXA's time is kept, too"
    assert process(monkeypatch, MIRROR, grid, {"mode": "refresh"}, keep_archives_in=None)["state"] == "skipped"


def _without_urls(archives: Any) -> list[dict[str, Any]]:
    several = archives if isinstance(archives, list) else [archives]
    return [{key: value for key, value in archive.items() if key != "url"} for archive in several]


def test_an_archive_is_kept_before_the_tile_is_published(
    s3: S3Client, served: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies in between leaves a tile that is made again, never one whose archive is lost."""
    tar_gz(served, grid)
    put: list[str] = []
    process_tile._s3().meta.events.register(
        "before-parameter-build.s3.PutObject", lambda params, **_: put.append(f"{params['Bucket']}/{params['Key']}")
    )
    process(monkeypatch, served.as_uri(), grid)
    (kept,) = (place for place, name in enumerate(put) if name.startswith("archives/"))
    (published,) = (place for place, name in enumerate(put) if name.endswith("stac-item.json"))
    assert kept < published
    assert next(served.rglob("*.tar.gz")).exists(), "what lies on this machine stays"


@pytest.mark.parametrize("state", ["mended", "partial", "failed"])
def test_where_an_archive_is_damaged_none_is_kept(
    s3: S3Client, served: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    whole, damaged = (make_cell(cell, YEAR, grid) for cell in CELLS[:2])
    content = dict(members(damaged, YEAR))
    content[next(name for name in content if "HH" in name)] = b"none"
    path = served / first_layout(YEAR).archive_path(TILE, YEAR)
    write_archive(path, [whole], YEAR, extra_members=content.items())
    if state == "mended":
        place_cell_archive(served, damaged, YEAR)
        result = process(monkeypatch, served.as_uri(), grid)
    elif state == "partial":
        result = process(monkeypatch, served.as_uri(), grid, {"accept_partial": True})
    else:
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(CorruptArchiveError):
            process(monkeypatch, served.as_uri(), grid)
        result = read(s3, "runs/a-run/results/2020/N25W165.json")
    assert result["state"] == ("failed" if state == "failed" else "published")
    assert result.get("archives_not_kept") == (None if state == "failed" else "something is wrong with an archive")
    assert objects(s3, "archives") == {}


def test_what_can_not_be_kept_is_said_and_the_tile_is_published(
    s3: S3Client, served: Path, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar_gz(served, grid)
    with JaxaServer(served) as server:
        result = process(monkeypatch, server.url, grid, keep_archives_in="s3://nowhere/jaxa")
    assert result["state"] == "published"
    assert "NoSuchBucket" in result["archives_not_kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["served"]
    use(monkeypatch, SummarySettings("runs"))
    line = {"year": YEAR, "tile": TILE.name, "mode": "skip", "product": None, "accept_partial": False, "since": None}
    s3.put_object(Bucket="runs", Key="runs/a-run/manifest.json", Body=json.dumps([line]).encode())
    summary = summarise_run.lambda_handler({"run": "a-run"}, CONTEXT)
    assert summary["complete"] is True
    assert summary["sentence"].endswith("archives of 1 published are not kept in the mirror")
    assert read(s3, "runs/a-run/summary.json")["archives_not_kept"] == ["2020/N25W165"]


def test_a_re_issued_archive_takes_the_place_of_the_old_one(
    s3: S3Client, served: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar_gz(served, grid)
    (path,) = served.rglob("*.tar.gz")
    os.utime(path, (MARCH_2021, MARCH_2021))
    process(monkeypatch, served.as_uri(), grid)
    place_archive(served, TILE, YEAR, grid, cells=CELLS[:1])  # a smaller one
    result = process(monkeypatch, served.as_uri(), grid, {"mode": "refresh"})
    assert (result["state"], result.get("archives_not_kept")) == ("published", None)
    assert objects(s3, "archives", "jaxa/") == tree(served)
