"""Standing: what is published of a tile already, by what its item says and what lies beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.bands import BANDS, bands_of, possible_codes
from alos_mosaic.errors import shown
from alos_mosaic.grid import Grid
from alos_mosaic.json_objects import json_object
from alos_mosaic.messages import TileYear, parse_time
from alos_mosaic.missions import mission_of
from alos_mosaic.naming import EO3_RELATION, THUMBNAIL, band_file_stem, eo3_file_name, item_id, quicklook_file_name
from alos_mosaic.processing.checks import Check, Verdict, compared
from alos_mosaic.processing.checksums import from_multihash
from alos_mosaic.products import Product

if TYPE_CHECKING:
    from alos_mosaic.processing.publish import Target

logger = logging.getLogger(__name__)

ITEM: Final = "item"
"""The subject of checks that concern the item as a whole."""


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

    def has_name(self, name: str) -> bool:
        """Tell whether a file in the tile's folder is called as one of the tile's own."""
        return name == self.eo3_name or name.startswith(tuple(self.file_stems.values()))


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
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning(
                "Item is not as asked, which counts as unpublished", extra={"key": self.item_key, "cause": str(error)}
            )
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
    return Standing(item_key, frozenset(names), content, json_object(content) or {})


def asset_names(item: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the files that an item's assets lie in, whatever it is worth otherwise; plain names only."""
    hrefs = [object_of(asset).get("href") for asset in object_of(item.get("assets")).values()]
    names = [href.removeprefix("./") for href in hrefs if isinstance(href, str)]
    return frozenset(name for name in names if "/" not in name)


def held_against(item: Mapping[str, Any], expected: Expected) -> tuple[Check, ...]:
    """Hold what an item says, whatever it is worth otherwise, against what it says if it is the expected one."""
    assets = object_of(item.get("assets"))
    known = {name: object_of(asset).get("href") for name, asset in assets.items() if name in expected.file_stems}
    return (
        compared(ITEM, "id", item.get("id"), expected.item_id),
        compared(ITEM, "proj:shape", object_of(item.get("properties")).get("proj:shape"), list(expected.shape)),
        _assets(assets, expected),
        *(_file_name(name, href, expected.file_stems[name]) for name, href in known.items()),
        *(compared(EO3_RELATION, "href", link.get("href"), f"./{expected.eo3_name}") for link in eo3_links(item)),
    )


def _assets(assets: Mapping[str, Any], expected: Expected) -> Check:
    lacking = ", ".join(sorted(expected.required - assets.keys()))
    foreign = ", ".join(sorted(assets.keys() - expected.file_stems.keys()))
    if lacking or foreign:
        parts = (f"lacks {lacking}" if lacking else "", f"has {foreign}, which no such tile has" if foreign else "")
        return Check(ITEM, "assets", Verdict.FAILED, " and ".join(filter(None, parts)))
    return Check(ITEM, "assets", Verdict.OK, ", ".join(assets))


def _file_name(asset: str, href: object, stem: str) -> Check:
    name = href.removeprefix("./") if isinstance(href, str) else ""
    if name.startswith(stem) and "/" not in name:
        return Check(asset, "href", Verdict.OK, name)
    return Check(asset, "href", Verdict.FAILED, f"is {shown(href)}, should be a file called {stem}...")


def promised_by(item: Mapping[str, Any], expected: Expected) -> dict[str, tuple[str, StoredFile]]:
    """Return the name, size and checksum of each file that an item names, by asset, and of its EO3 document.

    Raises ValueError, KeyError or TypeError if it is not the expected one.
    """
    for check in held_against(item, expected):
        if check.verdict is Verdict.FAILED:
            raise ValueError(f"{check.subject}: {check.name} {check.detail}")
    if item["properties"].get("alos_mosaic:cells_defective") and not expected.accept_partial:
        raise ValueError("a partial tile")
    files = {name: (asset["href"].removeprefix("./"), _stored(asset)) for name, asset in item["assets"].items()}
    for link in eo3_links(item):
        files[EO3_RELATION] = (expected.eo3_name, _stored(link))
    return files


def eo3_links(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an item's links to its EO3 document, whatever it is worth otherwise.

    Those that say nothing of size and checksum are left out, as items of earlier releases have them.
    """
    links = item.get("links")
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [link for link in known if link.get("rel") == EO3_RELATION and "file:checksum" in link]


def object_of(value: object) -> dict[str, Any]:
    """Return a JSON value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _stored(fields: Mapping[str, Any]) -> StoredFile:
    """Return what the fields of the file extension say."""
    return StoredFile(fields["file:size"], from_multihash(fields["file:checksum"]))
