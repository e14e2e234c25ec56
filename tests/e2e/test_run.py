"""A whole run: synthesized stack, emulated cloud, real FTP, real rasters of tiny cells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.results import TileFailure
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import Cloud, running_cloud
from local.jaxa_server import JaxaServer

REPOSITORY = Path(__file__).parents[2]
EVENTS = REPOSITORY / "events"
TIMEOUT_SECONDS = 120
PREFIX = "mosaics"
YEARS = [1996, "2010", 2020]
TILES = ["N10E010", "N25W165"]
PUBLISHED = {"1996/N10E010", "2010/N10E010", "2020/N10E010", "2020/N25W165"}
BROKEN = "1996/N25W165"
ABSENT = "2010/N25W165"
"""The inventory does not know it for that year, so its absence is no reason for a run to fail."""


@dataclass
class System:
    """A deployed system and the source it works on."""

    cloud: Cloud
    outputs: dict[str, str]
    template: dict[str, Any]
    mirror: Path
    source: JaxaServer

    def run(self, name: str, given: object) -> dict[str, Any]:
        return self.cloud.run_execution(self.outputs["StateMachineArn"], name, given, TIMEOUT_SECONDS)  # type: ignore[arg-type]

    def read(self, bucket: str, key: str) -> Any:
        body = self.cloud.client("s3").get_object(Bucket=self.outputs[bucket], Key=key)["Body"].read()
        return json.loads(body)

    def published_keys(self) -> set[str]:
        found = self.cloud.client("s3").list_objects_v2(Bucket=self.outputs["OutputBucketName"])
        return {entry["Key"] for entry in found.get("Contents", ())}

    def dead_letters(self) -> list[str]:
        """Take all messages out of the queue."""
        sqs, bodies = self.cloud.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.outputs["DeadLetterQueueUrl"], MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in batch:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=self.outputs["DeadLetterQueueUrl"], ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    mirror = folder / "mirror"
    for name in sorted(PUBLISHED | {BROKEN}):
        place = TileYear.from_text(name)
        archive = place_archive(mirror, place.tile, place.year, grid, cells=place.tile.cells[6:9])
        if name == BROKEN:
            archive.write_bytes(archive.read_bytes()[:-500])
    with JaxaServer(mirror) as source, running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud:
        context = {"source_uri": source.url, "cell_pixels": grid.cell_pixels, "output_prefix": PREFIX}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        outputs = cloud.deploy(path.parent, STACK_NAME)
        yield System(cloud, outputs, json.loads(path.read_text()), mirror, source)


@pytest.fixture(scope="module")
def first_run(system: System) -> dict[str, Any]:
    return system.run("first", {"years": YEARS, "tiles": TILES})


def test_a_run_with_a_failed_tile_says_so(first_run: dict[str, Any], system: System) -> None:
    assert first_run["status"] == "FAILED"
    assert first_run["error"] == "IncompleteRunError"
    assert first_run["cause"] == "4 published, 0 skipped, 1 absent, 1 failed of 6 seeded"
    summary = system.read("RunsBucketName", "runs/first/summary.json")
    states = {f"{tile['year']}/{tile['tile']}": tile["state"] for tile in summary["tiles"]}
    assert states == {**dict.fromkeys(PUBLISHED, "published"), ABSENT: "absent", BROKEN: "failed"}
    assert summary["failures_by_error"] == {"CorruptArchiveError": 1}
    bucket, _, key = summary["report"].removeprefix("s3://").partition("/")
    report = system.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert "alos-mosaic redrive --error CorruptArchiveError --run first" in re.sub("<.*?>", "", report)


def test_what_is_published_is_whole(first_run: dict[str, Any], system: System, grid: Grid, tmp_path: Path) -> None:
    keys = system.published_keys()
    items = sorted(key for key in keys if key.endswith(".stac-item.json"))
    assert [key.rpartition("/")[2] for key in items] == [
        "N10E010_10.stac-item.json", "N10E010_20.stac-item.json", "N25W165_20.stac-item.json",
        "N10E010_96.stac-item.json",
    ]  # fmt: skip
    assert all(key.startswith(f"{PREFIX}/") for key in keys)
    folder = system.cloud.bucket_folder(system.outputs["OutputBucketName"])
    promised = {name for key in items for name in (key, key.replace(".stac-item.json", ".odc-metadata.yaml"))}
    for key in items:
        item = pystac.Item.from_dict(system.read("OutputBucketName", key))
        assert item.get_self_href() == f"s3://{system.outputs['OutputBucketName']}/{key}"
        promised.add(f"{PREFIX}/{item.collection_id}/collection.json")
        for asset in item.get_assets().values():
            path = folder / key.rpartition("/")[0] / Path(asset.href).name
            promised.add(str(path.relative_to(folder)))
            if "thumbnail" in (asset.roles or ()):
                continue
            assert cog_validate(path, strict=True, quiet=True)[0]
            with rasterio.open(path) as dataset:
                assert dataset.shape == (grid.tile_pixels, grid.tile_pixels)
                assert dataset.read(1).any()
    assert keys == promised


def test_the_failed_tile_lies_in_the_queue(first_run: dict[str, Any], system: System) -> None:
    (body,) = system.dead_letters()
    raw = json.loads(body)
    assert (raw["year"], raw["tile"], raw["run"], raw["schema_version"]) == (1996, "N25W165", "first", 1)
    failure = TileFailure.from_body(body)
    assert failure.error == "CorruptArchiveError"
    assert "N25W165_96_MOS.tar.gz" in failure.cause
    assert failure.attempt == 2  # a corrupt archive is fetched once more
    assert failure.run == "first"
    assert failure.execution.startswith("arn:aws:states:")
    assert failure.time


def test_a_second_run_skips_what_is_there_and_heals_what_was_mended(
    first_run: dict[str, Any], system: System, grid: Grid
) -> None:
    system.dead_letters()
    place = TileYear.from_text(BROKEN)
    place_archive(system.mirror, place.tile, place.year, grid, cells=place.tile.cells[:1])
    before = system.source.names().count("RETR")
    ended = system.run("second", {"years": YEARS, "tiles": TILES})
    assert ended["status"] == "SUCCEEDED"
    assert (
        json.loads(ended["output"])["summary"]["sentence"] == "1 published, 4 skipped, 1 absent, 0 failed of 6 seeded"
    )
    assert system.source.names().count("RETR") == before + 1
    assert system.dead_letters() == []


def test_a_run_that_misses_tiles_which_jaxa_is_known_to_publish_says_so(
    first_run: dict[str, Any], system: System
) -> None:
    ended = system.run("moved", {"years": [2020], "tiles": ["N10E010", "N10E015"]})
    assert (ended["status"], ended["error"]) == ("FAILED", "IncompleteRunError")
    assert ended["cause"] == (
        "0 published, 1 skipped, 1 absent, 0 failed of 2 seeded; "
        "1 of 2 known tiles came out absent: has JAXA moved its folders?"
    )
    assert system.dead_letters() == []


def test_a_source_that_is_down_fails_its_tiles_after_retries(system: System) -> None:
    ended = system.run("no-such-folder", {"years": [2016], "tiles": ["N10E010"]})
    assert ended["status"] == "FAILED"
    (body,) = system.dead_letters()
    failure = TileFailure.from_body(body)
    assert (failure.tile, failure.error) == ("N10E010", "SourceUnavailableError")
    assert isinstance(failure.attempt, int)
    assert failure.attempt > 3
    bucket, s3 = system.outputs["RunsBucketName"], system.cloud.client("s3")
    (kept,) = s3.list_objects_v2(Bucket=bucket, Prefix="runs/no-such-folder/letters/")["Contents"]
    found = TileFailure.from_body(json.dumps(system.read("RunsBucketName", kept["Key"])))
    assert (found.tile, found.error, found.cause) == (failure.tile, failure.error, failure.cause)


def test_what_failed_is_redriven_once_its_cause_is_mended(system: System, grid: Grid) -> None:
    system.dead_letters()
    failed = system.run("2015-without-folder", {"years": [2015], "tiles": ["N10E010", "N10E015"]})
    assert failed["error"] == "IncompleteRunError"
    for name in ("N10E010", "N10E015"):
        tile = Tile.from_name(name)
        place_archive(system.mirror, tile, 2015, grid, cells=tile.cells[:2])

    dry = system.run("rehearsed", {"redrive": {"dry_run": True}})
    assert dry["status"] == "SUCCEEDED"
    told = json.loads(dry["output"])["seed"]["redrive"]
    assert (told["tiles"], set(told["letters_by_error"])) == (2, {"SourceUnavailableError"})

    one = system.run("redriven-1", {"redrive": {"tile": "N10E010", "error": "SourceUnavailableError"}})
    assert json.loads(one["output"])["summary"]["sentence"].startswith("1 published, 0 skipped, 0 absent, 0 failed")
    (line,) = system.read("RunsBucketName", "runs/redriven-1/manifest.json")
    assert (line["tile"], line["first_run"]) == ("N10E010", "2015-without-folder")
    rest = system.run("redriven-2", {"redrive": {}})
    assert json.loads(rest["output"])["summary"]["sentence"].startswith("1 published, 0 skipped, 0 absent, 0 failed")
    nothing = system.run("redriven-3", {"redrive": {}})
    assert (nothing["status"], json.loads(nothing["output"])["seed"]["count"]) == ("SUCCEEDED", 0)
    assert system.dead_letters() == []


def test_a_run_that_was_broken_off_is_resumed(first_run: dict[str, Any], system: System) -> None:
    """As if the run had been aborted ahead of one tile: its item and its record are not there."""
    bucket, s3 = system.outputs["OutputBucketName"], system.cloud.client("s3")
    s3.delete_object(Bucket=bucket, Key=f"{PREFIX}/alos_palsar_mosaic/2010/N10E010/N10E010_10.stac-item.json")
    resumed = system.run("resumed", {"resume": {"run": "first"}})
    tiles = {f"{line['year']}/{line['tile']}" for line in system.read("RunsBucketName", "runs/resumed/manifest.json")}
    assert "2010/N10E010" in tiles
    assert not tiles & (PUBLISHED - {"2010/N10E010"}), "what is published is not even asked for again"
    summary = system.read("RunsBucketName", "runs/resumed/summary.json")
    states = {f"{tile['year']}/{tile['tile']}": tile["state"] for tile in summary["tiles"]}
    assert states["2010/N10E010"] == "published"
    assert resumed["status"] == "SUCCEEDED"
    assert system.run("nobody", {"resume": {"run": "never-was"}})["error"] == "InvalidRequestError"
    system.dead_letters()


@pytest.mark.parametrize(
    ("name", "given", "error", "cause"),
    [
        ("no-year", {}, "InvalidRequestError", "lacks years"),
        ("wrong-year", {"years": [2012]}, "InvalidRequestError", "1993-1998, 2007-2010, 2015-"),
        ("off-the-grid", {"years": [2020], "tiles": ["N12E010"]}, "InvalidRequestError", "N12E010"),
        ("nothing-there", {"years": [2020], "bbox": [-40, 30, -35, 35]}, "InvalidRequestError", "publishes none"),
        ("too-large", {"years": [2020], "region": "africa", "max_tiles": 100}, "RunTooLargeError", "its limit is 100"),
    ],
)
def test_a_run_that_makes_no_sense_starts_nothing(
    system: System, name: str, given: object, error: str, cause: str
) -> None:
    before = len(system.source.commands)
    ended = system.run(name, given)
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert cause in ended.get("cause", "")
    assert len(system.source.commands) == before


@pytest.mark.parametrize("path", sorted(EVENTS.glob("tile*.json")), ids=lambda path: path.stem)
def test_the_tile_lambda_takes_the_ready_events(system: System, path: Path) -> None:
    answer = system.cloud.client("lambda").invoke(
        FunctionName=system.outputs["ProcessTileFunctionName"], Payload=path.read_bytes()
    )
    assert "FunctionError" not in answer
    result = json.loads(answer["Payload"].read())
    assert (result["tile"], result["year"]) == (Tile.from_name("N25W165").name, 2020)
    assert result["state"] in ("published", "skipped")


def test_the_deployed_definition_is_the_synthesized_one(system: System) -> None:
    """Byte for byte but for resolved references, each of which names the resource it refers to."""
    deployed = system.cloud.client("stepfunctions").describe_state_machine(
        stateMachineArn=system.outputs["StateMachineArn"]
    )["definition"]
    (machine,) = (
        resource
        for resource in system.template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    pieces = machine["Properties"]["DefinitionString"]["Fn::Join"][1]
    pattern = "".join(re.escape(piece) if isinstance(piece, str) else '([^"]+)' for piece in pieces)
    match = re.fullmatch(pattern, deployed)
    assert match is not None
    resources = system.cloud.client("cloudformation").list_stack_resources(StackName=STACK_NAME)
    physical = {
        entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in resources["StackResourceSummaries"]
    }
    references = [piece for piece in pieces if not isinstance(piece, str)]
    assert references
    for reference, resolved in zip(references, match.groups(), strict=True):
        name = reference.get("Ref") or reference["Fn::GetAtt"][0]
        expected = "aws" if name == "AWS::Partition" else physical[name]
        assert expected.rpartition("/")[2] in resolved
