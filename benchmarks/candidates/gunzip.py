"""What reads the tar.gz fastest, as a stream: bytes are counted and thrown away."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import rapidgzip
from isal import igzip, igzip_threaded
from zlib_ng import gzip_ng

from benchmarks.archives import ArchiveSpec, ensure_archive
from benchmarks.candidates.trial import best_of, rows

_CHUNK: Final = 1 << 20

READERS: Final[dict[str, Callable[[Path], Any]]] = {
    "gzip (zlib)": partial(gzip.open, mode="rb"),
    "zlib-ng": partial(gzip_ng.open, mode="rb"),
    "ISA-L": partial(igzip.open, mode="rb"),
    "ISA-L in a thread": partial(igzip_threaded.open, mode="rb", threads=1),
    "rapidgzip, 1 thread": lambda path: rapidgzip.open(str(path), parallelization=1),
    "rapidgzip, 2 threads": lambda path: rapidgzip.open(str(path), parallelization=2),
}


def try_gunzip(repeats: int, kept: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a table of readers over the archive of 4 cells."""
    spec = ArchiveSpec("envi", 4)
    path = ensure_archive(spec, kept)
    size = path.stat().st_size
    trials = [best_of(repeats, name, partial(_read, path, open_it), _note(name)) for name, open_it in READERS.items()]
    return {f"gunzip of {size / 1e6:.0f} MB to {spec.raw_bytes / 1e6:.0f} MB": rows(trials, spec.raw_bytes)}


def _read(path: Path, open_it: Callable[[Path], Any]) -> int:
    """Return the bytes read."""
    total, buffer = 0, bytearray(_CHUNK)
    with open_it(path) as stream:
        while count := stream.readinto(buffer):
            total += count
    return total


def _note(name: str) -> str:
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}" if "zlib)" in name else ""
