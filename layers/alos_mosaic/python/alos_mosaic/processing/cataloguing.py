"""Cataloguing: what is published, as static STAC documents to browse and tables (stac-geoparquet) to query.

One catalog for the whole output, in it a collection for each product, in that a catalog for each year with its items;
a year's table lies beside its catalog. A year whose items are as they were is left alone, so doing it after every run
costs next to nothing.

A year of which nothing is published any more has no catalog and no table: whoever reads the table by its path is told
that there is none, instead of finding tiles that are gone, or a table of no rows that might mean anything. A product
without years has no collection to browse, and the root, which is what people keep the address of, stays and may be
empty. Only documents of the catalogue's own are removed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError, OutputError
from alos_mosaic.grid import Tile
from alos_mosaic.naming import catalogue_keys, parse_item_key
from alos_mosaic.processing import catalogs
from alos_mosaic.processing.catalogs import ROOT_KEY
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.listed_item import absolute, listed_item
from alos_mosaic.processing.metadata import COLLECTION_MEDIA_TYPE, collection_key, collection_of
from alos_mosaic.processing.publish import FileToPut, Target
from alos_mosaic.products import PRODUCTS, Product

_FORMAT: Final = 2
"""Of the tables; another number has all of them written anew."""
_READERS: Final = 32

WriteTable = Callable[[list[dict[str, Any]], Path], None]
"""Writes items as stac-geoparquet; :class:`~alos_mosaic.errors.OutputError` if no table can be made of them."""


class Change(StrEnum):
    """What was done about a year."""

    WRITTEN = "written"
    UNCHANGED = "as it was"
    REMOVED = "removed"
    """Nothing that can be listed is published of it any more."""
    FAILED = "not written"
    """No table can be made of its items; what there was of it stays."""


@dataclass(frozen=True)
class CataloguedYear:
    """What was done for one year of one product."""

    product: str
    year: int
    items: int
    change: Change

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"product": self.product, "year": self.year, "items": self.items, "change": self.change.value}


@dataclass(frozen=True)
class LeftOut:
    """An item, or a whole year of a product, that could not be catalogued."""

    uri: str
    reason: str
    """The end of a sentence that begins with what lies at the URI."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"uri": self.uri, "reason": self.reason}


@dataclass(frozen=True)
class Catalogued:
    """What was done."""

    years: tuple[CataloguedYear, ...]
    left_out: tuple[LeftOut, ...]


def catalogue(target: Target, work: Path, write_table: WriteTable) -> Catalogued:
    """Bring catalogs and tables over all that is published up to date: years, then products, then the root.

    What nothing is published of any more goes last, when nothing leads there. Raises
    :class:`~alos_mosaic.errors.PublishError` if the target can't be read or written, and :class:`InvalidRequestError`
    if nothing is published there and never was, or if its root is somebody else's catalog.
    """
    root = target.read(ROOT_KEY)
    if root is not None and not catalogs.is_root(root):
        raise InvalidRequestError(f"{target.uri(ROOT_KEY)} is not the catalogue's own; move it, or catalogue elsewhere")
    writer = _Writer(target, work, write_table)
    listed = [product.name for product in PRODUCTS.values() if writer.write_product(product)]
    if root is None and not writer.years and not writer.left_out:
        raise InvalidRequestError(
            f"nothing is published below {target.uri('')}; is that the place? A run or `alos-mosaic process` publishes"
        )
    writer.put_json(ROOT_KEY, catalogs.root_catalog(listed))
    for key in writer.to_remove:
        target.remove(key)
    return Catalogued(tuple(writer.years), tuple(writer.left_out))


class _Writer:
    """Writes the documents of products and years, and keeps what is to tell of it."""

    def __init__(self, target: Target, work: Path, write_table: WriteTable) -> None:
        self._target, self._work, self._write_table = target, work, write_table
        self.years: list[CataloguedYear] = []
        self.left_out: list[LeftOut] = []
        self.to_remove: list[str] = []
        """Keys of documents that are of no use any more, in the order to remove them."""

    def write_product(self, product: Product) -> bool:
        """Write a product's collection and its years; tell whether it has any."""
        keys = frozenset(self._target.keys(product.name))
        by_year: dict[int, list[tuple[Tile, str]]] = defaultdict(list)
        for key in sorted(keys):
            place = parse_item_key(key)
            if place is not None:
                by_year[place[1]].append((place[2], key))
        for year in _years_catalogued(product, keys):
            by_year.setdefault(year, [])
        listed = [year for year, items in sorted(by_year.items()) if self._write_year(product, year, items, keys)]
        key = catalogue_keys(product.name)[0]
        if listed:
            self.put_json(collection_key(product.name), collection_of(product.name))
            self.put_json(key, catalogs.product_catalog(product.name, listed))
        elif key in keys and catalogs.is_product_catalog(self._target.read(key), product.name):
            self.to_remove.append(key)
        return bool(listed)

    def _write_year(self, product: Product, year: int, tiles: list[tuple[Tile, str]], keys: frozenset[str]) -> bool:
        """Write a year's table and, after it, its catalog, if they are not as they should be; tell if it has one."""
        catalog_key, table_key = catalogue_keys(f"{product.name}/{year}")
        known = self._target.read(catalog_key) if catalog_key in keys else None
        items = self._read(product, year, tiles)
        if not items:
            self._remove_year(product, year, known, keys)
            return False
        text = _text(catalogs.year_catalog(product.name, year, items, self._state(items)))
        change = Change.UNCHANGED
        if known != text.encode() or table_key not in keys:
            change = self._put_table(product, year, items, table_key)
        if change is Change.WRITTEN:
            self._put(catalog_key, text)
        self.years.append(CataloguedYear(product.name, year, len(items), change))
        return change is not Change.FAILED or catalogs.is_year_catalog(known, product.name, year)

    def _read(self, product: Product, year: int, tiles: list[tuple[Tile, str]]) -> list[tuple[str, dict[str, Any]]]:
        """Return the items that can be listed, each with its key."""
        with ThreadPoolExecutor(_READERS) as readers:
            contents = tuple(readers.map(self._target.read, [key for _, key in tiles]))
        items = []
        for (tile, key), content in zip(tiles, contents, strict=True):
            if content is None:
                continue  # gone since it was listed
            try:
                items.append((key, listed_item(content, product, year, tile)))
            except ValueError as error:
                self.left_out.append(LeftOut(self._target.uri(key), str(error)))
        return items

    def _state(self, items: Sequence[tuple[str, dict[str, Any]]]) -> str:
        """Return a checksum over all that a table is made of: where it lies, since hrefs in it are absolute."""
        made_of = json.dumps([_FORMAT, self._target.uri(""), items])
        return hashlib.sha256(made_of.encode()).hexdigest()

    def _put_table(self, product: Product, year: int, items: Sequence[tuple[str, dict[str, Any]]], key: str) -> Change:
        path = self._work / "items.parquet"
        try:
            self._write_table([absolute(item, self._target.uri(item_key)) for item_key, item in items], path)
            self._target.put(FileToPut(path, key, catalogs.TABLE_MEDIA_TYPE, sha256_of(path)))
        except OutputError as error:
            self.left_out.append(LeftOut(self._target.uri(f"{product.name}/{year}"), f"has no new table: {error}"))
            return Change.FAILED
        finally:
            path.unlink(missing_ok=True)
        return Change.WRITTEN

    def _remove_year(self, product: Product, year: int, known: bytes | None, keys: frozenset[str]) -> None:
        """Have a year's catalog removed and, ahead of it, since it tells whose that is, the table beside it."""
        if not catalogs.is_year_catalog(known, product.name, year):
            return
        catalog_key, table_key = catalogue_keys(f"{product.name}/{year}")
        self.to_remove += [key for key in (table_key, catalog_key) if key in keys]
        self.years.append(CataloguedYear(product.name, year, 0, Change.REMOVED))

    def put_json(self, key: str, document: dict[str, Any]) -> None:
        """Store a JSON document, unless it is there already."""
        text = _text(document)
        if self._target.read(key) != text.encode():
            self._put(key, text)

    def _put(self, key: str, text: str) -> None:
        path = self._work / key.rpartition("/")[2]
        path.write_text(text, encoding="utf-8")
        self._target.put(FileToPut(path, key, COLLECTION_MEDIA_TYPE, sha256_of(path)))
        path.unlink()


def _years_catalogued(product: Product, keys: frozenset[str]) -> list[int]:
    """Return the years that have something called like a year's catalog."""
    matches = (re.fullmatch(rf"{product.name}/([0-9]{{4}})/catalog\.json", key) for key in keys)
    return [int(match[1]) for match in matches if match]


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)
