"""Where on its way a tile is when something goes wrong."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """A part of a tile's way, in their order."""

    FIND = "find"
    TRANSFER = "transfer"
    UNPACK = "unpack"
    WRITE = "write"
    DISK = "work folder"
    PUBLISH = "publish"
    RECORD = "record"
