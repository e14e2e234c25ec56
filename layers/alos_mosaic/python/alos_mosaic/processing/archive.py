"""Unpacking: what an archive holds, checked name by name, before anything looks into a file.

An archive is hostile input. Its members' paths are never used: a member is known by its bare file name, which must
parse, belong to the tile and the year, and be no larger than the grid allows.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from alos_mosaic.bands import BANDS
from alos_mosaic.errors import CorruptArchiveError, InvalidRequestError, OutputError
from alos_mosaic.grid import CELLS_PER_TILE, Cell, Grid
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import MemberName, parse_member

_CHUNK_BYTES: Final = 1 << 20
_HEADER_LIMIT_BYTES: Final = 1 << 16
"""An ENVI header has some 400 bytes."""
_TRAILER_LIMIT_BYTES: Final = 1 << 20
"""A tar is padded to 10 KiB records; more behind its end is no padding."""
_TIFF_OVERHEAD_BYTES: Final = 1 << 20
_MEMBERS_LIMIT: Final = CELLS_PER_TILE * (2 * len(BANDS) + 2)
"""A raw file and a header a band, a sidecar and a folder a cell."""


@dataclass(frozen=True)
class Member:
    """An unpacked raster of one cell and band."""

    name: MemberName
    path: Path


Members = dict[Cell, dict[str, Member]]
"""By cell and band code."""


def unpack(archive: Path, folder: Path, tile_year: TileYear, grid: Grid) -> Members:
    """Unpack a tar.gz into ``folder`` and return its rasters.

    The whole file is read, so that gzip's own checksum is checked too. Raises :class:`CorruptArchiveError` with the
    member's name for anything that is not what its name says, :class:`OutputError` for a full disk.
    """
    folder.mkdir()
    with _as_corrupt(archive.name), gzip.open(archive) as stream:
        content = cast("IO[bytes]", stream)
        members = _unpack_tar(content, folder, tile_year, grid)
        _drain(content)
    if not members:
        raise CorruptArchiveError(f"{archive.name} holds no raster of {tile_year.tile}")
    return members


def _unpack_tar(stream: IO[bytes], folder: Path, tile_year: TileYear, grid: Grid) -> Members:
    files: dict[str, MemberName] = {}
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for count, info in enumerate(tar, start=1):
            if count > _MEMBERS_LIMIT:
                raise CorruptArchiveError(f"more than {_MEMBERS_LIMIT} members")
            if info.isdir():
                continue
            if not info.isreg():
                raise CorruptArchiveError(f"{info.name}: a link or device has no place in an archive of rasters")
            name = PurePosixPath(info.name).name
            parsed = _parsed(name, tile_year)
            if parsed is None:
                continue
            if name in files:
                raise CorruptArchiveError(f"{name} is there twice")
            _check_size(info, parsed, grid)
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            _write(content, folder / name)
            files[name] = parsed
    return _paired(files, folder)


def _parsed(name: str, tile_year: TileYear) -> MemberName | None:
    try:
        parsed = parse_member(name)
    except InvalidRequestError as error:
        raise CorruptArchiveError(f"{name}: {error}") from error
    if parsed is None or parsed.band_code not in BANDS:
        return None
    if parsed.cell.tile != tile_year.tile:
        raise CorruptArchiveError(f"{name} belongs to tile {parsed.cell.tile}, not {tile_year.tile}")
    if not parsed.is_of_year(tile_year.year):
        raise CorruptArchiveError(f"{name} is not of {tile_year.year}")
    return parsed


def _check_size(info: tarfile.TarInfo, parsed: MemberName, grid: Grid) -> None:
    raw_bytes = grid.cell_pixels**2 * BANDS[parsed.band_code].bytes_per_pixel
    if not parsed.extension and info.size != raw_bytes:
        raise CorruptArchiveError(f"{info.name} has {info.size} bytes, and a cell of this band {raw_bytes}")
    limit = _HEADER_LIMIT_BYTES if parsed.extension == ".hdr" else raw_bytes * 2 + _TIFF_OVERHEAD_BYTES
    if info.size > limit:
        raise CorruptArchiveError(f"{info.name} has {info.size} bytes, and no such member has more than {limit}")


def _write(content: IO[bytes], path: Path) -> None:
    """Write a member; only the writing half's OSErrors are the disk's fault."""
    try:
        with path.open("xb") as file:
            for chunk in iter(lambda: content.read(_CHUNK_BYTES), b""):
                file.write(chunk)
    except (gzip.BadGzipFile, tarfile.TarError):
        raise
    except OSError as error:
        raise OutputError(f"can't write {path.name}: {error}") from error


def _paired(files: dict[str, MemberName], folder: Path) -> Members:
    """Sort the rasters by cell and band; a raw file and its header are one."""
    members: Members = {}
    for file_name, name in files.items():
        partner = {"": f"{file_name}.hdr", ".hdr": file_name.removesuffix(".hdr")}.get(name.extension)
        if partner is not None and partner not in files:
            raise CorruptArchiveError(f"{file_name} is there without {partner}")
        if name.extension == ".hdr":
            continue
        of_cell = members.setdefault(name.cell, {})
        if name.band_code in of_cell:
            twin = of_cell[name.band_code].path.name
            raise CorruptArchiveError(f"{file_name} and {twin} are both band {name.band_code} of cell {name.cell}")
        of_cell[name.band_code] = Member(name, folder / file_name)
    return members


def _drain(stream: IO[bytes]) -> None:
    left = _TRAILER_LIMIT_BYTES
    while chunk := stream.read(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise CorruptArchiveError("bytes go on behind the end of the archive")


@contextmanager
def _as_corrupt(name: str) -> Iterator[None]:
    try:
        yield
    except CorruptArchiveError as error:
        raise CorruptArchiveError(f"{name}: {error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorruptArchiveError(f"{name} is truncated or no tar.gz: {error}") from error
