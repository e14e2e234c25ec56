"""Catalogs: the catalogue's STAC documents, from the root over a collection for each product to a catalog a year.

Their hrefs are relative, so that the output may be copied as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from alos_mosaic.json_objects import json_object
from alos_mosaic.naming import catalogue_keys
from alos_mosaic.processing.metadata import COLLECTION_MEDIA_TYPE, collection_of
from alos_mosaic.processing.metadata.collection import STAC_VERSION
from alos_mosaic.processing.metadata.described import described
from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.processing.metadata.item import ITEM_MEDIA_TYPE

ROOT_KEY: Final = "catalog.json"
TABLE_MEDIA_TYPE: Final = "application/vnd.apache.parquet"
_ROOT_ID: Final = "jaxa-mosaics"
_STATE: Final = f"{PREFIX}:items_checksum"
"""In a year's catalog: a checksum over what its table was made of, by which a later call sees that it is the same."""


def root_catalog(products: Iterable[str]) -> dict[str, Any]:
    """Return the catalog of all products that are published, possibly none."""
    children = [_link("child", f"./{catalogue_keys(name)[0]}", described(name).title) for name in products]
    title, description = "JAXA's global 25 m radar mosaics", "Annual mosaics, a tile an item."
    return _catalog(_ROOT_ID, title, description, [_link("root", "./catalog.json"), *children])


def product_catalog(product: str, years: Iterable[int]) -> dict[str, Any]:
    """Return a product's collection, with its years as children.

    It is the one that items link to, ``collection.json``, which workers put there before any catalogue is made and
    which stays the same whatever is published; hence this copy of it with links.
    """
    collection = collection_of(product)
    children = [_link("child", f"./{year}/catalog.json", str(year)) for year in years]
    upwards = [_link("root", "../catalog.json"), _link("parent", "../catalog.json")]
    return {**collection, "links": [*upwards, *children, *collection["links"]]}


def year_catalog(product: str, year: int, items: Sequence[tuple[str, dict[str, Any]]], state: str) -> dict[str, Any]:
    """Return the catalog of a year's items, each with its key; ``state`` is a checksum over what is in its table."""
    links = [
        _link("root", "../../catalog.json"),
        _link("parent", "../catalog.json"),
        _link("items", "./items.parquet", "All items as a table", TABLE_MEDIA_TYPE),
        *(
            _link("item", f"./{key.split('/', 2)[2]}", item["properties"].get("title", item["id"]), ITEM_MEDIA_TYPE)
            for key, item in items
        ),
    ]
    title = f"{described(product).title}, {year}"
    return {**_catalog(_year_id(product, year), title, f"{len(items)} tiles of {year}.", links), _STATE: state}


def is_root(content: bytes | None) -> bool:
    """Tell whether these are the bytes of a root catalog of ours, of any release."""
    return _id_of(content) == _ROOT_ID


def is_product_catalog(content: bytes | None, product: str) -> bool:
    """Tell whether these are the bytes of a product's catalog of ours, of any release."""
    return _id_of(content) in (product, f"{product}-catalog")


def is_year_catalog(content: bytes | None, product: str, year: int) -> bool:
    """Tell whether these are the bytes of a year's catalog of ours, of any release."""
    return _id_of(content) == _year_id(product, year)


def _year_id(product: str, year: int) -> str:
    return f"{product}-{year}"


def _id_of(content: bytes | None) -> str | None:
    read = json_object(content)
    return None if read is None else str(read.get("id"))


def _catalog(name: str, title: str, description: str, links: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": name,
        "title": title,
        "description": description,
        "links": links,
    }


def _link(rel: str, href: str, title: str | None = None, media_type: str = COLLECTION_MEDIA_TYPE) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": media_type} | ({} if title is None else {"title": title})
