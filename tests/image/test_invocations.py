"""The image in Lambda's cage, behind the project's own Runtime API: from an FTP server to S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rasterio

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.settings import TileSettings
from lambdas.process_tile import handler
from local.archives import place_archive
from local.emulator import Cloud
from local.emulator.environment import CREDENTIALS
from local.jaxa_server import Fault, JaxaServer
from tests.image.conftest import Image
from tests.image.container import LambdaContainer
from tests.image.engine import Engine

TILE = Tile.from_name("N10E010")
GRID = Grid(cell_pixels=30)
EVENT = {"schema_version": 1, "year": 2020, "tile": TILE.name, "mode": "skip", "run": "a-run", "retries": 0}
FROM_IMAGE, FROM_HERE, RUNS = "from-image", "from-here", "runs"

CAGE = """
import json, multiprocessing, os, pathlib
def refused(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return type(error).__name__ + " " + os.strerror(error.errno)
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
disk = os.statvfs("/tmp")
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "code": refused(pathlib.Path("/var/task/new").touch),
    "locks": refused(multiprocessing.Lock),
    "disk": disk.f_blocks * disk.f_frsize >> 20,
}))
"""


@pytest.fixture(scope="module")
def source(folder: Path) -> Iterator[JaxaServer]:
    place_archive(folder / "mirror", TILE, 2020, GRID, cells=TILE.cells[6:9])
    with JaxaServer(folder / "mirror") as server:
        yield server


@pytest.fixture(scope="module")
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    for bucket in (FROM_IMAGE, FROM_HERE, RUNS):
        client.create_bucket(Bucket=bucket)
    return client


def environment(cloud: Cloud, source: JaxaServer, bucket: str) -> dict[str, str]:
    settings = TileSettings(f"s3://{bucket}/mosaics", RUNS, source.url, cell_pixels=GRID.cell_pixels)
    place = {"AWS_REGION": cloud.region, "AWS_DEFAULT_REGION": cloud.region, "AWS_ENDPOINT_URL": cloud.endpoint_url}
    return {**settings.to_env(), **CREDENTIALS, **place}


@pytest.fixture(scope="module")
def container(
    engine: Engine, image: Image, cloud: Cloud, source: JaxaServer, s3: Any, folder: Path
) -> Iterator[LambdaContainer]:
    variables = environment(cloud, source, FROM_IMAGE)
    with LambdaContainer(engine, image.tag, image.limits, folder / "process-tile", variables) as container:
        yield container


@pytest.fixture(scope="module")
def result(container: LambdaContainer) -> dict[str, Any]:
    """What the container's first invocation returned."""
    return dict(container.invoke(EVENT))


@pytest.fixture
def result_here(
    cloud: Cloud, source: JaxaServer, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """What the same handler returns in this process."""
    for name, value in environment(cloud, source, FROM_HERE).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = SimpleNamespace(
        log_group_name="/group", log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000
    )
    yield handler.lambda_handler(EVENT | {"run": "another-run"}, context)
    handler._s3().close()
    handler._s3.cache_clear()


def contents(s3: Any, bucket: str) -> dict[str, bytes]:
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def describe_cog(content: bytes) -> dict[str, Any]:
    """All that a reader sees of a COG: its layout, its tags, and the pixels of every level."""
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        levels = [1, *dataset.overviews(1)]
        shapes = [(dataset.height // level, dataset.width // level) for level in levels]
        pixels = [dataset.read(1, out_shape=shape).tobytes() for shape in shapes]
        return {"profile": dict(dataset.profile), "tags": dataset.tags(), "levels": levels, "pixels": pixels}


def test_a_tile_becomes_what_the_same_handler_makes_of_it_here(
    result: dict[str, Any], result_here: dict[str, Any], s3: Any
) -> None:
    assert (result["state"], result_here["state"]) == ("published", "published")
    assert result["cells"] == result_here["cells"]
    made, expected = contents(s3, FROM_IMAGE), contents(s3, FROM_HERE)
    assert made.keys() == expected.keys()
    cogs = [key for key in made if key.endswith(".tif")]
    assert len(cogs) == 5
    for key in cogs:
        assert describe_cog(made[key]) == describe_cog(expected[key]), key


def test_the_result_is_recorded(result: dict[str, Any], s3: Any) -> None:
    body = s3.get_object(Bucket=RUNS, Key=f"runs/a-run/results/2020/{TILE}.json")["Body"].read()
    assert json.loads(body) == result


def test_a_warm_container_finds_the_tile_published_and_nothing_left_behind(
    container: LambdaContainer, result: dict[str, Any]
) -> None:
    assert container.invoke(EVENT)["state"] == "skipped"
    assert container.python("import json, os; print(json.dumps(os.listdir('/tmp')))") == []


def test_an_error_comes_through_under_its_own_name(container: LambdaContainer, result: dict[str, Any]) -> None:
    answer = container.invoke(EVENT | {"tile": "N12E010"})
    assert answer["errorType"] == "InvalidRequestError"
    assert "N12E010" in answer["errorMessage"]


def test_the_cage_is_lambdas(container: LambdaContainer, image: Image) -> None:
    found = container.python(CAGE)
    assert 0.9 * image.limits.storage_mib < found.pop("disk") <= image.limits.storage_mib
    assert found == {
        "user": [993, 990],
        "capabilities": [0, 0, 0],
        "code": "OSError Read-only file system",
        "locks": "FileNotFoundError No such file or directory",  # Lambda says: Function not implemented
    }


def test_a_tile_that_takes_too_long_ends_by_an_error_of_its_own_ahead_of_lambda_s_end(
    engine: Engine, image: Image, cloud: Cloud, s3: Any, folder: Path
) -> None:
    """The source falls silent in mid-transfer; of 16 seconds the handler keeps 15 to tell of it."""
    silence = Fault("RETR", at_byte=1000, is_silent=True, times=1)
    limits = replace(image.limits, timeout_seconds=16)
    with JaxaServer(folder / "mirror", faults=[silence]) as source:
        variables = environment(cloud, source, FROM_IMAGE)
        with LambdaContainer(engine, image.tag, limits, folder / "overdue", variables) as container:
            answer = container.invoke(EVENT | {"run": "overdue", "mode": "overwrite"})
            assert answer["errorType"] == "DeadlineExceededError"
            record = s3.get_object(Bucket=RUNS, Key=f"runs/overdue/results/2020/{TILE}.json")["Body"].read()
            assert json.loads(record)["error"] == "DeadlineExceededError"
            # What hangs can't be ended: the process ends instead, and Lambda starts another.
            with pytest.raises(AssertionError, match="this process ends"):
                container.invoke(EVENT)
