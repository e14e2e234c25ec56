"""A mirror of tiny synthetic archives, and a place to work in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from alos_mosaic.grid import Grid
from alos_mosaic.processing import download
from alos_mosaic.processing.pipeline import Workplace
from alos_mosaic.processing.publish import FileTarget
from tests.processing.outputs import BUCKET, RUNS_BUCKET, STAGING, Output


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try broken transfers again at once."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """An empty mirror of the server."""
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder things are published to."""
    return tmp_path / "published"


@pytest.fixture
def place(tmp_path: Path, mirror: Path, published: Path, grid: Grid) -> Callable[[], Workplace]:
    """Make workplaces between the mirror and the folder, each with a fresh scratch folder."""
    made = 0

    def make() -> Workplace:
        nonlocal made
        made += 1
        work = tmp_path / f"work-{made}"
        work.mkdir()
        return Workplace(mirror.as_uri(), FileTarget(published), work, grid=grid)

    return make


@pytest.fixture(params=["file", "s3", "s3-staging"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """Each kind of target, empty; the last has its staging in another bucket, as a deployed worker does."""
    folder, answer, turn = tmp_path / "published", BotocoreStubber.process_request, threading.Lock()

    def answer_in_turn(stubber: BotocoreStubber, asked: Any) -> Any:
        """Unlike S3, moto can't have two answers in the making."""
        with turn:
            return answer(stubber, asked)

    monkeypatch.setattr(BotocoreStubber, "process_request", answer_in_turn)
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (BUCKET, RUNS_BUCKET):
            client.create_bucket(Bucket=bucket)
        uri = folder.as_uri() if request.param == "file" else f"s3://{BUCKET}/some/folder"
        yield Output(uri, folder, client, STAGING if request.param == "s3-staging" else None)
