"""The table of contenders. Each runs as a process of its own, start-up included."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMMAND: Final = str(Path(sys.executable).with_name("alos-mosaic"))


@dataclass(frozen=True)
class Assignment:
    """One tile to be made: from an archive, in a work folder, into an output folder (both exist and are empty)."""

    archive: Path
    mirror: Path
    """The folder that holds JAXA's tree with the archive in it, for who reads a source."""
    year: int
    tile: str
    work: Path
    out: Path


OURS, FLOOR, OTHER = "ours", "floor", "other"
"""Kinds of contenders. The floor is what can't be undercut; it writes nothing, so there is nothing to compare."""


@dataclass(frozen=True)
class Contender:
    """One way of making the tile."""

    name: str
    title: str
    arguments: tuple[str, ...]
    """Behind ``process`` for ours; a module of :mod:`benchmarks.contenders` and its arguments for the others."""
    contains: str
    """What its numbers contain."""
    codec: str
    kind: str = OTHER

    def command(self, given: Assignment) -> list[str]:
        """Return the command that does the assignment."""
        if self.kind == OURS:
            places = ("--source", given.mirror.as_uri(), "--to", given.out.as_uri(), "--work", str(given.work))
            return [_COMMAND, "process", f"{given.year}/{given.tile}", *places, "--json", *self.arguments]
        module, *rest = self.arguments
        places = ("--archive", str(given.archive), "--work", str(given.work), "--out", str(given.out))
        return [sys.executable, "-m", f"benchmarks.contenders.{module}", *rest, *places]


_LEFT_OUT: Final = "no checksums, quicklook, metadata"
_EVERYTHING: Final = "everything published: COGs, checksums, statistics, quicklook, STAC item, EO3, copy to the target"

CONTENDERS: Final = (
    Contender(
        "ancestor", "ancestor's steps", ("gdal_steps", "--recipe", "ancestor"),
        f"extraction, VRT, rio-cogeo (DEFLATE 9, predictor 2, 5 overviews average / nearest); {_LEFT_OUT}", "deflate",
    ),
    Contender(
        "successor", "successor's steps", ("gdal_steps", "--recipe", "successor"),
        f"extraction, VRT, rio-cogeo's profile 'deflate'; {_LEFT_OUT}", "deflate",
    ),
    Contender(
        "gdal-deflate", "GDAL's COG driver, DEFLATE 1", ("gdal_steps", "--recipe", "gdal-deflate"),
        f"extraction, VRT, COG driver (predictor, all cores, RMS / average / mode); {_LEFT_OUT}", "deflate",
    ),
    Contender(
        "gdal-zstd", "GDAL's COG driver, ZSTD 1", ("gdal_steps", "--recipe", "gdal-zstd"),
        f"extraction, VRT, COG driver (predictor, all cores, RMS / average / mode); {_LEFT_OUT}", "zstd",
    ),
    Contender("ours", "ours, DEFLATE", (), _EVERYTHING, "deflate", kind=OURS),
    Contender("ours-zstd", "ours, ZSTD", ("--codec", "zstd"), _EVERYTHING, "zstd", kind=OURS),
    Contender(
        "floor", "floor, DEFLATE", ("floor", "--codec", "deflate"),
        "decompression once, compression of all blocks once, all cores; nothing is resampled or written", "deflate",
        kind=FLOOR,
    ),
    Contender(
        "floor-zstd", "floor, ZSTD", ("floor", "--codec", "zstd"),
        "decompression once, compression of all blocks once, all cores; nothing is resampled or written", "zstd",
        kind=FLOOR,
    ),
)  # fmt: skip
"""In the order they run and are shown."""

REFERENCE: Final = "gdal-deflate"
"""Whose pixels ours are compared with: the same grid, the same kinds of overviews, made by GDAL alone."""


def available(contenders: Iterable[Contender] = CONTENDERS) -> tuple[Contender, ...]:
    """Return the contenders that can run: ours with an option only where ``alos-mosaic process`` has that option."""
    wide = {"COLUMNS": "200", "TERM": "dumb", "PATH": ""}
    told = subprocess.run([_COMMAND, "process", "--help"], capture_output=True, text=True, check=True, env=wide).stdout
    return tuple(row for row in contenders if row.kind != OURS or all(option in told for option in row.arguments[:1]))
