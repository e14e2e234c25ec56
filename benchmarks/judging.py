"""Judging what contenders wrote: ``python -m benchmarks.judging``, a process of its own for its memory's sake."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alos_mosaic.bands import MASK, Band, bands_of
from alos_mosaic.missions import mission_of
from benchmarks.rasters import DifferentPixelsError, common_bytes, compare_band


def judge(outputs: dict[str, Path], year: int, ours: list[str], reference: str) -> dict[str, Any]:
    """Return each contender's bytes over the blocks that all have, and how its pixels compare with the reference's.

    ``outputs`` are folders by contender, of any depth below. Only the pixels of ``ours`` are compared; a tile that
    lacks a band, or has other pixels, raises :class:`~benchmarks.rasters.DifferentPixelsError`.
    """
    bands = bands_of(mission_of(year))
    found = {name: {band.code: _find(folder, band) for band in bands} for name, folder in outputs.items()}
    sums = dict.fromkeys(outputs, 0)
    for band in bands:
        sizes = common_bytes([found[name][band.code] for name in outputs])
        sums = {name: total + size for (name, total), size in zip(sums.items(), sizes, strict=True)}
    masks = found.get(reference, {})
    compared = {
        name: [
            asdict(compare_band(found[name][band.code], masks[band.code], masks[MASK.code], band.resampling))
            for band in bands
        ]
        for name in ours
        if masks and name in found
    }
    return {"bytes": sums, "compared": compared}


def _find(folder: Path, band: Band) -> Path:
    paths = sorted(folder.rglob(f"*_sl_{band.code}*.tif"))
    if len(paths) != 1:
        raise DifferentPixelsError(f"{folder} has {len(paths)} rasters of {band.code}, not one")
    return paths[0]


def main(arguments: list[str] | None = None) -> None:
    """Print the verdict as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--outputs", required=True, help="JSON: folder by contender")
    parser.add_argument("--year", type=int, required=True)
    parser.add_argument("--ours", nargs="*", default=[])
    parser.add_argument("--reference", required=True)
    options = parser.parse_args(arguments)
    outputs = {name: Path(folder) for name, folder in json.loads(options.outputs).items()}
    print(json.dumps(judge(outputs, options.year, options.ours, options.reference)))


if __name__ == "__main__":
    main()
