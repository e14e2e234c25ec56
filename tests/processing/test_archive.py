"""Archives that are not what they should be: a typed error that names the member, nothing outside the folder."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import CRSError

from alos_mosaic.bands import BANDS, possible_codes
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.processing import decoding
from alos_mosaic.processing.archive import Unpacking, Wanted
from local.archives import Form, make_cell, members, write_archive
from tests.processing.unpacking import Members, merge, read_cell, unpack

TILE = Tile.from_name("N25W165")
CELL = Cell.from_name("N23W161")
Content = dict[str, bytes]


@pytest.fixture
def envi(grid: Grid) -> Content:
    return dict(members(make_cell(CELL, 2009, grid), 2009))


@pytest.fixture
def geotiff(grid: Grid) -> Content:
    return dict(members(make_cell(CELL, 2020, grid), 2020))


def unpacked(tmp_path: Path, content: Iterable[tuple[str, bytes]], year: int, grid: Grid) -> Members:
    archive = write_archive(tmp_path / "archive.tar.gz", [], year, extra_members=content)
    return unpack(archive, tmp_path / "members", TileYear(year, TILE), grid).members


def read_all(found: Members, year: int, grid: Grid) -> None:
    merge(found, year, grid)
    for cell, of_cell in found.items():
        for code in of_cell:
            read_cell(of_cell, BANDS[code], cell, grid)


def test_what_is_no_raster_is_passed_over(tmp_path: Path, envi: Content, grid: Grid) -> None:
    found = unpacked(tmp_path, {**envi, "readme.txt": b"hello", "N23W161_09_C": b"?"}.items(), 2009, grid)
    assert set(found) == {CELL}
    assert set(found[CELL]) == {"HH", "HV", "linci", "date", "mask"}
    assert not (tmp_path / "members" / "readme.txt").exists()


def test_folders_in_an_archive_do_not_matter(tmp_path: Path, envi: Content, grid: Grid) -> None:
    found = unpacked(tmp_path, {f"N25W165_09/{name}": data for name, data in envi.items()}.items(), 2009, grid)
    read_all(found, 2009, grid)


def test_inner_years_may_have_four_digits_and_foreign_suffixes(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    renamed = {name.replace("_20_", "_2020_").replace("F02DAR", "FP6QAR"): data for name, data in geotiff.items()}
    read_all(unpacked(tmp_path, renamed.items(), 2020, grid), 2020, grid)


@pytest.mark.parametrize("name", ["../../N23W161_09_sl_HH", "/N23W161_09_sl_HH", "a/../../N23W161_09_sl_HH"])
def test_a_path_out_of_the_folder_stays_in_it(tmp_path: Path, envi: Content, grid: Grid, name: str) -> None:
    moved = [(name if member == "N23W161_09_sl_HH" else member, data) for member, data in envi.items()]
    xml = (name.replace("sl_HH", "F02DAR.xml"), b"<a/>")
    found = unpacked(tmp_path, [*moved, xml], 2009, grid)
    assert set(found[CELL]) == {"HH", "HV", "linci", "date", "mask"}
    assert {path.parent for path in tmp_path.rglob("N23W161*")} == {tmp_path / "members"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"N10E010_09_sl_HH": b""}, "N10E010_09_sl_HH belongs to tile N10E010"),
        ({"N23W161_10_sl_HH": b""}, "N23W161_10_sl_HH is not of 2009"),
        ({"S00W161_09_sl_HH": b""}, "S00W161"),
        ({"N22W161_09_sl_HH": b"x" * 1800}, "without N22W161_09_sl_HH.hdr"),
        ({"N22W161_09_sl_HH.hdr": b"x"}, "without N22W161_09_sl_HH$"),
        ({"N23W161_09_sl_HV": b"x" * 1799}, "N23W161_09_sl_HV has 1799 bytes"),
        ({"N23W161_09_sl_HV": b""}, "N23W161_09_sl_HV has 0 bytes"),
        ({"N23W161_09_sl_HV.hdr": b"x" * 70_000}, "70000 bytes"),
        ({"N23W161_09_sl_HV.tif": b"x" * 3_000_000}, "3000000 bytes"),
        ({"N23W161_09_sl_HH_FP6QAR.tif": b"x"}, "both band HH of cell N23W161"),
        ({"N10E010_09_F02DAR.xml": b"a"}, "belongs to tile N10E010"),
        ({"S00E010_09_F02DAR.xml": b"a"}, "S00E010"),
    ],
)
def test_a_member_that_is_not_what_it_says_is_named(
    tmp_path: Path, envi: Content, grid: Grid, change: Content, reason: str
) -> None:
    with pytest.raises(CorruptArchiveError, match=reason):
        unpacked(tmp_path, {**envi, **change}.items(), 2009, grid)


@pytest.mark.parametrize("twin", ["N23W161_09_sl_HH", "a/N23W161_09_sl_HH", "N23W161_2009_sl_HH_FP6QAR"])
def test_a_member_may_be_there_twice_if_both_are_equal(tmp_path: Path, envi: Content, grid: Grid, twin: str) -> None:
    raw = envi["N23W161_09_sl_HH"]
    read_all(
        unpacked(tmp_path, [*envi.items(), (twin, raw), (f"{twin}.hdr", envi["N23W161_09_sl_HH.hdr"])], 2009, grid),
        2009,
        grid,
    )
    other = raw[:-1] + bytes([raw[-1] ^ 1])
    with pytest.raises(CorruptArchiveError, match=f"{Path(twin).name} and N23W161_09_sl_HH are both band HH"):
        unpacked(folder_of(tmp_path / "differing"), [*envi.items(), (twin, other)], 2009, grid)


def test_headers_of_twins_find_their_pixels_in_any_order(tmp_path: Path, envi: Content, grid: Grid) -> None:
    twins = {name.replace("_09_", "_2009_"): data for name, data in envi.items()}
    headers = [(name, data) for name, data in envi.items() if name.endswith(".hdr")]
    read_all(unpacked(tmp_path, [*headers, *twins.items(), *envi.items()], 2009, grid), 2009, grid)


XML, OTHER_XML = "N23W161_20_F02DAR.xml", "N23W161_20_FP6QAR.xml"


def read_archive(path: Path, folder: Path, grid: Grid) -> Unpacking:
    folder.mkdir()
    wanted = Wanted(TileYear(2020, TILE), grid, possible_codes(), frozenset(TILE.cells))
    unpacking = Unpacking(wanted, folder)
    with path.open("rb") as file:
        assert len(list(unpacking.members(file, path.name))) == 5
    assert not unpacking.defects
    assert unpacking.cells == {CELL}
    return unpacking


def test_a_sidecar_that_is_too_large_costs_no_cell(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    files = {**geotiff, XML: b" " * 1_100_000}.items()
    path = write_archive(tmp_path / "archive.tar.gz", [], 2020, extra_members=files)
    found = read_archive(path, tmp_path / "members", grid)
    assert (found.sidecars, list(found.sidecar_problems)) == ({}, [CELL])
    assert f"{XML} has 1100000 bytes" in found.sidecar_problems[CELL]


def test_a_sidecar_that_is_damaged_costs_no_cell(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    path = write_archive(tmp_path / "archive.zip", [], 2020, extra_members=geotiff.items())
    content = bytearray(path.read_bytes())
    content[content.index(XML.encode()) + len(XML) + 40] ^= 0xFF
    path.write_bytes(content)
    found = read_archive(path, tmp_path / "members", grid)
    assert (found.sidecars, list(found.sidecar_problems)) == ({}, [CELL])
    assert f"{XML} is truncated or damaged" in found.sidecar_problems[CELL]


@pytest.mark.parametrize("names", [(XML, OTHER_XML), (OTHER_XML, XML)])
def test_of_two_sidecars_of_a_cell_the_first_by_name_is_taken(
    tmp_path: Path, geotiff: Content, grid: Grid, names: tuple[str, str]
) -> None:
    rest = [(name, data) for name, data in geotiff.items() if name != XML]
    differing = [*rest, *((name, name.encode()) for name in names)]
    path = write_archive(tmp_path / "archive.tar.gz", [], 2020, extra_members=differing)
    found = read_archive(path, tmp_path / "members", grid)
    assert found.sidecars[CELL].read_bytes() == XML.encode()
    assert found.sidecar_problems == {CELL: f"{XML} and {OTHER_XML} differ, the second is left out"}
    equal = [*rest, *((name, b"<Metadata/>") for name in names)]
    path = write_archive(tmp_path / "equal.tar.gz", [], 2020, extra_members=equal)
    found = read_archive(path, tmp_path / "equal", grid)
    assert found.sidecars[CELL].read_bytes() == b"<Metadata/>"
    assert not found.sidecar_problems


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, grid: Grid, kind: bytes) -> None:
    path = tmp_path / "archive.tar.gz"
    info = tarfile.TarInfo("N23W161_09_sl_HH")
    info.type, info.linkname = kind, "/etc/hostname"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(info)
    with pytest.raises(CorruptArchiveError, match="link or device"):
        unpack(path, tmp_path / "members", TileYear(2009, TILE), grid)


def test_more_members_than_a_tile_can_have_are_refused(tmp_path: Path, grid: Grid) -> None:
    with pytest.raises(CorruptArchiveError, match="more members than"):
        unpacked(tmp_path, ((f"file-{number}", b"") for number in range(500)), 2009, grid)


def test_an_archive_without_a_raster_is_refused(tmp_path: Path, grid: Grid) -> None:
    with pytest.raises(CorruptArchiveError, match="no raster of N25W165"):
        unpacked(tmp_path, [("readme.txt", b"hello")], 2009, grid)


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path, envi: Content, grid: Grid) -> None:
    whole = write_archive(tmp_path / "whole.tar.gz", [], 2009, extra_members=envi.items()).read_bytes()
    for end in [*range(0, len(whole), 997), len(whole) - 1]:
        path = tmp_path / "truncated.tar.gz"
        path.write_bytes(whole[:end])
        with pytest.raises(CorruptArchiveError, match="truncated.tar.gz"):
            unpack(path, tmp_path / f"members-{end}", TileYear(2009, TILE), grid)


def test_a_wrong_checksum_is_refused_although_the_tar_reads(tmp_path: Path, envi: Content, grid: Grid) -> None:
    path = write_archive(tmp_path / "archive.tar.gz", [], 2009, extra_members=envi.items())
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # gzip's CRC
    path.write_bytes(content)
    with pytest.raises(CorruptArchiveError, match="CRC"):
        unpack(path, tmp_path / "members", TileYear(2009, TILE), grid)


def plain_tar(content: Content) -> bytearray:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return bytearray(buffer.getvalue())


def unpack_tar(tmp_path: Path, tar: bytes, grid: Grid) -> Members:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(bytes(tar)))
    return unpack(path, tmp_path / "members", TileYear(2009, TILE), grid).members


def two_cells(envi: Content, grid: Grid) -> bytearray:
    return plain_tar({**envi, **dict(members(make_cell(TILE.cells[0], 2009, grid), 2009))})


def second_header(tar: bytearray) -> int:
    return tar.index(b"N25W165_09_")


def test_a_tar_of_two_cells_has_two(tmp_path: Path, envi: Content, grid: Grid) -> None:
    assert len(unpack_tar(tmp_path, two_cells(envi, grid), grid)) == 2


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path, envi: Content, grid: Grid) -> None:
    tar = two_cells(envi, grid)
    tar[second_header(tar) + 150] ^= 1  # its checksum
    with pytest.raises(CorruptArchiveError, match="header is damaged"):
        unpack_tar(tmp_path, tar, grid)


def test_a_tar_that_ends_between_members_is_refused(tmp_path: Path, envi: Content, grid: Grid) -> None:
    tar = two_cells(envi, grid)
    with pytest.raises(CorruptArchiveError, match="damaged or missing"):
        unpack_tar(tmp_path, tar[: second_header(tar)], grid)


def test_a_tar_behind_a_tar_is_refused(tmp_path: Path, envi: Content, grid: Grid) -> None:
    with pytest.raises(CorruptArchiveError, match="behind the archive's end"):
        unpack_tar(tmp_path, plain_tar(envi) + plain_tar(envi), grid)


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.map": "x"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "y"},
        {"size": "-5"},
        {"path": "N23W161_09_sl_HH" * 10_000},
    ],
)
def test_extended_headers_that_lie_are_refused(tmp_path: Path, grid: Grid, headers: dict[str, str]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("N23W161_09_sl_HH")
        info.pax_headers = headers
        tar.addfile(info)
    with pytest.raises(CorruptArchiveError):
        unpack_tar(tmp_path, buffer.getvalue(), grid)


def test_headers_chained_without_end_are_refused(tmp_path: Path, grid: Grid) -> None:
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 5
    chain = (name.tobuf() + b"name\0".ljust(512, b"\0")) * 5000
    with pytest.raises(CorruptArchiveError):
        unpack_tar(tmp_path, chain, grid)


@pytest.mark.parametrize("name", ["N22W161_09_sl_HH_F02DARX.tif", "N22W161_09_sl_HH.TIF", "N22W161_09_sl_HHX"])
def test_a_raster_under_an_unknown_name_is_not_passed_over(
    tmp_path: Path, envi: Content, grid: Grid, name: str
) -> None:
    with pytest.raises(CorruptArchiveError, match=name):
        unpacked(tmp_path, {**envi, name: b"x"}.items(), 2009, grid)


def test_a_large_file_that_nobody_asked_for_is_refused(tmp_path: Path, envi: Content, grid: Grid) -> None:
    with pytest.raises(CorruptArchiveError, match="is no raster"):
        unpacked(tmp_path, {"notes.txt": bytes(20_000_000), **envi}.items(), 2009, grid)


def test_rotated_and_foreign_rasters_are_named(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    name = f"{CELL}_20_sl_HH_F02DAR.tif"
    pixel = 1 / grid.cell_pixels
    right = rasterio.Affine(*grid.transform(CELL))
    wrong = [
        (rasterio.Affine(0, pixel, right.c, -pixel, 0, right.f), "EPSG:4326", "lies at"),
        (right @ rasterio.Affine.translation(0.2, 0), "EPSG:4326", "lies at"),
        (right, "EPSG:4267", "WGS 84"),
        (right, "EPSG:32610", "WGS 84"),
    ]
    for number, (transform, crs, reason) in enumerate(wrong):
        with rasterio.MemoryFile() as memory:
            profile = {"driver": "GTiff", "width": 30, "height": 30, "count": 1, "dtype": "uint16"}
            with memory.open(**profile, crs=crs, transform=transform) as dataset:
                dataset.write(np.ones((1, 30, 30), "uint16"))
            data = bytes(memory.getbuffer())
        with pytest.raises(CorruptArchiveError, match=f"{name}.*{reason}"):
            read_all(unpacked(folder_of(tmp_path / str(number)), swapped(geotiff, name, data), 2020, grid), 2020, grid)


def test_what_stands_in_for_a_reference_system_is_named(
    tmp_path: Path, geotiff: Content, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL hands on a name that is no UTF-8; reading it is a ValueError, as rasterio's CRSError is."""
    name = f"{CELL}_20_sl_HH_F02DAR.tif"
    ellipsoid = 'DATUM["a datum",SPHEROID["a sphere",6378137,298]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925]'
    with rasterio.MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": 30, "height": 30, "count": 1, "dtype": "uint16"}
        transform = rasterio.Affine(*grid.transform(CELL))
        with memory.open(**profile, crs=f'GEOGCS["a system",{ellipsoid}]', transform=transform) as dataset:
            dataset.write(np.ones((1, 30, 30), "uint16"))
        data = bytes(memory.getbuffer())
    assert b"a system" in data
    files = swapped(geotiff, name, data.replace(b"a system", b"a syst\xe9m"))
    with pytest.raises(CorruptArchiveError, match=f"{name} can't be read: 'utf-8'"):
        read_all(unpacked(folder_of(tmp_path / "1"), files, 2020, grid), 2020, grid)

    def failing(*_: object) -> None:
        raise CRSError("The WKT could not be parsed.")

    monkeypatch.setattr(decoding, "_check", failing)
    with pytest.raises(CorruptArchiveError, match="_20_.* can't be read: The WKT could not be parsed"):
        read_all(unpacked(folder_of(tmp_path / "2"), geotiff.items(), 2020, grid), 2020, grid)


def test_float_noise_in_bounds_is_snapped(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    name = f"{CELL}_20_sl_HH_F02DAR.tif"
    path = tmp_path / "noisy.tif"
    path.write_bytes(geotiff[name])
    a, b, c, d, e, f = grid.transform(CELL)
    with rasterio.open(path, "r+") as dataset:
        dataset.transform = rasterio.Affine(a * (1 + 1e-9), b, c + 1e-9, d, e, f - 1e-9)
    read_all(unpacked(tmp_path, swapped(geotiff, name, path.read_bytes()), 2020, grid), 2020, grid)


def test_bytes_behind_the_end_are_bounded(tmp_path: Path, envi: Content, grid: Grid) -> None:
    path = write_archive(tmp_path / "archive.tar.gz", [], 2009, extra_members=envi.items())
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(50_000_000)))
    with pytest.raises(CorruptArchiveError, match="behind the archive's end"):
        unpack(path, tmp_path / "members", TileYear(2009, TILE), grid)


@pytest.mark.parametrize(
    "content",
    # Without the time: it would stand in the tests' names, which differ then from process to process.
    [b"", b"<html>busy</html>", gzip.compress(b"no tar", mtime=0), gzip.compress(b"x" * 5000, mtime=0)],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, grid: Grid, content: bytes) -> None:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    with pytest.raises(CorruptArchiveError):
        unpack(path, tmp_path / "members", TileYear(2009, TILE), grid)


@pytest.mark.parametrize("missing", ["HV", "mask", "date"])
def test_a_cell_that_lacks_a_band_is_named(tmp_path: Path, geotiff: Content, grid: Grid, missing: str) -> None:
    rest = {name: data for name, data in geotiff.items() if f"_{missing}_" not in name}
    with pytest.raises(CorruptArchiveError, match=f"cell {CELL} has no {missing}"):
        read_all(unpacked(tmp_path, rest.items(), 2020, grid), 2020, grid)


def swapped(content: Content, name: str, data: bytes) -> Iterable[tuple[str, bytes]]:
    return {**content, name: data}.items()


def test_rasters_of_another_place_size_or_type_are_named(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    name = f"{CELL}_20_sl_HH_F02DAR.tif"
    other_place = dict(members(make_cell(TILE.cells[9], 2020, grid), 2020))[f"{TILE.cells[9]}_20_sl_HH_F02DAR.tif"]
    other_size = dict(members(make_cell(CELL, 2020, Grid(31)), 2020))[name]
    other_type = geotiff[f"{CELL}_20_mask_F02DAR.tif"]
    for number, (data, reason) in enumerate(
        [
            (other_place, "lies at"),
            (other_size, "pixels"),
            (other_type, "uint8"),
            (b"II*\0", "can't be read"),
            (b"", ""),
        ]
    ):
        folder = tmp_path / str(number)
        with pytest.raises(CorruptArchiveError, match=f"{name}.*{reason}"):
            read_all(unpacked(folder_of(folder), swapped(geotiff, name, data), 2020, grid), 2020, grid)


def folder_of(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("samples = 30", "samples = 31"),
        ("data type = 12", "data type = 1"),
        ("bands = 1", "bands = 2"),
        ("ENVI", ""),
        ("header offset = 0", "header offset = 4"),
        ("header offset = 0", "header offset = -2"),
        ("header offset = 0", "header offset = x"),
        ("120, 120", "121, 121"),
        ("-579600", "-579500"),
    ],
)
def test_envi_headers_that_lie_are_named(tmp_path: Path, envi: Content, grid: Grid, line: str, other: str) -> None:
    name = "N23W161_09_sl_HH.hdr"
    lying = envi[name].decode().replace(line, other, 1).encode()
    assert lying != envi[name]
    with pytest.raises(CorruptArchiveError, match="N23W161_09_sl_HH"):
        read_all(unpacked(tmp_path, swapped(envi, name, lying), 2009, grid), 2009, grid)


@pytest.mark.parametrize(
    "disguise", [b"<VRTDataset rasterXSize='30' rasterYSize='30'/>", b'{"type": "STACTA"}', b"P5 30 30 255\n"]
)
def test_other_formats_in_a_tif_are_not_opened(tmp_path: Path, geotiff: Content, grid: Grid, disguise: bytes) -> None:
    name = f"{CELL}_20_sl_HH_F02DAR.tif"
    with pytest.raises(CorruptArchiveError, match=name):
        read_all(unpacked(tmp_path, swapped(geotiff, name, disguise), 2020, grid), 2020, grid)


def test_big_endian_pixels_are_read_by_their_header(tmp_path: Path, envi: Content, grid: Grid) -> None:
    made = make_cell(CELL, 2009, grid).arrays["HH"]
    turned = envi["N23W161_09_sl_HH.hdr"].replace(b"byte order = 0", b"byte order = 1")
    assert turned != envi["N23W161_09_sl_HH.hdr"]
    change = {"N23W161_09_sl_HH": made.astype(">u2").tobytes(), "N23W161_09_sl_HH.hdr": turned}
    found = unpacked(tmp_path, {**envi, **change}.items(), 2009, grid)
    assert (read_cell(found[CELL], BANDS["HH"], CELL, grid) == made).all()


def test_float_noise_in_envi_headers_is_snapped(tmp_path: Path, envi: Content, grid: Grid) -> None:
    noisy = {
        name: data.replace(b"-579600, 82800", b"-579599.9999997, 82800.0000002") if name.endswith(".hdr") else data
        for name, data in envi.items()
    }
    assert noisy != envi
    found = unpacked(tmp_path, noisy.items(), 2009, grid)
    made = make_cell(CELL, 2009, grid).arrays
    pixels = read_cell(found[CELL], BANDS["HH"], CELL, grid)
    assert (pixels == np.where(made["mask"] == 0, 0, made["HH"])).all()


def test_both_forms_unpack_to_the_same_pixels(tmp_path: Path, grid: Grid) -> None:
    made = make_cell(CELL, 2017, grid, form=Form.ENVI)
    found = unpacked(tmp_path, members(made, 2017, Form.ENVI), 2017, grid)
    for code, array in made.arrays.items():
        assert (read_cell(found[CELL], BANDS[code], CELL, grid) == array).all()
