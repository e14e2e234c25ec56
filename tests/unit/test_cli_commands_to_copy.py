"""Commands that commands print to be copied: they find the same deployment, and ask for the same."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from alos_mosaic.cli.deployment import Deployment, options_said
from alos_mosaic.cli.main import app
from alos_mosaic.cli.output import Output
from alos_mosaic.cli.reconcile import deleting, mending
from alos_mosaic.cli.selection import execution_input
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid
from alos_mosaic.messages import Mode, TileYear
from alos_mosaic.processing.publish import open_target
from alos_mosaic.processing.reconciling import Condition, Finding, Reconciliation

FOUND = {"stack": "my stack", "profile": "team", "aws_region": "us-east-1"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALOS_MOSAIC_STACK", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def output(folder: Path, to: str | None = None, options: dict[str, str] | None = None) -> Output:
    return Output(open_target(folder.as_uri(), None), Grid(), "global", to, options or {})


def tiles(*names: str) -> tuple[TileYear, ...]:
    return tuple(map(TileYear.from_text, names))


def test_a_command_finds_the_deployment_that_was_found() -> None:
    deployment = Deployment("my stack", {}, boto3.Session(region_name="us-east-1"), options_said(**FOUND))
    assert deployment.command("status", "a (b)") == (
        "alos-mosaic status 'a (b)' --stack 'my stack' --profile team --aws-region us-east-1"
    )


def test_what_the_environment_says_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALOS_MOSAIC_STACK", "my stack")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert options_said(**FOUND) == {"profile": "team"}
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert options_said(**FOUND) == {"profile": "team", "aws_region": "us-east-1"}


def test_a_plan_is_started_where_it_was_made_for() -> None:
    given = ("--no-stack", "--years", "2020", "--tiles", "N10E010", "--stack", "my stack", "--aws-region", "us-east-1")
    done = CliRunner().invoke(app, ["plan", *given])
    assert done.stdout.splitlines()[-1] == (
        "Start it: alos-mosaic run --years 2020 --tiles N10E010 --stack 'my stack' --aws-region us-east-1"
    )


def test_years_that_nobody_has_listed_are_one_sentence() -> None:
    given = ("--no-stack", "--years", "2019-2023", "--tiles", "N10E010")
    shown = CliRunner().invoke(app, ["plan", *given]).stdout
    assert shown.count("not listed yet") == 1
    assert "2019, 2021, 2022, 2023 are not listed yet: what JAXA has of any year is to do.\n" in shown
    assert shown.splitlines()[-1] == ("Start it: alos-mosaic run --years 2019,2020,2021,2022,2023 --tiles N10E010")


def found(missing: tuple[TileYear, ...] = (), damaged: tuple[TileYear, ...] = ()) -> Reconciliation:
    conditions = {**dict.fromkeys(missing, Condition.MISSING), **dict.fromkeys(damaged, Condition.DAMAGED)}
    return Reconciliation(tuple(Finding(each, condition) for each, condition in conditions.items()))


def test_what_is_missing_is_made_as_it_was_looked_for(tmp_path: Path) -> None:
    selected = execution_input("2009,2010,2020", tiles="N10E010,N25W165", product="alos_palsar_fnf")
    missing = tiles("2009/N10E010", "2010/N10E010", "2010/N25W165", "2020/N10E010")
    assert list(mending(found(missing), selected, output(tmp_path, options=FOUND))) == [
        "alos-mosaic run --years 2009,2020 --tiles N10E010 --product alos_palsar_fnf "
        "--stack 'my stack' --profile team --aws-region us-east-1",
        "alos-mosaic run --years 2010 --tiles N10E010,N25W165 --product alos_palsar_fnf "
        "--stack 'my stack' --profile team --aws-region us-east-1",
    ]


def test_what_is_damaged_is_overwritten(tmp_path: Path) -> None:
    selected = execution_input("2020", region="africa")
    both = found(tiles("2020/N10E010"), tiles("2020/N10E015", "2020/N10E020"))
    assert list(mending(both, selected, output(tmp_path))) == [
        "alos-mosaic run --years 2020 --tiles N10E010",
        "alos-mosaic run --years 2020 --tiles N10E015,N10E020 --mode overwrite",
    ]
    assert list(mending(both, selected, output(tmp_path), Mode.METADATA_ONLY)) == [
        "alos-mosaic run --years 2020 --tiles N10E010",
        "alos-mosaic run --years 2020 --tiles N10E015,N10E020 --mode metadata-only",
    ]
    assert list(mending(both, selected, output(tmp_path, "file:///out"))) == [
        "alos-mosaic process 2020/N10E010 --to file:///out",
        "alos-mosaic process 2020/N10E015 --to file:///out --mode overwrite",
        "alos-mosaic process 2020/N10E020 --to file:///out --mode overwrite",
    ]


def test_what_is_missing_in_a_folder_is_made_there(tmp_path: Path) -> None:
    selected = execution_input("2010", tiles="N10E010", product="alos_palsar_fnf")
    assert list(mending(found(tiles("2010/N10E010")), selected, output(tmp_path, "file:///my out"))) == [
        "alos-mosaic process 2010/N10E010 --to 'file:///my out' --product alos_palsar_fnf"
    ]
    printed = CliRunner().invoke(app, ["reconcile", "--years", "2020", "--region", "africa", "--to", tmp_path.as_uri()])
    commands = [line for line in printed.stdout.splitlines() if "alos-mosaic process 2020/" in line]
    assert len(commands) == 5
    assert "  and 173 more; --json has them all" in map(str.rstrip, printed.stdout.splitlines())


def test_what_is_mended_in_a_bucket_is_so_with_the_credentials_it_was_looked_at_with(tmp_path: Path) -> None:
    selected = execution_input("2010", tiles="N10E010")
    place = output(tmp_path, "s3://bucket", {"profile": "my team", "aws_region": "us-east-1"})
    assert list(mending(found(tiles("2010/N10E010")), selected, place)) == [
        "AWS_PROFILE='my team' AWS_DEFAULT_REGION=us-east-1 alos-mosaic process 2010/N10E010 --to s3://bucket"
    ]


def test_a_file_is_deleted_where_it_lies(tmp_path: Path) -> None:
    assert deleting("2020/a b.tif", output(tmp_path)) == f"rm '{tmp_path}/2020/a b.tif'"
    target = open_target("s3://bucket/in", boto3.client("s3", region_name="us-east-1"))
    place = Output(target, Grid(), "global", options={"stack": "x", "profile": "team", "aws_region": "us-east-1"})
    assert deleting("2020/a b.tif", place) == (
        "aws s3 rm 's3://bucket/in/2020/a b.tif' --profile team --region us-east-1"
    )


def test_many_that_are_missing_are_made_by_the_same_selection(tmp_path: Path) -> None:
    many = tiles(*(f"2020/N10E{degrees:03}" for degrees in range(0, 105, 5)))
    names = ",".join(each.tile.name for each in many)
    selected = execution_input("2020", region="africa")
    assert list(mending(found(many), selected, output(tmp_path))) == ["alos-mosaic run --years 2020 --region africa"]
    assert list(mending(found((), many), selected, output(tmp_path))) == [
        f"alos-mosaic run --years 2020 --tiles {names} --mode overwrite"
    ], "all of the region is more than is damaged of it"
    named = execution_input("2020", tiles=f"{names},N25W165")
    assert list(mending(found(many), named, output(tmp_path))) == [f"alos-mosaic run --years 2020 --tiles {names}"]


def test_the_extra_for_tables_is_named_as_it_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install can be had without the repository, of which whoever has a wheel knows nothing."""
    from alos_mosaic.cli.catalogue import _write_table  # noqa: PLC0415

    project = tomllib.loads((Path(__file__).parents[2] / "layers/alos_mosaic/pyproject.toml").read_text())
    (pinned,) = project["project"]["optional-dependencies"]["catalogue"]
    monkeypatch.setitem(sys.modules, "rustac", None)
    with pytest.raises(InvalidRequestError, match=re.escape(f"pip install '{pinned}'")):
        _write_table([], Path("none"))
    shown = " ".join(CliRunner().invoke(app, ["catalogue", "--help"]).stdout.split())
    assert f"pip install '{pinned}'" in shown
