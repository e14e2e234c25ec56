"""The command as a script sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alos_mosaic import __version__
from alos_mosaic.grid import Grid, Tile
from local.archives import place_archive

COMMAND = shutil.which("alos-mosaic", path=str(Path(sys.executable).parent))
TILE = Tile.from_name("N25W165")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert COMMAND is not None
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120)


def test_tiles_prints_an_array_of_objects() -> None:
    done = run("tiles", "--years", "2017,2020", "--region", "africa", "--json")
    listed = json.loads(done.stdout)
    assert len(listed) == 177 + 178
    assert {"year": 2020, "tile": "N10E010"} in listed
    assert all(set(entry) == {"year", "tile"} for entry in listed)


def test_tiles_prints_lines_that_process_takes() -> None:
    assert run("tiles", "--years", "2020", "--bbox", "179,-17,-179,-16").stdout.split() == [
        "2020/S15W180",
        "2020/S15E175",
    ]


def test_tiles_takes_every_way_to_select_them(tmp_path: Path) -> None:
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [[[11, 6], [12, 6], [12, 7], [11, 6]]]}))
    for options in (("--tiles", "N10E010"), ("--geojson", str(area)), ("--bbox", "11,6,12,7")):
        assert run("tiles", "--years", "2020", *options).stdout == "2020/N10E010\n"


def test_a_place_without_tiles_is_told_by_the_exit_code() -> None:
    asked = ("tiles", "--years", "2020", "--bbox", "-40,30,-35,35")
    done = run(*asked)
    assert (done.returncode, done.stdout) == (3, "")
    assert "publishes none of the selected tiles (1) in 2020" in done.stderr
    assert "name them in --tiles" in done.stderr
    assert json.loads(run(*asked, "--json").stdout) == []
    assert run("plan", "--no-stack", *asked[1:]).returncode == 3


@pytest.mark.parametrize("command", [("tiles",), ("plan", "--no-stack")])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--years", "2012"), "2015-"),
        (("--years", "2020", "--region", "mars"), "mars"),
        (("--years", "2020", "--tiles", "N12E010"), "off the grid"),
        (("--years", "2020", "--geojson", "nowhere.json"), "nowhere.json"),
        (("--years", "2020", "--bbox", "1,2"), "bbox"),
        (("--years", ""), "not a year"),
    ],
)
def test_a_senseless_selection_is_a_usage_error_of_one_sentence(
    command: tuple[str, ...], arguments: tuple[str, ...], reason: str
) -> None:
    done = run(*command, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_span_is_its_years_that_have_a_mosaic() -> None:
    asked = ("--bbox", "10,5,15,10")
    listed = run("tiles", "--years", "1998,2009-2016", *asked).stdout.split()
    assert listed == [f"{year}/N10E010" for year in (1998, 2009, 2010, 2015, 2016) if f"{year}/N10E010" in listed]
    assert "2010/N10E010" in listed
    assert "2015/N10E010" in listed
    refused = run("tiles", "--years", "2011-2014", *asked)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "there is no mosaic of 2011-2014; years are 1993-1998, 2007-2010, 2015-" in refused.stderr


def test_the_forest_map_may_be_listed_for_years_that_have_one() -> None:
    asked = ("--bbox", "10,5,15,10", "--product", "alos_palsar_fnf")
    assert run("tiles", "--years", "2009", *asked).stdout == "2009/N10E010\n"
    refused = run("tiles", "--years", "1996", *asked)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "1996 has no alos_palsar_fnf" in refused.stderr


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == __version__
    assert "process" in run("--help").stdout
    assert "Example" in run("process", "--help").stdout


@pytest.mark.parametrize(
    ("options", "environment", "reason"),
    [
        ({"--to": "s3://bucket"}, {"AWS_DEFAULT_REGION": "bad region!"}, "region"),
        ({"--to": "s3://bucket"}, {"AWS_PROFILE": "nope"}, "nope"),
        ({"--to": "s3://["}, {}, "no URI"),
        ({"--source": "ftp://host:99999"}, {}, "no URI"),
        ({"--source": "gopher://host"}, {}, "no source"),
        ({}, {"ALOS_MOSAIC_SOURCE_USERNAME": "me"}, "only one is set"),
        ({"--work": "/dev/null"}, {}, "work folder"),
    ],
)
def test_whatever_goes_wrong_ends_with_a_sentence_and_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], environment: dict[str, str], reason: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = {"--source": tmp_path.as_uri(), "--to": (tmp_path / "out").as_uri(), **options}
    arguments = [text for option in given.items() for text in option]
    done = run("process", "2020/N25W165", *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(run("process", "2020/N25W165", *arguments, "--json").stdout)
    assert result["state"] == "failed"
    assert reason in result["cause"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One full-size synthetic cell."""
    folder = tmp_path_factory.mktemp("cli")
    place_archive(folder / "mirror", TILE, 1996, Grid(), cells=TILE.cells[:1])
    return folder / "mirror"


@pytest.mark.slow
def test_process_publishes_then_skips_and_leaves_nothing_else(mirror: Path, tmp_path: Path) -> None:
    arguments = ("process", "1996/N25W165", "--source", mirror.as_uri(), "--to", (tmp_path / "out").as_uri())
    done = run(*arguments, "--work", str(tmp_path / "work"), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["state"], result["cells"]) == ("published", ["N25W165"])
    published = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert published == {f"N25W165_96_sl_{band}.tif" for band in ("HH", "linci", "date", "mask")} | {
        f"N25W165_96.{extension}" for extension in ("stac-item.json", "odc-metadata.yaml", "webp")
    } | {"collection.json"}
    assert not list((tmp_path / "work").iterdir())
    again = run(*arguments)
    assert again.returncode == 0
    assert again.stdout.startswith("1996/N25W165 skipped: file://")


@pytest.mark.parametrize(
    ("tile", "code", "word"),
    [
        ("1996/N10E010", 3, "absent"),
        ("1997/N25W165", 1, "SourceUnavailableError"),
    ],
)
def test_process_exits_by_outcome(mirror: Path, tmp_path: Path, tile: str, code: int, word: str) -> None:
    arguments = ("process", tile, "--source", mirror.as_uri(), "--to", (tmp_path / "out").as_uri())
    done = run(*arguments)
    assert done.returncode == code
    assert word in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert json.loads(run(*arguments, "--json").stdout)["state"] in ("absent", "failed")


@pytest.mark.parametrize(("tile", "said"), [("1996/N12E010", "off the grid"), ("N25W165", "YEAR/TILE")])
def test_a_name_of_no_tile_is_a_sentence_and_has_no_result(tile: str, said: str) -> None:
    for options in ((), ("--json",)):
        done = run("process", tile, "--to", "file:///x", *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
