"""Estimates: what a run will cost, before anything of it starts, by the formula of :mod:`alos_mosaic.costs`.

At the upper end: as if nothing were published yet, with a source as slow as the deployment's settings assume. What
tiles cost that are tried again is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.inventory import ArchiveKind, cells_of_tile
from alos_mosaic.messages import TileRequest
from alos_mosaic.quantities import counted, dollars
from alos_mosaic.settings import PriceSettings, RunLimits


def estimated_usd(requests: Iterable[TileRequest], settings: PriceSettings) -> float:
    """Return what tiles cost with the deployment's tile Lambda, in US dollars, to a hundredth of a cent."""
    return round(worker_of(settings).cost_of(map(_cells_of, requests)).total, 4)


def worker_of(settings: PriceSettings) -> Worker:
    """Return the deployment's tile Lambda, as the cost model has it."""
    return Worker(
        settings.assumed_megabytes_per_second * 1e6,
        settings.memory_mib,
        Architecture(settings.architecture),
        settings.ephemeral_storage_mib,
    )


def _cells_of(request: TileRequest) -> int:
    """Return how many cells a tile has, as JAXA's listings tell; all, where they do not."""
    year, tile = request.tile_year.year, request.tile_year.tile
    return len(cells_of_tile(year, tile, ArchiveKind.of_product(request.product))) or CELLS_PER_TILE


def refusal(count: int, usd: float, max_usd: float, limits: RunLimits) -> str:
    """Say why a run of so many tiles is refused that is estimated above its cap, and what to do about it."""
    ceiling = limits.max_usd_ceiling
    more = (
        f"raise max_usd (--max-usd), up to {dollars(ceiling)}"
        if max_usd < ceiling
        else "deploy with a higher max_usd_ceiling"
    )
    return (
        f"{counted(count, 'tile')} {'is' if count == 1 else 'are'} estimated at {dollars(usd)} (nothing "
        f"published yet, {limits.memory_mib} MiB of {limits.architecture}, "
        f"{limits.assumed_megabytes_per_second:g} MB/s from the source), the run's cap is {dollars(max_usd)}; "
        f"ask for fewer tiles, or {more}"
    )
