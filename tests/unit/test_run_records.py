"""What is read of a run's traces in S3: each record once, and nothing that makes no sense as if it did."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.manifests import write_manifest
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.naming import manifest_key, result_key, summary_key
from alos_mosaic.results import State, TileResult
from alos_mosaic.run_records import RunRecords

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "runs-bucket"
NAMES = ("N10E010", "N10E015", "N25W165", "S05E055")


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def seed(s3: S3Client, run: str = "a") -> None:
    write_manifest(s3, BUCKET, run, [TileRequest(TileYear.from_text(f"2020/{name}")) for name in NAMES])


def record(s3: S3Client, name: str, state: State = State.PUBLISHED, run: str = "a", **facts: Any) -> None:
    result = TileResult(state, 2020, name, run, **facts)
    put(s3, result_key(run, 2020, name), json.dumps(result.to_dict()))


def put(s3: S3Client, key: str, text: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())


def watch(s3: S3Client) -> list[str]:
    """Return a list that grows by the keys that are asked for."""
    asked: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: asked.append(params["Key"]))
    return asked


def test_a_run_without_traces_has_no_progress(s3: S3Client) -> None:
    assert RunRecords(s3, BUCKET).progress("a").seeded == 0
    assert RunRecords(s3, BUCKET).summary("a") is None


def test_what_was_read_is_not_read_again_unless_it_was_written_anew(s3: S3Client, tmp_path: Path) -> None:
    seed(s3)
    record(s3, "N10E010")
    record(s3, "N10E015", State.FAILED, error="PublishError", cause="403")
    assert RunRecords(s3, BUCKET, tmp_path).progress("a").counts["failed"] == 1
    record(s3, "N10E015", attempt=2)
    record(s3, "N25W165", State.ABSENT)
    asked, again = watch(s3), RunRecords(s3, BUCKET, tmp_path)  # as another process would
    progress = again.progress("a")
    assert progress.counts == {"published": 2, "skipped": 0, "absent": 1, "failed": 0}
    assert progress.waiting == 1
    read = [key for key in asked if "/results/" in key]
    assert sorted(read) == [result_key("a", 2020, name) for name in ("N10E015", "N25W165")]
    assert again.progress("a") == progress
    assert [key for key in asked if "/results/" in key] == read


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"key": 1}', '{"key": ["tag", {}]}'])
def test_a_memory_that_was_spoilt_is_no_matter(s3: S3Client, tmp_path: Path, kept: str) -> None:
    seed(s3)
    record(s3, "N10E010")
    (tmp_path / BUCKET).mkdir()
    (tmp_path / BUCKET / "a.json").write_text(kept)
    assert RunRecords(s3, BUCKET, tmp_path).progress("a").counts["published"] == 1


def test_a_memory_that_can_not_be_kept_is_no_matter(s3: S3Client, tmp_path: Path) -> None:
    seed(s3)
    record(s3, "N10E010")
    (tmp_path / "file").touch()
    assert RunRecords(s3, BUCKET, tmp_path / "file").progress("a").counts["published"] == 1


def test_a_run_that_was_summed_up_is_told_by_its_summary_and_forgotten(s3: S3Client, tmp_path: Path) -> None:
    seed(s3)
    record(s3, "N10E010")
    RunRecords(s3, BUCKET, tmp_path).progress("a")
    assert (tmp_path / BUCKET / "a.json").exists()
    told = [TileResult(State.FAILED, 2020, name, "a", error="unknown", cause="died").to_dict() for name in NAMES]
    put(s3, summary_key("a"), json.dumps({"seeded": 4, "tiles": told}))
    assert RunRecords(s3, BUCKET, tmp_path).progress("a").counts["failed"] == 4
    assert not (tmp_path / BUCKET / "a.json").exists()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", "{}", '{"state": "done"}', "[" * 100_000])
def test_a_record_that_makes_no_sense_is_a_failed_tile_that_names_it(s3: S3Client, text: str) -> None:
    seed(s3)
    record(s3, "N10E010")
    put(s3, result_key("a", 2020, "N10E015"), text)
    progress = RunRecords(s3, BUCKET).progress("a")
    (failed,) = progress.failures
    assert (failed.year, failed.tile, failed.error) == (2020, "N10E015", "unknown")
    assert failed.cause == "its record runs/a/results/2020/N10E015.json makes no sense"
    assert progress.counts["published"] == 1


def test_a_record_of_another_tile_or_run_is_not_taken_for_this_ones(s3: S3Client) -> None:
    seed(s3)
    other_tile, other_run = TileResult(State.PUBLISHED, 2020, "N00E000", "a"), TileResult(State.SKIPPED, 2020, NAMES[1])
    put(s3, result_key("a", 2020, NAMES[0]), json.dumps(other_tile.to_dict()))
    put(s3, result_key("a", 2020, NAMES[1]), json.dumps(other_run.to_dict()))
    progress = RunRecords(s3, BUCKET).progress("a")
    assert {failed.tile for failed in progress.failures} == set(NAMES[:2])
    assert all("is of another tile or run" in str(failed.cause) for failed in progress.failures)


def test_a_record_is_found_by_its_product_too(s3: S3Client) -> None:
    seed(s3)
    forest = TileResult(State.PUBLISHED, 2020, NAMES[0], "a", product="alos_palsar_fnf")
    put(s3, result_key("a", 2020, NAMES[0], "alos_palsar_fnf"), json.dumps(forest.to_dict()))
    put(s3, result_key("a", 2020, NAMES[1], "alos_palsar_fnf"), "?")
    progress = RunRecords(s3, BUCKET).progress("a")
    assert progress.counts["published"] == 1
    assert (progress.failures[0].tile, progress.failures[0].product) == (NAMES[1], "alos_palsar_fnf")


def test_records_of_an_earlier_run_of_the_same_name_do_not_count(s3: S3Client) -> None:
    record(s3, "N10E010")
    time.sleep(1.1)  # S3 tells times to the second
    seed(s3)
    record(s3, "N10E015")
    progress = RunRecords(s3, BUCKET).progress("a")
    assert [result.tile for result in progress.results] == ["N10E015"]


@pytest.mark.parametrize("text", ["", "nonsense", "7", "null"])
def test_a_manifest_that_makes_no_sense_is_named(s3: S3Client, text: str) -> None:
    put(s3, manifest_key("a"), text)
    with pytest.raises(InvalidRequestError, match=r"s3://runs-bucket/runs/a/manifest\.json makes no sense"):
        RunRecords(s3, BUCKET).progress("a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tiles": [], "seeded": "many"}', '{"tiles": [{}], "seeded": 1}'])
def test_a_summary_that_makes_no_sense_is_named(s3: S3Client, text: str) -> None:
    put(s3, summary_key("a"), text)
    for read in (RunRecords(s3, BUCKET).progress, RunRecords(s3, BUCKET).summary):
        with pytest.raises(InvalidRequestError, match=r"s3://runs-bucket/runs/a/summary\.json makes no sense"):
            read("a")
