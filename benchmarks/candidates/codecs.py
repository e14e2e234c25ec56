"""Which codec and level for blocks: every band of a cell, cut into blocks of 512 after horizontal differences."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import imagecodecs
import numpy as np
from isal import isal_zlib
from zlib_ng import zlib_ng

from benchmarks.archives import ArchiveSpec, make_rough_cell
from benchmarks.candidates.trial import Trial, best_of, rows

_BLOCK: Final = 512
Codec = Callable[[bytes], bytes]


def _with_strategy(data: bytes, module: Any, level: int, strategy: int) -> bytes:
    stream = module.compressobj(level, 8, 15, 8, strategy)
    return bytes(stream.compress(data) + stream.flush())


CODECS: Final[dict[str, tuple[Codec, Codec]]] = {
    **{f"zlib {level}": (partial(zlib.compress, level=level), zlib.decompress) for level in (1, 6, 9)},
    "zlib Huffman only": (
        partial(_with_strategy, module=zlib, level=1, strategy=zlib.Z_HUFFMAN_ONLY),
        zlib.decompress,
    ),
    **{f"zlib-ng {level}": (partial(zlib_ng.compress, level=level), zlib.decompress) for level in (1, 2, 6)},
    "zlib-ng Huffman only": (
        partial(_with_strategy, module=zlib_ng, level=1, strategy=zlib_ng.Z_HUFFMAN_ONLY),
        zlib.decompress,
    ),
    **{
        f"libdeflate {level}": (partial(imagecodecs.deflate_encode, level=level), zlib.decompress)
        for level in (1, 3, 6)
    },
    **{f"ISA-L {level}": (partial(isal_zlib.compress, level=level), zlib.decompress) for level in range(4)},
    **{
        f"zstd {level}": (partial(imagecodecs.zstd_encode, level=level), imagecodecs.zstd_decode)
        for level in (-1, 1, 3, 9)
    },
}
"""Encoder and the decoder that readers are likely to have: theirs is zlib, so that the streams are proven plain."""


def try_codecs(repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Return a table a band, and one of all bands; one core, a call a block. A block of each is read back."""
    spec = ArchiveSpec("envi", 1)
    arrays = make_rough_cell(spec.squares[0], spec).arrays
    tables, totals = {}, {name: Trial(name, 0.0, 0.0, 0) for name in CODECS}
    raw_total = 0
    for band, pixels in arrays.items():
        blocks = [block.tobytes() for block in delta_blocks(pixels)]
        raw = sum(map(len, blocks))
        trials = [best_of(repeats, name, partial(_encoded, blocks, *CODECS[name])) for name in CODECS]
        for name in CODECS:
            _check(blocks, *CODECS[name])
        tables[f"codecs, {band}"] = rows(trials, raw)
        totals = {trial.candidate: _added(totals[trial.candidate], trial) for trial in trials}
        raw_total += raw
    return tables | {"codecs, all bands": rows(list(totals.values()), raw_total)}


def delta_blocks(pixels: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return all blocks of a raster after TIFF's predictor 2; the edge's are filled up with 0."""
    blocks = []
    for top in range(0, pixels.shape[0], _BLOCK):
        for left in range(0, pixels.shape[1], _BLOCK):
            window = pixels[top : top + _BLOCK, left : left + _BLOCK]
            block = np.zeros((_BLOCK, _BLOCK), pixels.dtype)
            block[: window.shape[0], 0] = window[:, 0]
            np.subtract(window[:, 1:], window[:, :-1], out=block[: window.shape[0], 1 : window.shape[1]])
            blocks.append(block)
    return blocks


def _encoded(blocks: list[bytes], encode: Codec, _decode: Codec) -> int:
    return sum(len(encode(block)) for block in blocks)


def _check(blocks: list[bytes], encode: Codec, decode: Codec) -> None:
    block = blocks[len(blocks) // 2]
    if decode(encode(block)) != block:
        raise ValueError("a block does not come back as it was")


def _added(total: Trial, trial: Trial) -> Trial:
    return Trial(
        total.candidate,
        total.wall_seconds + trial.wall_seconds,
        total.cpu_seconds + trial.cpu_seconds,
        total.output_bytes + trial.output_bytes,
    )
