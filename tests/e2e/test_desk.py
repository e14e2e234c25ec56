"""The command against a deployed stack: plan, start, watch, understand, mend, look at."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alos_mosaic.cli.main import app
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear
from infra.application import STACK_NAME, synthesize
from local.archives import place_archive
from local.emulator import Cloud, running_cloud
from local.jaxa_server import Fault, JaxaServer

REPOSITORY = Path(__file__).parents[2]
SELECTED = ("--years", "1996,2010,2020", "--tiles", "N10E010,N25W165")
BROKEN = "1996/N25W165"
SLOW = "2009/N10E010"
"""Its archive never comes."""
PUBLISHED = ("1996/N10E010", "2010/N10E010", "2020/N10E010", "2020/N25W165")
COMMAND = shutil.which("alos-mosaic", path=str(Path(sys.executable).parent))


@dataclass
class Desk:
    """A deployed stack, with one run over it that ended as incomplete."""

    cloud: Cloud
    outputs: dict[str, str]
    source: JaxaServer
    mirror: Path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, grid: Grid) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    mirror = folder / "mirror"
    for name in (*PUBLISHED, BROKEN):
        place = TileYear.from_text(name)
        archive = place_archive(mirror, place.tile, place.year, grid, cells=place.tile.cells[6:9])
        if name == BROKEN:
            archive.write_bytes(archive.read_bytes()[:-500])
    slow = TileYear.from_text(SLOW)
    slow_archive = place_archive(mirror, slow.tile, slow.year, grid, cells=slow.tile.cells[:1]).name
    stall = Fault("RETR", at_byte=100, is_silent=True, ending=slow_archive)
    with (
        JaxaServer(mirror, faults=[stall]) as source,
        running_cloud(folder / "cloud", REPOSITORY, wait_scale=0) as cloud,
    ):
        context = {"source_uri": source.url, "cell_pixels": grid.cell_pixels}
        path = synthesize(folder / "cdk.out", {f"alos-mosaic:{key}": value for key, value in context.items()})
        yield Desk(cloud, cloud.deploy(path.parent, STACK_NAME), source, mirror)


@pytest.fixture
def desk(stack: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.cloud.endpoint_url)
    monkeypatch.setenv("AWS_REGION", stack.cloud.region)
    monkeypatch.setattr("alos_mosaic.cli.run.POLL_SECONDS", 0.1)
    return stack


def invoke(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    assert "\x1b" not in done.output, "without a terminal all is plain text"
    return done


def lines(text: str) -> list[str]:
    """What is printed, without the space that fills table cells and the times of the day."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "<time>", text)
    return [re.sub(r" {2,}", "  ", line.rstrip()) for line in text.splitlines() if line.strip()]


def of_json(*arguments: str, code: int = 0) -> object:
    return json.loads(invoke(*arguments, "--json", code=code).stdout)


@pytest.fixture
def first(desk: Desk) -> Desk:
    """The desk after its first run, which is started once."""
    if "first" not in invoke("runs").stdout:
        invoke("run", *SELECTED, "--name", "first", "--yes", "--wait", code=1)
    return desk


def test_before_the_first_run_there_is_nothing_but_a_plan(desk: Desk) -> None:
    assert lines(invoke("runs").stdout) == ["There has been no run yet; start one: alos-mosaic run --years 2020"]
    assert "there has been no run yet" in invoke("status", code=1).stderr
    planned = lines(invoke("plan", *SELECTED, "--source-rate", "5").stdout)
    assert planned[:5] == [
        "year  to do  of them not listed upstream",
        "1996  2  0",
        "2010  2  1",
        "2020  2  0",
        "all  6  1",
    ]
    assert planned[5] == "to do  6 tiles, mode skip"
    assert [line.split()[0] for line in planned[6:-1]] == ["download", "output", "time", "cost", "source", "caps"]
    assert planned[-1] == "Start it: alos-mosaic run --years 1996,2010,2020 --tiles N10E010,N25W165"
    assert not desk.cloud.client("stepfunctions").list_executions(stateMachineArn=desk.outputs["StateMachineArn"])[
        "executions"
    ]


def test_a_run_is_not_started_without_a_yes(desk: Desk) -> None:
    refused = invoke("run", *SELECTED, code=1)
    assert refused.stderr.strip() == "alos-mosaic: nobody is there to be asked: say --yes"
    assert "to do  " in " ".join(lines(refused.stdout))


def test_a_run_that_is_waited_for_tells_its_end(first: Desk) -> None:
    shown = lines(invoke("status", "first", code=1).stdout)
    assert shown[0] == "first  failed  since <time> UTC"
    assert shown[1] == "IncompleteRunError: 4 published, 0 skipped, 1 absent, 1 failed of 6 seeded"
    assert shown[2].endswith("6 of 6 tiles ended")
    assert set(shown[2].split()[0]) == set("#ox")
    assert shown[3] == "4 published, 1 absent, 1 failed"
    assert re.fullmatch(r"\$0\.\d+ of work on record", shown[4])
    assert shown[5] == "What failed:"
    assert shown[7].startswith(f"{BROKEN}  CorruptArchiveError  N25W165_96_MOS.tar.gz: ")
    told = of_json("status", "first", code=1)
    assert isinstance(told, dict)
    assert (told["status"], told["seeded"], told["published"], told["waiting"]) == ("FAILED", 6, 4, 0)


def test_failures_come_with_cause_advice_and_the_command_that_mends_them(first: Desk) -> None:
    shown = lines(invoke("failures", "first", code=1).stdout)
    assert shown[:3] == [
        "1 of 6 tiles failed in first, for 1 reason",
        "1 x CorruptArchiveError",
        f"  tiles  {BROKEN}",
    ]
    assert f"  log  alos-mosaic logs {BROKEN} --run first" in shown
    assert shown[-1] == "  redrive  alos-mosaic redrive --error CorruptArchiveError --run first", "no part is whole"
    (cluster,) = of_json("failures", "first", "--group-by", "error", code=1)  # type: ignore[misc]
    assert (cluster["error"], cluster["tiles"]) == ("CorruptArchiveError", [BROKEN])
    assert cluster["example"]["log"].startswith("/aws/lambda/")


def test_runs_are_listed_the_newest_first(first: Desk) -> None:
    listed = lines(invoke("runs").stdout)
    assert listed[0] == "run  status  started (UTC)  took  what"
    assert listed[-1].startswith("first  failed  <time>")
    assert listed[-1].endswith("  1996,2010,2020 tiles=N10E010,N25W165")


def test_a_report_is_made_of_a_runs_summary(first: Desk, tmp_path: Path) -> None:
    path = tmp_path / "first.html"
    told = invoke("report", "first", "--html", str(path)).stdout
    assert told.endswith("4 published, 0 skipped, 1 absent, 1 failed of 6 seeded\n")
    key = "runs/first/report.html"
    kept = first.cloud.client("s3").get_object(Bucket=first.outputs["RunsBucketName"], Key=key)["Body"].read()
    assert path.read_bytes() == kept
    assert of_json("report", "first")["seeded"] == 6  # type: ignore[index]


def test_the_log_of_a_tile_is_found(first: Desk) -> None:
    told = invoke("logs", BROKEN, "--run", "first").stdout
    assert "Tile failed" in told
    assert "CorruptArchiveError" in told


def test_what_is_published_is_reconciled_validated_shown_and_catalogued(first: Desk, tmp_path: Path) -> None:
    bucket = first.outputs["OutputBucketName"]
    selected = ("--years", "2020", "--tiles", "N10E010,N25W165")
    assert lines(invoke("reconcile", *selected).stdout) == ["2 whole"]
    s3 = first.cloud.client("s3")
    key = "alos_palsar_mosaic/2020/N10E010/old.tif"
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    odd = lines(invoke("reconcile", *selected, code=1).stdout)
    assert odd == [
        "2 whole",
        "1 file that no item names:",
        f"  {key}",
        "Nothing of ours reads them. While no run goes on, what is of no use to others may be deleted:",
        f"  aws s3 rm s3://{bucket}/{key}",
    ]
    assert lines(invoke("reconcile", "--years", "2020", "--tiles", "N25W165").stdout) == ["1 whole"]
    s3.delete_object(Bucket=bucket, Key=key)

    uri = f"s3://{bucket}/alos_palsar_mosaic/2020/N10E010"
    told = of_json("validate", "2020/N10E010")
    assert isinstance(told, dict)
    assert told["valid"], told
    assert told["uri"] == f"{uri}/N10E010_20.stac-item.json"
    by_uri = of_json("validate", uri, code=1)
    assert isinstance(by_uri, dict)
    details = [check["detail"] for check in by_uri["checks"] if (check["subject"], check["name"]) == ("hh", "size")]
    assert details == ["is '150 x 150', should be '22500 x 22500'"], "by its URI it is held against JAXA's own grid"
    assert {check["subject"] for check in told["checks"]} == {
        "odc_yaml",
        "item", "hh", "hv", "linci", "date", "mask", "thumbnail",
    }  # fmt: skip
    assert invoke("show", uri, "--to", str(tmp_path / "q.webp")).exit_code == 0
    assert (tmp_path / "q.webp").read_bytes()[8:12] == b"WEBP"

    done = lines(invoke("catalogue").stdout)
    assert done[1:4] == [
        "alos_palsar_mosaic  2010  1  written",
        "alos_palsar_mosaic  2020  2  written",
        "jers_sar_mosaic  1996  1  written",
    ]
    assert done[-1] == f"s3://{bucket}/catalog.json"
    assert all(line.endswith("as it was") for line in lines(invoke("catalogue").stdout)[1:4])
    assert lines(invoke("reconcile", *selected).stdout) == ["2 whole"]


def test_what_reconcile_says_mends_a_damaged_tile(first: Desk) -> None:
    bucket, s3 = first.outputs["OutputBucketName"], first.cloud.client("s3")
    folder = "alos_palsar_mosaic/2020/N25W165/"
    (key,) = (
        entry["Key"]
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
        if "_linci_" in entry["Key"]
    )
    s3.delete_object(Bucket=bucket, Key=key)
    selected = ("--years", "2020", "--tiles", "N10E010,N25W165")
    told = lines(invoke("reconcile", *selected, code=1).stdout)
    assert told[:3] == [
        "1 whole, 1 damaged",
        "tile  is  because",
        f"2020/N25W165  damaged  {key.removeprefix(folder)} is missing",
    ]
    assert told[3:] == [
        "To make what is missing and mend what is damaged:",
        "  alos-mosaic run --years 2020 --tiles N25W165 --mode overwrite",
    ]
    asked = of_json("reconcile", *selected, code=1)
    assert isinstance(asked, dict)
    (command,) = asked["commands"]
    ended = lines(invoke(*shlex.split(command)[1:], "--name", "mended", "--yes", "--wait").stdout)
    assert "1 published" in ended
    assert lines(invoke("reconcile", *selected).stdout) == ["2 whole"]


def test_a_plan_knows_what_is_published(first: Desk, tmp_path: Path) -> None:
    nothing = lines(invoke("plan", "--years", "2020", "--tiles", "N10E010", code=3).stdout)
    assert nothing == [
        "year  have an item",
        "2020  1",
        "Nothing to do: all that JAXA has of it has an item; `alos-mosaic reconcile --years 2020 --tiles N10E010` says "
        "whether each is whole",
    ]
    page, squares = tmp_path / "plan.html", tmp_path / "plan.geojson"
    invoke("plan", *SELECTED, "--html", str(page), "--geojson-out", str(squares))
    assert "2 tiles would be made" in page.read_text()
    assert len(json.loads(squares.read_text())["features"]) == 6
    area = tmp_path / "area.geojson"
    ring = [[11, 6], [12, 6], [12, 7], [11, 6]]
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    told = of_json("plan", "--years", "2020", "--geojson", str(area), code=3)
    assert isinstance(told, dict)
    assert told["tiles"] == [{"year": 2020, "tile": "N10E010", "standing": "published", "cells": 25}]


def test_what_failed_is_redriven_and_what_was_broken_off_resumed(first: Desk, grid: Grid) -> None:
    rehearsed = invoke("redrive", "--dry-run", "--run", "first").stdout
    assert BROKEN in rehearsed
    place = TileYear.from_text(BROKEN)
    place_archive(first.mirror, place.tile, place.year, grid, cells=place.tile.cells[:1])
    done = lines(invoke("redrive", "--error", "CorruptArchiveError", "--name", "again", "--yes", "--wait").stdout)
    assert "1 published" in done
    assert invoke("failures", "again").stdout == "Nothing failed in again.\n"
    ended = lines(invoke("resume", "first", "--name", "on", "--yes", "--wait").stdout)
    assert ended[-2] == "1 absent"


def test_whatever_a_command_answers_comes_as_json_too(first: Desk, tmp_path: Path) -> None:
    uri = f"s3://{first.outputs['OutputBucketName']}/alos_palsar_mosaic/2020/N10E010"
    selected = ("--years", "2020", "--tiles", "N10E010")
    keys = {
        "run": ({"run", "to_do"}, ("run", *selected, "--yes"), 3),
        "plan": ({"to_do", "published", "estimate", "tiles"}, ("plan", *selected), 3),
        "status": ({"run", "status", "seeded", "last_failures"}, ("status", "first"), 1),
        "report": ({"run", "seeded", "tiles"}, ("report", "first"), 0),
        "reconcile": ({"whole", "orphans", "tiles"}, ("reconcile", *selected), 0),
        "validate": ({"uri", "valid", "checks"}, ("validate", "2020/N10E010"), 0),
        "show": ({"quicklook", "bbox", "properties"}, ("show", uri, "--to", str(tmp_path / "q.webp")), 0),
        "catalogue": ({"catalog", "years", "left_out"}, ("catalogue",), 0),
        "redrive": ({"run", "status", "output"}, ("redrive", "--dry-run", "--name", "rehearsed-as-json"), 3),
        "resume": ({"run", "input"}, ("resume", "first", "--name", "on-as-json", "--yes"), 0),
    }
    for name, (expected, arguments, code) in keys.items():
        told = of_json(*arguments, code=code)
        assert isinstance(told, dict), name
        assert expected <= told.keys(), name
    first.cloud.await_end(f"{first.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:on-as-json", 60)
    for arguments in (("runs",), ("logs", BROKEN, "--run", "first")):
        listed = of_json(*arguments)
        assert isinstance(listed, list)
        assert all(isinstance(each, dict) for each in listed)
        assert listed
    assert of_json("failures", "rehearsed-as-json") == []


def test_ctrl_c_leaves_the_run_running_and_says_so(first: Desk, tmp_path: Path) -> None:
    assert COMMAND is not None
    environment = {**first.cloud.environment, "PATH": "/usr/bin:/bin"}
    arguments = ("run", "--years", "2009", "--tiles", "N10E010", "--name", "slow", "--yes", "--wait")
    process = subprocess.Popen(
        [COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any(line.startswith("0 of 1 tile ended") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "slow goes on without you; alos-mosaic status slow shows how far it is" in told
    machine = first.outputs["StateMachineArn"]
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:slow"
    states = first.cloud.client("stepfunctions")
    assert states.describe_execution(executionArn=arn)["status"] == "RUNNING"
    states.stop_execution(executionArn=arn)
    path = tmp_path / "slow.html"
    ended = invoke("report", "slow", "--html", str(path)).stdout
    assert re.search(r"aborted: (0|1) published, 0 skipped, 0 absent, 0 failed, (0|1) not ended of 1 seeded\n$", ended)
    assert "Incomplete" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status", "nope"), "there is no run called nope; `alos-mosaic runs` lists them"),
        (
            ("status", "--stack", "Other"),
            f"is called Other in us-east-1; there is {STACK_NAME}",
        ),
        (
            ("status", "--profile", "nope"),
            "profile (nope) could not be found; `aws configure list-profiles`",
        ),
        (("plan", "--years", "2012"), "there is no mosaic of 2012"),
        (("plan", "--years", "2020", "--bbox", "1,x,2,3"), "bbox holds 'x', which is no number"),
        (("plan", "--years", "2020", "--geojson", "none.json"), "No such file"),
        (("logs", "2020-N10E010"), "is not of the form YEAR/TILE"),
        (("validate", "s3://bucket/other"), "is no tile of ours"),
    ],
)
def test_what_can_not_go_on_ends_with_one_sentence(first: Desk, arguments: tuple[str, ...], sentence: str) -> None:
    done = invoke(*arguments, code=2 if arguments[0] == "plan" else 1)
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
