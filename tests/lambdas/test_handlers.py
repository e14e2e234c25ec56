"""The Lambda handlers, on moto and real rasters."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.errors import (
    CorruptArchiveError,
    DeadlineExceededError,
    InvalidRequestError,
    PublishError,
    SourceUnavailableError,
)
from alos_mosaic.grid import CELLS_PER_TILE, Grid, Tile, tiles_of_region
from alos_mosaic.inventory import ArchiveKind, cells_of_tile, tiles_of_any_year, tiles_of_year
from alos_mosaic.processing import deadline, download
from alos_mosaic.results import TileResult
from alos_mosaic.settings import SeedSettings, Settings, SummarySettings, TileSettings
from lambdas.process_tile import handler as process_tile
from lambdas.seed_tiles import handler as seed_tiles
from lambdas.summarise_run import handler as summarise_run
from local.archives import place_archive
from local.jaxa_server import Account, JaxaServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE = Tile.from_name("N25W165")
SEED = SeedSettings(runs_bucket="runs", output_uri="s3://out/mosaics", source_uri="file:///")
CONTEXT = SimpleNamespace(
    log_group_name="/group", log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000
)


@pytest.fixture
def s3() -> Iterator[S3Client]:
    caches = [seed_tiles._s3, seed_tiles._states, summarise_run._s3, summarise_run._sqs]
    caches += [process_tile._s3, process_tile._impatient_s3]
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("runs", "out"):
            client.create_bucket(Bucket=bucket)
        yield client
    for cache in caches:
        cache.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)


def read(s3: S3Client, key: str) -> Any:
    return json.loads(s3.get_object(Bucket="runs", Key=key)["Body"].read())


def machine() -> dict[str, str]:
    """A state machine without a running execution, and the execution that asks."""
    states = boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    role = "arn:aws:iam::123456789012:role/any"
    made = states.create_state_machine(name="runs", definition=definition, roleArn=role)["stateMachineArn"]
    return {"state_machine": made, "execution": "arn:aws:states:us-east-1:123456789012:execution:runs:a-run"}


def seed(given: object) -> dict[str, Any]:
    return seed_tiles.lambda_handler({"run": "a-run", "input": given, **machine()}, CONTEXT)


def test_seeding_writes_the_manifest_and_returns_pointers(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    assert seed({"years": ["2017", 2020], "tiles": ["N25W165", "N00E010"]}) == {
        "schema_version": 1, "run": "a-run", "bucket": "runs", "key": "runs/a-run/manifest.json", "count": 4,
        "max_concurrency": 2, "max_tiles": 25_000, "estimated_usd": 0.1695, "max_usd": 1000.0, "cost_refusal": "",
    }  # fmt: skip
    asked = {"mode": "skip", "product": None, "accept_partial": False, "since": None, "staged_in": None}
    assert read(s3, "runs/a-run/manifest.json") == [
        {"year": 2017, "tile": "N25W165", **asked}, {"year": 2017, "tile": "N00E010", **asked},
        {"year": 2020, "tile": "N25W165", **asked}, {"year": 2020, "tile": "N00E010", **asked},
    ]  # fmt: skip


def test_forest_maps_are_seeded_where_they_exist(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAXA has no forest map of 2018 in the listings of 2021, so every tile that any year has may be there."""
    use(monkeypatch, SEED)
    counts = [seed({"years": [year], "product": "alos_palsar_fnf"})["count"] for year in (2009, 2018)]
    known = [len(tiles_of_year(2009, ArchiveKind.FOREST)), len(tiles_of_any_year(ArchiveKind.FOREST))]
    assert counts == known
    assert counts[0] < counts[1]


def test_seeding_keeps_to_the_deployments_ceilings(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(
        monkeypatch,
        replace(SEED, max_concurrency_ceiling=3, max_tiles_ceiling=100),
    )
    seeded = seed({"years": [2020], "region": "africa", "max_concurrency": 50, "max_tiles": 1000})
    assert (seeded["count"], seeded["max_concurrency"], seeded["max_tiles"]) == (178, 3, 100)
    seeded = seed({"years": [2020], "tiles": ["N25W165"], "max_concurrency": 1, "max_tiles": 1})
    assert (seeded["count"], seeded["max_concurrency"], seeded["max_tiles"]) == (1, 1, 1)


def test_seeding_refuses_before_anything_is_written(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    with pytest.raises(InvalidRequestError, match="N12E010"):
        seed({"years": [2020], "tiles": ["N12E010"]})
    with pytest.raises(InvalidRequestError, match=r"publishes none of the selected tiles \(1\) in 2018, 2020"):
        seed({"years": [2018, 2020], "bbox": [-40, 30, -35, 35]})
    assert s3.list_objects_v2(Bucket="runs")["KeyCount"] == 0


def settings_for(mirror: Path, grid: Grid, **changes: Any) -> TileSettings:
    return TileSettings("s3://out/mosaics", "runs", mirror.as_uri(), cell_pixels=grid.cell_pixels, **changes)


@pytest.fixture
def mirror(tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place_archive(tmp_path / "mirror", TILE, 2020, grid, cells=TILE.cells[:1])
    use(monkeypatch, settings_for(tmp_path / "mirror", grid))
    return tmp_path / "mirror"


def test_a_long_transfer_answers_that_it_goes_on_and_leaves_no_result(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Grid(130)
    place_archive(mirror, TILE, 2017, large)
    with JaxaServer(mirror, bytes_per_second=150_000) as server:
        use(monkeypatch, replace(settings_for(mirror, large), source_uri=server.url, transfer_limit_seconds=1.0))
        asked, rounds = event(year=2017, retries=0), 0
        while (answer := process_tile.lambda_handler(asked, CONTEXT))["state"] == "transferring":
            rounds += 1
            assert answer["transfer"]["invocations"] == rounds
            assert s3.list_objects_v2(Bucket="runs", Prefix="runs/")["KeyCount"] == 0
            staged = s3.list_objects_v2(Bucket="runs", Prefix="staging/a-run/2017/N25W165/mosaic/archives/")["Contents"]
            assert sum(entry["Size"] for entry in staged) == answer["transfer"]["received_bytes"]
            asked = event(year=2017, transfer=answer["transfer"], retries=0)
    assert answer["state"] == "published"
    assert rounds >= 2
    assert s3.list_objects_v2(Bucket="runs", Prefix="staging/")["KeyCount"] == 0
    assert read(s3, "runs/a-run/results/2017/N25W165.json") == answer


def test_what_came_in_a_run_that_failed_is_taken_up_by_the_run_that_goes_on_with_it(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0)
    (archive,) = mirror.rglob("*.tar.gz")
    with JaxaServer(mirror, breaks=[1000, 0, 0, 0]) as server:
        use(monkeypatch, replace(settings_for(mirror, grid), source_uri=server.url))
        with pytest.raises(SourceUnavailableError):
            process_tile.lambda_handler(event(), CONTEXT)
    with JaxaServer(mirror, breaks=[500, 0, 0, 0]) as server:
        use(monkeypatch, replace(settings_for(mirror, grid), source_uri=server.url))
        with pytest.raises(SourceUnavailableError):
            process_tile.lambda_handler(event(run="again", staged_in="a-run"), CONTEXT)
    staged = s3.list_objects_v2(Bucket="runs", Prefix="staging/")["Contents"]
    assert [entry["Size"] for entry in staged] == [1000, 500]
    assert all(entry["Key"].startswith("staging/a-run/2020/N25W165/mosaic/archives/") for entry in staged)
    with JaxaServer(mirror) as server:
        use(monkeypatch, replace(settings_for(mirror, grid), source_uri=server.url))
        result = process_tile.lambda_handler(event(run="third", staged_in="a-run"), CONTEXT)
        assert server.sent_bytes == archive.stat().st_size - 1500
    assert (result["state"], result["run"]) == ("published", "third")
    assert s3.list_objects_v2(Bucket="runs", Prefix="staging/")["KeyCount"] == 0


@pytest.mark.parametrize("run", ["a-run", None])
def test_what_takes_the_place_of_a_published_tile_waits_in_the_bucket_of_runs(
    s3: S3Client, mirror: Path, monkeypatch: pytest.MonkeyPatch, run: str | None
) -> None:
    """The worker may write below its products in the output bucket, and nowhere else there."""
    put: list[tuple[str, str]] = []
    process_tile.lambda_handler(event(), CONTEXT)
    client = process_tile._s3()
    client.meta.events.register(
        "before-parameter-build.s3.*", lambda params, **_: put.append((params["Bucket"], params.get("Key", "")))
    )
    asked = event(mode="overwrite")
    if run is None:
        del asked["run"]
    assert process_tile.lambda_handler(asked, CONTEXT)["state"] == "published"
    staged = {key for bucket, key in put if bucket == "runs" and key.startswith("staging/")}
    assert any(key.startswith(f"staging/{run or 'alone'}/2020/N25W165/mosaic/files/") for key in staged)
    assert all(key.startswith("mosaics/alos_palsar_mosaic/") for bucket, key in put if bucket == "out" and key)
    assert s3.list_objects_v2(Bucket="runs", Prefix="staging/")["KeyCount"] == 0


def test_a_transfer_without_end_fails_as_the_archives_fault(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_archive(mirror, TILE, 2017, Grid(130))
    with JaxaServer(mirror, bytes_per_second=100_000) as server:
        use(monkeypatch, replace(settings_for(mirror, grid), source_uri=server.url, transfer_limit_seconds=0.5))
        with pytest.raises(SourceUnavailableError, match="in 20 invocations"):
            given = {"invocations": 19, "received_bytes": 1}
            process_tile.lambda_handler(event(year=2017, transfer=given, retries=0), CONTEXT)
    assert read(s3, "runs/a-run/results/2017/N25W165.json")["error"] == "ArchiveUnavailableError"


def test_a_tile_that_had_all_its_invocations_asks_the_source_no_more(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JaxaServer(mirror) as server:
        use(monkeypatch, replace(settings_for(mirror, grid), source_uri=server.url))
        given = {"invocations": 15, "received_bytes": 1000}
        with pytest.raises(SourceUnavailableError, match="its 20 invocations are used up, 1000 bytes came in them"):
            process_tile.lambda_handler(event(transfer=given, retries=5), CONTEXT)
        assert not server.commands
        assert process_tile.lambda_handler(event(transfer=given, retries=4), CONTEXT)["attempt"] == 20


def test_a_worker_that_is_not_done_in_its_time_says_so_itself(
    s3: S3Client, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(process_tile, "process_tile", lambda *_: released.wait(30))
    monkeypatch.setattr(deadline, "_overdue", [])
    context = SimpleNamespace(**{**vars(CONTEXT), "get_remaining_time_in_millis": lambda: 15_200})
    with pytest.raises(DeadlineExceededError, match="ahead of the function's own time-out"):
        process_tile.lambda_handler(event(), context)
    released.set()
    assert read(s3, "runs/a-run/results/2020/N25W165.json")["error"] == "DeadlineExceededError"


def event(tile: str = "N25W165", **changes: Any) -> dict[str, Any]:
    return {"schema_version": 1, "year": 2020, "tile": tile, "mode": "skip", "run": "a-run", "retries": 1, **changes}


def test_a_tile_is_published_and_its_result_recorded(s3: S3Client, mirror: Path, tmp_path: Path) -> None:
    result = process_tile.lambda_handler(event(), CONTEXT)
    assert result["state"] == "published"
    assert result["item_uri"] == "s3://out/mosaics/alos_palsar_mosaic/2020/N25W165/N25W165_20.stac-item.json"
    assert read(s3, "runs/a-run/results/2020/N25W165.json") == result
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="out")["Contents"]]
    assert len(keys) == 9  # five bands, quicklook, EO3 document and item, and the collection
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]
    assert process_tile.lambda_handler(event(), CONTEXT)["state"] == "skipped"


def test_a_key_tells_what_the_record_says(s3: S3Client, mirror: Path) -> None:
    result = process_tile.lambda_handler(event(), CONTEXT)
    record = s3.head_object(Bucket="runs", Key="runs/a-run/results/2020/N25W165.json")["ETag"].strip('"')
    milliseconds = round(1000 * TileResult.from_dict(result).worker_seconds)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="runs", Prefix="runs/a-run/outcomes/")["Contents"]]
    told = f"2020/N25W165/published-{milliseconds}-{result['output_bytes']}-{record}"
    assert keys == [f"runs/a-run/outcomes/{told}"]


def test_a_key_that_can_not_be_left_is_no_matter(s3: S3Client, mirror: Path, caplog: pytest.LogCaptureFixture) -> None:
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if "/outcomes/" in params["Key"]:
            raise refused

    process_tile._impatient_s3().meta.events.register("before-parameter-build.s3.PutObject", refuse)
    assert process_tile.lambda_handler(event(), CONTEXT)["state"] == "published"
    assert read(s3, "runs/a-run/results/2020/N25W165.json")["state"] == "published"
    assert "Outcome not told in short" in caplog.text


@pytest.mark.parametrize("given", [{"year": 2020, "tile": "N25W165"}, "2020/N25W165"])
def test_a_test_event_leaves_no_record(s3: S3Client, mirror: Path, given: object) -> None:
    assert process_tile.lambda_handler(given, CONTEXT)["state"] == "published"
    assert s3.list_objects_v2(Bucket="runs")["KeyCount"] == 0


def test_an_absent_tile_is_a_result(s3: S3Client, mirror: Path) -> None:
    assert process_tile.lambda_handler(event("N00E010"), CONTEXT)["state"] == "absent"
    assert read(s3, "runs/a-run/results/2020/N00E010.json")["state"] == "absent"


def test_a_failed_tile_is_recorded_and_raised_as_json(s3: S3Client, mirror: Path, grid: Grid) -> None:
    archive = next(mirror.rglob("*.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(CorruptArchiveError) as caught:
        process_tile.lambda_handler(event(), CONTEXT)
    raised = json.loads(str(caught.value))
    assert raised.pop("cause").startswith("N25W165_20_MOS_F02DAR.tar.gz")
    assert raised == {"year": 2020, "tile": "N25W165", "run": "a-run", "log": "/group stream", "attempt": 2}
    record = read(s3, "runs/a-run/results/2020/N25W165.json")
    assert (record["state"], record["error"], record["attempt"]) == ("failed", "CorruptArchiveError", 2)
    assert s3.list_objects_v2(Bucket="runs", Prefix="runs/a-run/outcomes/")["KeyCount"] == 0


def test_a_failed_tile_s_record_names_the_cells_that_it_could_be_made_without(
    s3: S3Client, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CorruptArchiveError("a cell is broken", defective_cells=["N25W164"])

    monkeypatch.setattr(process_tile, "process_tile", fail)
    with pytest.raises(CorruptArchiveError):
        process_tile.lambda_handler(event(), CONTEXT)
    assert read(s3, "runs/a-run/results/2020/N25W165.json")["defective_cells"] == ["N25W164"]


def test_a_record_that_can_not_be_kept_is_a_publish_error(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALOS_MOSAIC_RUNS_BUCKET", "nowhere")
    with pytest.raises(PublishError, match="can't record"):
        process_tile.lambda_handler(event(), CONTEXT)
    next(mirror.rglob("*.tar.gz")).write_bytes(b"no archive")
    with pytest.raises(CorruptArchiveError):
        process_tile.lambda_handler(event(mode="overwrite"), CONTEXT)


def test_the_secret_opens_the_source(
    s3: S3Client, mirror: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name="jaxa", SecretString=json.dumps({"username": "me", "password": "s3cret"}))
    with JaxaServer(mirror, account=Account("me", "s3cret")) as server:
        changed = TileSettings(
            "s3://out", "runs", server.url, "jaxa", cell_pixels=grid.cell_pixels, allow_plain_login=True
        )
        use(monkeypatch, changed)
        assert process_tile.lambda_handler(event(), CONTEXT)["state"] == "published"
        for text in ("s3cret", *map(json.dumps, ({"username": "me", "password": ["s3cret"]}, ["s3cret"]))):
            secrets.update_secret(SecretId="jaxa", SecretString=text)
            with pytest.raises(SourceUnavailableError, match="the secret jaxa is not of the form") as caught:
                process_tile.lambda_handler(event(mode="overwrite"), CONTEXT)
            assert "s3cret" not in str(caught.value)
        secrets.delete_secret(SecretId="jaxa", ForceDeleteWithoutRecovery=True)
        with pytest.raises(SourceUnavailableError, match="the secret jaxa can't be read"):
            process_tile.lambda_handler(event(mode="overwrite"), CONTEXT)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "given", [{"year": 2012, "tile": "N25W165"}, {"year": 2020, "tile": "N12E010"}, {}, None, "2020"]
)
def test_a_senseless_event_is_refused(s3: S3Client, mirror: Path, given: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        process_tile.lambda_handler(given, CONTEXT)
    assert json.loads(str(caught.value))["log"] == "/group stream"


def test_what_a_dead_worker_left_goes_first_and_nothing_else(s3: S3Client, mirror: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "alos-mosaic" / "alos-mosaic-dead" / "members"
    leftover.mkdir(parents=True)
    assert process_tile.lambda_handler(event(), CONTEXT)["state"] == "published"
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]


def put_result(s3: S3Client, tile: str, state: str, **facts: Any) -> None:
    body = json.dumps({"state": state, "year": 2020, "tile": tile, "run": "a-run", **facts})
    s3.put_object(Bucket="runs", Key=f"runs/a-run/results/2020/{tile}.json", Body=body.encode())


def test_the_four_counts_add_up_to_the_seeded(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs"))
    tiles = ["N25W165", "N00E010", "N35W040", "N20E010", "N30E010", "N40E010"]  # the third is ocean, never listed
    seed({"years": [2020], "tiles": tiles})
    for tile, state in zip(tiles, ["published", "skipped", "absent", "published"], strict=False):
        put_result(s3, tile, state)
    put_result(s3, "N30E010", "failed", error="OutputError", cause="disk full", attempt=1)
    put_result(s3, "S05E010", "published")  # nobody asked for this one

    summary = summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)

    others = ("schema_version", "run", "sentence", "report")
    assert {key: value for key, value in summary.items() if key not in others} == {
        "seeded": 6, "published": 2, "skipped": 1, "absent": 1, "failed": 2, "known_absent": 0, "complete": False,
    }  # fmt: skip
    assert summary["sentence"] == "2 published, 1 skipped, 1 absent, 2 failed of 6 seeded"
    report = read(s3, "runs/a-run/summary.json")
    assert report["failures_by_error"] == {"OutputError": 1, "unknown": 1}
    assert [tile["tile"] for tile in report["tiles"]] == tiles
    assert report["tiles"][5]["cause"].startswith("the worker left no result")


def test_a_report_lies_beside_the_summary_and_is_linked(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    worker: dict[str, Any] = {"memory_mib": 2048, "ephemeral_storage_mib": 10_240, "architecture": "x86_64"}
    worker["assumed_megabytes_per_second"] = 1.0
    use(monkeypatch, SummarySettings("runs", **worker, stack_name="Trial", aws_region="us-east-1"))
    seed({"years": [2020], "tiles": ["N25W165", "N00E010"]})
    put_result(s3, "N25W165", "published", cells=["N23W161"], output_bytes=10, seconds={"check": 1.0, "gather": 99.0})
    put_result(s3, "N00E010", "failed", error="OutputError", cause="<script>alert(1)</script>")
    so_far = {"seed": {"estimated_usd": 0.1234, "max_concurrency": 2}}
    summary = summarise_run.lambda_handler({"run": "a-run", "so_far": so_far}, CONTEXT)
    assert summary["report"] == "s3://runs/runs/a-run/report.html"
    kept = s3.get_object(Bucket="runs", Key="runs/a-run/report.html")
    assert kept["ContentType"] == "text/html; charset=utf-8"
    text = kept["Body"].read().decode()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    assert "1 min 40 s" in text
    assert "the run was estimated at $0.12: 2 tiles" in text
    assert " --stack Trial --aws-region us-east-1" in re.sub("<.*?>", "", text)
    told = read(s3, "runs/a-run/summary.json")
    assert told["report"] == summary["report"]
    assert told["worker"] == worker
    assert told["deployment"] == {"stack": "Trial", "aws_region": "us-east-1"}
    assert (told["estimated_usd"], told["max_concurrency"]) == (0.1234, 2)
    assert told["started"] <= told["ended"]


def test_a_report_that_can_not_be_made_costs_no_summary(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs"))
    seed({"years": [2020], "tiles": ["N25W165"]})
    put_result(s3, "N25W165", "published", seconds={"check": "no number"})
    summary = summarise_run.lambda_handler({"run": "a-run"}, CONTEXT)
    assert summary["published"] == 1
    assert "report" not in summary
    assert "The report can't be made" in caplog.text
    assert read(s3, "runs/a-run/summary.json")["published"] == 1


@pytest.mark.parametrize(("limit", "complete"), [(0, False), (49.9, False), (50, True), (100, True)])
def test_the_failure_limit_decides(s3: S3Client, monkeypatch: pytest.MonkeyPatch, limit: float, complete: bool) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs", limit))
    seed({"years": [2020], "tiles": ["N25W165", "N00E010"]})
    put_result(s3, "N25W165", "published")
    assert summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)["complete"] is complete


@pytest.mark.parametrize(("limit", "complete"), [(0, False), (16, False), (17, True), (100, True)])
def test_known_tiles_that_are_absent_end_a_run_as_incomplete(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, limit: float, complete: bool
) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs", absent_limit_percent=limit))
    known = ["N25W165", "N00E010", "N10E010", "N20E010", "N30E010", "N40E010"]
    seed({"years": [2020], "tiles": [*known, "N35W040"]})
    for tile in known:
        put_result(s3, tile, "absent" if tile == "N10E010" else "published")
    put_result(s3, "N35W040", "absent")
    summary = summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)
    assert (summary["absent"], summary["known_absent"], summary["complete"]) == (2, 1, complete)
    moved = "; 1 of 6 known tiles came out absent: has JAXA moved its folders?"
    assert summary["sentence"].endswith(moved) is not complete
    assert read(s3, "runs/a-run/summary.json")["known_absent"] == 1


def test_in_a_year_that_nobody_has_listed_no_tile_is_known(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs"))
    seed({"years": [2021], "tiles": ["N10E010"]})
    body = json.dumps({"state": "absent", "year": 2021, "tile": "N10E010", "run": "a-run"})
    s3.put_object(Bucket="runs", Key="runs/a-run/results/2021/N10E010.json", Body=body.encode())
    summary = summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)
    assert (summary["absent"], summary["known_absent"], summary["complete"]) == (1, 0, True)


@pytest.mark.parametrize(
    ("count", "states", "limit", "complete"),
    [
        (10, ["absent"], 5, False),
        (10, ["absent"], 100, True),
        (9, ["absent"], 5, True),
        (10, ["published", "absent"], 5, True),
    ],
)
def test_a_year_that_nobody_has_listed_is_not_all_absent(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, count: int, states: list[str], limit: float, complete: bool
) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs", absent_limit_percent=limit))
    tiles = [f"N{north:02d}E{east:03d}" for north in (10, 15) for east in range(10, 35, 5)][:count]
    seed({"years": [2020, 2021], "tiles": tiles})
    for number, tile in enumerate(tiles):
        put_result(s3, tile, "published")
        body = {"state": states[min(number, len(states) - 1)], "year": 2021, "tile": tile, "run": "a-run"}
        s3.put_object(Bucket="runs", Key=f"runs/a-run/results/2021/{tile}.json", Body=json.dumps(body).encode())
    summary = summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)
    assert summary["complete"] is complete
    moved = f"; 0 of {count} known tiles came out absent, and all of 2021: has JAXA moved its folders?"
    assert summary["sentence"].endswith(moved) is not complete


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"state": "done", "year": 2020, "tile": "N25W165"}',
    ],
)
def test_a_record_that_makes_no_sense_counts_as_failed(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs"))
    seed({"years": [2020], "tiles": ["N25W165"]})
    s3.put_object(Bucket="runs", Key="runs/a-run/results/2020/N25W165.json", Body=body)
    summary = summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)
    assert (summary["seeded"], summary["failed"]) == (1, 1)
    assert "makes no sense" in read(s3, "runs/a-run/summary.json")["tiles"][0]["cause"]


@pytest.mark.parametrize("change", [{"tile": "N00E010"}, {"year": 2019}, {"run": "another"}])
def test_a_record_of_another_tile_counts_as_failed(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs"))
    seed({"years": [2020], "tiles": ["N25W165"]})
    record = {"state": "published", "year": 2020, "tile": "N25W165", "run": "a-run", **change}
    s3.put_object(Bucket="runs", Key="runs/a-run/results/2020/N25W165.json", Body=json.dumps(record).encode())
    assert summarise_run.lambda_handler({"run": "a-run", "execution": "arn:a-run"}, CONTEXT)["failed"] == 1


def test_a_run_is_priced_with_the_deployments_own_tile_lambda(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, replace(SEED, memory_mib=4096, architecture="arm64", assumed_megabytes_per_second=5.0))
    worker = Worker(5e6, 4096, Architecture.ARM64)
    africa = [
        len(cells_of_tile(2020, tile)) or CELLS_PER_TILE
        for tile in tiles_of_region("africa")
        if tile in tiles_of_year(2020)
    ]
    seeded = seed({"years": [2020], "region": "africa"})
    assert seeded["estimated_usd"] == pytest.approx(worker.cost_of(africa).total, abs=1e-4)


@pytest.mark.parametrize(
    ("ceiling", "given", "advice"),
    [
        (
            1000.0,
            {"max_usd": 5},
            "the run's cap is $5.00; ask for fewer tiles, or raise max_usd (--max-usd), up to $1,000.00",
        ),
        (3.5, {"max_usd": 5}, "the run's cap is $3.50; ask for fewer tiles, or deploy with a higher max_usd_ceiling"),
        (3.5, {}, "the run's cap is $3.50; ask for fewer tiles, or deploy with a higher max_usd_ceiling"),
    ],
)
def test_a_run_above_its_price_says_so_and_leaves_nothing(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch, ceiling: float, given: dict[str, Any], advice: str
) -> None:
    nobody_listens = "ftp://127.0.0.1:1"
    use(monkeypatch, replace(SEED, max_usd_ceiling=ceiling, source_uri=nobody_listens))
    seeded = seed({"years": [2020], "region": "africa", **given})
    assert seeded["estimated_usd"] > seeded["max_usd"] == min(5, ceiling)
    priced = "178 tiles are estimated at $11.64 (nothing published yet, 2048 MiB of x86_64, 1 MB/s"
    assert seeded["cost_refusal"].startswith(priced)
    assert seeded["cost_refusal"].endswith(advice)
    assert s3.list_objects_v2(Bucket="runs")["KeyCount"] == 0


@pytest.mark.parametrize("amount", [0, -1, "5", True, float("inf"), float("nan"), 10**400])
def test_a_price_is_a_number_above_0(s3: S3Client, monkeypatch: pytest.MonkeyPatch, amount: object) -> None:
    use(monkeypatch, SEED)
    with pytest.raises(InvalidRequestError, match="max_usd is a number above 0"):
        seed({"years": [2020], "max_usd": amount})


def test_a_run_whose_source_is_down_is_not_begun(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, replace(SEED, source_uri="ftp://127.0.0.1:1"))
    with pytest.raises(SourceUnavailableError, match=r"ftp://127.0.0.1:1 does not answer"):
        seed({"years": [2020], "tiles": ["N25W165"]})
    assert s3.list_objects_v2(Bucket="runs", Prefix="runs/a-run/")["KeyCount"] == 0
    assert seed({"years": [2020], "tiles": ["N25W165"], "mode": "metadata-only"})["count"] == 1, "it needs no source"


def test_a_run_that_was_stopped_says_so(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SEED)
    use(monkeypatch, SummarySettings("runs", failure_limit_percent=100))
    seed({"years": [2020], "tiles": ["N25W165"]})
    failure = {"map_failure": {"Error": "States.ExceedToleratedFailureThreshold", "Cause": "..."}}
    ended = {"run": "a-run", "execution": "arn:a-run"}
    summary = summarise_run.lambda_handler({**ended, "so_far": {"seed": {}, **failure}}, CONTEXT)
    assert summary["complete"] is False
    assert summary["sentence"].endswith("seeded; the run was stopped, since the source was down for too many tiles")
    summary = summarise_run.lambda_handler({**ended, "so_far": {"seed": {}}}, CONTEXT)
    assert (summary["complete"], summary["sentence"]) == (
        True,
        "0 published, 0 skipped, 0 absent, 1 failed of 1 seeded",
    )
