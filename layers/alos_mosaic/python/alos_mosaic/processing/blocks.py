"""Blocks: the squares that a raster is cut into, each compressed by itself.

Speckle has no repeats, only unevenly frequent values: effort spent on matching is wasted, and ISA-L's level 1 comes
within 1 % of zlib's level 9 at a fraction of the time. What it writes is plain DEFLATE, which every reader of TIFF
knows; Zstandard writes a little less, for those whose readers know it (GDAL from 2.3 on, where it was built with it).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zstandard
from isal import isal_zlib

from alos_mosaic.bands import NODATA
from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.settings import CODECS

Pixels = npt.NDArray[np.unsignedinteger[Any]]

BLOCK_PIXELS: Final = 512
PREDICTOR: Final = 2
"""TIFF's tag 317: horizontal differences."""
_LEVEL: Final = 1
_of_thread: Final = threading.local()


@dataclass(frozen=True)
class Codec:
    """A way to compress a block."""

    name: str
    tiff_compression: int
    """TIFF's tag 259: 8 is DEFLATE (Adobe's technical note 3), 50000 ZSTD (registered by GDAL's authors)."""
    compress: Callable[[Pixels], bytes]
    level: int = _LEVEL


def _zstd(block: Pixels) -> bytes:
    if not hasattr(_of_thread, "zstd"):
        _of_thread.zstd = zstandard.ZstdCompressor(_LEVEL)
    compressed: bytes = _of_thread.zstd.compress(block)
    return compressed


def _deflate(block: Pixels) -> bytes:
    compressed: bytes = isal_zlib.compress(block, _LEVEL)
    return compressed


DEFLATE: Final = Codec("deflate", 8, _deflate)
ZSTD: Final = Codec("zstd", 50_000, _zstd)
_CODECS: Final = {codec.name: codec for codec in (DEFLATE, ZSTD)}


def codec_of(name: str) -> Codec:
    """Return a codec by its name; :class:`InvalidRequestError` if there is none, with those there are."""
    if name not in _CODECS:
        raise InvalidRequestError(f"no codec is called {shown(name)}; known are {', '.join(CODECS)}")
    return _CODECS[name]


def blocks_across(length_pixels: int) -> int:
    """Return how many blocks a raster has along a side."""
    return -(-length_pixels // BLOCK_PIXELS)


def encode(window: Pixels, codec: Codec = DEFLATE) -> bytes:
    """Return a compressed block, after TIFF's predictor 2; ``window`` is at most a block, the rest is nodata."""
    height, width = window.shape
    block = _scratch(window.dtype)
    if (height, width) != block.shape:
        block[:] = NODATA
    # Each pixel is stored as its difference to the one left of it, wrapping around.
    block[:height, 0] = window[:, 0]
    np.subtract(window[:, 1:], window[:, :-1], out=block[:height, 1:width])
    return codec.compress(block)


def _scratch(dtype: np.dtype[Any]) -> Pixels:
    """Return this thread's block: a fresh one each time would cost more than filling it."""
    blocks: dict[str, Pixels] = _of_thread.__dict__
    if dtype.name not in blocks:
        blocks[dtype.name] = np.empty((BLOCK_PIXELS, BLOCK_PIXELS), dtype)
    return blocks[dtype.name]
