"""Looking at what is published: where, with whose credentials, and what of an item reaches this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from alos_mosaic.cli.main import app

TILE = "alos_palsar_mosaic/2020/N10E010"
ITEM = f"{TILE}/N10E010_20.stac-item.json"
SELECTED = ("--years", "2020", "--tiles", "N10E010")
NO_CREDENTIALS = "name a profile (--profile or AWS_PROFILE) or log in, as for the AWS CLI"
LOOKS = {
    "validate": ("validate", f"s3://out/{TILE}"),
    "show": ("show", f"s3://out/{TILE}"),
    "reconcile": ("reconcile", *SELECTED, "--to", "s3://out"),
    "catalogue": ("catalogue", "--to", "s3://out"),
}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty bucket, which only the profile ``team`` has credentials for."""
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="out")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        credentials = tmp_path / "credentials"
        credentials.write_text("[team]\naws_access_key_id = team\naws_secret_access_key = secret\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
        yield


def invoke(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done


def refused(*arguments: str) -> str:
    done = invoke(*arguments, code=1)
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    return sentence


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("command", LOOKS)
def test_a_bucket_is_looked_at_with_the_credentials_that_are_named(command: str) -> None:
    assert refused(*LOOKS[command]).endswith(NO_CREDENTIALS)
    assert "list-profiles` shows those there are" in refused(*LOOKS[command], "--profile", "nope")
    with_team = invoke(*LOOKS[command], "--profile", "team", code=1)
    told = {
        "validate": f"s3://out/{ITEM} does not exist",
        "show": f"nothing is published at s3://out/{ITEM}",
        "reconcile": "AWS_PROFILE=team alos-mosaic process 2020/N10E010 --to s3://out",
        "catalogue": "nothing is published below s3://out/",
    }
    assert told[command] in with_team.output


@pytest.mark.parametrize("command", ["reconcile", "catalogue"])
def test_a_place_and_a_stack_are_two_places(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [command, *(SELECTED if command == "reconcile" else ()), "--to", tmp_path.as_uri()]
    sentence = "alos-mosaic: --to and --stack name two places to look at; leave out one of them"
    assert refused(*arguments, "--stack", "mine") == sentence
    monkeypatch.setenv("ALOS_MOSAIC_STACK", "mine")
    assert sentence not in invoke(*arguments, code=1).stderr, "the environment is for commands that name no place"


@pytest.mark.parametrize("command", ["validate", "show"])
def test_a_uri_and_a_stack_are_two_places(command: str, tmp_path: Path) -> None:
    assert refused(command, f"{tmp_path.as_uri()}/{TILE}", "--stack", "mine") == (
        "alos-mosaic: a URI leads to the tile by itself: leave out --stack, or give it YEAR/TILE"
    )


@pytest.mark.parametrize("command", ["validate", "show"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2020/N10E010", "is the region right, and the network there?"),
        ("alos_palsar_fnf/2020/N10E010", "is the region right, and the network there?"),
        ("2012/N10E010", "there is no mosaic of 2012"),
        ("jers_sar_mosaic/2020/N10E010", "2020 has no jers_sar_mosaic"),
        ("N10E010", "is no tile of ours"),
    ],
)
def test_a_year_and_tile_are_those_of_a_deployment(
    command: str, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert said in refused(command, name, "--stack", "mine")


def item_with(quicklook: object) -> str:
    return json.dumps({"properties": {}, "assets": {"thumbnail": {"href": quicklook}}})


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("not json", "is no item, since it is no JSON"),
        ("{}", "is no item: it has no properties"),
        ('{"properties": null, "assets": {}}', "is no item: it has no properties"),
        ('{"properties": {}, "assets": {}}', "has no quicklook; mode metadata-only makes one"),
        ('{"properties": {}, "assets": {"thumbnail": {}}}', "has None for a quicklook"),
        (item_with("{}/pwned.sh"), "for a quicklook, which would be ./N10E010_20.webp"),
        (item_with("N10E010_20.stac-item.json"), "for a quicklook, which would be ./N10E010_20.webp"),
    ],
)
def test_what_an_item_calls_its_quicklook_is_no_path_of_this_machine(
    item: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "out" / TILE
    (folder / str(elsewhere).strip("/")).mkdir(parents=True)
    (folder / str(elsewhere).strip("/") / "pwned.sh").write_text("#!/bin/sh")
    (folder / "N10E010_20.stac-item.json").write_text(item.replace("{}/pwned", f"{elsewhere}/pwned"))
    assert said in refused("show", folder.as_uri())
    assert (opened, list(elsewhere.iterdir())) == ([], [])


def test_what_is_in_no_item_can_be_deleted(tmp_path: Path) -> None:
    folder = tmp_path / TILE
    folder.mkdir(parents=True)
    (folder / "old [bold].txt").touch()
    (tmp_path / "alos_palsar_mosaic/2020/readme.txt").touch()
    done = invoke("reconcile", *SELECTED, "--to", tmp_path.as_uri(), code=1)
    shown = [line.strip() for line in done.stdout.splitlines()]
    assert shown == [
        "1 missing",
        "",
        "1 file that no item names:",
        f"{TILE}/old [bold].txt",
        "Nothing of ours reads them. While no run goes on, what is of no use to others may be deleted:",
        f"rm '{folder}/old [bold].txt'",
        "",
        "To make what is missing and mend what is damaged:",
        f"alos-mosaic process 2020/N10E010 --to {tmp_path.as_uri()}",
    ]
    assert "--mode skip mends nothing" in refused("reconcile", *SELECTED, "--to", tmp_path.as_uri(), "--mode", "skip")
    told = json.loads(invoke("reconcile", *SELECTED, "--to", tmp_path.as_uri(), "--json", code=1).stdout)
    assert told["commands"] == [f"alos-mosaic process 2020/N10E010 --to {tmp_path.as_uri()}"]
    assert (told["orphans"], told["strays"]) == (1, [])
    region = json.loads(
        invoke("reconcile", "--years", "2020", "--region", "africa", "--to", tmp_path.as_uri(), "--json", code=1).stdout
    )
    assert region["strays"] == ["alos_palsar_mosaic/2020/readme.txt"]
