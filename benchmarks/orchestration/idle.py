"""A worker that does nothing but end as it should: the tile Lambda's stand-in for measuring all that is around it."""

from __future__ import annotations

import functools
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import boto3

from alos_mosaic.errors import OutputError
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.naming import result_key
from alos_mosaic.outcomes import outcome_key
from alos_mosaic.results import State, TileResult
from alos_mosaic.settings import TileSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PERCENT: Final = 100
_FATES: Final = {0: State.FAILED, 1: State.ABSENT, 2: State.SKIPPED, 3: State.SKIPPED}
"""By the tile's number below 100; every other tile is published."""


def fate(tile: TileYear) -> State:
    """Return how a tile ends, the same each time.

    >>> fate(TileYear.from_text("2020/N10E010")).value
    'published'
    """
    number = zlib.crc32(f"{tile.year}/{tile.tile}".encode()) % _PERCENT
    return _FATES.get(number, State.PUBLISHED)


def expected_counts(tiles: Iterable[TileYear]) -> dict[str, int]:
    """Return the four counts of a run over these tiles."""
    found = Counter(fate(tile) for tile in tiles)
    return {state.value: found[state] for state in State}


def lambda_handler(event: object, _context: object) -> dict[str, Any]:
    """Record a result as the tile Lambda does, or fail with an error that is not tried again."""
    request, settings = TileRequest.from_event(event), TileSettings.from_env()
    state, tile = fate(request.tile_year), request.tile_year
    if state is State.FAILED:
        raise OutputError(f"{tile.year}/{tile.tile} fails on purpose")
    result = TileResult(state, tile.year, tile.tile.name, request.run)
    leave_record(_s3(), settings.runs_bucket, result)
    return result.to_dict()


def leave_record(s3: S3Client, bucket: str, result: TileResult) -> None:
    """Leave a result's record, and the key that tells it in short, as the tile Lambda does."""
    key = result_key(str(result.run), result.year, result.tile)
    record = s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(result.to_dict()).encode())
    if result.state is not State.FAILED:
        s3.put_object(Bucket=bucket, Key=outcome_key(result, record["ETag"]))


@functools.cache
def _s3() -> S3Client:
    return boto3.client("s3")
