"""Looking for news at the source, a real FTP server, with tiles that the tile Lambda has published from it."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from alos_mosaic.errors import ServiceError, SourceUnavailableError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.settings import Settings, TileSettings, WatchSettings
from lambdas.process_tile import handler as process_tile
from lambdas.watch_source import handler as watch_source
from local.archives import place_archive
from local.jaxa_server import Account, Fault, JaxaServer

TILES = ("N10E010", "N25W165")
ROLE = "arn:aws:iam::123456789012:role/any"
DEFINITION = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})


def context(seconds: float = 900) -> SimpleNamespace:
    return SimpleNamespace(
        log_group_name="/group", log_stream_name="stream", get_remaining_time_in_millis=lambda: int(seconds * 1000)
    )


@dataclass
class Scene:
    """A mirror, of which two tiles of 2020 are published, and what a watch of it says and does."""

    mirror: Path
    grid: Grid
    settings: WatchSettings
    queue: str
    monkeypatch: pytest.MonkeyPatch

    def place(self, name: str, year: int = 2020, cells: int = 1, seed: int = 0, age_seconds: int = 0) -> None:
        tile = Tile.from_name(name)
        path = place_archive(self.mirror, tile, year, self.grid, cells=tile.cells[:cells], seed=seed)
        time = 1_700_000_000 - age_seconds
        os.utime(path, (time, time))

    def publish(self, server: JaxaServer, name: str, **changes: Any) -> None:
        settings = TileSettings("s3://out/mosaics", "runs", server.url, cell_pixels=self.grid.cell_pixels, **changes)
        self.use(settings)
        answer = process_tile.lambda_handler({"year": 2020, "tile": name}, context())
        assert answer["state"] == "published"

    def watch(self, server: JaxaServer, seconds: float = 900, **changes: Any) -> dict[str, Any]:
        self.use(replace(self.settings, source_uri=server.url, **changes))
        return watch_source.lambda_handler({}, context(seconds))

    def use(self, settings: Settings) -> None:
        for name, value in settings.to_env().items():
            self.monkeypatch.setenv(name, value)

    def messages(self) -> list[str]:
        """Take what the topic was told."""
        found = boto3.client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["Message"] for message in found]

    def executions(self) -> dict[str, Any]:
        """Inputs of what was started, by name."""
        states = boto3.client("stepfunctions")
        found = states.list_executions(stateMachineArn=self.settings.state_machine_arn)["executions"]
        return {
            each["name"]: json.loads(states.describe_execution(executionArn=each["executionArn"])["input"])
            for each in found
        }


@pytest.fixture
def scene(tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with mock_aws():
        for bucket in ("runs", "out"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        sqs, sns = boto3.client("sqs"), boto3.client("sns")
        queue = sqs.create_queue(QueueName="people")["QueueUrl"]
        topic = sns.create_topic(Name="news")["TopicArn"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        machine = boto3.client("stepfunctions").create_state_machine(name="runs", definition=DEFINITION, roleArn=ROLE)
        settings = WatchSettings(
            output_uri="s3://out/mosaics",
            topic_arn=topic,
            state_machine_arn=machine["stateMachineArn"],
            years="2020",
            source_timeout_seconds=5.0,
        )
        scene = Scene(tmp_path / "mirror", grid, settings, queue, monkeypatch)
        for name in TILES:
            scene.place(name)
        yield scene
    for cache in (process_tile._s3, watch_source._s3):
        cache.cache_clear()


@pytest.fixture
def server(scene: Scene) -> Iterator[JaxaServer]:
    with JaxaServer(scene.mirror) as server:
        for name in TILES:
            scene.publish(server, name)
        server.commands.clear()
        yield server


def test_nothing_new_is_no_news_and_few_questions(scene: Scene, server: JaxaServer) -> None:
    told = scene.watch(server)
    assert told == {"news": [], "compared": 2, "not_compared": 0, "started": None}
    assert scene.messages() == []
    assert not {"SIZE", "MDTM", "RETR"} & set(server.names()), "a listing tells it of all tiles"


@pytest.mark.parametrize("lacks", [(), ("MLSD", "MLST")])
def test_a_re_issued_archive_is_told_of_with_the_command(scene: Scene, lacks: tuple[str, ...]) -> None:
    """Under the same name, with another size or only at another time; of a server with MLSD or without."""
    with JaxaServer(scene.mirror, lacks=lacks) as server:
        for name in TILES:
            scene.publish(server, name)
        assert scene.watch(server)["news"] == []
        scene.place("N25W165", age_seconds=-3600)
        told = scene.watch(server)
        scene.place("N10E010", cells=2)
        assert len(scene.watch(server)["news"]) == 1
    assert (told["compared"], told["started"]) == (2, None)
    assert told["news"] == ["the mosaic of 2020 has other archives now for 1 of its tiles: N25W165"]
    one, both = sorted(scene.messages(), key=len)
    assert """--input '{"years": [2020], "mode": "refresh", "tiles": ["N25W165"]}'""" in one
    assert '"tiles": ["N10E010", "N25W165"]' in both
    assert scene.executions() == {}


def test_a_new_year_is_told_of_until_something_of_it_is_published(scene: Scene, server: JaxaServer) -> None:
    scene.place("N10E010", year=2021)
    (message,) = (scene.watch(server, years=""), scene.messages())[1]
    assert "- the mosaic of 2021 is new\n" in message
    assert """--input '{"years": [2021], "mode": "refresh"}'""" in message
    item = "mosaics/alos_palsar_mosaic/2021/N10E010/N10E010_21.stac-item.json"
    boto3.client("s3").put_object(Bucket="out", Key=item, Body=b"{}")
    assert scene.watch(server, years="")["news"] == []


def test_a_new_year_of_nothing_but_cells_is_new_too(scene: Scene, server: JaxaServer) -> None:
    scene.place("N10E010", year=2021)
    (whole,) = (scene.mirror / "pub").rglob("N10E010_21*")
    (whole.parent / "N10E010").mkdir()
    whole.rename(whole.parent / "N10E010" / whole.name)
    assert scene.watch(server)["news"] == ["the mosaic of 2021 is new"]
    (whole.parent / "N10E010" / whole.name).unlink()
    assert scene.watch(server)["news"] == [], "a folder is no archive"


def test_a_run_is_started_over_what_is_first_and_only_once_a_day(scene: Scene, server: JaxaServer) -> None:
    scene.place("N10E010", year=2021)
    scene.place("N25W165", seed=1, cells=3)
    first = scene.watch(server, action="refresh")
    assert scene.watch(server, action="refresh")["started"] == first["started"]
    assert scene.executions() == {first["started"]: {"years": [2021], "mode": "refresh"}}
    assert first["started"].startswith("watch-2021-20")
    message = scene.messages()[0]
    assert f"The run {first['started']} makes it" in message
    assert message.count("start-execution") == 1, "the re-issued tile is for people to start, or for another day"


def test_what_the_time_is_too_short_for_is_counted(scene: Scene, server: JaxaServer) -> None:
    told = scene.watch(server, seconds=60)
    assert (told["compared"], told["not_compared"]) == (0, 2)


def test_a_source_that_is_down_is_an_error_of_its_own_and_looked_at_the_next_time(
    scene: Scene, server: JaxaServer
) -> None:
    server.stop()
    with pytest.raises(SourceUnavailableError):
        scene.use(replace(scene.settings, source_uri="ftp://127.0.0.1:1"))
        watch_source.lambda_handler({}, context())
    busy = Fault("MLSD", "421 Too many connections")
    with JaxaServer(scene.mirror, faults=[busy]) as other, pytest.raises(SourceUnavailableError):
        scene.watch(other)
    server.start()
    assert scene.watch(server)["compared"] == 2
    assert scene.messages() == []


def test_an_item_that_makes_no_sense_is_not_compared(scene: Scene, server: JaxaServer) -> None:
    s3 = boto3.client("s3")
    for name, body in (("N10E015", b"{"), ("N10E020", b'{"properties": {}}')):
        key = f"mosaics/alos_palsar_mosaic/2020/{name}/{name}_20.stac-item.json"
        s3.put_object(Bucket="out", Key=key, Body=body)
    assert scene.watch(server) == {"news": [], "compared": 2, "not_compared": 2, "started": None}


def test_a_copy_of_an_item_elsewhere_is_no_tile(scene: Scene, server: JaxaServer) -> None:
    s3 = boto3.client("s3")
    item = "N10E010/N10E010_20.stac-item.json"
    for name in (f"backup/{item}", "N10E010/N10E010_19.stac-item.json", "backup/x.stac-item.json", "nowhere/x"):
        s3.put_object(Bucket="out", Key=f"mosaics/alos_palsar_mosaic/2020/{name}", Body=b"{}")
    assert scene.watch(server) == {"news": [], "compared": 2, "not_compared": 0, "started": None}


def test_the_secret_opens_the_source(scene: Scene) -> None:
    secret = json.dumps({"username": "me", "password": "s3cret"})
    boto3.client("secretsmanager").create_secret(Name="jaxa", SecretString=secret)
    with JaxaServer(scene.mirror, account=Account("me", "s3cret")) as server:
        login = {"source_secret_name": "jaxa", "allow_plain_login": True}
        scene.publish(server, TILES[0], **login)
        assert scene.watch(server, **login)["compared"] == 1


def test_no_line_tells_the_password(scene: Scene, written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = json.dumps({"username": "me", "password": "s3cr3t phrase"})
    boto3.client("secretsmanager").create_secret(Name="jaxa", SecretString=secret)
    with JaxaServer(scene.mirror, account=Account("me", "s3cr3t phrase")) as server:
        login = {"source_secret_name": "jaxa", "allow_plain_login": True}

        def quotes(*_: object) -> None:
            logging.getLogger("a.library").warning("PASS s3cr3t phrase", extra={"url": "ftp://me:s3cr3t%20phrase@host"})

        monkeypatch.setattr(watch_source, "open_source", _before(quotes, watch_source.open_source))
        assert scene.watch(server, **login)["started"] is None
        url = server.url
    lines = [line for line in map(json.loads, written.getvalue().splitlines()) if "botocore" not in line["logger"]]
    assert {line["source"] for line in lines if line["logger"] == "lambdas.watch_source.handler"} == {url}
    assert "ftp://me:***@host" in written.getvalue()
    assert "s3cr3t" not in json.dumps(lines)


def _before(first: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def both(*given: Any) -> Any:
        first(*given)
        return function(*given)

    return both


def test_a_service_that_fails_is_told_from_the_source(scene: Scene, server: JaxaServer) -> None:
    with pytest.raises(ServiceError, match="NoSuchBucket"):
        scene.watch(server, output_uri="s3://elsewhere")
