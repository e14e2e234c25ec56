"""The tables of docs/cost.md, out of the cost model: ``python -m local.cost_tables`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

from alos_mosaic.costs import MEMORIES_MIB, US_EAST_1, Architecture, Cost, Worker
from alos_mosaic.grid import CELLS_PER_TILE, REGIONS
from alos_mosaic.inventory import cells_of_tile, tiles_of_year

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "cost.md"
YEAR: Final = 2020
RATES_MB: Final = (1, 2, 5, 20)
_BLOCK: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cells_by_tile(region: str) -> list[int]:
    """Return how many cells each tile of a region has, as listed for :data:`YEAR`."""
    tiles = tiles_of_year(YEAR) & frozenset(REGIONS[region])
    return [len(cells_of_tile(YEAR, tile)) or CELLS_PER_TILE for tile in sorted(tiles)]


def filled(text: str) -> str:
    """Return a document with its tables made anew; they stand between ``<!-- table: name -->`` and ``<!-- end -->``."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_TABLES[found[2]]()}{found[3]}", text)


def _by_memory() -> str:
    heads = [
        "source",
        "memory",
        "one tile takes",
        "one tile",
        "Africa, a year",
        "the globe, a year",
        "arm64 (estimate)",
    ]
    africa, globe = cells_by_tile("africa"), cells_by_tile("global")
    rows = []
    for rate, memory in product(RATES_MB, MEMORIES_MIB):
        worker = Worker(rate * 1e6, memory)
        arm = Worker(rate * 1e6, memory, Architecture.ARM64)
        times = worker.times(CELLS_PER_TILE)
        again = f" in {times.invocations} invocations" if times.invocations > 1 else ""
        rows.append(
            [
                f"{rate} MB/s",
                f"{memory} MiB",
                f"{times.total_seconds:,.0f} s{again}",
                f"${worker.cost(CELLS_PER_TILE).total:.4f}",
                f"${worker.cost_of(africa).total:,.2f}",
                f"${worker.cost_of(globe).total:,.2f}",
                f"${arm.cost_of(globe).total:,.2f}",
            ]
        )
    return _table(heads, rows)


def _by_part() -> str:
    cost = Worker(5e6, MEMORIES_MIB[0]).cost(CELLS_PER_TILE)
    rows = [[title, f"${dollars:.6f}", f"{dollars / cost.total:.1%}"] for title, dollars in _parts(cost)]
    return _table(["paid for", "one tile", "share"], rows)


def _parts(cost: Cost) -> list[tuple[str, float]]:
    return [
        ("Lambda, memory", cost.lambda_memory),
        ("Lambda, /tmp above 512 MB", cost.lambda_tmp),
        ("Lambda, requests", cost.lambda_requests),
        ("Step Functions, transitions", cost.transitions),
        ("S3, requests", cost.s3),
        ("SQS", cost.sqs),
        ("all", cost.total),
    ]


def _prices() -> str:
    prices = US_EAST_1
    rows = [
        ["Lambda x86, GB-second", f"${prices.gb_second[Architecture.X86_64]:.10f}"],
        ["Lambda arm64, GB-second", f"${prices.gb_second[Architecture.ARM64]:.10f}"],
        ["Lambda, GB-second of /tmp above 512 MB", f"${prices.tmp_gb_second:.10f}"],
        ["Lambda, million requests", f"${prices.lambda_request * 1e6:.2f}"],
        ["Step Functions, 1000 transitions", f"${prices.transition * 1e3:.3f}"],
        ["S3, 1000 PUTs and listings", f"${prices.s3_put * 1e3:.4f}"],
        ["S3, 1000 GETs", f"${prices.s3_get * 1e3:.4f}"],
        ["SQS, million requests", f"${prices.sqs_request * 1e6:.2f}"],
    ]
    return _table([f"{prices.region}, {prices.date}", "price"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rule, *rows))


_TABLES: Final = {"by_memory": _by_memory, "by_part": _by_part, "prices": _prices}


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text("utf-8")), "utf-8")
