"""Manifests: the lists of tiles that the state machine fans out over, one line a tile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.messages import SCHEMA_VERSION, TileRequest
from alos_mosaic.naming import manifest_key
from alos_mosaic.settings import RunLimits

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Manifest:
    """A run's list of tiles, as it lies in S3."""

    requests: tuple[TileRequest, ...]
    written: datetime
    """S3's own time of it."""
    metadata: Mapping[str, str]


def write_manifest(
    s3: S3Client,
    bucket: str,
    run: str,
    requests: Sequence[TileRequest],
    *,
    first_runs: Mapping[TileRequest, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a run's manifest; ``first_runs`` names the runs in which tiles failed that this one goes on with."""
    links = first_runs or {}
    lines = [request.to_line() | ({"first_run": links[request]} if request in links else {}) for request in requests]
    s3.put_object(
        Bucket=bucket,
        Key=manifest_key(run),
        Body=json.dumps(lines).encode(),
        ContentType="application/json",
        Metadata=dict(metadata or {}),
    )


def read_manifest(s3: S3Client, bucket: str, run: str) -> Manifest | None:
    """Return a run's manifest, or None if there is none.

    It is listed first: without leave to list, S3 answers 403 for what is missing.
    """
    key = manifest_key(run)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
        return None
    answer = s3.get_object(Bucket=bucket, Key=key)
    lines = json.loads(answer["Body"].read())
    return Manifest(tuple(map(_request_of, lines)), answer["LastModified"], answer["Metadata"])


def _request_of(line: dict[str, Any]) -> TileRequest:
    return TileRequest.from_event({name: value for name, value in line.items() if name != "first_run"})


def seeded(
    run: str, bucket: str, count: int, limits: RunLimits, max_concurrency: int | None, max_tiles: int | None
) -> dict[str, Any]:
    """Return where a run's manifest lies and how it is to be worked off: what the state machine goes on with."""
    wanted = max_concurrency or limits.default_max_concurrency
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "bucket": bucket,
        "key": manifest_key(run),
        "count": count,
        "max_concurrency": min(wanted, limits.max_concurrency_ceiling),
        "max_tiles": min(max_tiles or limits.max_tiles_ceiling, limits.max_tiles_ceiling),
    }


def manifest_of(s3: S3Client, bucket: str, run: str) -> Manifest:
    """Return the manifest of a run that must be there; :class:`InvalidRequestError` if it is not."""
    manifest = read_manifest(s3, bucket, run)
    if manifest is None:
        raise InvalidRequestError(f"there is no run called {run!r}, or its records have expired")
    return manifest
