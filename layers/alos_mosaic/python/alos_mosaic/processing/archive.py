"""Unpacking: what an archive holds, checked name by name, before anything looks into a file.

An archive is hostile input. Its members' paths are never used: a member is known by its bare file name, which must
parse, belong to the tile and the year, and be no larger than the grid allows.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, Self, cast

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
_PASSED_OVER_LIMIT_BYTES: Final = 1 << 24
"""A sidecar has some 8 KB; more than this is not read through for nothing."""
_EXTENDED_HEADERS: Final = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_CELL_NAME: Final = re.compile(r"[NS]\d{2}[EW]\d{3}_")
_FOREST_MAP: Final = re.compile(r"_C(_|\.|$)")
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
        members = _unpack_tar(cast("IO[bytes]", stream), folder, tile_year, grid)
    if not members:
        raise CorruptArchiveError(f"{archive.name} holds no raster of {tile_year.tile}")
    return members


def _unpack_tar(stream: IO[bytes], folder: Path, tile_year: TileYear, grid: Grid) -> Members:
    files: dict[str, MemberName] = {}
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as tar:
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
                _check_passed_over(info, name)
                continue
            if name in files:
                raise CorruptArchiveError(f"{name} is there twice")
            _check_size(info, parsed, grid)
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            _write(content, folder / name)
            files[name] = parsed
        _check_end(cast("IO[bytes]", tar.fileobj))
    return _paired(files, folder)


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must make sense: tarfile takes one that does not, and a missing one, for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; :class:`CorruptArchiveError` for anything but a good one or the end mark."""
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise CorruptArchiveError(f"a header is damaged or missing: {error}") from error
        if info.type in _EXTENDED_HEADERS and info.size > _HEADER_LIMIT_BYTES:
            raise CorruptArchiveError(f"an extended header has {info.size} bytes")
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise CorruptArchiveError(f"{info.name} is a sparse member")
        return info


def _check_passed_over(info: tarfile.TarInfo, name: str) -> None:
    """Pass over sidecars and notes, but nothing that looks like a raster under a name that nobody knows."""
    if info.size > _PASSED_OVER_LIMIT_BYTES:
        raise CorruptArchiveError(f"{name} is no raster and has {info.size} bytes")
    _, dot, extension = name.rpartition(".")
    looks_like_raster = not dot or extension.lower() in ("tif", "tiff", "hdr", "img")
    if _CELL_NAME.match(name) and looks_like_raster and not _FOREST_MAP.search(name):
        raise CorruptArchiveError(f"{name} looks like a raster, but its name is of no known form")


def _check_end(stream: IO[bytes]) -> None:
    """Read to the end, which makes gzip compare its checksum: an archive ends in zeros, a whole block at least."""
    rest = stream.read(tarfile.BLOCKSIZE)
    if len(rest) < tarfile.BLOCKSIZE:
        raise CorruptArchiveError("the archive's end is missing")
    left = _TRAILER_LIMIT_BYTES
    while rest:
        left -= len(rest)
        if left < 0 or rest.strip(b"\0"):
            raise CorruptArchiveError("something goes on behind the archive's end")
        rest = stream.read(_CHUNK_BYTES)


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


@contextmanager
def _as_corrupt(name: str) -> Iterator[None]:
    try:
        yield
    except CorruptArchiveError as error:
        raise CorruptArchiveError(f"{name}: {error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorruptArchiveError(f"{name} is truncated or no tar.gz: {error}") from error
    except (ValueError, OverflowError, RecursionError) as error:  # what tarfile does on headers that lie
        raise CorruptArchiveError(f"{name} has headers that make no sense: {error}") from error
