"""The second way in: archives of single cells, and what becomes of a cell that is damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import boto3
import numpy as np
import pytest
import rasterio
from moto import mock_aws

from alos_mosaic.bands import bands_of
from alos_mosaic.errors import ArchiveUnavailableError, CorruptArchiveError, SourceUnavailableError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.inventory import cells_of_tile
from alos_mosaic.layouts import LAYOUTS, Layout
from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.missions import mission_of
from alos_mosaic.processing import gathering
from alos_mosaic.processing.buffers import Buffers
from alos_mosaic.processing.finding import find
from alos_mosaic.processing.pipeline import Workplace, process_tile
from alos_mosaic.processing.sources.opening import open_source
from alos_mosaic.processing.sources.protocol import SourceAccess
from alos_mosaic.results import State, TileResult
from local.archives import (
    CellPixels,
    Container,
    Form,
    make_cell,
    members,
    place_archive,
    place_cell_archive,
    write_archive,
    write_files,
)
from local.jaxa_server import JaxaServer
from local.web_server import Answer, WebServer

TILE = Tile.from_name("N25W165")
CELLS = (TILE.cells[0], TILE.cells[7], TILE.cells[24])
YEAR = 2017
TREE_V2, TREE_V1, EXT2_V1 = (row for row in LAYOUTS if row.name.startswith("palsar-2-v"))
ZIPPED = next(row for row in LAYOUTS if row.name == "palsar-2-v2")
SITE_V2, SITE_V1 = (row for row in LAYOUTS if row.name.startswith("palsar-2-site"))

MakePlace = Callable[[], Workplace]


@pytest.fixture
def made(grid: Grid) -> list[CellPixels]:
    return [make_cell(cell, YEAR, grid) for cell in CELLS]


def process(place: Workplace, accept_partial: bool = False) -> TileResult:
    return process_tile(TileRequest(TileYear(YEAR, TILE), run="a-run", accept_partial=accept_partial), place)


def expected(made: list[CellPixels], code: str, grid: Grid) -> np.ndarray:
    whole = np.zeros((grid.tile_pixels, grid.tile_pixels), made[0].arrays[code].dtype)
    for cell in made:
        row, column = grid.offset(cell.cell)
        window = whole[row : row + grid.cell_pixels, column : column + grid.cell_pixels]
        window[:] = np.where(cell.arrays["mask"] == 0, 0, cell.arrays[code])
    return whole


def assert_published(published: Path, made: list[CellPixels], grid: Grid) -> dict:
    for band in bands_of(mission_of(YEAR)):
        (path,) = published.rglob(f"*_{band.code}_*.tif")
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), expected(made, band.code, grid))
    (item,) = published.rglob("*.stac-item.json")
    return json.loads(item.read_text())


def site(place: Workplace, server: WebServer) -> Workplace:
    """Let the web server be a site that serves only cells, beside a mirror of the FTP server's tree."""
    sites = tuple(replace(row, schemes=("http",)) for row in (SITE_V2, SITE_V1))
    return replace(place, source_url=server.url, extra_layouts=sites)


def assert_nothing_left(place: Workplace) -> None:
    """What is published lies elsewhere: only files of the tile stay in the work folder, and no archive."""
    assert not [path for path in place.work.rglob("*") if path.name.endswith((".tar.gz", ".zip", ".blocks"))]


def damaged(made: list[CellPixels], cell: Cell, *, band: str = "HH") -> list[tuple[str, bytes]]:
    """Return all members, one of which can't be read: its header describes another raster."""
    files = [file for pixels in made for file in members(pixels, YEAR)]
    name = f"{cell}_17_sl_{band}_F02DAR.hdr" if band in ("HH", "HV") else f"{cell}_17_{band}_F02DAR.hdr"
    assert name in dict(files)
    return [(each, data.replace(b"samples = 30", b"samples = 31") if each == name else data) for each, data in files]


def place_damaged(mirror: Path, made: list[CellPixels], cell: Cell, band: str = "HH") -> None:
    path = place_archive(mirror, TILE, YEAR, Grid(30), cells=[])
    write_archive(path, [], YEAR, extra_members=damaged(made, cell, band=band))


@pytest.mark.parametrize("scheme", ["file", "ftp"])
def test_cells_are_merged_where_there_is_no_archive_of_the_tile(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], scheme: str
) -> None:
    place_archive(mirror, Tile.from_name("N10E010"), YEAR, grid, cells=[])
    archives = [place_cell_archive(mirror, cell, YEAR) for cell in made]
    with JaxaServer(mirror) as server:
        here = place()
        here = here if scheme == "file" else replace(here, source_url=server.url)
        result = process(here)
    assert result.state is State.PUBLISHED
    assert result.cells == tuple(cell.name for cell in sorted(CELLS))
    assert result.archive["archives"] == 3
    assert result.archive["size"] == sum(path.stat().st_size for path in archives)
    properties = assert_published(published, made, grid)["properties"]
    assert "alos_mosaic:archive" not in properties
    urls = [facts["url"] for facts in properties["alos_mosaic:cell_archives"]]
    assert sorted(url.rpartition("/")[2] for url in urls) == sorted(path.name for path in archives)
    assert_nothing_left(here)


def test_a_site_that_serves_only_cells_is_a_source(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    for cell in made:
        place_cell_archive(mirror, cell, YEAR, SITE_V2, Form.ENVI)
    place_cell_archive(mirror, made[1], YEAR, SITE_V1)
    with WebServer(mirror) as server:
        result = process(site(place(), server))
    assert (result.state, result.archive["layouts"]) == (State.PUBLISHED, ["palsar-2-site-v2"])
    assert_published(published, made, grid)


@pytest.mark.parametrize(
    ("year", "kind", "known"),
    [(2017, "cell", "N10E005"), (2017, "tile", "N15E010"), (2022, "cell", "N10E005"), (2017, "cell", "S30E175")],
)
def test_absent_where_nothing_is_listed_means_that_known_archives_answer(
    place: MakePlace, mirror: Path, grid: Grid, year: int, kind: str, known: str
) -> None:
    """A year that the inventory does not know is asked for by what the nearest known year has, 2020 for 2022."""
    asked, tile = TileRequest(TileYear(year, Tile.from_name("N10E010"))), Tile.from_name(known)
    if kind == "tile":
        archive = place_archive(mirror, tile, year, grid, cells=[])
    else:
        cell = cells_of_tile(min(year, 2020), tile)[0]
        archive = place_cell_archive(mirror, make_cell(cell, year, grid), year, SITE_V2)
    with WebServer(mirror) as server:
        result = process_tile(asked, site(place(), server))
        assert result.state is State.ABSENT
        assert f"has other archives of {year}, but none of N10E010" in str(result.cause)
        archive.rename(archive.with_name("off"))
        server.requests.clear()
        with pytest.raises(SourceUnavailableError, match=f"no archive of {year} where known ones.*folder moved"):
            process_tile(asked, site(place(), server))
        assert len(server.requests) < 250
        server.answers[f"/{archive.relative_to(mirror)}"] = Answer(403)
        with pytest.raises(SourceUnavailableError, match="403"):
            process_tile(asked, site(place(), server))


@pytest.mark.parametrize("rows", [(SITE_V2, SITE_V1), (SITE_V1, SITE_V2)], ids=["newer has less", "older has less"])
def test_the_release_that_has_all_cells_is_taken(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], rows: tuple[Layout, Layout]
) -> None:
    less, more = rows
    place_cell_archive(mirror, make_cell(CELLS[0], YEAR, grid, seed=7), YEAR, less)
    for cell in made:
        place_cell_archive(mirror, cell, YEAR, more)
    sites = tuple(replace(row, schemes=("file",)) for row in (SITE_V2, SITE_V1))
    assert process(replace(place(), extra_layouts=sites)).archive["layouts"] == [more.name]
    assert_published(published, made, grid)


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_cells_of_two_releases_are_never_one_tile(
    place: MakePlace, mirror: Path, published: Path, made: list[CellPixels], scheme: str
) -> None:
    for cell, row in zip(made, (SITE_V2, SITE_V2, SITE_V1), strict=True):
        place_cell_archive(mirror, cell, YEAR, row)
    sites = tuple(replace(row, schemes=(scheme,)) for row in (SITE_V2, SITE_V1))
    with WebServer(mirror) as server:
        url = server.url if scheme == "http" else mirror.as_uri()
        with pytest.raises(ArchiveUnavailableError, match=f"site-v1 that palsar-2-site-v2 lacks: {CELLS[2]}; is JAXA"):
            process(replace(place(), source_url=url, extra_layouts=sites))
    assert not published.exists()


def test_cells_of_one_release_may_lie_in_two_places(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    for cell, row in zip(made, (TREE_V1, EXT2_V1, EXT2_V1), strict=True):
        place_cell_archive(mirror, cell, YEAR, row)
    place_cell_archive(mirror, make_cell(CELLS[0], YEAR, grid, seed=7), YEAR, EXT2_V1)
    assert set(process(place()).archive["layouts"]) == {TREE_V1.name, EXT2_V1.name}
    facts = assert_published(published, made, grid)["properties"]["alos_mosaic:cell_archives"]
    assert {each["layout"] for each in facts} == {TREE_V1.name, EXT2_V1.name}


def test_a_cell_that_is_listed_but_not_served_is_no_hole(
    place: MakePlace, mirror: Path, published: Path, made: list[CellPixels]
) -> None:
    paths = [place_cell_archive(mirror, cell, YEAR) for cell in made]
    paths[1].unlink()
    paths[1].mkdir()
    with pytest.raises(ArchiveUnavailableError, match=f"lists .*{paths[1].name}, but does not serve it"):
        process(place())
    assert not published.exists()


def test_no_cell_anywhere_is_absent(place: MakePlace, mirror: Path, grid: Grid) -> None:
    place_archive(mirror, Tile.from_name("N10E010"), YEAR, grid, cells=[])
    folder = place_cell_archive(mirror, make_cell(CELLS[0], YEAR, grid), YEAR)
    folder.rename(folder.with_name("off"))
    assert process(place()).state is State.ABSENT


@contextmanager
def served(scheme: str, mirror: Path) -> Iterator[tuple[str, SourceAccess]]:
    """Serve a mirror as it is now."""
    if scheme == "file":
        yield mirror.as_uri(), SourceAccess()
    elif scheme == "ftp":
        with JaxaServer(mirror) as server:
            yield server.url, SourceAccess()
    else:
        with mock_aws():
            client = boto3.client("s3")
            client.create_bucket(Bucket="mirror")
            for path in (path for path in mirror.rglob("*") if path.is_file()):
                client.upload_file(str(path), "mirror", str(path.relative_to(mirror)))
            yield "s3://mirror", SourceAccess(s3=client)


@pytest.mark.parametrize("scheme", ["file", "ftp", "s3"])
@pytest.mark.parametrize("serves_tiles", [True, False])
def test_a_mirror_of_nothing_but_cells_tells_what_is_absent(
    place: MakePlace, mirror: Path, grid: Grid, made: list[CellPixels], scheme: str, serves_tiles: bool
) -> None:
    row = Layout("cells", "PALSAR-2", "cells/{year}", "{square}_{yy}_MOS.tar.gz", serves_tiles=serves_tiles)
    other = Cell.from_name("N10E010")
    asked = TileRequest(TileYear(YEAR, other.tile))
    archive = place_cell_archive(mirror, made[0], YEAR, row)
    for junk in ("off", "S10E010/off"):
        (archive.parents[1] / junk).parent.mkdir(exist_ok=True)
        (archive.parents[1] / junk).touch()

    def processed() -> TileResult:
        with served(scheme, mirror) as (url, access):
            return process_tile(asked, replace(place(), source_url=url, access=access, extra_layouts=(row,)))

    result = processed()
    assert result.state is State.ABSENT
    assert "has other archives of 2017, but none of N10E010" in str(result.cause)

    renamed = place_cell_archive(mirror, make_cell(other, YEAR, grid), YEAR, row)
    renamed.rename(renamed.with_name("N10E010_2017_MOS_F03DAR.zip"))
    with pytest.raises(ArchiveUnavailableError, match="lists cells/2017/N10E010/N10E010_2017_MOS_F03DAR.zip"):
        processed()
    renamed.with_name("N10E010_2017_MOS_F03DAR.zip").unlink()

    archive.unlink()
    with pytest.raises(SourceUnavailableError, match=r"has no archive in .*cells/2017.*: has the folder moved"):
        processed()
    with open_source(mirror.as_uri()) as source, pytest.raises(SourceUnavailableError, match="in cells/2017: has the"):
        find(source, asked.tile_year, [row])


@pytest.mark.parametrize("band", ["HH", "mask", "date"])
def test_a_damaged_cell_is_taken_from_its_own_archive(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], band: str
) -> None:
    place_damaged(mirror, made, CELLS[1], band)
    own = place_cell_archive(mirror, made[1], YEAR)
    here = place()
    result = process(here)
    assert (result.state, result.defective_cells) == (State.PUBLISHED, ())
    properties = assert_published(published, made, grid)["properties"]
    assert properties["alos_mosaic:archive"]["layout"] == "palsar-2-v1"
    (facts,) = properties["alos_mosaic:cell_archives"]
    assert facts["url"].endswith(own.name)
    assert not [text for text in properties.get("alos_mosaic:warnings", []) if "left out" in text]
    assert_nothing_left(here)


def test_a_damaged_cell_is_not_taken_from_another_release(
    place: MakePlace, mirror: Path, published: Path, made: list[CellPixels]
) -> None:
    place_damaged(mirror, made, CELLS[1])
    place_cell_archive(mirror, made[1], YEAR, TREE_V2)
    with pytest.raises(CorruptArchiveError, match="no archive of the cell alone of the same release"):
        process(place())
    assert not published.exists()
    place_cell_archive(mirror, made[1], YEAR)
    assert process(place()).state is State.PUBLISHED
    (item,) = published.rglob("*.stac-item.json")
    (facts,) = json.loads(item.read_text())["properties"]["alos_mosaic:cell_archives"]
    assert facts["layout"] == "palsar-2-v1"


def test_a_tile_with_a_cell_that_is_damaged_everywhere_fails(
    place: MakePlace, mirror: Path, published: Path, made: list[CellPixels]
) -> None:
    place_damaged(mirror, made, CELLS[1])
    with pytest.raises(CorruptArchiveError, match=f"{CELLS[1]}_17_sl_HH.*no archive of the cell alone") as caught:
        process(place())
    assert caught.value.defective_cells == (CELLS[1].name,), "the tile could be made without it"
    own = place_cell_archive(mirror, made[1], YEAR)
    own.write_bytes(own.read_bytes()[:-50])
    with pytest.raises(CorruptArchiveError, match=own.name):
        process(place())
    own.write_bytes(b"")
    with pytest.raises(CorruptArchiveError, match=own.name):
        process(place())
    assert not published.exists()


@pytest.mark.parametrize("others", [2, 0])
def test_a_tiles_corner_cell_is_mended_over_a_network_though_its_archive_is_called_as_the_tiles(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], others: int
) -> None:
    corner = made[0]
    assert corner.cell.name == TILE.name
    files = [file for pixels in made[: 1 + others] for file in members(pixels, YEAR)]
    is_corners = [name.startswith(corner.cell.name) for name, _ in files]
    spoilt = [
        (name, content.replace(b"samples = 30", b"samples = 31") if is_corner else content)
        for (name, content), is_corner in zip(files, is_corners, strict=True)
    ]
    write_archive(place_archive(mirror, TILE, YEAR, grid, cells=[]), [], YEAR, extra_members=spoilt)
    place_cell_archive(mirror, corner, YEAR)
    with JaxaServer(mirror) as server:
        here = place()
        result = process(replace(here, source_url=server.url))
    assert (result.state, len(result.cells)) == (State.PUBLISHED, 1 + others)
    assert_published(published, made[: 1 + others], grid)
    assert_nothing_left(here)


def test_values_that_are_not_there_where_the_mask_says_data_are_counted_and_warned_of(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    """A raster that was not written to its end is 0 from there on, which is no error to any reader."""
    files = dict(file for pixels in made for file in members(pixels, YEAR))
    name = f"{made[1].cell}_17_sl_HH_F02DAR"
    half = len(files[name]) // 2
    files[name] = files[name][:half] + bytes(len(files[name]) - half)
    write_archive(place_archive(mirror, TILE, YEAR, grid, cells=[]), [], YEAR, extra_members=list(files.items()))
    assert process(place()).state is State.PUBLISHED
    properties = json.loads(next(published.rglob("*.stac-item.json")).read_text())["properties"]
    lost = int(np.count_nonzero(made[1].arrays["mask"][grid.cell_pixels // 2 :]))
    assert properties["alos_mosaic:values_missing"] == lost > 0
    assert any(f"{lost} of " in text and "not there" in text for text in properties["alos_mosaic:warnings"])


@pytest.mark.parametrize("own", [None, b"", b"no archive"])
def test_accepted_partial_a_tile_says_what_it_lacks(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], own: bytes | None
) -> None:
    place_damaged(mirror, made, CELLS[1])
    if own is not None:
        place_cell_archive(mirror, made[1], YEAR).write_bytes(own)
    result = process(place(), accept_partial=True)
    assert result.state is State.PUBLISHED
    assert result.defective_cells == (CELLS[1].name,)
    assert CELLS[1].name not in result.cells
    properties = assert_published(published, [made[0], made[2]], grid)["properties"]
    assert properties["alos_mosaic:cells_defective"] == [CELLS[1].name]
    assert any(CELLS[1].name in text for text in properties["alos_mosaic:warnings"])
    assert "alos_mosaic:cell_archives" not in properties, "nothing of it was used"


def test_a_partial_tile_is_made_again_for_who_does_not_accept_it(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    place_damaged(mirror, made, CELLS[1])
    assert process(place(), accept_partial=True).state is State.PUBLISHED
    assert process(place(), accept_partial=True).state is State.SKIPPED
    with pytest.raises(CorruptArchiveError):
        process(place())
    place_cell_archive(mirror, made[1], YEAR)
    assert process(place()).state is State.PUBLISHED
    assert_published(published, made, grid)
    assert process(place()).state is State.SKIPPED
    assert process(place(), accept_partial=True).state is State.SKIPPED


def test_a_rejected_archive_is_not_waited_for(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    place_archive(mirror, Tile.from_name("N10E010"), YEAR, grid, cells=[])
    *whole, rejected = sorted(made, key=lambda pixels: pixels.cell)  # the last that is fetched
    for cell in made:
        path = place_cell_archive(mirror, cell, YEAR)
        if cell is rejected:
            path.write_bytes(b"no archive" * 1_000_000)
    here = place()
    with JaxaServer(mirror, bytes_per_second=500_000) as server:
        result = process(replace(here, source_url=server.url), accept_partial=True)
    assert result.defective_cells == (rejected.cell.name,)
    assert result.seconds["transfer"] < 10
    facts = assert_published(published, whole, grid)["properties"]["alos_mosaic:cell_archives"]
    names = {each["url"].rpartition("/")[2].partition("_")[0] for each in facts}
    assert names == {cell.cell.name for cell in whole}
    assert_nothing_left(here)


def place_nested(
    mirror: Path, made: list[CellPixels], outer: Container, inner: Container, spoil: Callable[[bytes], bytes]
) -> None:
    """Write an archive of cells' archives, the second of which is spoilt."""
    files = []
    for number, pixels in enumerate(made):
        path = write_archive(mirror / f"{pixels.cell}_17_MOS_F02DAR{inner}", [pixels], YEAR)
        content = path.read_bytes()
        files.append((path.name, spoil(content) if number == 1 else content))
        path.unlink()
    path = mirror / ZIPPED.archive_path(TILE, YEAR)
    path = path if outer is Container.ZIP else place_archive(mirror, TILE, YEAR, Grid(30), cells=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_files(path, files)


def flipped(content: bytes) -> bytes:
    """Return other bytes in the middle."""
    half = len(content) // 2
    return content[:half] + bytes(255 - byte for byte in content[half : half + 64]) + content[half + 64 :]


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[:-100],
    "half": lambda content: content[: len(content) // 2],
    "flipped": flipped,
    "empty": lambda _: b"",
    "no archive": lambda _: b"<html>busy</html>",
}


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("inner", list(Container))
@pytest.mark.parametrize("outer", list(Container))
def test_a_cell_whose_archive_in_the_archive_is_damaged_is_taken_from_its_own(
    place: MakePlace,
    mirror: Path,
    published: Path,
    grid: Grid,
    made: list[CellPixels],
    outer: Container,
    inner: Container,
    spoil: str,
) -> None:
    place_nested(mirror, made, outer, inner, SPOILS[spoil])
    with pytest.raises(CorruptArchiveError, match=f"{made[1].cell}.*no archive of the cell alone"):
        process(place())
    partial = process(place(), accept_partial=True)
    assert partial.defective_cells == (made[1].cell.name,)
    assert_published(published, [made[0], made[2]], grid)
    place_cell_archive(mirror, made[1], YEAR, ZIPPED if outer is Container.ZIP else None)
    here = place()
    result = process_tile(TileRequest(TileYear(YEAR, TILE), mode=Mode.OVERWRITE), here)
    assert (result.state, result.defective_cells, len(result.cells)) == (State.PUBLISHED, (), 3)
    assert_published(published, made, grid)
    assert not list(here.work.rglob(".nested*"))


def test_a_sidecar_that_is_left_out_costs_a_warning_and_not_its_cell(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels]
) -> None:
    name = f"{made[1].cell}_17_FP6QAR.xml"
    path = mirror / ZIPPED.archive_path(TILE, YEAR)
    write_archive(path, made, YEAR, extra_members=[(name, b"<xml>" + b" " * (1 << 20))])
    result = process(place())
    assert (result.state, len(result.cells)) == (State.PUBLISHED, 3)
    warnings = assert_published(published, made, grid)["properties"]["alos_mosaic:warnings"]
    assert any(text.startswith(f"a sidecar of cell {made[1].cell} is left out: {name}") for text in warnings)


def test_an_archive_in_the_archive_that_holds_another_cell_is_a_defect(
    place: MakePlace, mirror: Path, made: list[CellPixels], tmp_path: Path
) -> None:
    other = write_archive(tmp_path / "other.zip", made[:1], YEAR).read_bytes()
    place_nested(mirror, made, Container.ZIP, Container.ZIP, lambda _: other)
    with pytest.raises(CorruptArchiveError, match=f"archive of cell {made[1].cell} in it holds no raster"):
        process(place())


@pytest.mark.parametrize("part", ["local header", "name in the local header", "data"])
def test_a_cell_whose_member_of_a_zip_is_damaged_is_taken_from_its_own_archive(
    place: MakePlace, mirror: Path, published: Path, grid: Grid, made: list[CellPixels], part: str
) -> None:
    path = write_archive(mirror / ZIPPED.archive_path(TILE, YEAR), made, YEAR)
    content = bytearray(path.read_bytes())
    name = f"{made[1].cell}_17_sl_HV_F02DAR".encode()
    at = content.index(name)  # the local header's; that in the directory comes behind all members
    content[{"local header": at - 30, "name in the local header": at, "data": at + len(name) + 40}[part]] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorruptArchiveError, match=f"{name.decode()} is truncated or damaged.*no archive of the cell"):
        process(place())
    place_cell_archive(mirror, made[1], YEAR, ZIPPED)
    result = process(place())
    assert (result.state, result.defective_cells, result.archive["layouts"]) == (State.PUBLISHED, (), [ZIPPED.name])
    assert_published(published, made, grid)


def test_a_tile_without_any_whole_cell_fails_even_then(
    place: MakePlace, mirror: Path, published: Path, made: list[CellPixels]
) -> None:
    place_damaged(mirror, made[1:2], CELLS[1])
    for accept_partial, said in ((True, "no cell can be read"), (False, f"{CELLS[1]}_17_sl_HH")):
        with pytest.raises(CorruptArchiveError, match=said) as caught:
            process(place(), accept_partial=accept_partial)
        assert caught.value.defective_cells == (), "to accept less would not help"
    assert not published.exists()


def test_a_damaged_archive_is_no_defect_of_a_cell(
    place: MakePlace, mirror: Path, grid: Grid, made: list[CellPixels]
) -> None:
    archive = place_archive(mirror, TILE, YEAR, grid, cells=CELLS)
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(CorruptArchiveError, match="truncated or damaged"):
        process(place(), accept_partial=True)


def test_a_source_that_fails_is_no_defect_of_a_cell(place: MakePlace, mirror: Path, made: list[CellPixels]) -> None:
    paths = [place_cell_archive(mirror, cell, YEAR) for cell in made]
    with WebServer(mirror) as server:
        server.answers[f"/{paths[1].relative_to(mirror)}"] = Answer(503, method="GET")
        with pytest.raises(SourceUnavailableError, match="503"):
            process(replace(place(), source_url=server.url), accept_partial=True)


def test_a_cells_archive_that_holds_another_cell_does_not_count(
    place: MakePlace, mirror: Path, grid: Grid, made: list[CellPixels]
) -> None:
    place_archive(mirror, Tile.from_name("N10E010"), YEAR, grid, cells=[])
    own = place_cell_archive(mirror, made[0], YEAR)
    place_cell_archive(mirror, made[1], YEAR).write_bytes(own.read_bytes())
    with pytest.raises(CorruptArchiveError, match=f"holds no raster of cell {CELLS[1]}"):
        process(place())


@pytest.mark.parametrize("order", ["bands first", "masks last", "headers last", "shuffled"])
@pytest.mark.parametrize("limit", [0, 2000, 1 << 30])
def test_members_may_come_in_any_order_whatever_may_wait_in_memory(
    place: MakePlace,
    mirror: Path,
    published: Path,
    grid: Grid,
    made: list[CellPixels],
    order: str,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "Buffers", partial(Buffers, limit))
    files = [file for pixels in made for file in members(pixels, YEAR)]
    luck = random.Random(1)
    keys = {
        "bands first": lambda file: file[0].split("_", 2)[2],
        "masks last": lambda file: "mask" in file[0],
        "headers last": lambda file: file[0].endswith(".hdr"),
        "shuffled": lambda _: luck.random(),
    }
    write_archive(
        place_archive(mirror, TILE, YEAR, grid, cells=[]), [], YEAR, extra_members=sorted(files, key=keys[order])
    )
    here = place()
    assert process(here).state is State.PUBLISHED
    assert_published(published, made, grid)
    assert not list(here.work.rglob("waiting-*"))
