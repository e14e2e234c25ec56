"""What is read of a run's traces in S3: each record once, and nothing that makes no sense as if it did."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.manifests import write_manifest
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.naming import manifest_key, outcomes_prefix, result_key, summary_key
from alos_mosaic.outcomes import outcome_key, read_outcome, record_of
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


def seed(s3: S3Client, product: str | None = None) -> None:
    asked = [TileRequest(TileYear.from_text(f"2020/{name}"), product=product) for name in NAMES]
    write_manifest(s3, BUCKET, "a", asked)


def record(
    s3: S3Client, name: str, state: State = State.PUBLISHED, *, is_told_in_short: bool = False, **facts: Any
) -> None:
    result = TileResult(state, 2020, name, "a", **facts)
    tag = put(s3, result_key("a", 2020, name), json.dumps(result.to_dict()))
    if is_told_in_short:
        put(s3, outcome_key(result, tag), "")


def put(s3: S3Client, key: str, text: str) -> str:
    return s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())["ETag"]


def watch(s3: S3Client) -> list[str]:
    """Return a list that grows by the keys that are asked for."""
    asked: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: asked.append(params["Key"]))
    return asked


def test_a_run_without_traces_has_no_progress(s3: S3Client) -> None:
    assert RunRecords(s3, BUCKET).progress("a").seeded == 0
    assert RunRecords(s3, BUCKET).summary("a") is None


def test_what_was_read_is_not_read_again_unless_it_was_written_anew(s3: S3Client) -> None:
    seed(s3)
    record(s3, "N10E010")
    record(s3, "N10E015", State.FAILED, error="PublishError", cause="403")
    records, asked = RunRecords(s3, BUCKET), watch(s3)
    assert records.progress("a").counts["failed"] == 1
    asked.clear()
    record(s3, "N10E015", attempt=2)
    record(s3, "N25W165", State.ABSENT)
    progress = records.progress("a")
    assert progress.counts == {"published": 2, "skipped": 0, "absent": 1, "failed": 0}
    assert progress.waiting == 1
    read = [key for key in asked if "/results/" in key]
    assert sorted(read) == [result_key("a", 2020, name) for name in ("N10E015", "N25W165")]
    assert records.progress("a") == progress
    assert [key for key in asked if "/results/" in key] == read


def test_what_a_key_tells_in_short_is_not_read(s3: S3Client) -> None:
    seed(s3)
    seconds = {"check": 0.5, "gather": 40.0, "transfer": 39.0, "write": 9.25}
    record(s3, "N10E010", output_bytes=2_200_000_000, seconds=seconds, is_told_in_short=True)
    record(s3, "N25W165", State.ABSENT, seconds={"check": 0.25}, is_told_in_short=True)
    record(s3, "N10E015", State.FAILED, error="PublishError", cause="403")
    asked = watch(s3)
    progress = RunRecords(s3, BUCKET).progress("a")
    assert [key for key in asked if "/results/" in key] == [result_key("a", 2020, "N10E015")]
    assert progress.counts == {"published": 1, "skipped": 0, "absent": 1, "failed": 1}
    published = next(result for result in progress.results if result.state is State.PUBLISHED)
    assert (published.tile, published.worker_seconds, published.output_bytes) == ("N10E010", 49.75, 2_200_000_000)
    (failed,) = progress.failures
    assert (failed.tile, failed.error, failed.cause) == ("N10E015", "PublishError", "403")


def test_a_key_of_another_record_tells_nothing(s3: S3Client) -> None:
    """A later attempt has failed since, or its own key was never left."""
    seed(s3)
    record(s3, "N10E010", is_told_in_short=True)
    record(s3, "N10E010", State.FAILED, error="OutputError", cause="full", attempt=2)
    record(s3, "N10E015", is_told_in_short=True)
    record(s3, "N10E015", State.SKIPPED, attempt=2)
    progress = RunRecords(s3, BUCKET).progress("a")
    assert progress.counts == {"published": 0, "skipped": 1, "absent": 0, "failed": 1}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nonsense",
        "2020/N10E010",
        "2020/N10E010/",
        "2020/N10E010/published-1-1",
        "2020/N10E010/done-1-1-{tag}",
        "2020/N10E010/failed-1-1-{tag}",
        "2020/N10E010/published--1-1-{tag}",
        "2020/N10E010/published-1-1e3-{tag}",
        "2020/N10E010/published-1-1-{tag}/more",
        f"2020/N10E010/published-{'9' * 400}-1-{{tag}}",
    ],
)
def test_a_key_that_makes_no_sense_tells_nothing(s3: S3Client, name: str) -> None:
    seed(s3)
    record(s3, "N10E010", State.ABSENT)
    tag = s3.head_object(Bucket=BUCKET, Key=result_key("a", 2020, "N10E010"))["ETag"].strip('"')
    put(s3, outcomes_prefix("a") + name.format(tag=tag), "")
    assert RunRecords(s3, BUCKET).progress("a").counts["absent"] == 1


@pytest.mark.parametrize("product", [None, "alos_palsar_fnf"])
def test_a_key_tells_what_its_record_does(product: str | None) -> None:
    result = TileResult(
        State.SKIPPED, 2020, "N10E010", "a.b-c", seconds={"check": 1.5, "transfer": 1.0}, output_bytes=7
    )
    told = read_outcome("a.b-c", outcome_key(result, '"0abc-12"', product))
    assert told is not None
    record, short = told
    assert record == record_of(result_key("a.b-c", 2020, "N10E010", product), "0abc-12")
    assert (short.state, short.year, short.tile, short.run) == (State.SKIPPED, 2020, "N10E010", "a.b-c")
    assert (short.worker_seconds, short.output_bytes, short.product) == (1.5, 7, product)


def test_a_run_that_was_summed_up_is_told_by_its_summary(s3: S3Client) -> None:
    seed(s3)
    record(s3, "N10E010")
    told = [TileResult(State.FAILED, 2020, name, "a", error="unknown", cause="died").to_dict() for name in NAMES]
    put(s3, summary_key("a"), json.dumps({"seeded": 4, "tiles": told}))
    assert RunRecords(s3, BUCKET).progress("a").counts["failed"] == 4


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
    seed(s3, "alos_palsar_fnf")
    forest = TileResult(State.PUBLISHED, 2020, NAMES[0], "a", product="alos_palsar_fnf")
    put(s3, result_key("a", 2020, NAMES[0], "alos_palsar_fnf"), json.dumps(forest.to_dict()))
    put(s3, result_key("a", 2020, NAMES[1], "alos_palsar_fnf"), "?")
    progress = RunRecords(s3, BUCKET).progress("a")
    assert progress.counts["published"] == 1
    assert (progress.failures[0].tile, progress.failures[0].product) == (NAMES[1], "alos_palsar_fnf")


@pytest.mark.parametrize("name", ["readme.txt", "2020/N10E010.txt", "2020/N00E000.json", "2020/N10E010.json/more"])
def test_what_lies_beside_the_records_is_none(s3: S3Client, name: str) -> None:
    seed(s3)
    record(s3, "N10E010", State.ABSENT)
    put(s3, f"runs/a/results/{name}", "{}")
    progress = RunRecords(s3, BUCKET).progress("a")
    assert progress.counts == {"published": 0, "skipped": 0, "absent": 1, "failed": 0}
    assert progress.waiting == 3


def test_records_of_an_earlier_run_of_the_same_name_do_not_count(s3: S3Client) -> None:
    record(s3, "N10E010")
    time.sleep(1.1)  # S3 tells times to the second
    seed(s3)
    record(s3, "N10E015")
    progress = RunRecords(s3, BUCKET).progress("a")
    assert [result.tile for result in progress.results] == ["N10E015"]


@pytest.mark.parametrize("text", ["", "nonsense", "7", "null", "[{}]", '["2020/N10E010"]'])
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
