"""From listings to an inventory: every form of line, the command, and the real listings of April 2021."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alos_mosaic import inventory
from alos_mosaic.cli import console
from alos_mosaic.cli import inventory as cli_inventory
from alos_mosaic.cli.main import app
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.inventory import ArchiveKind
from alos_mosaic.listings import Found, Ignored, changes
from alos_mosaic.processing.sources import opening
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.protocol import SourceAccess
from local.archives import place_archive
from local.jaxa_server import Account, JaxaServer
from tests.unit.test_inventory import COUNTS

MOS, FNF = ArchiveKind.MOSAIC, ArchiveKind.FOREST
FOLDER = "/pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2020"


def found_in(lines: Iterable[str]) -> Found:
    found = Found()
    found.read(lines, "2021-04", "listing.txt")
    return found


def names(squares: Iterable[Any]) -> list[str]:
    return sorted(square.name for square in squares)


def test_paths_tell_tiles_from_cells_by_their_folder() -> None:
    found = found_in([
        f"{FOLDER}/N00E000_20_MOS_F02DAR.tar.gz\n",
        f"{FOLDER}/N00E000/N00E000_20_MOS_F02DAR.tar.gz",
        f"{FOLDER}/N00E000/S04E004_20_MOS_F02DAR.zip",
        "/pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2007/N10E010_07_MOS_F__DAR.zip",
        "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2007/N10E010_07_FNF.tar.gz",
        "JERS-1_MSC/25m_MSC/1996/N10E010_96_MOS.tar.gz",
        "2023/N10E010_2023_MOS_F02DAR.zip",
    ])  # fmt: skip
    assert found.years == [(1996, MOS), (2007, FNF), (2007, MOS), (2020, MOS), (2023, MOS)]
    assert names(found.tiles[2020, MOS]) == ["N00E000"]
    assert names(found.cells[2020, MOS]) == ["N00E000", "S04E004"]
    assert found.ignored.total() == 0


def test_list_lines_are_read_below_their_folders() -> None:
    found = found_in([
        f"{FOLDER}:",
        "total 128",
        "drwxr-xr-x    2 0        0            4096 Mar 28  2021 N00E000",
        "-rw-r--r--    1 0        0        12345678 Mar 28  2021 N00E000_20_MOS_F02DAR.tar.gz",
        "lrwxrwxrwx    1 0        0              30 Mar 28 12:01 N05E000_20_MOS_F02DAR.tar.gz -> elsewhere/x.tar.gz",
        "-rw-r--r--    1 0        0               0 Mar 28  2021 off",
        "",
        f"{FOLDER}/N00E000:",
        "-rw-r--r--    1 ftp      ftp       1234567 Mar 28 09:15 S01E003_20_MOS_F02DAR.tar.gz",
    ])  # fmt: skip
    assert names(found.tiles[2020, MOS]) == ["N00E000", "N05E000"]
    assert names(found.cells[2020, MOS]) == ["S01E003"]
    assert found.ignored == Counter({Ignored.JUNK: 1})


def test_mlsd_lines_are_read() -> None:
    found = found_in([
        "type=cdir;modify=20210328000000; /pub/2020",
        "type=dir;modify=20210328000000; N00E000",
        "type=file;size=1;modify=20210328000000; N00E000_20_MOS_F02DAR.tar.gz",
        "Type=File;Size=1;UNIX.mode=0644; N05E000_20_MOS_F02DAR.tar.gz",
        "type=file;size=1; N00E000/S01E003_20_MOS_F02DAR.tar.gz",
        "type=file;size=0; tmp",
    ])  # fmt: skip
    assert names(found.tiles[2020, MOS]) == ["N00E000", "N05E000"]
    assert names(found.cells[2020, MOS]) == ["S01E003"]
    assert found.ignored == Counter({Ignored.JUNK: 1})


def test_what_is_no_archive_off_the_grid_or_there_twice_is_counted() -> None:
    found = found_in([
        f"{FOLDER}/off", f"{FOLDER}/tmp", f"{FOLDER}/list2016.txt", f"{FOLDER}/N00E000_20_MOS_F02DAR.tar.gz.part",
        f"{FOLDER}/N00E000", f"{FOLDER}/N00E000/",
        f"{FOLDER}/N12E010_20_MOS_F02DAR.tar.gz", f"{FOLDER}/S00E000_20_MOS_F02DAR.tar.gz",
        f"{FOLDER}/N00E000/N10E010_20_MOS_F02DAR.tar.gz", f"{FOLDER}/N00E000_12_MOS_F02DAR.tar.gz",
        f"{FOLDER}/N05E000_20_MOS_F02DAR.tar.gz", f"{FOLDER}/N05E000_20_MOS_F02DAR.zip",
    ])  # fmt: skip
    assert found.years == [(2020, MOS)]
    assert names(found.tiles[2020, MOS]) == ["N05E000"]
    assert found.ignored == Counter({Ignored.JUNK: 4, Ignored.OFF_GRID: 4, Ignored.DUPLICATE: 1})


def test_a_year_that_only_has_junk_is_not_found() -> None:
    assert found_in([f"{FOLDER}/N12E010_20_MOS_F02DAR.tar.gz"]).years == []


def test_changes_are_told_against_what_was_known() -> None:
    before = {
        (2020, MOS): found_in(lines_of(2020, {"N00E000": ["N00E000"], "N05E000": ["N05E001"]})).listing(2020, MOS)
    }
    (change,) = changes(before, found_in(lines_of(2020, {"N00E000": ["N00E000", "S01E000"], "N10E000": []})))
    assert (change.tiles_added, change.tiles_removed) == (["N10E000"], ["N05E000"])
    assert (change.cells_added, change.cells_removed) == (1, 1)


def lines_of(year: int, cells_by_tile: dict[str, list[str]]) -> list[str]:
    ending = f"{year % 100:02d}_MOS.tar.gz"
    tiles = [f"/{year}/{tile}_{ending}" for tile in cells_by_tile]
    return tiles + [f"/{year}/{tile}/{cell}_{ending}" for tile, cells in cells_by_tile.items() for cell in cells]


def refresh(*arguments: object, code: int = 0, yes: bool = True) -> str:
    words = ["inventory", "refresh", *map(str, arguments), *(["--yes"] if yes else [])]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_makes_an_inventory_and_keeps_the_other_years(tmp_path: Path) -> None:
    plain, packed, made = tmp_path / "a.txt", tmp_path / "b.txt.gz", tmp_path / "made.json"
    plain.write_text("\n".join([*lines_of(2021, {"N00E000": ["N00E000"], "N10E010": []}), "off"]))
    packed.write_bytes(gzip.compress("\n".join(lines_of(2020, {"N10E010": ["N10E010"]})).encode()))
    given = ("--listing", plain, "--listing", packed, "--date", "2022-01-31", "--to", made)
    report = json.loads(refresh(*given, "--json"))
    by_year = {entry["year"]: entry for entry in report["years"]}
    assert (by_year[2021]["tiles"], by_year[2021]["cells"], by_year[2021]["is_new"]) == (2, 1, True)
    assert by_year[2021]["tiles_added"] == ["N00E000", "N10E010"]
    assert (by_year[2020]["tiles"], len(by_year[2020]["tiles_removed"]), by_year[2020]["cells_added"]) == (1, 1123, 0)
    assert report["ignored"] == {"junk": 1}
    known = inventory.parse(made.read_text())
    assert (known[2021, MOS].date, known[2021, MOS].origin) == ("2022-01-31", "a.txt")
    assert known[2020, MOS].origin == "b.txt.gz"
    kept = {key: listing for key, listing in inventory.packaged().items() if key != (2020, MOS)}
    assert {key: known[key] for key in kept} == kept
    words = refresh(*given)
    assert "-1,123 tiles (N00E005, N00E010" in words
    assert "Passed over: 1 junk" in words


def test_a_listing_of_its_own_age_is_dated_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(lines_of(2021, {"N00E000": []})))
    refresh("--listing", tmp_path / "a.txt", "--to", tmp_path / "made.json")
    assert len(inventory.parse((tmp_path / "made.json").read_text())[2021, MOS].date) == len("2021-04-30")


@pytest.mark.parametrize(
    ("kind", "lacks", "asked"),
    [
        ("ftp", (), {"MLSD", "NLST"}),  # NLST is asked for folders that are not there
        ("ftp", ("MLSD",), {"MLSD", "NLST"}),
        ("ftp", ("MLSD", "MLST"), {"NLST"}),
        ("file", (), set()),
    ],
    ids=["mlsd", "mlsd refused", "no mlsd", "mirror"],
)
def test_the_command_lists_a_server_or_a_mirror(
    tmp_path: Path, grid: Grid, kind: str, lacks: tuple[str, ...], asked: set[str]
) -> None:
    tile, mirror, made = Tile.from_name("N25W165"), tmp_path / "mirror", tmp_path / "made.json"
    archive = place_archive(mirror, tile, 2020, grid, cells=tile.cells[:1])
    (archive.parent / "off").touch()
    (archive.parent / "N20E000").touch()  # a file where a tile's folder could be
    (archive.parent / tile.name / "tmp").mkdir(parents=True)
    (archive.parent / tile.name / "N23W161_20_MOS_F02DAR.tar.gz").touch()
    with JaxaServer(mirror, lacks=lacks) as server:
        url = server.url if kind == "ftp" else mirror.as_uri()
        arguments = ("--source", url, "--years", "2020,2021", "--to", made)
        done = CliRunner().invoke(app, ["inventory", "refresh", "--yes", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    commands = server.names()
    assert {"MLSD", "NLST"} & set(commands) == asked
    assert lacks or commands.count("MLSD") >= commands.count("NLST")
    assert "2021: 0 archives of tiles, 0 of cells" in done.stderr
    listing = inventory.parse(made.read_text())[2020, MOS]
    assert (names(listing.tiles), names(listing.cells_of(tile)), listing.origin) == ([tile.name], ["N23W161"], url)
    assert "2 junk" in done.stdout


def test_the_command_logs_in_where_it_is_allowed_to(
    tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, made = tmp_path / "mirror", tmp_path / "made.json"
    place_archive(mirror, Tile.from_name("N25W165"), 2020, grid, cells=[])
    monkeypatch.setenv("ALOS_MOSAIC_SOURCE_USERNAME", "me")
    monkeypatch.setenv("ALOS_MOSAIC_SOURCE_PASSWORD", "s3cret")
    with JaxaServer(mirror, account=Account("me", "s3cret")) as server:
        arguments = ("--source", server.url, "--years", "2020", "--to", made)
        assert "--allow-plain-login" in refresh(*arguments, code=1)
        said = refresh(*arguments, "--allow-plain-login")
    assert "s3cret" not in said
    assert names(inventory.parse(made.read_text())[2020, MOS].tiles) == ["N25W165"]


def test_the_command_pays_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[SourceAccess] = []

    def opened(_: str, access: SourceAccess) -> FileSource:
        given.append(access)
        return FileSource(tmp_path)

    monkeypatch.setattr(opening, "open_source", opened)
    for flags in ((), ("--requester-pays",)):
        refresh("--source", "file:///mirror", "--years", "2020", "--to", tmp_path / "x", *flags, code=1)
    assert [access.requester_pays for access in given] == [False, True]


def test_the_command_lists_the_folders_of_all_products_and_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, made = tmp_path / "mirror", tmp_path / "made.json"
    layout = {
        "mission": "PALSAR-2",
        "folder_template": "new/{year}",
        "archive_template": "{square}_{yy}_MOS{suffix}.zip",
    }
    forest = {"mission": "PALSAR-2", "folder_template": "fnf/{yy}", "archive_template": "{square}_{yy}_FNF.zip"}
    rows = [{"name": "new", "suffix": "_U2", **layout}, {"name": "fnf", "product": "alos_palsar_fnf", **forest}]
    monkeypatch.setenv("ALOS_MOSAIC_EXTRA_LAYOUTS", json.dumps(rows))
    for path in (
        "new/2021/N25W165_21_MOS_U2.zip",
        "new/2021/N10E010/N09E012_21_MOS_U2.zip",
        "fnf/21/N00E010_21_FNF.zip",
    ):
        (mirror / path).parent.mkdir(parents=True, exist_ok=True)
        (mirror / path).touch()
    refresh("--source", mirror.as_uri(), "--years", "2021", "--to", made)
    found = inventory.parse(made.read_text())
    assert names(found[2021, MOS].tiles) == ["N10E010", "N25W165"]
    assert names(found[2021, MOS].cells_of(Tile.from_name("N10E010"))) == ["N09E012"]
    assert names(found[2021, FNF].tiles) == ["N00E010"]


@pytest.mark.parametrize(("kept", "is_asked"), [(0.95, False), (0.85, True)])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_much_of_a_year_does_not_go_unasked(
    tmp_path: Path, kept: float, is_asked: bool, options: tuple[str, ...]
) -> None:
    known = sorted(tile.name for tile in inventory.packaged()[2020, MOS].tiles)
    left = known[: round(len(known) * kept)]
    listing, made = tmp_path / "listing.txt", tmp_path / "made.json"
    listing.write_text("\n".join(f"{FOLDER}/{name}_20_MOS_F02DAR.tar.gz" for name in left))
    given = ("--listing", listing, "--date", "2026-11", "--to", made, *options)
    said = refresh(*given, yes=False, code=1 if is_asked else 0)
    assert made.exists() != is_asked
    if is_asked:
        assert f"would lose of 2020 (MOS) {len(known) - len(left)} of its {len(known):,} tiles" in said
        assert "If it is whole, say --yes; nothing was written" in said
        refresh(*given)
    assert names(inventory.parse(made.read_text())[2020, MOS].tiles) == left


def test_a_person_is_asked_before_much_of_a_year_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_inventory, "is_anybody_there", lambda: True)
    monkeypatch.setattr(console, "is_anybody_there", lambda: True)
    listing, made = tmp_path / "listing.txt", tmp_path / "made.json"
    listing.write_text(f"{FOLDER}/N00E000_20_MOS_F02DAR.tar.gz")
    words = ["inventory", "refresh", "--listing", str(listing), "--to", str(made)]
    no = CliRunner().invoke(app, words, input="n\n")
    assert (no.exit_code, made.exists()) == (1, False)
    assert "Write it all the same?" in no.stderr
    assert CliRunner().invoke(app, words, input="y\n").exit_code == 0
    assert made.exists()


def test_a_server_that_refuses_to_list_changes_nothing(tmp_path: Path, grid: Grid) -> None:
    mirror, made = tmp_path / "mirror", tmp_path / "made.json"
    place_archive(mirror, Tile.from_name("N25W165"), 2020, grid, cells=[])
    with JaxaServer(mirror, lacks=("MLSD", "NLST")) as server:
        said = refresh("--source", server.url, "--years", "2020", "--to", made, code=1)
    assert "500" in said
    assert not made.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--listing", "nowhere.txt"), "nowhere.txt"),
        (("--listing", "junk.txt"), "no archive was found"),
        (("--listing", "junk.txt.gz"), "gzip"),
        (("--listing", "junk.txt", "--source", "file:///x"), "excludes"),
        (("--listing", "junk.txt", "--date", "yesterday"), "yesterday"),
        (("--source", "file:///nowhere-at-all"), "nowhere-at-all"),
        (("--source", "gopher://x", "--years", "2020"), "gopher"),
        (("--source", "file:///tmp", "--years", "2012"), "2012"),
    ],
)
def test_what_can_not_be_read_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("junk.txt", "junk.txt.gz"):
        (tmp_path / name).write_text("off\ntmp\n")
    said = refresh(*arguments, "--to", "made.json", code=1)
    assert reason in said
    assert not (tmp_path / "made.json").exists()


def test_show_tells_years_counts_date_and_origin() -> None:
    done = CliRunner().invoke(app, ["inventory", "show", "--json"])
    shown = [entry for entry in json.loads(done.stdout) if entry["kind"] == "MOS"]
    assert {entry["year"]: (entry["tiles"], entry["cells"]) for entry in shown} == COUNTS
    assert all(entry["date"] == "2021-04" and entry["origin"].endswith(".gz") for entry in shown)
    assert "JAXA_JERS-1_1996" in CliRunner().invoke(app, ["inventory", "show"]).stdout


def test_the_real_listings_give_the_packaged_inventory(samples: Path, tmp_path: Path) -> None:
    files = sorted((samples / "listings").glob("*.gz"))
    if not files:
        pytest.skip("real data: the folder of samples has no listings")
    given = [argument for path in files for argument in ("--listing", path)]
    report = json.loads(refresh(*given, "--date", "2021-04", "--to", tmp_path / "made.json", "--json"))
    counts = {entry["year"]: (entry["tiles"], entry["cells"]) for entry in report["years"] if entry["kind"] == "MOS"}
    assert counts == COUNTS
    assert inventory.parse((tmp_path / "made.json").read_text()) == inventory.packaged()
