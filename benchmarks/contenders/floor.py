"""The floor: what decompressing the archive once and compressing every block of every level once takes on all cores.

No geodata library takes part, and nothing is mosaicked, resampled, described or written. Overviews are every second,
fourth, ... pixel, which costs next to nothing and leaves them as speckled as the base; they have as many pixels as real
ones. Blocks lie on the cell, 500 rows of the base high, so that each pixel is compressed exactly once.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from math import isqrt
from pathlib import Path
from threading import Semaphore
from typing import Any, Final, cast

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from isal import igzip_threaded, isal_zlib

from alos_mosaic.bands import BANDS
from alos_mosaic.naming import parse_member

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Encode = Callable[[Pixels], bytes]
Read = Callable[[], Pixels]
"""Gives some rows of a raster; what it still has to decode, it decodes in the thread that calls it."""

_BLOCK: Final = 500
_TAR_BLOCK: Final = 512
_ZIP_HEADER: Final = 30
_LEVELS: Final = 7
"""The base of 22500 pixels and its overviews down to 352."""
_AHEAD: Final = 8
"""Strips decompressed and not compressed yet, of 4.5 MB at most."""

ENCODERS: Final[dict[str, Encode]] = {
    "deflate": lambda block: isal_zlib.compress(block, 1),
    "zstd": lambda block: imagecodecs.zstd_encode(block, 1),
}


def compress_strip(pixels: Pixels, encode: Encode) -> int:
    """Return the bytes of some rows of a band, all levels of them, compressed block by block after differences."""
    total = 0
    for level in range(_LEVELS):
        factor = 2**level
        total += _compress_level(pixels[::factor, ::factor], encode)
    return total


def _compress_level(pixels: Pixels, encode: Encode) -> int:
    total = 0
    for left in range(0, pixels.shape[1], _BLOCK):
        window = pixels[:, left : left + _BLOCK]
        block = np.empty(window.shape, window.dtype)
        block[:, 0] = window[:, 0]
        np.subtract(window[:, 1:], window[:, :-1], out=block[:, 1:])
        total += len(encode(block))
    return total


def _tar_strips(path: Path) -> Iterator[Read]:
    """Yield strips of a tar's ENVI rasters, decompressed in a thread of its own while those before are compressed."""
    with igzip_threaded.open(path, "rb", threads=1) as stream:
        while (head := stream.read(_TAR_BLOCK)).strip(b"\0"):
            info = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
            name = parse_member(Path(info.name).name)
            if name is None or name.extension:
                _filled(stream, info.size)
            else:
                dtype = np.dtype(BANDS[name.band_code].dtype)
                side = isqrt(info.size // dtype.itemsize)
                for top in range(0, side, _BLOCK):
                    rows = min(_BLOCK, side - top)
                    yield partial(_as_rows, _filled(stream, rows * side * dtype.itemsize), dtype, side)
            _filled(stream, -info.size % _TAR_BLOCK)


def _filled(stream: Any, size: int) -> bytearray:
    data = bytearray(size)
    view, position = memoryview(data), 0
    while position < size:
        count = stream.readinto(view[position:])
        if not count:
            raise EOFError("the tar ends in the middle of a member")
        position += count
    return data


def _as_rows(data: bytearray, dtype: np.dtype[Any], columns: int) -> Pixels:
    return np.frombuffer(data, dtype).reshape(-1, columns)


def _zip_strips(path: Path) -> Iterator[Read]:
    """Yield strips of a zip's GeoTIFFs: inflated by ISA-L here, LZW decoded by who compresses them."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            if parse_member(Path(info.filename).name) is None:
                continue
            file.seek(info.header_offset)
            head = file.read(_ZIP_HEADER)
            file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
            inflated = isal_zlib.decompress(file.read(info.compress_size), -15, info.file_size)
            yield from _tiff_strips(inflated)


def _tiff_strips(data: bytes) -> Iterator[Read]:
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page = cast(tifffile.TiffPage, tiff.pages[0])
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        rows = [memoryview(data)[offset : offset + count] for offset, count in places]
        for top in range(0, page.imagelength, _BLOCK):
            chosen = rows[top // page.rowsperstrip : (top + _BLOCK) // page.rowsperstrip]
            is_lzw = page.compression == tifffile.COMPRESSION.LZW
            yield partial(_decoded, chosen, is_lzw, np.dtype(page.dtype), page.imagewidth)


def _decoded(rows: list[memoryview], is_lzw: bool, dtype: np.dtype[Any], columns: int) -> Pixels:
    if not is_lzw:
        return np.frombuffer(b"".join(rows), dtype).reshape(-1, columns)
    size = columns * dtype.itemsize
    pixels = bytearray()
    for row in rows:
        pixels += imagecodecs.lzw_decode(row, out=size)
    return np.frombuffer(pixels, dtype).reshape(-1, columns)


def run(path: Path, codec: str) -> int:
    """Return the bytes of all blocks of an archive's rasters."""
    strips = _zip_strips(path) if path.name.endswith(".zip") else _tar_strips(path)
    room, encode = Semaphore(_AHEAD + (os.cpu_count() or 1)), ENCODERS[codec]

    def work(read: Read) -> int:
        try:
            return compress_strip(read(), encode)
        finally:
            room.release()

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        futures = []
        for read in strips:
            room.acquire()
            futures.append(threads.submit(work, read))
        return sum(future.result() for future in futures)


def main(arguments: list[str] | None = None) -> None:
    """Print the bytes of all blocks as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--codec", choices=sorted(ENCODERS), required=True)
    for folder in ("archive", "work", "out"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    options = parser.parse_args(arguments)
    print(json.dumps({"output_bytes": run(options.archive, options.codec)}))


if __name__ == "__main__":
    main()
