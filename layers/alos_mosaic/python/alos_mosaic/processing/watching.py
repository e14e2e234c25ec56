"""Watching: what the source has that is not published yet, or not any more as it is there now.

New is a year of which JAXA is not known to publish anything, of which nothing is published here, and of which the
source has archives all the same. Re-issued is a published tile whose archives differ by now in name, size or time.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from alos_mosaic.errors import SourceUnavailableError
from alos_mosaic.grid import Tile
from alos_mosaic.inventory import known_years
from alos_mosaic.layouts import Layout, layouts_of
from alos_mosaic.messages import Mode, TileYear
from alos_mosaic.missions import MISSIONS, mission_of
from alos_mosaic.processing.finding import has_archives
from alos_mosaic.processing.freshness import has_same_archives
from alos_mosaic.processing.sources.protocol import Source
from alos_mosaic.products import PRODUCTS, Product, product_of
from alos_mosaic.publication import Publications

logger = logging.getLogger(__name__)

READERS: Final = 16
"""Items read from S3 at once; the client wants as many connections."""
_READ_AHEAD: Final = 64
_MOST_UNCLEAR: Final = 5
"""Tiles about which the source may refuse to answer (one of whose cells it lists and does not serve, say)."""


@dataclass(frozen=True)
class News:
    """What is worth a run: a new year, or re-issued tiles of one."""

    year: int
    product: str | None = None
    """None is the year's own mosaic."""
    tiles: tuple[str, ...] = ()
    """Those whose archives are others now, or gone; none of a new year."""

    @property
    def sentence(self) -> str:
        """Say what is new."""
        what = "the mosaic" if self.product is None else self.product
        if not self.tiles:
            return f"{what} of {self.year} is new"
        shown = ", ".join(self.tiles[:5]) + (" ..." if len(self.tiles) > 5 else "")  # noqa: PLR2004
        return f"{what} of {self.year} has other archives now for {len(self.tiles)} of its tiles: {shown}"

    def to_input(self) -> dict[str, Any]:
        """Return the input of the run that publishes it."""
        given: dict[str, Any] = {"years": [self.year], "mode": Mode.REFRESH.value}
        given |= {} if self.product is None else {"product": self.product}
        return given | ({"tiles": list(self.tiles)} if self.tiles else {})


@dataclass(frozen=True)
class Findings:
    """What one look found."""

    news: tuple[News, ...]
    compared: int = 0
    """Published tiles whose archives were looked at."""
    not_compared: int = 0
    """Published tiles for which the time was too short, whose item tells no archive, or about which the source did not
    answer."""


class PublishedTiles(Publications):
    """The items below an output's products, to be read."""

    def has_any(self, product: Product, year: int) -> bool:
        """Tell whether anything of a year is published."""
        return next(self.items(product, year), None) is not None

    def read(self, key: str) -> Mapping[str, Any]:
        """Return an item; an empty one if it makes no sense or is gone by now."""
        try:
            item = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except (self._s3.exceptions.NoSuchKey, ValueError, RecursionError):
            return {}
        return item if isinstance(item, dict) and isinstance(item.get("properties"), dict) else {}


class Watch:
    """One look at a source."""

    def __init__(self, source: Source, published: PublishedTiles, extra: Sequence[Layout] = ()) -> None:
        self._source, self._published, self._extra = source, published, extra

    def look(self, years: Sequence[int], seconds_left: Callable[[], float]) -> Findings:
        """Return what is new, of any year, and what was re-issued of these; as far as the time goes.

        :class:`SourceUnavailableError` if the source does not answer.
        """
        news = [News(year) for year in self._unknown_years() if self._is_new(year)]
        compared = published = 0
        asked = [(product, year) for year in years for product in _products_of(year)]
        for product, year in asked:
            items = list(self._published.items(product, year))
            verdicts = dict(self._verdicts(product, year, items, seconds_left))
            reissued = sorted(tile.name for tile, is_same in verdicts.items() if not is_same)
            if reissued:
                news.append(News(year, None if product == product_of(year) else product.name, tuple(reissued)))
            compared, published = compared + len(verdicts), published + len(items)
        return Findings(tuple(news), compared, published - compared)

    def _unknown_years(self) -> Iterator[int]:
        """Yield years that may have a mosaic, though the inventory does not know it."""
        this_year = datetime.now(UTC).year
        for mission in MISSIONS:
            years = range(mission.first_year, (mission.last_year or this_year) + 1)
            yield from (year for year in years if year not in known_years())

    def _is_new(self, year: int) -> bool:
        product = product_of(year)
        layouts = layouts_of(mission_of(year), product.name, self._extra)
        return not self._published.has_any(product, year) and has_archives(self._source, year, layouts)

    def _verdicts(
        self, product: Product, year: int, items: list[tuple[Tile, str]], seconds_left: Callable[[], float]
    ) -> Iterator[tuple[Tile, bool]]:
        """Yield of each tile whether its archives are those that its item was made from, where that can be told."""
        layouts, unclear = layouts_of(mission_of(year), product.name, self._extra), 0
        # Where the time is too short for all, other tiles are left out the next day.
        random.Random(datetime.now(UTC).toordinal()).shuffle(items)  # noqa: S311 - no secret
        for tile, item in self._read(items):
            if seconds_left() <= 0:
                return
            try:
                is_same = has_same_archives(item, self._source, TileYear(year, tile), layouts)
            except SourceUnavailableError:
                unclear += 1
                if unclear > _MOST_UNCLEAR:
                    raise
                self._source.reconnect()
                continue
            if is_same is not None:
                yield tile, is_same

    def _read(self, items: Sequence[tuple[Tile, str]]) -> Iterator[tuple[Tile, Mapping[str, Any]]]:
        """Yield each tile with its item, some of which are read ahead."""
        with ThreadPoolExecutor(READERS) as readers:
            for start in range(0, len(items), _READ_AHEAD):
                batch = items[start : start + _READ_AHEAD]
                contents = readers.map(self._published.read, [key for _, key in batch])
                yield from zip([tile for tile, _ in batch], contents, strict=True)


def _products_of(year: int) -> Iterator[Product]:
    """Yield the products that a year has."""
    mission = mission_of(year)
    yield from (product for product in PRODUCTS.values() if mission.name in product.missions)
