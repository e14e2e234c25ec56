"""Cataloguing: what is published, as static STAC catalogs to browse and a table (stac-geoparquet) to query.

One catalog for the whole output, one a product, one a year of it with its items; a year's table lies beside its
catalog. A year whose items are as they were is left alone, so doing it after every run costs next to nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.naming import ITEM_ENDING, catalogue_keys
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.metadata import COLLECTION_MEDIA_TYPE, collection_key, collection_of
from alos_mosaic.processing.metadata.collection import STAC_VERSION
from alos_mosaic.processing.metadata.described import PRODUCT_NAMES, described
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.publish import FileToPut, Target

ROOT_KEY: Final = "catalog.json"
_PARQUET_MEDIA_TYPE: Final = "application/vnd.apache.parquet"
_STATE: Final = f"{PREFIX}:items_checksum"
"""In a year's catalog: a checksum over its items, by which a later call sees that nothing has changed."""
_READERS: Final = 32

WriteTable = Callable[[list[dict[str, Any]], Path], None]
"""Writes items as stac-geoparquet."""


@dataclass(frozen=True)
class CataloguedYear:
    """What was done for one year of one product."""

    product: str
    year: int
    items: int
    is_new: bool
    """Whether it was written; what has not changed is left alone."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"product": self.product, "year": self.year, "items": self.items, "is_new": self.is_new}


def catalogue(target: Target, work: Path, write_table: WriteTable) -> tuple[CataloguedYear, ...]:
    """Bring the catalogs and tables over all that is published up to date; the root last.

    Raises :class:`~alos_mosaic.errors.PublishError` if the target can't be read or written, and
    :class:`InvalidRequestError` if nothing is published there.
    """
    done: list[CataloguedYear] = []
    for product in PRODUCT_NAMES:
        by_year: dict[int, list[str]] = {}
        for key in target.keys(product):
            parts = key.split("/")
            if key.endswith(ITEM_ENDING) and len(parts) == 4 and parts[1].isdigit():  # noqa: PLR2004 - product/year/tile/item
                by_year.setdefault(int(parts[1]), []).append(key)
        done += [_year(product, year, keys, target, work, write_table) for year, keys in sorted(by_year.items())]
        if by_year:
            _put_json(target, work, collection_key(product), collection_of(product), COLLECTION_MEDIA_TYPE)
            key, _ = catalogue_keys(product)
            _put_json(target, work, key, _product_catalog(product, sorted(by_year)), COLLECTION_MEDIA_TYPE)
    if not done:
        raise InvalidRequestError(f"nothing is published below {target.uri('')}")
    products = [name for name in PRODUCT_NAMES if any(each.product == name for each in done)]
    _put_json(target, work, ROOT_KEY, _root_catalog(products), COLLECTION_MEDIA_TYPE)
    return tuple(done)


def _year(
    product: str, year: int, keys: list[str], target: Target, work: Path, write_table: WriteTable
) -> CataloguedYear:
    """Write one year's catalog and table, if its items are not those that the catalog was made of."""
    with ThreadPoolExecutor(_READERS) as readers:
        contents = tuple(readers.map(target.read, keys))
    there = [(key, content) for key, content in zip(keys, contents, strict=True) if content is not None]
    state = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for _, content in there)).hexdigest()
    catalog_key, table_key = catalogue_keys(f"{product}/{year}")
    items = [(key, json.loads(content)) for key, content in there]
    known = target.read(catalog_key)
    if known is not None and _state_of(known) == state and target.stat(table_key) is not None:
        return CataloguedYear(product, year, len(items), is_new=False)
    table = work / "items.parquet"
    write_table([_absolute(item, target.uri(key)) for key, item in items], table)
    target.put(FileToPut(table, table_key, _PARQUET_MEDIA_TYPE, sha256_of(table)))
    table.unlink()
    links = [
        {"rel": "item", "href": f"./{key.split('/', 2)[2]}", "type": "application/geo+json", "title": _title(item)}
        for key, item in items
    ]
    catalog = {
        **_catalog(f"{product}-{year}", f"{described(product).title}, {year}", f"{len(items)} tiles of {year}."),
        _STATE: state,
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": COLLECTION_MEDIA_TYPE},
            {"rel": "parent", "href": "../catalog.json", "type": COLLECTION_MEDIA_TYPE},
            {"rel": "items", "href": "./items.parquet", "type": _PARQUET_MEDIA_TYPE, "title": "All items as a table"},
            *links,
        ],
    }
    _put_json(target, work, catalog_key, catalog, COLLECTION_MEDIA_TYPE)
    return CataloguedYear(product, year, len(items), is_new=True)


def _title(item: dict[str, Any]) -> str:
    return str(item.get("properties", {}).get("title", item.get("id", "")))


def _absolute(item: dict[str, Any], uri: str) -> dict[str, Any]:
    """Return an item that may be read from anywhere: its hrefs are whole URIs."""
    folder = uri.rpartition("/")[0]
    assets = {
        name: {**asset, "href": f"{folder}/{str(asset['href']).removeprefix('./')}"}
        for name, asset in item["assets"].items()
    }
    links = [link for link in item.get("links", ()) if "://" in str(link.get("href"))]
    return {**item, "assets": assets, "links": links}


def _state_of(content: bytes) -> str | None:
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return read.get(_STATE) if isinstance(read, dict) else None


def _catalog(name: str, title: str, description: str) -> dict[str, Any]:
    return {"type": "Catalog", "stac_version": STAC_VERSION, "id": name, "title": title, "description": description}


def _product_catalog(product: str, years: list[int]) -> dict[str, Any]:
    texts = described(product)
    children = [
        {"rel": "child", "href": f"./{year}/catalog.json", "type": COLLECTION_MEDIA_TYPE, "title": str(year)}
        for year in years
    ]
    return {
        **_catalog(f"{product}-catalog", texts.title, texts.description),
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": COLLECTION_MEDIA_TYPE},
            {"rel": "parent", "href": "../catalog.json", "type": COLLECTION_MEDIA_TYPE},
            {"rel": "describedby", "href": "./collection.json", "type": COLLECTION_MEDIA_TYPE, "title": "Collection"},
            *children,
        ],
    }


def _root_catalog(products: list[str]) -> dict[str, Any]:
    children = [
        {
            "rel": "child",
            "href": f"./{product}/catalog.json",
            "type": COLLECTION_MEDIA_TYPE,
            "title": described(product).title,
        }
        for product in products
    ]
    return {
        **_catalog("jaxa-mosaics", "JAXA's global 25 m radar mosaics", "Annual mosaics, a tile an item."),
        "links": [{"rel": "root", "href": "./catalog.json", "type": COLLECTION_MEDIA_TYPE}, *children],
    }


def _put_json(target: Target, work: Path, key: str, document: dict[str, Any], media_type: str) -> None:
    """Store a JSON document, unless it is there already."""
    text = json.dumps(document, indent=2)
    if target.read(key) == text.encode():
        return
    path = work / key.rpartition("/")[2]
    path.write_text(text, encoding="utf-8")
    target.put(FileToPut(path, key, media_type, sha256_of(path)))
    path.unlink()
