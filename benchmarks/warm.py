"""``make bench-warm``: tiles one after the other in one process, as in a warm Lambda: does its memory grow?"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from alos_mosaic.messages import Mode, TileRequest, TileYear
from alos_mosaic.processing.pipeline import Workplace, process_tile, work_folder
from alos_mosaic.processing.publish import open_target
from alos_mosaic.results import State
from benchmarks.archives import TILE, ArchiveSpec
from benchmarks.machine import this_machine

_REPOSITORY: Final = Path(__file__).parents[1]
_RESULTS: Final = Path(__file__).with_name("results") / "warm.json"
_STATUS: Final = Path("/proc/self/statm")
_EARLY: Final = 5
"""Tiles after which pools and caches are filled."""


def main() -> None:
    """Measure the memory after each tile, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=20)
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--forms", nargs="+", default=["envi", "geotiff"])
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--one-form", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_form:
        print(json.dumps(_memories(options.one_form, options.cells, options.tiles)))
        return
    console = Console(width=120, highlight=False)
    report: dict[str, Any] = {"machine": asdict(this_machine()), "tiles": options.tiles, "cells": options.cells}
    for form in options.forms:
        command = [sys.executable, "-m", "benchmarks.warm", "--one-form", form]
        sizes = ["--cells", str(options.cells), "--tiles", str(options.tiles)]
        done = subprocess.run([*command, *sizes], cwd=_REPOSITORY, stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        early = statistics.median(found["rss_bytes"][_EARLY : 2 * _EARLY] or found["rss_bytes"])
        late = statistics.median(found["rss_bytes"][-_EARLY:])
        report[form] = {**found, "early_bytes": early, "late_bytes": late}
        console.print(
            f"{form}, {options.cells} cells: {early / 1e6:.0f} MB after tiles {_EARLY + 1} to {2 * _EARLY}, "
            f"{late / 1e6:.0f} MB after the last {_EARLY} of {options.tiles}, at most {found['peak_bytes'] / 1e6:.0f}"
        )
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    console.print(f"Written: {options.results}")


def _memories(form: str, cells: int, tiles: int) -> dict[str, Any]:
    """Make one tile again and again and return what the process holds after each, and the most it ever held."""
    spec = ArchiveSpec(form, cells)
    kept = _REPOSITORY / "build" / "bench" / "archives"
    if not spec.path(kept).exists():
        made = [sys.executable, "-m", "benchmarks.archives", "--form", form, "--cells", str(cells)]
        size = ["--cell-pixels", str(spec.cell_pixels), "--kept", str(kept)]
        subprocess.run([*made, *size], stdout=subprocess.DEVNULL, check=True)
    held, peak = [], 0
    with tempfile.TemporaryDirectory(prefix="bench-warm-") as name:
        for number in range(tiles):
            out = Path(name) / f"out-{number}"
            out.mkdir()
            with work_folder(Path(name)) as work:
                place = Workplace(spec.mirror(kept).as_uri(), open_target(out.as_uri(), None), work)
                result = process_tile(TileRequest(TileYear(spec.year, TILE), Mode.OVERWRITE), place)
            if result.state is not State.PUBLISHED:
                raise SystemExit(f"tile {number} is {result.state}")
            shutil.rmtree(out)
            gc.collect()
            peak = max(peak, result.peak_memory_bytes)
            held.append(int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return {"rss_bytes": held, "peak_bytes": peak}


if __name__ == "__main__":
    main()
