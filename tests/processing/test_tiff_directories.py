"""TIFFs with more directories than any of ours: refused before GDAL sees them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.processing.tiff_directories import MOST_DIRECTORIES, check_directories


def chain(length: int, *, big: bool = False, order: str = "<") -> bytes:
    """A TIFF that is nothing but empty directories."""
    offset, count = ("Q", "Q") if big else ("I", "H")
    size = struct.calcsize(order + count) + struct.calcsize(order + offset)
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "HHH", 43, 8, 0) if big else mark + struct.pack(order + "H", 42)
    first = len(head) + struct.calcsize(order + offset)
    body = b"".join(
        struct.pack(order + count, 0)
        + struct.pack(order + offset, 0 if number + 1 == length else first + (number + 1) * size)
        for number in range(length)
    )
    return head + struct.pack(order + offset, first) + body


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_chain_that_is_too_long_is_refused(big: bool, order: str) -> None:
    check_directories(chain(MOST_DIRECTORIES, big=big, order=order), "HH.tif")
    with pytest.raises(CorruptArchiveError, match="HH.tif has more than 64 directories"):
        check_directories(chain(MOST_DIRECTORIES + 1, big=big, order=order), "HH.tif")


def test_a_chain_without_end_is_refused() -> None:
    endless = b"II" + struct.pack("<HIHI", 42, 8, 0, 8)
    with pytest.raises(CorruptArchiveError, match="directories"):
        check_directories(endless, "HH.tif")


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"no TIFF at all", chain(3)[:20]])
def test_what_breaks_off_is_left_to_gdal(content: bytes) -> None:
    check_directories(content, "HH.tif")


def test_a_file_of_gdals_passes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    place = Affine(0.5, 0, 0, 0, -0.5, 0)
    profile = {"driver": "COG", "transform": place, "width": 600, "height": 600, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.ones((1, 600, 600), np.uint16))
    check_directories(path.read_bytes(), path.name)
