"""Published places: where a published tile lies, and what is read there of its item."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.grid import Tile
from alos_mosaic.messages import TileYear
from alos_mosaic.naming import THUMBNAIL, item_key, quicklook_file_name
from alos_mosaic.processing.publish import Target
from alos_mosaic.processing.standing import object_of
from alos_mosaic.products import PRODUCTS, Product, product_of

_PLACE: Final = re.compile(
    rf"(?P<root>.*?)/?(?P<product>{'|'.join(PRODUCTS)})/(?P<year>\d{{4}})/(?P<tile>[NS]\d\d[EW]\d{{3}})(?:/.*)?"
)


@dataclass(frozen=True)
class PublishedPlace:
    """Where a published tile lies: what a URI of its folder, its item or any file of it says."""

    root: str
    """URI of the target that its key counts from."""
    product: Product
    tile_year: TileYear

    @classmethod
    def from_uri(cls, uri: str) -> PublishedPlace:
        """Read ``s3://bucket/folder/alos_palsar_mosaic/2020/N10E010`` and whatever may follow.

        :class:`InvalidRequestError` if it names no product, year and tile, or the year has none of the product.

        >>> place = PublishedPlace.from_uri("file:///m/alos_palsar_mosaic/2020/N10E010/N10E010_20.stac-item.json")
        >>> place.root, place.product.name, place.tile_year.year, place.tile_year.tile.name
        ('file:///m', 'alos_palsar_mosaic', 2020, 'N10E010')
        """
        match = _PLACE.fullmatch(uri)
        if match is None:
            raise InvalidRequestError(
                f"{uri!r} is no tile of ours; one looks like s3://bucket/alos_palsar_mosaic/2020/N10E010"
            )
        tile_year = TileYear(int(match["year"]), Tile.from_name(match["tile"]))
        return cls(match["root"], product_of(tile_year.year, match["product"]), tile_year)

    @property
    def item_key(self) -> str:
        """Key of the tile's item."""
        return item_key(self.product, self.tile_year.year, self.tile_year.tile)


def read_item(target: Target, place: PublishedPlace) -> dict[str, Any]:
    """Return a tile's item, which has properties and assets; :class:`InvalidRequestError` if there is none."""
    content = target.read(place.item_key)
    uri = target.uri(place.item_key)
    if content is None:
        raise InvalidRequestError(f"nothing is published at {uri}")
    try:
        read = object_of(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{uri} is no item, since it is no JSON") from error
    for name in ("properties", "assets"):
        if not isinstance(read.get(name), dict):
            raise InvalidRequestError(f"{uri} is no item: it has no {name}")
    return read


def quicklook_name(item: Mapping[str, Any], place: PublishedPlace) -> str:
    """Return what the file of a tile's quicklook is called: what ours are, so a name that is safe on this machine, too.

    :class:`InvalidRequestError` if the item names none, or another file.
    """
    asset = object_of(item.get("assets")).get(THUMBNAIL)
    if asset is None:
        raise InvalidRequestError(f"{place.item_key} has no quicklook; mode metadata-only makes one")
    href, name = object_of(asset).get("href"), quicklook_file_name(place.tile_year.tile, place.tile_year.year)
    if href not in (name, f"./{name}"):
        raise InvalidRequestError(f"{place.item_key} has {shown(href)} for a quicklook, which would be ./{name}")
    return name
