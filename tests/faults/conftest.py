"""Faults are tried anew at once, by us and by boto3, and worked on in folders of a test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from alos_mosaic.grid import Grid
from alos_mosaic.processing import download
from lambdas.process_tile import handler
from tests.faults.bucket_server import BucketServer
from tests.faults.stops import OLD_FILE
from tests.faults.workers import WorkersWorld, start_forkserver
from tests.faults.world import ITEM, PREFIX, TILE


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try broken transfers again at once, and S3 not at all."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that takes the place of /tmp, empty at first."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[BucketServer]:
    """S3 for workers in processes; there is one for all cases."""
    start_forkserver()
    with mock_aws(), BucketServer() as server:
        yield server
    handler._s3.cache_clear()


@pytest.fixture
def workers_world(bucket: BucketServer, tmp_path: Path, scratch: Path, grid: Grid) -> Iterator[WorkersWorld]:
    """A world whose workers are processes, with nothing published."""
    s3 = handler._s3()
    for name in ("runs", "out"):
        s3.create_bucket(Bucket=name)
    bucket.watch = bucket.spoil = None
    yield WorkersWorld(tmp_path, s3, grid, bucket=bucket, scratch=scratch)
    bucket.watch = bucket.spoil = None
    for name in ("runs", "out"):
        for entry in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            s3.delete_object(Bucket=name, Key=entry["Key"])


@dataclass
class OldTile:
    """A published tile whose item names a file more than the next one's; it is made once."""

    objects: dict[str, dict[str, Any]]
    """What the bucket holds, by key."""

    def publish(self, world: WorkersWorld) -> bytes:
        """Put it into the bucket, and an archive with other pixels into the mirror; return its item."""
        if not self.objects:
            self._make(world)
        for key, stored in self.objects.items():
            world.s3.put_object(Bucket="out", Key=key, **stored)
        world.reissue()
        content: bytes = self.objects[ITEM]["Body"]
        return content

    def _make(self, world: WorkersWorld) -> None:
        world.run()
        world.s3.delete_object(Bucket="runs", Key=world.record_key)
        for entry in world.s3.list_objects_v2(Bucket="out")["Contents"]:
            found = world.s3.get_object(Bucket="out", Key=entry["Key"])
            kept = {name: found[name] for name in ("ContentType", "Metadata")}
            self.objects[entry["Key"]] = {**kept, "Body": found["Body"].read()}
        old = f"{TILE}_20{OLD_FILE}"
        self.objects[PREFIX + old] = self.objects[PREFIX + old.replace("_VV_", "_HH_")]
        item = json.loads(self.objects[ITEM]["Body"])
        item["assets"]["vv"] = {**item["assets"]["hh"], "href": f"./{old}"}
        self.objects[ITEM]["Body"] = json.dumps(item).encode()


@pytest.fixture(scope="session")
def old_tile() -> OldTile:
    """A tile that is published before."""
    return OldTile({})
