"""Seeding: from a run's request to its manifest, the list of tiles the state machine fans out over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alos_mosaic.messages import SCHEMA_VERSION, RunRequest
from alos_mosaic.naming import manifest_key
from alos_mosaic.settings import SeedSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def seed_run(event: dict[str, Any], settings: SeedSettings, s3: S3Client) -> dict[str, Any]:
    """Write the manifest of a run and return where it lies and how it is to be worked off.

    ``event`` holds the run's name and the execution's input as it came; :class:`InvalidRequestError` if the input makes
    no sense. Only pointers and numbers are returned: lists travel through S3.
    """
    run = event["run"]
    request = RunRequest.from_input(event["input"], settings.default_region)
    wanted = request.max_concurrency or settings.default_max_concurrency
    cap = request.max_tiles or settings.max_tiles_ceiling
    body = json.dumps([tile_year.to_dict() for tile_year in request.tiles])
    s3.put_object(
        Bucket=settings.runs_bucket, Key=manifest_key(run), Body=body.encode(), ContentType="application/json"
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "mode": request.mode.value,
        "product": request.product,
        "bucket": settings.runs_bucket,
        "key": manifest_key(run),
        "count": len(request.tiles),
        "max_concurrency": min(wanted, settings.max_concurrency_ceiling),
        "max_tiles": min(cap, settings.max_tiles_ceiling),
    }
