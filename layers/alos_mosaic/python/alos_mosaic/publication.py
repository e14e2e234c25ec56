"""Publication times: since when a tile is published, read off the output itself, never off a record of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.grid import Tile
from alos_mosaic.messages import Mode, TileRequest, parse_time
from alos_mosaic.naming import item_key, parse_item_key
from alos_mosaic.products import Product, product_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READERS: Final = 32
"""Items looked for in S3 at once; the client wants as many connections."""
PIXELS_MADE: Final = "alos_mosaic:pixels_made"
"""When a tile's pixels were made whose documents are younger (``updated``), having been rebuilt without them."""


def done_at(properties: Mapping[str, Any], mode: Mode) -> datetime | None:
    """Return when that was done which a mode asks for, by an item's properties; None if they do not tell.

    >>> rebuilt = {"updated": "2026-11-24T06:00:00Z", "alos_mosaic:pixels_made": "2026-11-20T06:00:00Z"}
    >>> done_at(rebuilt, Mode.OVERWRITE).day, done_at(rebuilt, Mode.METADATA_ONLY).day
    (20, 24)
    """
    updated = properties.get("updated")
    try:
        return parse_time(str(updated if mode is Mode.METADATA_ONLY else properties.get(PIXELS_MADE, updated)))
    except ValueError:
        return None


class Publications:
    """What is published in a bucket, below a prefix."""

    def __init__(self, s3: S3Client, output_uri: str) -> None:
        bucket, _, prefix = output_uri.removeprefix("s3://").partition("/")
        self._s3, self._bucket, self._prefix = s3, bucket, f"{prefix}/" if prefix else ""

    def tiles(self, product: Product, year: int) -> frozenset[Tile]:
        """Return the tiles of a product and year that have an item, by one listing."""
        return frozenset(tile for tile, _ in self.items(product, year))

    def items(self, product: Product, year: int) -> Iterator[tuple[Tile, str]]:
        """Yield the tiles of a product and year that have an item, and its whole key, as the listing goes on."""
        folder = f"{self._prefix}{product.name}/{year}/"
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            place = parse_item_key(entry["Key"].removeprefix(self._prefix))
            if place is not None:
                yield place[2], entry["Key"]

    def time_of(self, request: TileRequest) -> datetime | None:
        """Return when a tile was published as it is asked for, None if it was not.

        Whoever only rebuilt its documents did not make its pixels, and a partial tile is not whole. The key is listed
        first: without leave to list, S3 answers 403 for what is missing.
        """
        year = request.tile_year.year
        key = self._prefix + item_key(product_of(year, request.product), year, request.tile_year.tile)
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", ())
        if key not in [entry["Key"] for entry in found]:
            return None
        try:
            properties = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())["properties"]
            if properties.get("alos_mosaic:cells_defective") and not request.accept_partial:
                return None
            return done_at(properties, request.mode)
        except (self._s3.exceptions.NoSuchKey, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

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
