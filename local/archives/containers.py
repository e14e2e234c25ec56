"""Containers: tar.gz in the look of JAXA's, zip, and either in either; the same call writes the same bytes."""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

_MODIFIED: Final = 1_615_897_200
_ZIP_MODIFIED: Final = (2021, 3, 16, 12, 20, 0)
"""When every member was last written: 2021-03-16 12:20 UTC."""

Files = Iterable[tuple[str, bytes]]
"""Names and contents, one after the other."""


class Container(StrEnum):
    """A kind of container; the value is what names of such files end with."""

    TAR_GZ = ".tar.gz"
    ZIP = ".zip"

    @classmethod
    def of_path(cls, path: Path) -> Container:
        """Return the kind that a file's name says."""
        return cls.ZIP if path.name.endswith(cls.ZIP) else cls.TAR_GZ


@dataclass(frozen=True)
class Packing:
    """What differs between releases in how members are packed; flat unless told."""

    folder: str = ""
    """A folder that all members lie in, without a closing slash."""
    nested: Container | None = None
    """Members lie in a container of this kind, and that in the archive."""


FLAT: Final = Packing()


def write_files(path: Path, files: Files, packing: Packing = FLAT) -> None:
    """Write files into a container of the kind that the path's name says, whatever they are called."""
    prefix = f"{packing.folder}/" if packing.folder else ""
    if packing.nested is None:
        _WRITERS[Container.of_path(path)](path, ((prefix + name, data) for name, data in files))
        return
    with tempfile.TemporaryDirectory() as scratch:
        inner = Path(scratch, f"inner{packing.nested}")
        write_files(inner, files)
        write_files(path, [(prefix + inner.name, inner.read_bytes())])


class _Gzip(io.RawIOBase):
    """A gzip stream without name or time; quick, since the rasters in it are compressed or noise anyway."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self._size = 0
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_RLE)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        self._target.write(self._deflate.compress(data))
        self._size += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._target.write(self._deflate.flush())
        super().close()


def _write_tar_gz(path: Path, files: Files) -> None:
    with (
        path.open("wb") as file,
        _Gzip(file) as stream,
        tarfile.TarFile(
            mode="w", fileobj=cast(BinaryIO, stream), format=tarfile.GNU_FORMAT, copybufsize=1 << 20
        ) as archive,
    ):
        for name, data in files:
            archive.addfile(_tar_header(name, len(data)), io.BytesIO(data))


def _write_zip(path: Path, files: Files) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, _ZIP_MODIFIED)
            info.external_attr = 0o100664 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, 1)


def _tar_header(name: str, size: int) -> tarfile.TarInfo:
    """Return a member's header: a file of somebody we do not know, as in the real archives."""
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, _MODIFIED, 0o775
    header.uid, header.gid, header.uname, header.gname = 281, 201, "mosaicker", "alos"
    return header


_WRITERS: Final[dict[Container, Callable[[Path, Files], None]]] = {
    Container.TAR_GZ: _write_tar_gz,
    Container.ZIP: _write_zip,
}
