"""Checksums, as items carry them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_SHA256_MULTIHASH_PREFIX: Final = "1220"
"""STAC's ``file:checksum`` is a multihash: 0x12 says sha2-256, 0x20 its length of 32 bytes."""


def sha256_of(path: Path) -> str:
    """Return a file's sha256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_multihash(sha256: str) -> str:
    """Return a sha256 in the form of ``file:checksum``."""
    return _SHA256_MULTIHASH_PREFIX + sha256


def from_multihash(checksum: str) -> str:
    """Return the sha256 of a ``file:checksum``; ValueError if it is another kind of checksum."""
    if not checksum.startswith(_SHA256_MULTIHASH_PREFIX):
        raise ValueError(f"{checksum} is no sha256 multihash")
    return checksum.removeprefix(_SHA256_MULTIHASH_PREFIX)
