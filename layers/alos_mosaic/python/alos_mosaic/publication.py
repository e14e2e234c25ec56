"""Publication times: since when a tile is published, read off the output itself, never off a record of ours."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Final

from alos_mosaic.messages import TileRequest
from alos_mosaic.naming import item_key
from alos_mosaic.products import product_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READERS: Final = 32
"""Items looked for in S3 at once; the client wants as many connections."""


class Publications:
    """What is published in a bucket, below a prefix."""

    def __init__(self, s3: S3Client, output_uri: str) -> None:
        bucket, _, prefix = output_uri.removeprefix("s3://").partition("/")
        self._s3, self._bucket, self._prefix = s3, bucket, f"{prefix}/" if prefix else ""

    def time_of(self, request: TileRequest) -> datetime | None:
        """Return when a tile's item was written last, by S3's clock; None if there is none.

        The key is listed, not asked for: without leave to list, S3 answers 403 for what is missing.
        """
        year = request.tile_year.year
        key = self._prefix + item_key(product_of(year, request.product), year, request.tile_year.tile)
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", ())
        return next((entry["LastModified"] for entry in found if entry["Key"] == key), None)

    def missing(self, requests: Iterable[TileRequest]) -> tuple[TileRequest, ...]:
        """Return those of the requests that were not published since the time each of them names, in their order."""
        asked = tuple(requests)
        with ThreadPoolExecutor(READERS) as readers:
            times = tuple(readers.map(self.time_of, asked))
        return tuple(
            request
            for request, time in zip(asked, times, strict=True)
            if time is None or request.since is None or time <= request.since
        )
