"""What the tile Lambda tells beside its result: metrics, messages of items, and lines without secrets."""

from __future__ import annotations

import errno
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import CorruptArchiveError, OutputError, SourceUnavailableError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.metric_names import UNITS
from alos_mosaic.settings import TileSettings
from lambdas.process_tile import handler
from local.archives import place_archive
from local.jaxa_server import Account, JaxaServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TILE = Tile.from_name("N25W165")
CONTEXT = SimpleNamespace(
    log_group_name="/group", log_stream_name="stream", get_remaining_time_in_millis=lambda: 900_000
)
EVENT = {"schema_version": 1, "year": 2020, "tile": TILE.name, "mode": "skip", "run": "a-run", "retries": 1}


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("runs", "out"):
            client.create_bucket(Bucket=bucket)
        yield client
    for cache in (handler._s3, handler._sns):
        cache.cache_clear()


@pytest.fixture
def settings(s3: S3Client, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> TileSettings:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place_archive(tmp_path / "mirror", TILE, 2020, grid, cells=TILE.cells[:1])
    source = (tmp_path / "mirror").as_uri()
    return TileSettings("s3://out/mosaics", "runs", source, cell_pixels=grid.cell_pixels, metrics_namespace="Mosaics")


def process(monkeypatch: pytest.MonkeyPatch, settings: TileSettings, **changes: Any) -> dict[str, Any]:
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    return handler.lambda_handler({**EVENT, **changes}, CONTEXT)


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line of metrics on standard output, by itself: nothing before or behind it."""
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    return dict(json.loads(line))


def names_of(line: dict[str, Any]) -> set[str]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Mosaics"
    assert directive["Dimensions"] == [[], ["product", "outcome"]], "never a tile, a run or a year"
    assert all(UNITS[metric["Name"]] == metric["Unit"] for metric in directive["Metrics"])
    assert all(line[metric["Name"]][0] > 0 for metric in directive["Metrics"])
    return {metric["Name"] for metric in directive["Metrics"]}


def test_a_published_tile_tells_its_metrics(
    settings: TileSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = process(monkeypatch, settings)
    line = metrics(capsys)
    assert names_of(line) >= {
        "Tiles", "ArchiveBytes", "OutputBytes", "InvocationSeconds", "PeakMemoryBytes", "PeakDiskBytes", "CheckSeconds",
        "GatherSeconds", "WriteSeconds", "DescribeSeconds", "PublishSeconds",
    }  # fmt: skip
    facts = {name: line[name] for name in ("product", "outcome", "run", "tile", "year", "attempt")}
    assert facts == {
        "product": "alos_palsar_mosaic", "outcome": "published", "run": "a-run", "tile": "N25W165", "year": 2020,
        "attempt": 2,
    }  # fmt: skip
    assert line["ArchiveBytes"] == [result["archive"]["size"]]
    assert line["OutputBytes"] == [result["output_bytes"]]
    process(monkeypatch, settings)
    skipped = metrics(capsys)
    assert skipped["outcome"] == "skipped"
    assert not names_of(skipped) & {"ArchiveBytes", "OutputBytes", "PublishSeconds", "PeakDiskBytes"}


def test_a_transfer_tells_what_came_in_this_invocation(
    settings: TileSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = Grid(130)
    place_archive(tmp_path / "mirror", TILE, 2017, large)
    with JaxaServer(tmp_path / "mirror", bytes_per_second=150_000) as server:
        slow = replace(settings, source_uri=server.url, transfer_limit_seconds=1.0, cell_pixels=130)
        answer, lines = process(monkeypatch, slow, year=2017), [metrics(capsys)]
        while answer["state"] == "transferring":
            answer = process(monkeypatch, slow, year=2017, transfer=answer["transfer"])
            lines.append(metrics(capsys))
    assert [line["outcome"] for line in lines] == ["transferring"] * (len(lines) - 1) + ["published"]
    assert sum(line["ArchiveBytes"][0] for line in lines) == answer["archive"]["size"]
    assert all("TransferRate" in names_of(line) for line in lines[:-1])
    assert all(line["PeakDiskBytes"][0] > 0 for line in lines)


def test_a_failed_tile_tells_its_error(
    settings: TileSettings,
    s3: S3Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    next((tmp_path / "mirror").rglob("*.tar.gz")).write_bytes(b"no archive")
    with pytest.raises(CorruptArchiveError):
        process(monkeypatch, settings)
    line = metrics(capsys)
    assert (line["outcome"], line["error"]) == ("failed", "CorruptArchiveError")
    assert names_of(line) == {"Tiles", "InvocationSeconds", "PeakMemoryBytes"}
    record = json.loads(
        boto3.client("s3").get_object(Bucket="runs", Key="runs/a-run/results/2020/N25W165.json")["Body"].read()
    )
    assert record["seconds"]["until_failure"] > 0


def test_a_tile_that_fails_tells_what_lay_on_disk_when_it_did(
    settings: TileSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a full disk above all, or the alarm for that would never ring."""

    def fill(_gathering: object) -> None:
        for folder in Path(tempfile.gettempdir(), "alos-mosaic").iterdir():
            (folder / "member").write_bytes(bytes(200_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("alos_mosaic.processing.gathering.Gathering.run", fill)
    with pytest.raises(OutputError, match="No space left"):
        process(monkeypatch, settings)
    assert 200_000 <= metrics(capsys)["PeakDiskBytes"][0] < 300_000


def test_without_a_namespace_there_are_no_metrics(
    settings: TileSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ALOS_MOSAIC_METRICS_NAMESPACE", raising=False)
    process(monkeypatch, replace(settings, metrics_namespace=None))
    assert "_aws" not in capsys.readouterr().out


def test_subscribers_see_the_items_that_their_filter_asks_for(
    settings: TileSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="items")["TopicArn"]
    policies = {
        "pacific": {"product": ["alos_palsar_mosaic"], "west": [{"numeric": ["<", -120]}], "year": [2020]},
        "jers": {"mission": ["JERS-1"]},
    }
    for name, policy in policies.items():
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        attributes = {"FilterPolicy": json.dumps(policy), "RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        policies[name]["queue"] = queue
    asked = replace(settings, items_topic_arn=topic)
    result = process(monkeypatch, asked)
    assert process(monkeypatch, asked)["state"] == "skipped"
    (message,) = sqs.receive_message(QueueUrl=policies["pacific"]["queue"], MaxNumberOfMessages=10)["Messages"]
    told = json.loads(message["Body"])
    assert (told["item_uri"], told["bbox"]) == (result["item_uri"], [-165, 20, -160, 25])
    assert "Messages" not in sqs.receive_message(QueueUrl=policies["jers"]["queue"])


def test_a_message_that_sns_does_not_take_is_no_failed_tile(
    settings: TileSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = "arn:aws:sns:us-east-1:123456789012:gone"
    assert process(monkeypatch, replace(settings, items_topic_arn=gone))["state"] == "published"
    assert metrics(capsys)["NotificationsFailed"] == [1]
    assert "Published item not announced" in caplog.messages


def test_each_line_names_the_tile_and_none_the_password(
    settings: TileSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    boto3.client("secretsmanager").create_secret(
        Name="jaxa", SecretString=json.dumps({"username": "me", "password": "s3cr3t phrase"})
    )
    with JaxaServer(tmp_path / "mirror", account=Account("me", "s3cr3t phrase")) as server:
        asked = replace(settings, source_uri=server.url, source_secret_name="jaxa", allow_plain_login=True)
        assert process(monkeypatch, asked)["state"] == "published"

        def quotes(*_: object) -> None:
            raise SourceUnavailableError("530 PASS s3cr3t phrase is not known here")

        monkeypatch.setattr(handler, "process_tile", quotes)
        with pytest.raises(SourceUnavailableError, match=r"530 PASS \*\*\* is not known here") as caught:
            process(monkeypatch, asked, mode="overwrite")
    assert "s3cr3t" not in str(caught.value)
    ours = [line for line in map(json.loads, written.getvalue().splitlines()) if "alos_mosaic" in line["logger"]]
    assert ours
    facts = [(line["run"], line["tile"], line["year"], line["attempt"]) for line in ours]
    assert set(facts) == {("a-run", "N25W165", 2020, 2)}
    by_us = [line for line in written.getvalue().splitlines() if '"logger": "botocore' not in line]
    assert not [line for line in by_us if "s3cr3t" in line]
    assert "530 PASS *** is not known here" in written.getvalue()
