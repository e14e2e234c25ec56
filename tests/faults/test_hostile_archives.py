"""Archives that attack: a typed error that names the member, or no matter; no byte elsewhere, no request, no bomb.

What tests/processing/test_archive.py, test_containers.py and test_sidecar.py show of the same is not repeated here.
"""

from __future__ import annotations

import gzip
import io
import re
import resource
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from alos_mosaic.bands import BANDS
from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.archive import allowance_of
from alos_mosaic.processing.containers import entries
from local.archives import Container, make_cell, members, write_archive, write_files
from local.web_server import WebServer
from tests.faults.tiffs import Entry, Tag, Tiff, longs, longs8, shorts, text
from tests.processing.unpacking import Unpacked, merge, read_cell, unpack

TILE = Tile.from_name("N25W165")
CELL = Cell.from_name("N23W161")
HH = f"{CELL}_20_sl_HH_F02DAR.tif"
RAW = f"{CELL}_09_sl_HH"
Content = dict[str, bytes]
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
every_container = pytest.mark.parametrize("kind", list(Container))

_SECONDS = 20.0
_MEBIBYTE = 1 << 20
_MEMORY_LIMIT_BYTES = 200 * _MEBIBYTE


@pytest.fixture
def geotiff(grid: Grid) -> Content:
    return dict(members(make_cell(CELL, 2020, grid), 2020))


@pytest.fixture
def envi(grid: Grid) -> Content:
    return dict(members(make_cell(CELL, 2009, grid), 2009))


@pytest.fixture(autouse=True)
def bounded(tmp_path: Path) -> Iterator[None]:
    """Whatever a test unpacks: soon over, in little memory, and nothing but its own files in its folder after it."""
    began, before = time.perf_counter(), _peak_memory()
    yield
    assert time.perf_counter() - began < _SECONDS
    assert _peak_memory() - before < _MEMORY_LIMIT_BYTES
    strangers = [path for path in tmp_path.rglob("*") if path.is_file() and not _is_expected(path, tmp_path)]
    assert not strangers


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _is_expected(path: Path, folder: Path) -> bool:
    return path.parent == folder or path.relative_to(folder).parts[0] in ("members", "mirror")


def unpacked(path: Path, year: int, grid: Grid) -> Unpacked:
    """Unpack and decode everything, as a worker does."""
    found = unpack(path, path.parent / "members", TileYear(year, TILE), grid)
    merge(found.members, year, grid)
    for cell, of_cell in found.members.items():
        for code in of_cell:
            read_cell(of_cell, BANDS[code], cell, grid)
    return found


def packed(folder: Path, files: Content, kind: Container = Container.ZIP) -> Path:
    path = folder / f"archive{kind}"
    write_files(path, files.items())
    return path


def refused(path: Path, year: int, grid: Grid, reason: str) -> None:
    with pytest.raises(CorruptArchiveError, match=reason):
        unpacked(path, year, grid)


@contextmanager
def no_requests(folder: Path) -> Iterator[str]:
    """Yield the URL of a server that nobody may ask."""
    (folder / "mirror").mkdir()
    with WebServer(folder / "mirror") as web:
        yield web.url
        assert not web.requests


# Containers


@pytest.mark.parametrize("kind", [tarfile.BLKTYPE, tarfile.CONTTYPE, b"9", b"V"])
def test_block_devices_and_kinds_of_other_tars_are_no_rasters(tmp_path: Path, grid: Grid, kind: bytes) -> None:
    """What tarfile takes for a file (contiguous files, unknown kinds) is judged by its name and bytes like one."""
    info = tarfile.TarInfo(RAW)
    info.type, info.devmajor = kind, 8
    with tarfile.open(tmp_path / "archive.tar.gz", "w:gz") as tar:
        tar.addfile(info)
    refused(tmp_path / "archive.tar.gz", 2009, grid, RAW)


@pytest.mark.parametrize("mode", [stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFLNK])
def test_what_a_zip_calls_no_file_is_refused(tmp_path: Path, grid: Grid, mode: int) -> None:
    info = zipfile.ZipInfo(HH)
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr(info, b"/etc/hostname")
    refused(tmp_path / "archive.zip", 2020, grid, f"{HH}: a link or device")


@pytest.mark.parametrize("target", ["/etc", "../.."])
def test_a_link_to_a_folder_and_a_file_behind_it(tmp_path: Path, grid: Grid, target: str) -> None:
    with tarfile.open(tmp_path / "archive.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("folder")
        link.type, link.linkname = tarfile.SYMTYPE, target
        tar.addfile(link)
        behind = tarfile.TarInfo(f"folder/{CELL}_09_F02DAR.xml")
        tar.addfile(behind, io.BytesIO())
    refused(tmp_path / "archive.tar.gz", 2009, grid, "folder: a link or device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@every_container
@pytest.mark.parametrize("name", [".", "..", "a/..", "", "\0", f"{HH}\0.txt", "a" * 5000, f"{CELL}_20_sl_HH.tif/"])
def test_names_that_are_none_harm_nobody(
    tmp_path: Path, geotiff: Content, grid: Grid, kind: Container, name: str
) -> None:
    path = packed(tmp_path, {**geotiff, name: b""}, kind)
    try:
        assert CELL in unpacked(path, 2020, grid).members
    except CorruptArchiveError as error:
        assert "archive" in str(error)


def test_a_tar_member_of_eight_exbibytes(tmp_path: Path, grid: Grid) -> None:
    info = tarfile.TarInfo(RAW)
    info.size = 2**63 - 1  # written in base 256, as GNU tar does
    (tmp_path / "archive.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
    refused(tmp_path / "archive.tar.gz", 2009, grid, f"more bytes than a tile can have, with {RAW}")


def test_a_gzip_bomb_in_what_nobody_reads_ends_early(tmp_path: Path, grid: Grid) -> None:
    """2 GB of zeros behind a good name: the header's size is what counts, not a byte of it is inflated for nothing."""
    info = tarfile.TarInfo("notes.txt")
    info.size = 2_000_000_000
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [bomb.compress(info.tobuf()), *(bomb.compress(bytes(_MEBIBYTE)) for _ in range(100)), bomb.flush()]
    (tmp_path / "archive.tar.gz").write_bytes(b"".join(parts))
    refused(tmp_path / "archive.tar.gz", 2009, grid, "notes.txt")


def test_a_gzip_of_very_many_empty_gzips(tmp_path: Path, envi: Content, grid: Grid) -> None:
    path = packed(tmp_path, envi, Container.TAR_GZ)
    path.write_bytes(gzip.compress(b"") * 50_000 + path.read_bytes())
    assert CELL in unpacked(path, 2009, grid).members


def test_a_zip_of_very_many_members_is_not_listed(tmp_path: Path, grid: Grid) -> None:
    """Python makes an object of every entry of the directory before one can be looked at."""
    name = b"x"
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + name
    local = struct.pack("<4s2B4HL2L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0) + name
    count = 400_000
    directory = entry * count
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), len(local), 0)
    (tmp_path / "archive.zip").write_bytes(local + directory + end)
    refused(tmp_path / "archive.zip", 2020, grid, f"its directory has {len(directory)} bytes")


@pytest.mark.parametrize("offset", [2**32, 2**63 - 1])
def test_a_zip64_directory_outside_the_file(tmp_path: Path, geotiff: Content, grid: Grid, offset: int) -> None:
    content = packed(tmp_path, geotiff).read_bytes()
    at = content.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 5, 5, 2**40, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "archive.zip").write_bytes(content[:at] + record + locator + end)
    refused(tmp_path / "archive.zip", 2020, grid, r"archive\.zip: ")


def test_a_zip64_member_of_four_tebibytes(tmp_path: Path, grid: Grid) -> None:
    """The size stands in the extra field, where 32 bits don't do."""
    extra = struct.pack("<2H2Q", 1, 16, 2**42, 10)
    name = HH.encode()
    head = struct.pack("<4s2B4HL2L2H", b"PK\x03\x04", 45, 0, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 0)
    local = head + name + bytes(10)
    fields = (20, 0, 45, 0, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra), 0, 0, 0, 0, 0)
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", *fields) + name + extra
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)
    (tmp_path / "archive.zip").write_bytes(local + entry + end)
    refused(tmp_path / "archive.zip", 2020, grid, f"more bytes than a tile can have, with {HH}")


def test_a_gzip_is_refused_at_every_64_kib(tmp_path: Path) -> None:
    grid = Grid(300)
    whole = write_archive(tmp_path / "whole.tar.gz", [make_cell(CELL, 2009, grid)], 2009).read_bytes()
    ends = range(0, len(whole), 1 << 16)
    assert len(ends) > 5
    for end in ends:
        with pytest.raises(CorruptArchiveError):
            for entry in entries(io.BytesIO(whole[:end]), allowance_of(grid)):
                entry.read_into(bytearray(entry.size_bytes))


@pytest.mark.parametrize("at", [-8, -4])
def test_a_gzip_whose_checksum_or_length_is_wrong(tmp_path: Path, envi: Content, grid: Grid, at: int) -> None:
    path = packed(tmp_path, envi, Container.TAR_GZ)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    refused(path, 2009, grid, r"archive\.tar\.gz: ")


@pytest.mark.parametrize("wanted", ["a/", ""])
def test_a_member_of_a_zip_without_a_name(tmp_path: Path, geotiff: Content, grid: Grid, wanted: str) -> None:
    """Python's is_dir() looks at the last character of a name that has none."""
    path = packed(tmp_path, {**geotiff, wanted: b""})
    assert CELL in unpacked(path, 2020, grid).members


# ENVI headers


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", "2147483647"),
        ("samples", "99999999999999999999"),
        ("samples", "0"),
        ("samples", "-30"),
        ("lines", "2147483647"),
        ("lines", "nan"),
        ("bands", "2147483647"),
        ("bands", "65536"),
        ("bands", "0"),
        ("header offset", "18446744073709551615"),
        ("data type", "99"),
        ("data type", "6"),
        ("byte order", "7"),
        ("byte order", "-1"),
        ("file compression", "1"),
        ("map info", "{Geographic Lat/Lon, nan, inf, nan, nan, nan, nan, WGS-84, units=Seconds}"),
        ("map info", "{" + "1," * 20_000 + "}"),
        ("map info", "{UTM, 1, 1, 0, 0, 30, 30, 99999999, North}"),
    ],
)
def test_envi_headers_that_attack(tmp_path: Path, envi: Content, grid: Grid, field: str, value: str) -> None:
    header = re.sub(rf"^{field} = .*\n", "", envi[f"{RAW}.hdr"].decode(), flags=re.MULTILINE)
    files = {**envi, f"{RAW}.hdr": f"{header.rstrip()}\n{field} = {value}\n".encode()}
    refused(packed(tmp_path, files), 2009, grid, RAW)


@pytest.mark.parametrize(
    "lines",
    [
        "interleave = xyz",
        "coordinate system string = {" + "GEOGCS[" * 5000 + "}",
        "data file = /etc/passwd",
        "data file = {SERVER}/data",
        "header = /vsicurl/{SERVER}/header",
        "spectra names = {/vsicurl/{SERVER}/names}",
        "classes = 2000000000\nclass lookup = {0, 0, 0}\nclass names = {a}",
        "band names = {" + "x," * 25_000 + "}",
        "wavelength = {" + "{" * 5000,
        "description = {" + "\0" * 100 + "}",
        "geo points = {1, 1, 1e308, -1e308}",
        "default stretch = 0 nan linear",
    ],
)
def test_what_else_an_envi_header_says_does_not_matter(tmp_path: Path, envi: Content, grid: Grid, lines: str) -> None:
    with no_requests(tmp_path) as url:
        header = envi[f"{RAW}.hdr"].decode() + lines.replace("{SERVER}", url) + "\n"
        path = packed(tmp_path, {**envi, f"{RAW}.hdr": header.encode()})
        try:
            pixels = read_cell(unpacked(path, 2009, grid).members[CELL], BANDS["HH"], CELL, grid)
        except CorruptArchiveError as error:
            assert RAW in str(error)
        else:
            assert pixels[pixels > 0].size


# TIFFs


def tiff(tmp_path: Path, geotiff: Content, content: bytes) -> Path:
    return packed(tmp_path, {**geotiff, HH: content})


def test_a_tiff_written_tag_by_tag_is_read(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    for is_big in (False, True):
        folder = tmp_path / "members"
        path = tiff(tmp_path, geotiff, Tiff(CELL, grid, is_big=is_big).content())
        found = unpacked(path, 2020, grid)
        assert set(np.unique(read_cell(found.members[CELL], BANDS["HH"], CELL, grid))) == {0, 3000}
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


HUGE = 2**31 - 1
_TILED: dict[Tag, Entry | None] = {
    Tag.STRIP_OFFSETS: None,
    Tag.STRIP_BYTE_COUNTS: None,
    Tag.ROWS_PER_STRIP: None,
    Tag.TILE_OFFSETS: longs(16),
    Tag.TILE_BYTE_COUNTS: longs(1800),
}


@pytest.mark.parametrize(
    "changes",
    [
        {Tag.STRIP_OFFSETS: longs(1_000_000)},
        {Tag.STRIP_OFFSETS: longs(2**32 - 1)},
        {Tag.STRIP_OFFSETS: longs(16, count=HUGE, offset=16)},
        {Tag.ROWS_PER_STRIP: longs(0)},
        {Tag.WIDTH: longs(HUGE)},
        {Tag.WIDTH: longs(HUGE), Tag.LENGTH: longs(HUGE), Tag.ROWS_PER_STRIP: longs(1)},
        {Tag.LENGTH: longs(2**32 - 1)},
        {Tag.WIDTH: longs(0)},
        {Tag.WIDTH: None},
        {Tag.BITS: shorts(65535)},
        {Tag.BITS: shorts(8)},
        {Tag.SAMPLES: shorts(65535)},
        {Tag.COMPRESSION: shorts(65000)},
        {Tag.COMPRESSION: shorts(7)},
        {Tag.COMPRESSION: shorts(5)},
        {Tag.COMPRESSION: shorts(8)},
        {Tag.COMPRESSION: shorts(34887)},
        {**_TILED, Tag.TILE_WIDTH: longs(30_000), Tag.TILE_LENGTH: longs(30_000)},
        {**_TILED, Tag.TILE_WIDTH: longs(HUGE - 15), Tag.TILE_LENGTH: longs(HUGE - 15)},
        {**_TILED, Tag.TILE_WIDTH: longs(0), Tag.TILE_LENGTH: longs(0)},
        {Tag.GEO_KEYS: longs(1, count=HUGE, offset=16)},
        {Tag.PIXEL_SCALE: Entry(12, (float("nan"),) * 3)},
        {Tag.TIE_POINT: Entry(12, (float("inf"),) * 6)},
    ],
)
def test_tiffs_that_lie_or_point_outside_themselves(
    tmp_path: Path, geotiff: Content, grid: Grid, changes: dict[Tag, Entry | None]
) -> None:
    refused(tiff(tmp_path, geotiff, Tiff(CELL, grid, changes).content()), 2020, grid, HH)


@pytest.mark.parametrize(
    "made",
    [
        {"changes": {Tag.STRIP_BYTE_COUNTS: longs(2**32 - 1)}},
        {"changes": {Tag.STRIP_BYTE_COUNTS: longs(10)}},
        {"changes": {Tag.ROWS_PER_STRIP: longs(1)}},
        {"changes": {**_TILED, Tag.TILE_WIDTH: longs(16), Tag.TILE_LENGTH: longs(16)}},
        {"is_big": True, "changes": {Tag.STRIP_BYTE_COUNTS: longs8(2**63 - 1)}},
    ],
)
def test_blocks_that_are_not_there_are_no_data(
    tmp_path: Path, geotiff: Content, grid: Grid, made: dict[str, object]
) -> None:
    """GDAL lets a TIFF leave out blocks; none is made up, and none comes from elsewhere."""
    path = tiff(tmp_path, geotiff, Tiff(CELL, grid, **made).content())  # type: ignore[arg-type]
    try:
        pixels = read_cell(unpacked(path, 2020, grid).members[CELL], BANDS["HH"], CELL, grid)
    except CorruptArchiveError as error:
        assert HH in str(error)
    else:
        assert set(np.unique(pixels)) <= {0, 3000}


@pytest.mark.parametrize(
    "made",
    [
        {"directory": 2**32 - 1},
        {"directory": 0},
        {"directory": 8},
        {"is_big": True, "directory": 2**63},
        {"is_big": True, "changes": {Tag.STRIP_OFFSETS: longs8(2**63)}},
    ],
)
def test_directories_and_offsets_outside_a_file(
    tmp_path: Path, geotiff: Content, grid: Grid, made: dict[str, object]
) -> None:
    refused(tiff(tmp_path, geotiff, Tiff(CELL, grid, **made).content()), 2020, grid, HH)  # type: ignore[arg-type]


def test_a_directory_that_is_its_own_successor(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    at = 16 + 2 * grid.cell_pixels**2
    content = Tiff(CELL, grid, next_directory=at).content()
    try:
        unpacked(tiff(tmp_path, geotiff, content), 2020, grid)
    except CorruptArchiveError as error:
        assert HH in str(error)


def test_one_block_larger_than_the_cell_is_no_memory(tmp_path: Path, geotiff: Content, grid: Grid) -> None:
    """A tile of 20,000 pixels a side is 800 MB, whatever the raster's own size, once GDAL reads it."""
    changes = {**_TILED, Tag.TILE_WIDTH: longs(20_000), Tag.TILE_LENGTH: longs(20_000)}
    refused(tiff(tmp_path, geotiff, Tiff(CELL, grid, changes).content()), 2020, grid, f"{HH} has blocks of ")


def metadata(url: str, domain: str, name: str) -> Entry:
    item = f'<Item name="{name}" domain="{domain}">/vsicurl/{url}/other.tif</Item>'
    return text(f"<GDALMetadata>{item}</GDALMetadata>")


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("OVERVIEWS", "OVERVIEW_FILE"),
        ("IMAGE_STRUCTURE", "COMPRESSION"),
        ("xml:VRT", ""),
        ("GEOLOCATION", "X_DATASET"),
        ("DERIVED_SUBDATASETS", "DERIVED_SUBDATASET_1_NAME"),
        ("new_vrt_sources", "source_0"),
        ("Subdatasets", "SUBDATASET_1_NAME"),
    ],
)
def test_metadata_of_gdals_own_leads_nowhere(
    tmp_path: Path, geotiff: Content, grid: Grid, domain: str, name: str
) -> None:
    with no_requests(tmp_path) as url:
        content = Tiff(CELL, grid, {Tag.GDAL_METADATA: metadata(url, domain, name)}).content()
        found = unpacked(tiff(tmp_path, geotiff, content), 2020, grid)
        assert read_cell(found.members[CELL], BANDS["HH"], CELL, grid).max() == 3000


def disguises(url: str) -> Content:
    source = f"/vsicurl/{url}/other.tif"
    band = f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>{source}</SourceFilename>'
    vrt = f'<VRTDataset rasterXSize="30" rasterYSize="30">{band}</SimpleSource></VRTRasterBand></VRTDataset>'
    wms = f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}</ServerUrl></Service></GDAL_WMS>'
    return {
        "vrt": vrt.encode(),
        "wms": wms.encode(),
        "wcs": f"<WCS_GDAL><ServiceURL>{url}/</ServiceURL></WCS_GDAL>".encode(),
        "stac": f'{{"type": "FeatureCollection", "stac_version": "1.0.0", "links": ["{url}"]}}'.encode(),
        "gti": f"<GDALTileIndexDataset><IndexDataset>{source}</IndexDataset></GDALTileIndexDataset>".encode(),
        "path": source.encode(),
        "url": f"{url}/other.tif".encode(),
        "connection": f"WMTS:{url}/capabilities.xml".encode(),
    }


@pytest.mark.parametrize("disguise", list(disguises("")))
@pytest.mark.parametrize("is_raw", [False, True])
def test_gdals_virtual_formats_are_not_opened(
    tmp_path: Path, geotiff: Content, envi: Content, grid: Grid, disguise: str, is_raw: bool
) -> None:
    """As a TIFF, and as the header of raw pixels."""
    with no_requests(tmp_path) as url:
        content = disguises(url)[disguise]
        if is_raw:
            refused(packed(tmp_path, {**envi, f"{RAW}.hdr": content}), 2009, grid, RAW)
        else:
            refused(tiff(tmp_path, geotiff, content), 2020, grid, HH)


@every_container
@pytest.mark.parametrize("prefix", ["/vsicurl/{}/", "{}/", "/vsizip/vsicurl/{}/a.zip/", "WMS:{}/"])
def test_a_members_path_is_never_opened(
    tmp_path: Path, geotiff: Content, grid: Grid, kind: Container, prefix: str
) -> None:
    with no_requests(tmp_path) as url:
        files = {f"{prefix.format(url)}{name}": data for name, data in geotiff.items()}
        assert CELL in unpacked(packed(tmp_path, files, kind), 2020, grid).members


COMPANIONS = (".aux.xml", ".ovr", ".msk", ".msk.ovr", ".tfw", ".vrt")


@pytest.mark.parametrize("ending", COMPANIONS)
def test_files_that_gdal_looks_for_beside_a_tiff_change_nothing(
    tmp_path: Path, geotiff: Content, grid: Grid, ending: str
) -> None:
    aux = b'<PAMDataset><PAMRasterBand band="1"><NoDataValue>3000</NoDataValue></PAMRasterBand></PAMDataset>'
    plain = Tiff(CELL, grid).content()
    companion = aux if ending == ".aux.xml" else plain
    stem = HH.removesuffix(".tif")
    files = {**geotiff, HH: plain, HH + ending: companion, stem + ending: companion, f"{HH}_": companion}
    try:
        found = unpacked(packed(tmp_path, files), 2020, grid)
    except CorruptArchiveError as error:
        assert stem in str(error)
    else:
        assert read_cell(found.members[CELL], BANDS["HH"], CELL, grid).max() == 3000
    assert not list(tmp_path.rglob(f"*{ending}"))


@pytest.mark.parametrize(
    "crs",
    [
        'GEOGCS["x",DATUM["x",SPHEROID["x",6378137,298]],EXTENSION["PROJ4","+proj=longlat +nadgrids={}/grid.tif"]]',
        "PROJ: +proj=pipeline +step +proj=hgridshift +grids={}/grid.tif",
        "{}/definition.wkt",
        "urn:ogc:def:crs:{}",
    ],
)
def test_a_reference_system_that_names_a_file_elsewhere(tmp_path: Path, envi: Content, grid: Grid, crs: str) -> None:
    with no_requests(tmp_path) as url:
        header = re.sub(r"^map info = .*\n", "", envi[f"{RAW}.hdr"].decode(), flags=re.MULTILINE)
        info = f"map info = {{Arbitrary, 1, 1, 0, 0, 1, 1}}\ncoordinate system string = {{{crs.format(url)}}}\n"
        files = {**envi, f"{RAW}.hdr": (header.rstrip() + "\n" + info).encode()}
        refused(packed(tmp_path, files), 2009, grid, RAW)


def _with_pax(records: dict[str, str], count: int = 1) -> bytes:
    """A tar.gz of members that each have these pax records."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for _ in range(count):
            info = tarfile.TarInfo(HH)
            info.size, info.pax_headers = 512, records
            tar.addfile(info, io.BytesIO(b"1\n" * 256))
    return stream.getvalue()


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": HH, "GNU.sparse.realsize": "512"},
        {"GNU.sparse.map": "0,512", "GNU.sparse.size": "512"},
        {"GNU.sparse.size": "512", "GNU.sparse.numblocks": "1", "GNU.sparse.offset": "0", "GNU.sparse.numbytes": "512"},
    ],
)
def test_a_sparse_member_told_of_by_pax_is_refused_before_its_map_is_read(records: dict[str, str]) -> None:
    with pytest.raises(CorruptArchiveError, match="sparse"):
        list(entries(io.BytesIO(_with_pax(records)), allowance_of(Grid())))


def test_extended_headers_have_a_cap() -> None:
    with pytest.raises(CorruptArchiveError, match="more than 200 extended headers"):
        list(entries(io.BytesIO(_with_pax({"comment": "a"}, 201)), allowance_of(Grid())))
