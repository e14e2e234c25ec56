"""``alos-mosaic process`` with each of its options, on tiny cells."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rasterio
from typer.testing import CliRunner

from alos_mosaic.cli import main
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest
from alos_mosaic.processing import pipeline
from alos_mosaic.processing.pipeline import Workplace
from alos_mosaic.products import FOREST_PRODUCT
from alos_mosaic.results import State, TileResult
from local.archives import first_layout, make_cell, make_forest_cell, members, place_archive, write_archive
from tests.processing.test_download import scripted_server

TILE = Tile.from_name("N25W165")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, grid: Grid) -> None:
    """The command has no option for the grid, which is JAXA's."""
    monkeypatch.setattr(pipeline, "Workplace", partial(Workplace, grid=grid))


@pytest.fixture
def mirror(tmp_path: Path, grid: Grid) -> Path:
    place_archive(tmp_path / "mirror", TILE, 2009, grid, cells=TILE.cells[:2])
    return tmp_path / "mirror"


def process(mirror: Path, *options: str, code: int = 0) -> dict[str, Any]:
    arguments = ["2009/N25W165", "--source", mirror.as_uri(), "--to", out(mirror).as_uri(), *options, "--json"]
    done = CliRunner().invoke(main.app, ["process", *arguments])
    assert done.exit_code == code, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def out(mirror: Path) -> Path:
    return mirror.with_name("out")


def parameters(mirror: Path) -> dict[str, Any]:
    (path,) = out(mirror).rglob("*.stac-item.json")
    found: dict[str, Any] = json.loads(path.read_text())["properties"]["alos_mosaic:parameters"]
    return found


def test_the_forest_map_is_chosen_by_its_product(mirror: Path, grid: Grid) -> None:
    name = f"{TILE}_09_FNF.tar.gz"
    folder = mirror / first_layout(2009).folder(2009)
    write_archive(folder / name, [make_forest_cell(TILE.cells[0], 2009, grid)], 2009)
    result = process(mirror, "--product", FOREST_PRODUCT)
    assert (result["product"], result["archive"]["url"].rpartition("/")[2]) == (FOREST_PRODUCT, name)
    assert [path.name for path in out(mirror).rglob("*.tif")] == [f"{TILE}_09_sl_C.tif"]
    assert "no product" in process(mirror, "--product", "forest", code=1)["cause"]


def test_a_partial_tile_is_accepted_by_its_flag(mirror: Path, grid: Grid) -> None:
    first, second = (make_cell(cell, 2009, grid) for cell in TILE.cells[:2])
    files = dict(members(second, 2009))
    name = f"{second.cell}_09_sl_HH.hdr"
    files[name] = files[name].replace(b"samples = 30", b"samples = 31")
    write_archive(mirror / first_layout(2009).archive_path(TILE, 2009), [first], 2009, extra_members=files.items())
    assert process(mirror, code=1)["error"] == "CorruptArchiveError"
    result = process(mirror, "--accept-partial")
    assert (result["cells"], result["defective_cells"]) == ([first.cell.name], [second.cell.name])
    assert parameters(mirror)["accept_partial"] is True


@pytest.mark.parametrize("flags", [(), ("--requester-pays",), ("--allow-plain-login",)])
def test_flags_reach_the_source(mirror: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    places: list[Workplace] = []

    def processed(request: TileRequest, place: Workplace) -> TileResult:
        places.append(place)
        return TileResult(State.SKIPPED, request.tile_year.year, request.tile_year.tile.name)

    monkeypatch.setattr(pipeline, "process_tile", processed)
    process(mirror, *flags)
    (access,) = (place.access for place in places)
    assert access.requester_pays is ("--requester-pays" in flags)
    assert access.allow_plain_login is ("--allow-plain-login" in flags)


@pytest.mark.parametrize("codec", ["deflate", "zstd"])
def test_the_codec_is_chosen(mirror: Path, codec: str) -> None:
    process(mirror, "--codec", codec)
    for path in out(mirror).rglob("*.tif"):
        with rasterio.open(path) as dataset:
            assert dataset.compression.name == codec
    assert parameters(mirror)["codec"] == codec


def test_overviews_of_backscatter_are_chosen(mirror: Path) -> None:
    process(mirror)
    assert parameters(mirror)["backscatter_overviews"] == "rms"
    process(mirror, "--backscatter-overviews", "average", "--mode", "overwrite")
    assert parameters(mirror)["backscatter_overviews"] == "average"


def test_the_mode_is_chosen(mirror: Path) -> None:
    assert "nothing is published" in process(mirror, "--mode", "metadata-only", code=1)["cause"]
    states = [process(mirror, "--mode", mode)["state"] for mode in ("refresh", "refresh", "overwrite", "skip")]
    assert states == ["published", "skipped", "published", "skipped"]
    (archive,) = mirror.rglob("*.tar.gz")
    archive.unlink()
    assert process(mirror, "--mode", "metadata-only")["state"] == "published"
    done = CliRunner().invoke(main.app, ["process", "2009/N25W165", "--to", "file:///x", "--mode", "again"])
    assert done.exit_code == 2


def test_archives_are_kept_in_a_mirror_that_is_a_source(mirror: Path) -> None:
    kept = mirror.with_name("kept")
    process(mirror, "--keep-archives-in", kept.as_uri())
    (archive,) = mirror.rglob("*.tar.gz")
    (copy,) = kept.rglob("*.tar.gz")
    assert copy.relative_to(kept) == archive.relative_to(mirror)
    assert copy.read_bytes() == archive.read_bytes()
    assert process(kept, "--mode", "refresh")["state"] == "skipped", "it is the same archive, of the same time"


def test_a_mirror_that_can_not_be_written_is_told_and_no_failure(mirror: Path) -> None:
    (mirror.with_name("kept")).write_text("no folder")
    arguments = ["2009/N25W165", "--source", mirror.as_uri(), "--to", out(mirror).as_uri()]
    done = CliRunner().invoke(
        main.app, ["process", *arguments, "--keep-archives-in", mirror.with_name("kept").as_uri()]
    )
    assert done.exit_code == 0
    assert "archives not kept: " in done.stderr


@pytest.mark.parametrize("options", [("--codec", "lzw"), ("--backscatter-overviews", "median")])
def test_what_is_no_choice_is_a_failure_with_a_sentence(mirror: Path, options: tuple[str, str]) -> None:
    result = process(mirror, *options, code=1)
    assert result["error"] == "InvalidRequestError"
    assert options[1] in result["cause"]
    assert not out(mirror).exists()


def test_a_server_that_quotes_the_password_is_not_quoted(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALOS_MOSAIC_SOURCE_USERNAME", "me")
    monkeypatch.setenv("ALOS_MOSAIC_SOURCE_PASSWORD", "s3cr3t phrase")
    with scripted_server({"PASS": "530 the password s3cr3t phrase is wrong"}) as url:
        arguments = ["2009/N25W165", "--source", url, "--to", out(mirror).as_uri(), "--allow-plain-login"]
        done = CliRunner().invoke(main.app, ["process", *arguments, "--json"])
    assert done.exit_code == 1
    assert "the password *** is wrong" in done.output
    assert "s3cr3t" not in done.output + repr(done.exception)


def test_a_source_with_credentials_in_it_is_refused_and_not_shown(mirror: Path) -> None:
    arguments = ["2009/N25W165", "--source", "ftp://me:s3cr3t@host", "--to", out(mirror).as_uri(), "--json"]
    done = CliRunner().invoke(main.app, ["process", *arguments])
    assert done.exit_code == 1
    assert "credentials don't belong into a URI" in done.output
    assert "s3cr3t" not in done.output + repr(done.exception)


def test_a_failure_comes_with_what_to_do_and_names_no_queue(mirror: Path) -> None:
    (archive,) = mirror.rglob("*.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-500])
    arguments = ["2009/N25W165", "--source", mirror.as_uri(), "--to", out(mirror).as_uri()]
    done = CliRunner().invoke(main.app, ["process", *arguments])
    assert done.exit_code == 1
    failure, advice = done.stderr.strip().splitlines()
    assert failure.startswith("alos-mosaic: 2009/N25W165 failed, CorruptArchiveError: ")
    assert advice.startswith("To do: look into the archive (alos-mosaic doctor --archive)")
    assert "redrive" not in advice
