"""Standing: what is published of a tile already, by what its item says and what lies beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from alos_mosaic.bands import BANDS, bands_of, possible_codes
from alos_mosaic.grid import Grid
from alos_mosaic.messages import TileYear, parse_time
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import EO3_RELATION, THUMBNAIL, band_file_stem, eo3_file_name, item_id, quicklook_file_name
from alos_mosaic.processing.checksums import from_multihash
from alos_mosaic.products import Product

if TYPE_CHECKING:
    from alos_mosaic.processing.publish import Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredFile:
    """What a target says of a file."""

    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Expected:
    """What the item of a tile says if it is that tile's: anything else was not published by us, or not as asked now."""

    item_id: str
    shape: tuple[int, int]
    """Rows and columns of the rasters."""
    file_stems: Mapping[str, str]
    """By asset: what its file is called up to the archive's suffix."""
    required: frozenset[str]
    """Assets that every tile has."""
    eo3_name: str
    """What its EO3 document is called."""
    accept_partial: bool = False
    """Whether it may lack cells that JAXA has and that could not be read."""


@dataclass(frozen=True)
class Standing:
    """What stands at a tile's place; of whose making it is remains to be seen."""

    item_key: str
    names: frozenset[str]
    """Of all files in the tile's folder."""
    content: bytes | None
    """Of the item as it lies there, None where there is none."""
    item: Mapping[str, Any]
    """What it says; empty where there is no item, or none that is a JSON object."""

    @property
    def has_item(self) -> bool:
        """Whether there is an item, whatever it is worth."""
        return self.content is not None

    @property
    def folder(self) -> str:
        """The key of the tile's folder, without a closing slash."""
        return str(PurePosixPath(self.item_key).parent)

    def time(self, name: str) -> datetime | None:
        """Return the instant of a property (``created``, ``updated``); None if it names none."""
        properties = self.item.get("properties")
        try:
            return parse_time(str(properties.get(name))) if isinstance(properties, dict) else None
        except ValueError:
            return None

    def promised(self, expected: Expected) -> dict[str, tuple[str, StoredFile]] | None:
        """Return what :func:`promised_by` does; None if there is no item, or another than the expected one.

        What is there may still be something else: see :meth:`is_whole`.
        """
        if not self.has_item:
            return None
        try:
            return promised_by(self.item, expected)
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.warning("Item is not as asked, which counts as unpublished", extra={"key": self.item_key})
            return None

    def is_whole(self, target: Target, expected: Expected) -> bool:
        """Tell whether the item is as expected and every file is there, with the size and checksum it says."""
        promised = self.promised(expected)
        if promised is None or not self.names.issuperset(name for name, _ in promised.values()):
            return False
        return all(target.stat(f"{self.folder}/{name}") == stored for name, stored in promised.values())


def expected_of(tile_year: TileYear, product: Product, grid: Grid, *, accept_partial: bool = False) -> Expected:
    """Return what the item of a tile says if it is that tile's, on this grid."""
    year, tile = tile_year.year, tile_year.tile
    bands = [BANDS[code] for code in possible_codes(product)]
    return Expected(
        item_id=str(item_id(product.algorithm, year, tile)),
        shape=(grid.tile_pixels, grid.tile_pixels),
        file_stems={band.measurement: band_file_stem(tile, year, band) for band in bands}
        | {THUMBNAIL: quicklook_file_name(tile, year)},
        required=frozenset(band.measurement for band in bands_of(mission_of(year), product)),
        eo3_name=eo3_file_name(tile, year),
        accept_partial=accept_partial,
    )


def look(target: Target, item_key: str) -> Standing:
    """See what stands at a tile's place; raises :class:`~alos_mosaic.errors.PublishError` if that can't be seen.

    The folder is listed first, since S3 may answer 403 for a file that is missing, which can't be told from a refusal.
    """
    path = PurePosixPath(item_key)
    names = target.names(str(path.parent))
    content = target.read(item_key) if path.name in names else None
    return Standing(item_key, frozenset(names), content, _json_object(content))


def asset_names(item: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the files that an item's assets lie in, whatever it is worth otherwise; plain names only."""
    assets = item.get("assets")
    values = list(assets.values()) if isinstance(assets, dict) else []
    hrefs = [asset.get("href") for asset in values if isinstance(asset, dict)]
    names = [href.removeprefix("./") for href in hrefs if isinstance(href, str)]
    return frozenset(name for name in names if "/" not in name)


def promised_by(item: Mapping[str, Any], expected: Expected) -> dict[str, tuple[str, StoredFile]]:
    """Return the name, size and checksum of each file that an item names, by asset, and of its EO3 document.

    Raises ValueError, KeyError, TypeError or AttributeError if it is not the expected one.
    """
    assets = item["assets"]
    if item["id"] != expected.item_id or tuple(item["properties"]["proj:shape"]) != expected.shape:
        raise ValueError("another item")
    if not expected.required <= assets.keys() <= expected.file_stems.keys():
        raise ValueError("other assets")
    if item["properties"].get("alos_mosaic:cells_defective") and not expected.accept_partial:
        raise ValueError("a partial tile")
    files = {}
    for measurement, asset in assets.items():
        name = asset["href"].removeprefix("./")
        if not name.startswith(expected.file_stems[measurement]) or "/" in name:
            raise ValueError("another file")
        files[measurement] = (name, _stored(asset))
    for link in eo3_links(item):
        if link["href"] != f"./{expected.eo3_name}":
            raise ValueError("another document")
        files[EO3_RELATION] = (expected.eo3_name, _stored(link))
    return files


def eo3_links(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an item's links to its EO3 document, whatever it is worth otherwise.

    Those that say nothing of size and checksum are left out, as items of earlier releases have them.
    """
    links = item.get("links")
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [link for link in known if link.get("rel") == EO3_RELATION and "file:checksum" in link]


def _stored(fields: Mapping[str, Any]) -> StoredFile:
    """Return what the fields of the file extension say."""
    return StoredFile(fields["file:size"], from_multihash(fields["file:checksum"]))


def _json_object(content: bytes | None) -> dict[str, Any]:
    try:
        read = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
