"""Make reports of invented runs and plans to look at: ``python -m tests.pages.make FOLDER``.

They are what a person meets: a run in which all is well, one with failures, several years, the globe, one tile, nothing
but failures, and texts that attack; plans of a region, of years, of the globe, and of nothing to do.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from alos_mosaic.cli.selection import run_command
from alos_mosaic.costs import Architecture
from alos_mosaic.grid import Tile, tiles_of_region
from alos_mosaic.inventory import cells_of_tile, known_years, tiles_of_year
from alos_mosaic.messages import RunRequest
from alos_mosaic.plan_page import plan_page
from alos_mosaic.planning import Machine, Plan, plan_run
from alos_mosaic.products import Product
from alos_mosaic.report import Picture, report_page
from alos_mosaic.results import UNKNOWN, State, TileResult

_AFRICA: Final = frozenset(tiles_of_region("africa"))
_LOG: Final = "/aws/lambda/AlosMosaic-ProcessTile 2026/11/24/[7]abcdef0123456789"
_HOSTILE: Final = "</script><script>alert('cause')</script><img src=https://example.org/x onerror=alert('img')>"
_THUMBNAIL: Final = (  # a blue pixel
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNgYPj/HwADAgH/"
    "p8RkXwAAAABJRU5ErkJggg=="
)
_CAUSES: Final[tuple[tuple[str, str], ...]] = (
    ("SourceUnavailableError", "ftp.eorc.jaxa.jp: 421 Too many connections (8) from this address"),
    ("CorruptArchiveError", "{tile}_20_MOS_F02DAR.tar.gz: the gzip stream ends after 85186 of 2677726 bytes"),
    ("CorruptArchiveError", "member {tile}_20_sl_HH_F02DAR.tif is 4499 x 4500 pixels, not 4500 x 4500"),
    (UNKNOWN, "the worker left no result: it timed out, ran out of memory or never started"),
    ("OutputError", "can't write {tile}_20_sl_HH_F02DAR.tif: " + "No space left on device; " * 40),
    ("Runtime.ExitError", "RequestId: 0b7e1c5a-93d3-4c1f-8a56-7f8e5d0d9a11 Error: Runtime exited with error"),
)


@dataclass(frozen=True)
class Scene:
    """An invented run; shares are of its tiles."""

    run: str
    years: tuple[int, ...]
    tiles: Callable[[int], Iterable[Tile]]
    failed: float = 0
    absent: float = 0
    skipped: float = 0


def _africa(year: int) -> list[Tile]:
    return [tile for tile in tiles_of_year(year) if tile in _AFRICA]


def _one(year: int) -> list[Tile]:
    return [Tile.from_name("N25W165")]


SCENES: Final = {
    "ordinary": Scene("africa-2020", (2020,), _africa, absent=0.01, skipped=0.1),
    "failures": Scene("africa-2020", (2020,), _africa, failed=0.1, absent=0.02, skipped=0.1),
    "years": Scene("africa-five-years", (2007, 2009, 2015, 2017, 2020), _africa, 0.03, 0.01, 0.3),
    "globe": Scene("globe-2020", (2020,), tiles_of_year, 0.02, 0.004, 0.05),
    "pair": Scene("globe-2017-and-2020", (2017, 2020), tiles_of_year, 0.01, 0.004, 0.3),
    "decade": Scene("globe-decade", known_years()[-10:], tiles_of_year, 0.01, 0.004, 0.1),
    "all-failed": Scene("globe-2020", (2020,), tiles_of_year, failed=1),
    "one": Scene("a-tile", (2020,), _one),
}


def summary_of(scene: Scene) -> dict[str, Any]:
    """Return a run's summary as it would be kept; the same every time."""
    dice = random.Random(1)
    results = [_result(scene, year, tile, dice) for year in scene.years for tile in sorted(scene.tiles(year))]
    found = Counter(result.state for result in results)
    counts = {state.value: found[state] for state in State}
    return {
        "run": scene.run,
        "sentence": f"{', '.join(f'{count} {state}' for state, count in counts.items())} of {len(results)} seeded",
        "complete": not found[State.FAILED],
        "known_absent": found[State.ABSENT],
        "started": "2026-11-23T20:30:00Z",
        "ended": "2026-11-24T13:12:41Z",
        "deployment": {"stack": "AlosMosaic", "aws_region": "ap-northeast-1"},
        "worker": {"memory_mib": 2048, "architecture": "x86_64", "ephemeral_storage_mib": 10_240},
        "tiles": [result.to_dict() for result in results],
    }


def _result(scene: Scene, year: int, tile: Tile, dice: random.Random) -> TileResult:
    facts: dict[str, Any] = {"year": year, "tile": tile.name, "run": scene.run}
    drawn = dice.random()
    if drawn < scene.failed:
        error, cause = dice.choice(_CAUSES)
        log = None if error == UNKNOWN else _LOG
        return TileResult(State.FAILED, **facts, attempt=2, error=error, cause=cause.format(tile=tile), log=log)
    if drawn < scene.failed + scene.absent:
        return TileResult(State.ABSENT, **facts, cause="550 no such file", seconds={"check": 0.1, "gather": 0.5})
    facts["item_uri"] = f"s3://out/alos_palsar_mosaic/{year}/{tile}/{tile}_{year % 100:02d}.stac-item.json"
    if drawn < scene.failed + scene.absent + scene.skipped:
        return TileResult(State.SKIPPED, **facts, seconds={"check": 0.3})
    cells = tuple(cell.name for cell in cells_of_tile(year, tile))
    gather = len(cells) * dice.uniform(10, 25)
    stages = {"check": 0.2, "gather": gather, "transfer": gather * 0.9, "write": len(cells) * 0.4, "publish": 12.0}
    return TileResult(
        State.PUBLISHED,
        **facts,
        cells=cells,
        defective_cells=cells[:1] if dice.random() < 0.02 else (),
        archive={"size": int(len(cells) * dice.uniform(50e6, 90e6))},
        output_bytes=int(len(cells) * dice.uniform(60e6, 95e6)),
        valid_percent=round(len(cells) * dice.uniform(2, 4), 4),
        water_percent=round(dice.uniform(0, 20), 4),
        seconds=stages,
    )


_PLANNED: Final = datetime(2026, 11, 24, 6, tzinfo=UTC)
PLANS: Final[dict[str, tuple[dict[str, Any], float]]] = {
    "plan": ({"years": [2020], "region": "africa"}, 0.4),
    "plan-years": ({"years": [2010, 2017, 2020, 2022], "region": "africa"}, 0.3),
    "plan-globe": ({"years": [2020]}, 0.1),
    "plan-done": ({"years": [2020], "region": "africa"}, 1),
    "plan-tile": ({"years": [2020], "tiles": ["N25W165"]}, 0),
    "plan-edge": ({"years": [2020], "bbox": [170, -25, -170, -10]}, 0),
}
"""Runs that are asked for, and the share of their tiles that is published."""


def plan_of(given: dict[str, Any], published: float) -> Plan:
    """Return the plan of a run before which that share of its tiles is published; the same every time."""
    dice = random.Random(1)

    def there(_product: Product, year: int) -> frozenset[Tile]:
        return frozenset(tile for tile in sorted(tiles_of_year(year)) if dice.random() < published)

    machine = Machine(2048, Architecture.X86_64, 10_240, concurrency=2)
    return plan_run(RunRequest.from_input(given, "global"), machine, there)


def _hostile() -> str:
    failed = TileResult(State.FAILED, 2020, "N10E010", error=f"Odd{_HOSTILE}", cause=_HOSTILE * 9, log=_HOSTILE)
    summary = {"run": _HOSTILE, "sentence": _HOSTILE, "tiles": [failed.to_dict()]}
    return report_page(summary)


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, scene in SCENES.items():
        pictures = {"2020/N25W165": Picture("quicklooks/2020-N25W165.webp", _THUMBNAIL)} if name == "one" else {}
        (folder / f"{name}.html").write_text(report_page(summary_of(scene), pictures), "utf-8")
    for name, (given, published) in PLANS.items():
        page = plan_page(plan_of(given, published), _PLANNED, run_command(given))
        (folder / f"{name}.html").write_text(page, "utf-8")
    (folder / "hostile.html").write_text(_hostile(), "utf-8")
    (folder / "empty.html").write_text(report_page({"run": "nothing", "tiles": []}), "utf-8")


if __name__ == "__main__":
    main()
