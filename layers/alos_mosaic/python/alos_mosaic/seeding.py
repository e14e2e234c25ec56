"""Seeding: from a run's request to its manifest, the list of tiles the state machine fans out over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import ArchiveKind, known_years, tiles_of_any_year, tiles_of_year
from alos_mosaic.messages import SCHEMA_VERSION, RunRequest, TileYear
from alos_mosaic.naming import manifest_key
from alos_mosaic.settings import SeedSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def tiles_to_seed(request: RunRequest) -> tuple[TileYear, ...]:
    """Return the tiles of a run, years first, each once.

    Of a region or a box those that the inventory knows for the year; of a year that it does not know, all that exist
    in any year. Tiles that were named are seeded as asked: what JAXA lacks comes out absent.
    :class:`InvalidRequestError` if nothing is left.
    """
    seeded = tuple(
        TileYear(year, tile)
        for year in request.years
        for tile in request.tiles
        if request.are_named or tile in _published(year, ArchiveKind.of_product(request.product))
    )
    if not seeded:
        years = ", ".join(map(str, request.years))
        raise InvalidRequestError(
            f"JAXA publishes none of the {len(request.tiles)} selected tiles in {years}, as far as its listings tell; "
            "name them in tiles to have them tried all the same"
        )
    return seeded


def _published(year: int, kind: ArchiveKind) -> frozenset[Tile]:
    return tiles_of_year(year, kind) if year in known_years(kind) else tiles_of_any_year(kind)


def seed_run(event: dict[str, Any], settings: SeedSettings, s3: S3Client) -> dict[str, Any]:
    """Write the manifest of a run and return where it lies and how it is to be worked off.

    ``event`` holds the run's name and the execution's input as it came; :class:`InvalidRequestError` if the input makes
    no sense or selects nothing that JAXA publishes. Only pointers and numbers are returned: lists travel through S3.
    """
    run = event["run"]
    request = RunRequest.from_input(event["input"], settings.default_region)
    tiles = tiles_to_seed(request)
    wanted = request.max_concurrency or settings.default_max_concurrency
    cap = request.max_tiles or settings.max_tiles_ceiling
    body = json.dumps([tile_year.to_dict() for tile_year in tiles])
    s3.put_object(
        Bucket=settings.runs_bucket, Key=manifest_key(run), Body=body.encode(), ContentType="application/json"
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "mode": request.mode.value,
        "product": request.product,
        "accept_partial": request.accept_partial,
        "bucket": settings.runs_bucket,
        "key": manifest_key(run),
        "count": len(tiles),
        "max_concurrency": min(wanted, settings.max_concurrency_ceiling),
        "max_tiles": min(cap, settings.max_tiles_ceiling),
    }
