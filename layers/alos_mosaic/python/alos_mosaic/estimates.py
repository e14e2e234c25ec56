"""Estimates: what a run will cost, before anything of it starts, by the formula of :mod:`alos_mosaic.costs`.

At the upper end: as if nothing were published yet, with a source as slow as the deployment's settings assume. A run
that only describes tiles again is priced as that: as if all were published, and without the source. What tiles cost
that are tried again is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alos_mosaic.costs import Architecture, Worker
from alos_mosaic.grid import CELLS_PER_TILE
from alos_mosaic.inventory import ArchiveKind, cells_of_tile
from alos_mosaic.messages import Mode, TileRequest
from alos_mosaic.quantities import counted, dollars
from alos_mosaic.settings import PriceSettings, RunLimits


def estimated_usd(requests: Iterable[TileRequest], settings: PriceSettings) -> float:
    """Return what tiles cost with the deployment's tile Lambda, in US dollars, to a hundredth of a cent."""
    worker = worker_of(settings)
    return round(sum(in_mode(worker, each.mode).cost(_cells_of(each)).total for each in requests), 4)


def are_described(requests: Iterable[TileRequest]) -> bool:
    """Tell whether tiles are all only described again, so that no source is asked."""
    return {each.mode for each in requests} == {Mode.METADATA_ONLY}


def in_mode(worker: Worker, mode: Mode) -> Worker:
    """Return a worker as the cost model has it at tiles that are asked for with a mode."""
    return worker.describing() if mode is Mode.METADATA_ONLY else worker


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


def refusal(requests: Sequence[TileRequest], usd: float, max_usd: float, limits: RunLimits) -> str:
    """Say why a run over these tiles is refused that is estimated above its cap, and what to do about it."""
    count, ceiling = len(requests), limits.max_usd_ceiling
    there, source = "nothing published yet", f"{limits.assumed_megabytes_per_second:g} MB/s from the source"
    if are_described(requests):
        there, source = "all published", "nothing from the source"
    more = (
        f"raise max_usd (--max-usd), up to {dollars(ceiling)}"
        if max_usd < ceiling
        else "deploy with a higher max_usd_ceiling"
    )
    return (
        f"{counted(count, 'tile')} {'is' if count == 1 else 'are'} estimated at {dollars(usd)} ({there}, "
        f"{limits.memory_mib} MiB of {limits.architecture}, {source}), the run's cap is {dollars(max_usd)}; "
        f"ask for fewer tiles, or {more}"
    )
