"""Containers: tar.gz and zip behind one interface, the files in them one after the other; also one within another.

A container is hostile input: nothing is extracted by a path of its own, no more is read than it declares and no more
is believed than an allowance. What goes wrong while reading is :class:`CorruptArchiveError`.

A tar.gz is read from its first byte to its last, so it can be read while it is still being fetched; a zip's directory
stands at its end.
"""

from __future__ import annotations

import functools
import io
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Protocol, Self, cast

from isal import igzip, isal_zlib

from alos_mosaic.errors import CorruptArchiveError, OutputError

_CHUNK_BYTES: Final = 1 << 20
_COMPRESSED_CHUNK_BYTES: Final = 1 << 17
"""What is decompressed at once: it stays in the processor's cache."""
_TRAILER_LIMIT_BYTES: Final = 1 << 20
"""A tar is padded to 10 KiB records; more behind its end is no padding."""
_EXTENDED_HEADER_LIMIT_BYTES: Final = 1 << 12
"""Long names and pax records have some hundred bytes. Python before 3.11.10 takes a time that grows with the square of
them (CVE-2024-6232)."""
_MOST_EXTENDED_HEADERS: Final = 200
"""In an archive: a long name for each of its members."""
_EXTENDED_HEADERS: Final = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""Of a member and, in a zip without any, of the directory's end (APPNOTE 4.3.7 and 4.3.16)."""
_ENCRYPTED: Final = 0x1 | 0x40
"""Flag bits 0 and 6 of a zip's member: encryption, strong encryption (APPNOTE 4.4.4)."""
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python's bzip2 and lzma readers don't bound what a few bytes may grow to in memory."""
_DIRECTORY_LIMIT_BYTES: Final = 1 << 20
"""An entry has some 100 bytes and a tile's archive some hundred entries; Python makes an object of each at once."""
_ARCHIVE: Final = re.compile(r".*\.(tar\.gz|tgz|zip)", re.IGNORECASE)
_SCRATCH_PREFIX: Final = ".nested-"

_READ_ERRORS: Final[tuple[type[Exception], ...]] = (
    tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile,
    zlib.error, cast("type[Exception]", isal_zlib.error), struct.error,
    EOFError, OSError, ValueError, ArithmeticError, NotImplementedError, RecursionError,
)  # fmt: skip
"""What the standard library's readers and ISA-L's raise over bytes that make no sense."""


@dataclass
class Allowance:
    """How much an archive may hold in all, nested ones included; what is taken does not come back."""

    members: int
    size_bytes: int

    def take(self, name: str, size_bytes: int) -> None:
        """Count a member; :class:`CorruptArchiveError` if it is one too many or the bytes are too many."""
        if size_bytes < 0:
            raise CorruptArchiveError(f"{name} has {size_bytes} bytes")
        self.members -= 1
        self.size_bytes -= size_bytes
        if self.members < 0:
            raise CorruptArchiveError(f"more members than a tile can have, {name} is one too many")
        if self.size_bytes < 0:
            raise CorruptArchiveError(f"more bytes than a tile can have, with {name} it is too many")


class Content(Protocol):
    """The bytes of a file in a container, from its first to its last."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer with the next bytes and return how many they are, 0 at the end."""


@dataclass(frozen=True)
class Entry:
    """A file in a container, to be read before the next one is asked for."""

    name: str
    """Its bare name, without folders."""
    size_bytes: int
    """What the container says."""
    content: Content

    def read_into(self, buffer: bytearray) -> None:
        """Read the file into a buffer of its size.

        :class:`CorruptArchiveError` if it can't be read, fails its checksum or is not as large as the container says.
        """
        position = 0
        with _as_corrupt(self.name), memoryview(buffer) as view:
            while position < len(view) and (count := self.content.readinto(view[position:])):
                position += count
        if position != self.size_bytes:
            raise CorruptArchiveError(f"{self.name} has fewer bytes than it says")
        if self._read(1):  # a zip compares its checksum at the end
            raise CorruptArchiveError(f"{self.name} has more bytes than it says")

    def copy_to(self, file: IO[bytes]) -> None:
        """Write the file to an open one; raises as :meth:`read_into`, and what writing raises."""
        left = self.size_bytes
        while chunk := self._read(min(left + 1, _CHUNK_BYTES)):
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
        if left:
            raise CorruptArchiveError(f"{self.name} has {'fewer' if left > 0 else 'more'} bytes than it says")

    def _read(self, size: int) -> bytes:
        with _as_corrupt(self.name):
            return self.content.read(size)


def entries(archive: IO[bytes], allowance: Allowance) -> Iterator[Entry]:
    """Yield the files in a tar.gz or zip, folders left out; other archives in it are files like any other.

    ``archive`` is open for reading at its start; reading may wait for bytes that are not there yet. What is wrong with
    the container raises :class:`CorruptArchiveError` here, what is wrong with a file in a zip where it is read.
    """
    magic = archive.read(4)
    archive.seek(0)
    if magic.startswith(_GZIP_MAGIC):
        yield from _tar_files(archive, allowance)
    elif magic in _ZIP_MAGICS:
        yield from _zip_files(archive, allowance)
    else:
        raise CorruptArchiveError("neither a tar.gz nor a zip")


def is_archive(name: str) -> bool:
    """Tell whether a file in a container is called like a container itself.

    >>> is_archive("N09E013_20_MOS_F02DAR.tar.gz"), is_archive("N09E013_20_sl_HH_F02DAR.tif")
    (True, False)
    """
    return _ARCHIVE.fullmatch(name) is not None


def nested_entries(entry: Entry, scratch: Path, allowance: Allowance) -> Iterator[Entry]:
    """Yield the files in a container that is a file in another; one that holds a third is refused.

    It lies in ``scratch``, an existing folder, until its files were yielded. Raises as :func:`entries` does, naming it,
    and :class:`OutputError` for a full disk.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir=scratch, prefix=_SCRATCH_PREFIX))
            entry.copy_to(file)
            file.seek(0)  # which writes what is left to write
        except OSError as error:
            raise OutputError(f"can't write {entry.name}: {error}") from error
        stack.enter_context(_in_archive(entry.name))
        for each in entries(file, allowance):
            if is_archive(each.name):
                raise CorruptArchiveError(f"{each.name} is an archive two deep")
            yield each


def _tar_files(archive: IO[bytes], allowance: Allowance) -> Iterator[Entry]:
    """Read the whole stream, so that gzip's own checksum is checked, too.

    Members are read straight from the stream into the caller's buffers: tarfile's own reader copies them three times.
    """
    reader = igzip._IGzipReader(cast("BinaryIO", archive), _COMPRESSED_CHUNK_BYTES)
    with _as_corrupt("tar.gz"), io.BufferedReader(cast("io.RawIOBase", reader)) as stream:
        with _StrictTar.open(fileobj=stream, mode="r:", tarinfo=_StrictTarInfo) as tar:
            for info in tar:
                allowance.take(info.name, info.size)
                if info.isdir():
                    continue
                if not info.isreg() or info.issparse():
                    raise CorruptArchiveError(f"{info.name}: a link or device has no place in an archive of rasters")
                stream.seek(info.offset_data)
                yield Entry(_bare(info.name), info.size, _Section(cast("Content", stream), info.size))
        _check_end(stream)


class _Section:
    """The next so many bytes of a stream."""

    def __init__(self, stream: Content, size_bytes: int) -> None:
        self._stream, self._left = stream, size_bytes

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._stream.readinto(buffer[: self._left])
        self._left -= count
        return count


class _ZipFile:
    """A file in a zip. What stands ahead of its bytes is looked at when they are read: it may be damaged on its own."""

    def __init__(self, directory: zipfile.ZipFile, info: zipfile.ZipInfo, stack: ExitStack) -> None:
        self._directory, self._info, self._stack = directory, info, stack

    @functools.cached_property
    def _stream(self) -> IO[bytes]:
        file = self._stack.enter_context(self._directory.open(self._info))
        if self._info.compress_type == zipfile.ZIP_DEFLATED:
            # zipfile checks headers, lengths and the CRC; ISA-L inflates, in two thirds of the time.
            file._decompressor = isal_zlib.decompressobj(-zlib.MAX_WBITS)  # type: ignore[attr-defined]
        return file

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size)

    def readinto(self, buffer: memoryview, /) -> int:
        # zipfile makes copies of what is read at once, which had better be small.
        return cast("Content", self._stream).readinto(buffer[:_CHUNK_BYTES])


class _StrictTar(tarfile.TarFile):
    """An archive that counts its extended headers, which no other count of ours sees."""

    extended_headers = 0


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must make sense: tarfile takes one that does not, and a missing one, for the archive's end.

    Both methods are what tarfile calls in every release; later ones of 3.13 pass by ``frombuf``.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        """Read a member's headers; :class:`CorruptArchiveError` for anything but good ones or the end mark."""
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise CorruptArchiveError(f"a header is damaged or missing: {error}") from error

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        """Look at each header before what it leads to is read; tarfile's source says to override this."""
        if self.type in _EXTENDED_HEADERS:
            if self.size > _EXTENDED_HEADER_LIMIT_BYTES:
                raise CorruptArchiveError(f"an extended header has {self.size} bytes")
            cast("_StrictTar", tar).extended_headers += 1
            if cast("_StrictTar", tar).extended_headers > _MOST_EXTENDED_HEADERS:
                raise CorruptArchiveError(f"more than {_MOST_EXTENDED_HEADERS} extended headers")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _refuse_sparse(self, *_: object) -> None:
        """Refuse a sparse member of any kind, before tarfile reads its map, which may have no end."""
        raise CorruptArchiveError(f"{self.name} is a sparse member")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _zip_files(archive: IO[bytes], allowance: Allowance) -> Iterator[Entry]:
    with _as_corrupt("zip"):
        _check_directory(archive)
    with _as_corrupt("zip"), zipfile.ZipFile(archive) as directory:
        members = directory.infolist()
        if min((info.header_offset for info in members), default=0):
            # Readers look for the directory from the end: in a truncated zip they may find that of a zip within.
            raise CorruptArchiveError("bytes stand before the first member")
        for info in members:
            allowance.take(info.filename, info.file_size)
            if info.filename.endswith("/"):  # Python's is_dir() fails for a name of no characters
                continue
            _check(info)
            with ExitStack() as stack:
                yield Entry(_bare(info.filename), info.file_size, _ZipFile(directory, info, stack))


def _check_directory(archive: IO[bytes]) -> None:
    end = zipfile._EndRecData(archive)  # type: ignore[attr-defined]
    if end and end[zipfile._ECD_SIZE] > _DIRECTORY_LIMIT_BYTES:  # type: ignore[attr-defined]
        raise CorruptArchiveError(f"its directory has {end[zipfile._ECD_SIZE]} bytes")  # type: ignore[attr-defined]


def _check(info: zipfile.ZipInfo) -> None:
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise CorruptArchiveError(f"{info.filename}: a link or device has no place in an archive of rasters")
    if info.flag_bits & _ENCRYPTED:
        raise CorruptArchiveError(f"{info.filename} is encrypted")
    if info.compress_type not in _ZIP_METHODS:
        raise CorruptArchiveError(
            f"{info.filename} is compressed by method {info.compress_type}, not stored or deflated"
        )


def _bare(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


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


@contextmanager
def _as_corrupt(what: str) -> Iterator[None]:
    try:
        yield
    except _READ_ERRORS as error:
        raise CorruptArchiveError(f"{what} is truncated or damaged: {error or type(error).__name__}") from error


@contextmanager
def _in_archive(name: str) -> Iterator[None]:
    try:
        yield
    except CorruptArchiveError as error:
        raise CorruptArchiveError(f"{name}: {error}") from error
