"""The synthetic archives: what tests, demo and benchmarks lean on."""

import hashlib
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio

from alos_mosaic.bands import FOREST_CLASSES, MASK_CLASSES, bands_of
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import parse_member
from local.archives import (
    CellPixels,
    Container,
    Form,
    Naming,
    Packing,
    add_archive_file,
    make_cell,
    make_forest_cell,
    make_quad_cell,
    members,
    place_archive,
    write_archive,
)

GRID = Grid(cell_pixels=40)
TILE = Tile.from_name("N10E010")
CELL = Cell.from_name("N09E012")
YEARS = {"JERS-1": 1996, "PALSAR": 2009, "PALSAR-2 ENVI": 2017, "PALSAR-2 GeoTIFF": 2020}
every_year = pytest.mark.parametrize("year", YEARS.values(), ids=YEARS.keys())


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole_tile(year: int, seed: int = 0) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for cell in TILE.cells:
        row, column = GRID.offset(cell)
        for code, array in make_cell(cell, year, GRID, seed).arrays.items():
            side = GRID.tile_pixels
            whole = arrays.setdefault(code, np.zeros((side, side), array.dtype))
            whole[row : row + GRID.cell_pixels, column : column + GRID.cell_pixels] = array
    return arrays


@every_year
def test_the_same_call_writes_the_same_bytes(tmp_path: Path, year: int) -> None:
    first, second = (place_archive(tmp_path / name, TILE, year, GRID, [CELL]) for name in ("a", "b"))
    assert sha256(first) == sha256(second)
    assert sha256(place_archive(tmp_path / "c", TILE, year, GRID, [CELL], seed=1)) != sha256(first)


@every_year
def test_members_open_as_what_they_hold(tmp_path: Path, year: int) -> None:
    folder = unpack(place_archive(tmp_path, TILE, year, GRID, [CELL]), tmp_path / "unpacked")
    extension = ".tif" if year >= 2019 else ""
    opened = set()
    for path in folder.iterdir():
        name = parse_member(path.name)
        if name is None or name.extension != extension:
            continue
        assert name.is_of_year(year)
        with rasterio.open(path) as dataset:
            assert dataset.driver == Form.of_year(year).driver
            assert dataset.transform[:6] == pytest.approx(GRID.transform(CELL))
            assert dataset.crs.to_epsg() == 4326 or "WGS_1984" in dataset.crs.to_wkt()
            assert dataset.nodata == (None if not extension else 0 if name.band_code == "mask" else 1)
            np.testing.assert_array_equal(dataset.read(1), make_cell(CELL, year, GRID).arrays[name.band_code])
        opened.add(name.band_code)
    assert opened == {band.code for band in bands_of(mission_of(year))}


@every_year
def test_arrays_follow_the_band_table(year: int) -> None:
    arrays = make_cell(CELL, year, GRID).arrays
    assert {code: str(array.dtype) for code, array in arrays.items()} == {
        band.code: band.dtype for band in bands_of(mission_of(year))
    }
    assert {array.shape for array in arrays.values()} == {(40, 40)}


@every_year
def test_nodata_stands_exactly_where_the_mask_is_zero(year: int) -> None:
    arrays = whole_tile(year)
    empty = arrays.pop("mask") == 0
    assert 0.01 < empty.mean() < 0.5
    for array in arrays.values():
        np.testing.assert_array_equal(array == Form.of_year(year).nodata, empty)
        assert array[~empty].min() > 1


def test_quad_cells_have_all_polarizations_and_the_same_nodata() -> None:
    arrays = make_quad_cell(CELL, 2020, GRID).arrays
    empty = arrays["mask"] == 0
    for code in ("HH", "HV", "VH", "VV"):
        np.testing.assert_array_equal(arrays[code] == 1, empty)
    assert arrays["VV"].dtype == arrays["VH"].dtype == np.uint16


@pytest.mark.parametrize("release", [1, 2])
def test_forest_maps_hold_every_class_of_their_release(release: int) -> None:
    seen = {
        int(value)
        for cell in TILE.cells
        for value in np.unique(make_forest_cell(cell, 2009, GRID, release=release).arrays["C"])
    }
    assert seen == set(FOREST_CLASSES[release])


@pytest.mark.parametrize("form", [form for form in Form if form.is_geotiff])
def test_every_geotiff_form_has_its_tag(tmp_path: Path, form: Form) -> None:
    pixels = make_cell(CELL, 2016, GRID, form=form)
    for name, data in members(pixels, 2016, form, Naming(4, "_FP6QAR")):
        (tmp_path / name).write_bytes(data)
    with rasterio.open(tmp_path / "N09E012_2016_sl_HH_FP6QAR.tif") as dataset:
        assert dataset.nodata == form.tag
        assert set(np.unique(dataset.read(1)[pixels.arrays["mask"] == 0])) == {form.nodata}
    with rasterio.open(tmp_path / "N09E012_2016_mask_FP6QAR.tif") as dataset:
        assert dataset.nodata == 0
    assert (tmp_path / "N09E012_2016_FP6QAR.xml").exists()


@pytest.mark.parametrize("kind", list(Container))
def test_archives_are_packed_as_asked_and_always_the_same(tmp_path: Path, kind: Container) -> None:
    packing = Packing("folder", Container.ZIP)
    paths = [
        write_archive(tmp_path / name / f"x{kind}", [make_cell(CELL, 2020, GRID)], 2020, packing=packing)
        for name in ("a", "b")
    ]
    assert sha256(paths[0]) == sha256(paths[1])
    with zipfile.ZipFile(paths[0]) if kind is Container.ZIP else tarfile.open(paths[0]) as archive:
        names = archive.namelist() if isinstance(archive, zipfile.ZipFile) else archive.getnames()
    assert names == ["folder/inner.zip"]


def test_a_form_may_be_asked_for(tmp_path: Path) -> None:
    pixels = make_cell(CELL, 2017, GRID, form=Form.GEOTIFF)
    names = [name for name, _ in members(pixels, 2017, Form.GEOTIFF)]
    assert names == [
        "N09E012_17_sl_HH_F02DAR.tif",
        "N09E012_17_sl_HV_F02DAR.tif",
        "N09E012_17_date_F02DAR.tif",
        "N09E012_17_linci_F02DAR.tif",
        "N09E012_17_mask_F02DAR.tif",
        "N09E012_17_F02DAR.xml",
    ]


def test_geotiffs_have_the_real_ones_layout(tmp_path: Path) -> None:
    folder = unpack(place_archive(tmp_path, TILE, 2020, GRID, [CELL]), tmp_path / "unpacked")
    for code, compression in (("sl_HH", "lzw"), ("linci", "lzw"), ("mask", None)):
        with rasterio.open(folder / f"N09E012_20_{code}_F02DAR.tif") as dataset:
            assert dataset.block_shapes == [(1, 40)]
            assert dataset.profile.get("compress") == compression
            assert "PREDICTOR" not in dataset.tags(ns="IMAGE_STRUCTURE")


def test_envi_headers_speak_of_arc_seconds() -> None:
    pixels = CellPixels(Cell.from_name("S04W061"), {"mask": np.zeros((4500, 4500), np.uint8)})
    headers = dict(members(pixels, 2009))
    assert list(headers) == ["S04W061_09_mask", "S04W061_09_mask.hdr"]
    line = "map info = {Geographic Lat/Lon, 1, 1, -219600, -14400, 0.8, 0.8, WGS-84, units=Seconds}"
    assert line in headers["S04W061_09_mask.hdr"].decode().splitlines()


def test_the_sidecar_names_the_days_and_the_files() -> None:
    pixels = make_cell(CELL, 2020, GRID)
    sidecar = ElementTree.fromstring(dict(members(pixels, 2020))["N09E012_20_F02DAR.xml"])  # noqa: S314 - our own
    first = sidecar.findtext("GeneralMetadata/DataCollectionTime/FirstAcquistionDate")
    epoch = mission_of(2020).date_epoch
    days = pixels.arrays["date"][pixels.arrays["mask"] != 0]
    assert first == str(epoch.fromordinal(epoch.toordinal() + int(days.min())))
    assert sidecar.findtext("PerPixelMetadata/AcquisitionDate/ZeroReferenceDate") == "2014-05-24"
    assert sidecar.findtext("PerPixelMetadata/DataMask/FileName") == "N09E012_20_mask_F02DAR.tif"


@pytest.mark.parametrize(
    ("year", "place"),
    [
        (1996, "pub/ALOS-2/JERS-1_MSC/25m_MSC/1996/N10E010_96_MOS.tar.gz"),
        (2009, "pub/ALOS/ext1/PALSAR_MSC/25m_MSC/2009/N10E010_09_MOS.tar.gz"),
        (2020, "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2020/N10E010_20_MOS_F02DAR.tar.gz"),
    ],
)
def test_archives_lie_where_the_server_keeps_them(tmp_path: Path, year: int, place: str) -> None:
    assert place_archive(tmp_path, TILE, year, Grid(4), [CELL]) == tmp_path / place
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"anything")
    assert add_archive_file(tmp_path, TILE, year, other).read_bytes() == b"anything"
    assert (tmp_path / place).read_bytes() == b"anything"


def test_an_archive_holds_the_cells_asked_for(tmp_path: Path) -> None:
    for cells, count in ((None, 25), (TILE.cells[3:5], 2), ([], 0)):
        with tarfile.open(place_archive(tmp_path, TILE, 2020, Grid(4), cells)) as tar:
            names = [parse_member(name) for name in tar.getnames()]
        assert len({name.cell for name in names if name}) == count


def test_members_belong_to_strangers_and_may_be_anything(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "odd.tar.gz", [], 2020, extra_members=[("../escape", b"x"), ("readme.txt", b"")])
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["../escape", "readme.txt"]
        assert {member.uid for member in tar} == {281}


def test_the_ground_stays_and_the_speckle_changes_with_the_year() -> None:
    before, after = (make_cell(CELL, year, GRID).arrays for year in (2018, 2020))
    water = before["mask"] == 50
    assert (water == (after["mask"] == 50)).all()
    assert (before["HH"] != after["HH"])[water].any()


def test_coasts_run_on_across_cells() -> None:
    land = whole_tile(2020)["mask"] >= 100
    changes = (land[:, 1:] != land[:, :-1]).mean(axis=0)
    at_borders = changes[GRID.cell_pixels - 1 :: GRID.cell_pixels]
    assert at_borders.mean() < 3 * changes.mean()


def test_a_tile_looks_like_a_radar_picture() -> None:
    arrays = whole_tile(2020)
    mask, hh, hv = arrays["mask"], arrays["HH"].astype(float), arrays["HV"].astype(float)
    assert set(np.unique(mask)) == set(MASK_CLASSES)
    assert 3000 < hh[mask == 255].mean() < 8000
    assert 1500 < hh[mask == 50].mean() < 2000
    assert hh[mask == 50].std() / hh[mask == 50].mean() == pytest.approx(0.25, abs=0.03)
    assert (hv[mask != 0].mean()) < 0.6 * hh[mask != 0].mean()
    assert arrays["linci"][mask != 0].max() < 90


def test_dates_are_strips_of_the_year_or_just_before() -> None:
    for year in YEARS.values():
        arrays, epoch = whole_tile(year), mission_of(year).date_epoch
        days = np.unique(arrays["date"][arrays["mask"] != 0])
        dates = [epoch.fromordinal(epoch.toordinal() + int(day)) for day in days]
        assert 3 < len(dates) < 20
        assert sum(date.year == year for date in dates) >= len(dates) - 3
        assert all(date.year == year or (date.year, date.month) == (year - 1, 12) for date in dates)
