"""Items as the catalogue takes them: read, and checked as far as a catalog and a table need it.

Whether a tile is whole is another question: see :mod:`alos_mosaic.processing.validation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

import shapely
from shapely.geometry import shape

from alos_mosaic.grid import Tile
from alos_mosaic.json_objects import json_object
from alos_mosaic.messages import parse_time
from alos_mosaic.naming import item_id
from alos_mosaic.products import Product

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_TIMES: Final = ("datetime", "created", "updated", "start_datetime", "end_datetime")


def listed_item(content: bytes, product: Product, year: int, tile: Tile) -> dict[str, Any]:
    """Return a tile's item out of the bytes that lie at its key.

    ValueError if a catalogue can't have it; it says why, as the end of a sentence about the item.
    """
    item = json_object(content)
    if item is None:
        raise ValueError("is no JSON object")
    wrong = [name for name, is_good in _NEEDED.items() if not is_good(item.get(name))]
    if wrong:
        raise ValueError(f"lacks or garbles {', '.join(wrong)}")
    if item["id"] != str(item_id(product.algorithm, year, tile)) or item["collection"] != product.name:
        raise ValueError("is another tile's, by its id or collection")
    return item


def absolute(item: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return an item, which lies at this URI, that may be read from anywhere: its hrefs are whole URIs."""
    folder = uri.rpartition("/")[0]
    assets = {
        name: {**asset, "href": f"{folder}/{asset['href'].removeprefix('./')}"}
        for name, asset in item["assets"].items()
    }
    links = [link for link in item["links"] if link["rel"] != "self" and "://" in link["href"]]
    here = {"rel": "self", "href": uri, "type": "application/geo+json"}
    return {**item, "assets": assets, "links": [here, *links]}


def _are_strings(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def _is_geometry(value: Any) -> bool:
    try:
        return isinstance(value, dict) and not shape(value).is_empty
    except (shapely.errors.ShapelyError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False


def _is_bbox(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) in (4, 6)
    return is_list and all(isinstance(number, int | float) and isfinite(number) for number in value)


def _are_properties(value: Any) -> bool:
    if not _are_strings(value, "datetime") or not isinstance(value.get("title", ""), str):
        return False
    return all(_is_time(value[name]) for name in _TIMES if name in value)


def _is_time(value: Any) -> bool:
    """Tell whether this is a time as tables want it, RFC 3339's, which is less than ISO 8601 allows."""
    try:
        return isinstance(value, str) and bool(_TIME.fullmatch(value) and parse_time(value))
    except ValueError:
        return False


def _are_assets(value: Any) -> bool:
    """Tell whether these are files beside the item, by plain names."""
    if not isinstance(value, dict) or not all(_are_strings(asset, "href") for asset in value.values()):
        return False
    names = [asset["href"].removeprefix("./") for asset in value.values()]
    return bool(names) and not any("/" in name or name in ("", ".", "..") for name in names)


_NEEDED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": lambda value: value == "Feature",
    "stac_version": lambda value: isinstance(value, str),
    "stac_extensions": lambda value: isinstance(value, list) and all(isinstance(uri, str) for uri in value),
    "id": lambda value: isinstance(value, str),
    "collection": lambda value: isinstance(value, str),
    "geometry": _is_geometry,
    "bbox": _is_bbox,
    "properties": _are_properties,
    "assets": _are_assets,
    "links": lambda value: isinstance(value, list) and all(_are_strings(link, "rel", "href") for link in value),
}
"""What tells by its value whether a field of an item is as catalogs and tables need it."""
