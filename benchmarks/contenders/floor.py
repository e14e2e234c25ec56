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
from io import BufferedReader, BytesIO, RawIOBase
from math import isqrt
from pathlib import Path
from threading import Semaphore, local
from typing import Any, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt
import zstandard
from isal import igzip, isal_zlib

from alos_mosaic.bands import BANDS
from alos_mosaic.naming import parse_member
from alos_mosaic.processing.buffers import Buffers

Pixels = npt.NDArray[np.unsignedinteger[Any]]
Encode = Callable[[Pixels], bytes]
Read = Callable[[], tuple[Pixels, bytearray | None]]
"""Gives some rows of a raster, decoded in the thread that calls it, and the buffer to be given back after use."""

_BLOCK: Final = 500
_TAR_BLOCK: Final = 512
_ZIP_HEADER: Final = 30
_LEVELS: Final = 7
"""The base of 22500 pixels and its overviews down to 352."""
_AHEAD: Final = 8
"""Strips decompressed and not compressed yet, of 4.5 MB at most."""

_READ_BYTES: Final = 1 << 17
"""What is decompressed at once: it stays in the processor's cache."""
_of_thread: Final = local()


def _zstd(block: Pixels) -> bytes:
    if not hasattr(_of_thread, "zstd"):
        _of_thread.zstd = zstandard.ZstdCompressor(1)
    compressed: bytes = _of_thread.zstd.compress(block)
    return compressed


ENCODERS: Final[dict[str, Encode]] = {"deflate": lambda block: isal_zlib.compress(block, 1), "zstd": _zstd}
"""The engine's own."""


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
        block = _scratch(window.dtype)[: window.size].reshape(window.shape)
        block[:, 0] = window[:, 0]
        np.subtract(window[:, 1:], window[:, :-1], out=block[:, 1:])
        total += len(encode(block))
    return total


def _scratch(dtype: np.dtype[Any]) -> Pixels:
    """Return this thread's memory for a block."""
    blocks: dict[str, Pixels] = _of_thread.__dict__
    if dtype.name not in blocks:
        blocks[dtype.name] = np.empty(_BLOCK * _BLOCK, dtype)
    return blocks[dtype.name]


def _tar_strips(path: Path, buffers: Buffers) -> Iterator[Read]:
    """Yield strips of a tar's ENVI rasters, decompressed here while others compress those before."""
    with path.open("rb", buffering=0) as file:
        reader = igzip._IGzipReader(cast("BinaryIO", file), _READ_BYTES)
        stream = BufferedReader(cast("RawIOBase", reader))
        while (head := stream.read(_TAR_BLOCK)).strip(b"\0"):
            info = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
            name = parse_member(Path(info.name).name)
            if name is None or name.extension:
                stream.read(info.size)
            else:
                dtype = np.dtype(BANDS[name.band_code].dtype)
                side = isqrt(info.size // dtype.itemsize)
                for top in range(0, side, _BLOCK):
                    rows = min(_BLOCK, side - top)
                    data = buffers.take(rows * side * dtype.itemsize)
                    if stream.readinto(data) != len(data):
                        raise EOFError("the tar ends in the middle of a member")
                    yield partial(_as_rows, data, dtype, side)
            stream.read(-info.size % _TAR_BLOCK)


def _as_rows(data: bytearray, dtype: np.dtype[Any], columns: int) -> tuple[Pixels, bytearray | None]:
    return np.frombuffer(data, dtype).reshape(-1, columns), data


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
    import tifffile  # noqa: PLC0415 - nothing else needs it, and loading counts

    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page = cast("tifffile.TiffPage", tiff.pages[0])
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        rows = [memoryview(data)[offset : offset + count] for offset, count in places]
        for top in range(0, page.imagelength, _BLOCK):
            chosen = rows[top // page.rowsperstrip : (top + _BLOCK) // page.rowsperstrip]
            is_lzw = page.compression == tifffile.COMPRESSION.LZW
            yield partial(_decoded, chosen, is_lzw, np.dtype(page.dtype), page.imagewidth)


def _decoded(
    rows: list[memoryview], is_lzw: bool, dtype: np.dtype[Any], columns: int
) -> tuple[Pixels, bytearray | None]:
    import imagecodecs  # noqa: PLC0415 - nothing else needs it, and loading counts

    pixels = np.empty((len(rows), columns), dtype)
    for row, decoded in zip(rows, pixels, strict=True):
        if is_lzw:
            imagecodecs.lzw_decode(row, out=decoded.view(np.uint8))
        else:
            decoded[:] = np.frombuffer(row, dtype)
    return pixels, None


def run(path: Path, codec: str) -> int:
    """Return the bytes of all blocks of an archive's rasters."""
    buffers = Buffers()
    strips = _zip_strips(path) if path.name.endswith(".zip") else _tar_strips(path, buffers)
    room, encode = Semaphore(_AHEAD + (os.cpu_count() or 1)), ENCODERS[codec]

    def work(read: Read) -> int:
        try:
            pixels, buffer = read()
            total = compress_strip(pixels, encode)
            if buffer is not None:
                buffers.give_back(buffer)
            return total
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
