"""Zips and nested archives that are not what they should be, and those that only look odd."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from alos_mosaic.bands import BANDS, possible_codes
from alos_mosaic.errors import CorruptArchiveError, OutputError
from alos_mosaic.grid import Cell, Grid, Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.processing.archive import Unpacking, Wanted
from alos_mosaic.processing.containers import Allowance, entries
from local.archives import Container, Packing, make_cell, members, write_files
from tests.processing.unpacking import Unpacked, merge, read_cell, unpack

TILE = Tile.from_name("N25W165")
CELL = Cell.from_name("N23W161")
ASKED = TileYear(2020, TILE)
HH = f"{CELL}_20_sl_HH_F02DAR.tif"
Content = dict[str, bytes]
every_container = pytest.mark.parametrize("kind", list(Container))
every_nested_container = pytest.mark.parametrize("nested", list(Container))


@pytest.fixture
def content(grid: Grid) -> Content:
    return dict(members(make_cell(CELL, 2020, grid), 2020))


def written(folder: Path, files: Iterable[tuple[str, bytes]], kind: Container, packing: Packing = Packing()) -> Path:  # noqa: B008
    path = folder / f"archive{kind}"
    write_files(path, files, packing)
    return path


def unpacked(path: Path, grid: Grid) -> Unpacked:
    count = len(list(path.parent.glob("members*")))
    return unpack(path, path.parent / f"members-{count}", ASKED, grid)


def assert_whole(found: Unpacked, grid: Grid) -> None:
    merge(found.members, 2020, grid)
    made = make_cell(CELL, 2020, grid).arrays
    empty = made["mask"] == 0
    for code, array in made.items():
        pixels = read_cell(found.members[CELL], BANDS[code], CELL, grid)
        assert (pixels[~empty] == array[~empty]).all()
        assert not pixels[empty].any()


@every_container
@pytest.mark.parametrize("folder", ["", "N25W165_20", "a/b/c"])
@pytest.mark.parametrize("nested", [None, *Container])
def test_flat_in_a_folder_or_one_deep_makes_no_difference(
    tmp_path: Path, content: Content, grid: Grid, kind: Container, folder: str, nested: Container | None
) -> None:
    found = unpacked(written(tmp_path, content.items(), kind, Packing(folder, nested)), grid)
    assert_whole(found, grid)
    assert found.sidecars[CELL].read_bytes() == content["N23W161_20_F02DAR.xml"]
    assert not list(tmp_path.rglob(".nested*"))


def test_a_zip_is_known_by_its_bytes_not_by_its_name(tmp_path: Path, content: Content, grid: Grid) -> None:
    path = written(tmp_path, content.items(), Container.ZIP)
    assert_whole(unpacked(path.rename(tmp_path / "archive.tar.gz"), grid), grid)


def test_archives_of_cells_in_an_archive_are_merged(tmp_path: Path, grid: Grid) -> None:
    inner = []
    for cell in TILE.cells[:3]:
        write_files(tmp_path / "inner.zip", members(make_cell(cell, 2020, grid), 2020))
        inner.append((f"{cell}_20_MOS_F02DAR.zip", (tmp_path / "inner.zip").read_bytes()))
    found = unpacked(written(tmp_path, inner, Container.ZIP), grid)
    assert set(found.members) == set(found.sidecars) == set(TILE.cells[:3])


@every_container
@pytest.mark.parametrize("name", [f"../../{HH}", f"/{HH}", f"a/../../{HH}", f"C:\\x\\..\\{HH}", f"..\\{HH}"])
def test_a_path_out_of_the_folder_stays_in_it(
    tmp_path: Path, content: Content, grid: Grid, kind: Container, name: str
) -> None:
    moved = [(name if member == HH else member, data) for member, data in content.items()]
    assert_whole(unpacked(written(tmp_path, moved, kind), grid), grid)
    assert {path.parent for path in tmp_path.rglob("*N23W161*")} == {tmp_path / "members-0"}


@every_container
@every_nested_container
def test_two_deep_is_refused(tmp_path: Path, content: Content, grid: Grid, kind: Container, nested: Container) -> None:
    inner = written(tmp_path, content.items(), Container.ZIP)
    files = [("deep.ZIP", inner.read_bytes())]
    with pytest.raises(CorruptArchiveError, match=f"inner{nested}: deep.ZIP is an archive two deep"):
        unpacked(written(tmp_path, files, kind, Packing(nested=nested)), grid)


@every_container
@every_nested_container
def test_caps_hold_across_nested_archives(tmp_path: Path, grid: Grid, kind: Container, nested: Container) -> None:
    write_files(tmp_path / f"inner{nested}", ((f"file-{number}", b"") for number in range(200)))
    inner = (tmp_path / f"inner{nested}").read_bytes()
    with pytest.raises(CorruptArchiveError, match="more members than a tile can have"):
        unpacked(written(tmp_path, [(f"{number}{nested}", inner) for number in range(5)], kind), grid)


@every_container
def test_what_is_passed_over_counts_too(tmp_path: Path, kind: Container) -> None:
    path = written(tmp_path, [("readme.txt", b"x" * 600), ("other.txt", b"x" * 600)], kind)
    too_much = pytest.raises(CorruptArchiveError, match=r"more bytes than a tile can have, with other.txt")
    with path.open("rb") as file, too_much:
        list(entries(file, Allowance(10, 1000)))


@every_container
def test_a_bomb_is_refused_by_what_it_says(tmp_path: Path, content: Content, grid: Grid, kind: Container) -> None:
    bomb = {**content, HH: bytes(50_000_000)}
    path = written(tmp_path, bomb.items(), kind)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CorruptArchiveError, match=f"{HH} has 50000000 bytes"):
        unpacked(path, grid)
    assert sum(file.stat().st_size for file in (tmp_path / "members-0").iterdir()) < 1_000_000


def patched(path: Path, name: str, offset: int, value: bytes) -> None:
    """Overwrite bytes in the directory's entry of a zip's member; offsets are those of APPNOTE 4.3.12."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[at + offset : at + offset + len(value)] = value
    path.write_bytes(data)


@pytest.mark.parametrize("declared", [0, 1, 100, 1799])
def test_a_bomb_that_says_it_is_small_is_refused(tmp_path: Path, content: Content, grid: Grid, declared: int) -> None:
    path = written(tmp_path, {**content, HH: bytes(50_000_000)}.items(), Container.ZIP)
    patched(path, HH, 24, struct.pack("<I", declared))
    with pytest.raises(CorruptArchiveError, match=f"{HH} is truncated or damaged"):
        unpacked(path, grid)


def test_a_member_smaller_than_it_says_is_refused(tmp_path: Path, content: Content, grid: Grid) -> None:
    path = written(tmp_path, content.items(), Container.ZIP)
    patched(path, HH, 24, struct.pack("<I", len(content[HH]) + 7))
    with pytest.raises(CorruptArchiveError, match=f"{HH} has fewer bytes than it says"):
        unpacked(path, grid)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (8, b"\x01\x00", "is encrypted"),
        (8, b"\x41\x00", "is encrypted"),
        (10, struct.pack("<H", 9), "compressed by method 9"),
        (10, struct.pack("<H", zipfile.ZIP_LZMA), "compressed by method 14"),
        (10, struct.pack("<H", zipfile.ZIP_BZIP2), "compressed by method 12"),
        (10, struct.pack("<H", 12345), "compressed by method 12345"),
        (16, b"\0\0\0\0", "CRC"),
        (38, struct.pack("<I", 0o120777 << 16), "link or device"),
        (38, struct.pack("<I", 0o020777 << 16), "link or device"),
        (42, struct.pack("<I", 1), "before the first member"),
        (42, struct.pack("<I", 0xFFFFFFF0), ""),
    ],
)
def test_a_member_of_a_zip_that_lies_is_refused(
    tmp_path: Path, content: Content, grid: Grid, offset: int, value: bytes, reason: str
) -> None:
    path = written(tmp_path, content.items(), Container.ZIP)
    patched(path, HH, offset, value)
    with pytest.raises(CorruptArchiveError, match=f"archive.zip: .*{reason}"):
        unpacked(path, grid)


def test_an_encrypted_member_is_refused(tmp_path: Path, grid: Grid) -> None:
    """The patched flag above, and the bytes that a cipher makes of a member behind it."""
    path = written(tmp_path, [(HH, random.Random(0).randbytes(2000))], Container.ZIP)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    path.write_bytes(data)
    patched(path, HH, 8, b"\x01\x00")
    with pytest.raises(CorruptArchiveError, match="is encrypted"):
        unpacked(path, grid)


def test_zip64_is_read(tmp_path: Path, content: Content, grid: Grid) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                file.write(data)
    assert_whole(unpacked(path, grid), grid)


def test_a_zip_written_without_knowing_sizes_is_read(tmp_path: Path, content: Content, grid: Grid) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    (tmp_path / "archive.zip").write_bytes(pipe.getvalue())
    assert_whole(unpacked(tmp_path / "archive.zip", grid), grid)


def test_the_same_name_twice_in_a_zip_must_be_equal(tmp_path: Path, content: Content, grid: Grid) -> None:
    assert_whole(unpacked(written(tmp_path, [*content.items(), (f"x/{HH}", content[HH])], Container.ZIP), grid), grid)
    with pytest.raises(CorruptArchiveError, match="both band HH"):
        unpacked(written(tmp_path, [*content.items(), (f"x/{HH}", content[HH] + b"\0")], Container.ZIP), grid)


@pytest.mark.filterwarnings("ignore:Overlapped entries")  # what later releases of Python 3.13 say of it
def test_members_that_share_their_bytes_are_refused_or_equal(tmp_path: Path, content: Content, grid: Grid) -> None:
    """A bomb of overlapping members: every entry of the directory points at the same one."""
    path = written(tmp_path, content.items(), Container.ZIP)
    for name in content:
        patched(path, name, 42, struct.pack("<I", 0))
    with pytest.raises(CorruptArchiveError):
        unpacked(path, grid)


@pytest.mark.parametrize("nested", [None, *Container])
def test_a_truncated_zip_is_refused_wherever_it_ends(
    tmp_path: Path, content: Content, grid: Grid, nested: Container | None
) -> None:
    whole = written(tmp_path, content.items(), Container.ZIP, Packing(nested=nested)).read_bytes()
    for end in [*range(0, len(whole), 499), *range(len(whole) - 30, len(whole))]:
        (tmp_path / "truncated.zip").write_bytes(whole[:end])
        with pytest.raises(CorruptArchiveError, match="truncated.zip"):
            unpacked(tmp_path / "truncated.zip", grid)


def test_a_truncated_zip_of_stored_zips_is_not_taken_for_the_last_of_them(
    tmp_path: Path, content: Content, grid: Grid
) -> None:
    inner = written(tmp_path, content.items(), Container.ZIP).read_bytes()
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("N24W161_20_MOS.zip", inner)
        archive.writestr("N23W161_20_MOS.zip", inner)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"PK\x05\x06", 0, len(data) - 22) + 22])
    with pytest.raises(CorruptArchiveError, match="before the first member"):
        unpacked(path, grid)


@every_container
@every_nested_container
def test_a_damaged_nested_archive_is_named(
    tmp_path: Path, content: Content, grid: Grid, kind: Container, nested: Container
) -> None:
    inner = written(tmp_path, content.items(), nested).read_bytes()
    for damaged in (inner[:-40], inner[: len(inner) // 2], b"", b"<html>busy</html>"):
        with pytest.raises(CorruptArchiveError, match=f"archive{kind}: (cell{nested}|{CELL}_20_.*)"):
            unpacked(written(tmp_path, [(f"cell{nested}", damaged)], kind), grid)


@every_container
def test_any_damage_is_a_typed_error_or_does_not_matter(
    tmp_path: Path, content: Content, grid: Grid, kind: Container
) -> None:
    whole = written(tmp_path, content.items(), kind, Packing("folder")).read_bytes()
    luck = random.Random(kind)
    path = tmp_path / "damaged"
    for _ in range(300):
        data = bytearray(whole)
        directory = luck.random() < 0.5  # a zip's directory stands at its end, a tar's first header at its begin
        for _ in range(luck.choice([1, 1, 4, 20])):
            at = luck.randrange(len(data))
            data[len(data) - 1 - at % 900 if directory else at] = luck.randrange(256)
        path.write_bytes(data)
        try:
            found = unpacked(path, grid)
        except CorruptArchiveError:
            continue
        for code, member in found.members.get(CELL, {}).items():
            assert code in BANDS
            assert member.content in content.values()


@every_container
def test_damage_to_a_nested_archive_called_as_the_tile_is_no_defect_of_the_cell_of_that_name(
    tmp_path: Path, grid: Grid, kind: Container
) -> None:
    cells = [make_cell(TILE.cells[index], 2020, grid) for index in (0, 1)]
    files = [file for cell in cells for file in members(cell, 2020)]
    name = f"{TILE}_20_MOS_F02DAR.zip"
    assert TILE.cells[0].name == TILE.name
    write_files(tmp_path / name, files)
    whole = (tmp_path / name).read_bytes()
    assert len(unpacked(written(tmp_path, [(name, whole)], kind), grid).members) == 2
    for damaged in (whole[:-40], b""):
        unpacking = unpacking_of(tmp_path, grid)
        with pytest.raises(CorruptArchiveError, match=f"x: {name}"):
            read_through(unpacking, written(tmp_path, [(name, damaged)], kind))
        assert not unpacking.defects
    # Beside another cell's archive it is the corner cell's.
    write_files(tmp_path / "other.zip", members(cells[1], 2020))
    other = (f"{TILE.cells[1]}_20_MOS_F02DAR.zip", (tmp_path / "other.zip").read_bytes())
    for damaged in (whole[:-40], b""):
        unpacking = unpacking_of(tmp_path, grid)
        read_through(unpacking, written(tmp_path, [(name, damaged), other], kind))
        assert set(unpacking.defects) == {TILE.cells[0]}


def test_a_damaged_nested_archive_that_held_more_than_its_name_says_is_no_defect_of_one_cell(
    tmp_path: Path, grid: Grid
) -> None:
    files = [file for index in (0, 1) for file in members(make_cell(TILE.cells[index], 2020, grid), 2020)]
    write_files(tmp_path / "inner.tar.gz", files)
    inner = (tmp_path / "inner.tar.gz").read_bytes()[:-8]
    with pytest.raises(CorruptArchiveError, match=f"{TILE.cells[1]}_20_MOS.tgz"):
        read_through(
            unpacking_of(tmp_path, grid), written(tmp_path, [(f"{TILE.cells[1]}_20_MOS.tgz", inner)], Container.ZIP)
        )


def test_a_corrupt_nested_archive_leaves_nothing_in_the_way_of_the_next(
    tmp_path: Path, content: Content, grid: Grid
) -> None:
    """Archives of one pass share a folder."""
    inner = written(tmp_path, content.items(), Container.TAR_GZ).read_bytes()
    bad = written(tmp_path, [("inner.tar.gz", inner[:-50])], Container.ZIP)
    unpacking = unpacking_of(tmp_path, grid)
    with pytest.raises(CorruptArchiveError, match="inner.tar.gz"):
        read_through(unpacking, bad)
    assert not list(unpacking.folder.glob(".nested*"))
    names = [f"{TILE.cells[index]}_20_MOS.tgz" for index in (2, 3, 4)]
    read_through(
        replace(unpacking, defects={}),
        written(tmp_path, [*((name, inner[:99]) for name in names), (f"{CELL}.tgz", inner)], Container.ZIP),
    )
    assert not list(unpacking.folder.glob(".nested*"))


def test_a_full_disk_under_a_nested_archive_is_an_output_error(tmp_path: Path, content: Content, grid: Grid) -> None:
    path = written(tmp_path, content.items(), Container.ZIP, Packing(nested=Container.ZIP))
    unpacking = unpacking_of(tmp_path, grid)
    unpacking.folder.rmdir()
    with pytest.raises(OutputError, match="inner.zip"):
        read_through(unpacking, path)


def unpacking_of(folder: Path, grid: Grid) -> Unpacking:
    scratch = folder / f"scratch-{len(list(folder.glob('scratch*')))}"
    scratch.mkdir()
    return Unpacking(Wanted(ASKED, grid, possible_codes(), frozenset(TILE.cells)), scratch)


def read_through(unpacking: Unpacking, path: Path) -> None:
    with path.open("rb") as file:
        for _ in unpacking.members(file, "x"):
            pass


def test_a_link_in_a_nested_tar_is_refused(tmp_path: Path, grid: Grid) -> None:
    buffer = io.BytesIO()
    info = tarfile.TarInfo(HH)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(info)
    with pytest.raises(CorruptArchiveError, match="cell.tgz: .*link or device"):
        unpacked(written(tmp_path, [("cell.tgz", buffer.getvalue())], Container.ZIP), grid)
