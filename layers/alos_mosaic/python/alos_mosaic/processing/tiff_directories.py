"""The chain of directories in a TIFF, counted before GDAL follows it: it keeps some 4 KB of memory for each.

Header and directories as in TIFF 6.0 (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf) and BigTIFF
(https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from alos_mosaic.errors import CorruptArchiveError

MOST_DIRECTORIES: Final = 64
"""JAXA's files have one; with overviews and masks it would be a few."""


@dataclass(frozen=True)
class _Form:
    """How one of the two kinds of TIFF spells offsets and counts."""

    first_at: int
    offset: str
    count: str
    entry_bytes: int


_FORMS: Final = {42: _Form(4, "I", "H", 12), 43: _Form(8, "Q", "Q", 20)}


def check_directories(content: bytes | bytearray | memoryview, name: str) -> None:
    """Raise :class:`CorruptArchiveError` for a TIFF whose chain of directories is longer than any of ours, or endless.

    What is no TIFF, or breaks off, is for GDAL to refuse.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(content[:2]))
    if order is None or len(content) < 8:  # noqa: PLR2004 - a header's bytes
        return
    form = _FORMS.get(struct.unpack_from(f"{order}H", content, 2)[0])
    if form is None:
        return
    at = form.first_at
    try:
        for _ in range(MOST_DIRECTORIES + 1):
            (directory,) = struct.unpack_from(order + form.offset, content, at)
            if directory == 0:
                return
            (entries,) = struct.unpack_from(order + form.count, content, directory)
            at = directory + struct.calcsize(order + form.count) + entries * form.entry_bytes
    except (struct.error, OverflowError):
        return
    raise CorruptArchiveError(f"{name} has more than {MOST_DIRECTORIES} directories")
