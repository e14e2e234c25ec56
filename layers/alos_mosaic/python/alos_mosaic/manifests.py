"""Manifests: the lists of tiles that the state machine fans out over, one line a tile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from alos_mosaic import estimates
from alos_mosaic.errors import InvalidRequestError, shown
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
    """Return a run's manifest, or None if there is none; :class:`InvalidRequestError` if it makes no sense.

    It is listed first: without leave to list, S3 answers 403 for what is missing.
    """
    key = manifest_key(run)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
        return None
    answer = s3.get_object(Bucket=bucket, Key=key)
    try:
        requests = parse_manifest(answer["Body"].read())
    except InvalidRequestError as error:
        raise InvalidRequestError(f"s3://{bucket}/{key} is no manifest: {error}") from error
    return Manifest(requests, answer["LastModified"], answer["Metadata"])


def parse_manifest(content: bytes) -> tuple[TileRequest, ...]:
    """Return the tiles that a manifest lists; :class:`InvalidRequestError` if it is none of ours, or was spoilt."""
    try:
        lines = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"no JSON: {error}") from error
    if not isinstance(lines, list):
        raise InvalidRequestError(f"a list of tiles was expected, not {shown(lines)}")
    return tuple(map(_request_of, lines))


def _request_of(line: object) -> TileRequest:
    if isinstance(line, dict):
        line = {name: value for name, value in line.items() if name != "first_run"}
    return TileRequest.from_event(line)


class Asked(Protocol):
    """What a request for any kind of run says of its size."""

    @property
    def max_concurrency(self) -> int | None:
        """Tiles at once."""

    @property
    def max_tiles(self) -> int | None:
        """Tiles in all."""

    @property
    def max_usd(self) -> float | None:
        """US dollars that it may be estimated at."""


def seeded(run: str, bucket: str, requests: Sequence[TileRequest], limits: RunLimits, asked: Asked) -> dict[str, Any]:
    """Return where a run's manifest lies, how it is to be worked off, and whether it may: what the state machine needs.

    It compares ``count`` with ``max_tiles`` and ``estimated_usd`` with ``max_usd``, neither above the deployment's.
    """
    wanted = asked.max_concurrency or limits.default_max_concurrency
    count, usd = len(requests), estimates.estimated_usd(requests, limits)
    max_usd = min(asked.max_usd or limits.max_usd_ceiling, limits.max_usd_ceiling)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "bucket": bucket,
        "key": manifest_key(run),
        "count": count,
        "max_concurrency": min(wanted, limits.max_concurrency_ceiling),
        "max_tiles": min(asked.max_tiles or limits.max_tiles_ceiling, limits.max_tiles_ceiling),
        "estimated_usd": usd,
        "max_usd": max_usd,
        "cost_refusal": estimates.refusal(requests, usd, max_usd, limits) if usd > max_usd else "",
    }


def is_within_caps(seed: Mapping[str, Any]) -> bool:
    """Tell whether the state machine will let a run begin; one that it refuses is to leave nothing behind."""
    return bool(seed["count"] <= seed["max_tiles"] and seed["estimated_usd"] <= seed["max_usd"])


def manifest_of(s3: S3Client, bucket: str, run: str) -> Manifest:
    """Return the manifest of a run that must be there; :class:`InvalidRequestError` if it is not."""
    manifest = read_manifest(s3, bucket, run)
    if manifest is None:
        raise InvalidRequestError(f"there is no run called {run!r}, or its records have expired")
    return manifest
