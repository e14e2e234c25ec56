"""The mission, band and layout tables, and the names made from them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from alos_mosaic.bands import BANDS, bands_of
from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.layouts import LAYOUTS, layouts_of
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.naming import item_id, item_key, parse_member

YEARS = [*range(1993, 1999), *range(2007, 2011), *range(2015, 2027)]


@pytest.mark.parametrize("year", YEARS)
def test_every_year_with_a_mosaic_has_its_mission(year: int) -> None:
    expected = "JERS-1" if year < 2000 else "PALSAR" if year < 2012 else "PALSAR-2"
    assert mission_of(year, 2026).name == expected


@pytest.mark.parametrize("year", [1992, 1999, 2006, 2011, 2014, 2027, 0, -1])
def test_a_year_without_a_mosaic_is_refused_with_the_valid(year: int) -> None:
    with pytest.raises(InvalidRequestError, match="1993-1998, 2007-2010, 2015-2026"):
        mission_of(year, 2026)


def test_jers_has_no_cross_polarization() -> None:
    assert [band.code for band in bands_of(mission_of(1996))] == ["HH", "linci", "date", "mask"]
    assert [band.code for band in bands_of(mission_of(2020))] == ["HH", "HV", "linci", "date", "mask"]


def test_every_mission_has_layouts_and_every_layout_a_mission() -> None:
    assert all(layouts_of(mission) for mission in MISSIONS)
    assert {layout.mission for layout in LAYOUTS} == {mission.name for mission in MISSIONS}
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)


@pytest.mark.parametrize(
    ("year", "path"),
    [
        (1996, "pub/ALOS-2/JERS-1_MSC/25m_MSC/1996/N10E010_96_MOS.tar.gz"),
        (2009, "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz"),
        (2017, "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2017/N10E010_17_MOS_F02DAR.tar.gz"),
    ],
)
def test_the_first_layout_is_the_one_of_the_listings(year: int, path: str) -> None:
    assert layouts_of(mission_of(year))[0].archive_path(Tile.from_name("N10E010"), year) == path


def test_the_real_listings_hold_the_paths_that_layouts_say(samples: Path) -> None:
    files = sorted((samples / "listings").glob("*.gz"))
    assert len(files) == 10
    for file in files:
        year = int(file.name.split("_")[2])
        listed = set(gzip.decompress(file.read_bytes()).decode().split())
        layout = layouts_of(mission_of(year))[0]
        archives = {path for path in listed if path.startswith(f"{layout.folder(year)}/", 1) and "_MOS" in path}
        flat = {path for path in archives if path.count("/") == layout.folder(year).count("/") + 2}
        assert len(flat) > 1000
        for path in flat:
            tile = Tile.from_name(path.rpartition("/")[2][:7])
            assert f"/{layout.archive_path(tile, year)}" == path


@pytest.mark.parametrize("year", ["20", "2020"])
@pytest.mark.parametrize("suffix", ["", "_F02DAR", "_F__DAR", "_FP6QAR", "_U02DDL"])
@pytest.mark.parametrize("extension", ["", ".hdr", ".tif"])
@pytest.mark.parametrize("band", [*BANDS, "C"])
@pytest.mark.parametrize("prefix", ["", "sl_"])
def test_member_names_of_every_kind_are_read(prefix: str, band: str, extension: str, suffix: str, year: str) -> None:
    member = parse_member(f"S04W070_{year}_{prefix}{band}{suffix}{extension}")
    assert member is not None
    assert (member.cell.name, member.band_code, member.extension) == ("S04W070", band, extension)
    assert member.suffix == suffix.removeprefix("_")
    assert member.is_of_year(2020)
    assert not member.is_of_year(2019)


@pytest.mark.parametrize(
    "name",
    ["N10E010_20_F02DAR.xml", "off", "tmp", "N10E010_20_sl_HH_F02DAR.tif.aux.xml", "N10E010_20_HHH", "x_N10E010_20_HH"],
)
def test_other_names_are_no_members(name: str) -> None:
    assert parse_member(name) is None


def test_ids_and_keys_are_digital_earth_africas() -> None:
    tile = Tile.from_name("N10E010")
    assert str(item_id("alos", 2020, tile)) == "8b5a33ba-ccdd-54a0-b6ca-d68941461fc9"
    assert str(item_id("jers", 1996, Tile.from_name("N00E010"))) == "4c331a1d-75f2-52ac-a4cc-216fc9c61728"
    assert item_key(mission_of(1996), 1996, tile) == "jers_sar_mosaic/1996/N10E010/N10E010_96.stac-item.json"
