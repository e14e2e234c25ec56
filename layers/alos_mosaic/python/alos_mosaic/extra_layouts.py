"""Layouts of the configuration: rows that make a moved folder or a renamed archive known without a release."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.layouts import ARCHIVE_ENDINGS, LAYOUTS, SITE_SCHEMES, TREE_SCHEMES, Layout
from alos_mosaic.missions import MISSIONS
from alos_mosaic.products import PRODUCTS

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SUFFIX: Final = re.compile(r"(_[A-Z0-9_]{1,16})?")
_PATH: Final = re.compile(r"[A-Za-z0-9._/-]*")
_MISSIONS: Final = {mission.name: mission for mission in MISSIONS}
_LATEST_YEAR: Final = 9999


def layouts_from_json(text: str | None) -> tuple[Layout, ...]:
    """Read rows from a JSON array of objects, whose keys and defaults are those of :class:`Layout`.

    ``product`` is the mission's mosaic unless told, and ``release`` follows from the archive's ending: tar.gz is 1, zip
    is 2. No text, no rows. Raises :class:`InvalidRequestError` with the row's number and what is wrong with it.

    >>> from alos_mosaic.grid import Tile
    >>> row = '{"name": "x", "mission": "JERS-1", "folder_template": "x/{year}", "archive_template": "{square}.zip"}'
    >>> layouts_from_json(f"[{row}]")[0].archive_path(Tile.from_name("N10E010"), 1996)
    'x/1996/N10E010.zip'
    """
    if text is None:
        return ()
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"extra layouts are no JSON: {error}") from error
    if not isinstance(rows, list):
        raise InvalidRequestError(f"extra layouts are a JSON array of objects, not {rows!r}")
    layouts: list[Layout] = []
    for number, row in enumerate(rows, start=1):
        try:
            layouts.append(_layout(row, {layout.name for layout in (*LAYOUTS, *layouts)}))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"extra layout {number}: {error}") from error
    return tuple(layouts)


def _layout(row: object, taken: Collection[str]) -> Layout:
    if not isinstance(row, Mapping):
        raise InvalidRequestError(f"a row is a JSON object, not {row!r}")
    known = {field.name: field.default is MISSING for field in fields(Layout)}
    unknown = sorted(set(row) - set(known))
    if unknown:
        raise InvalidRequestError(f"unknown keys {', '.join(unknown)}; known are {', '.join(known)}")
    missing = [name for name, is_needed in known.items() if is_needed and name not in row]
    if missing:
        raise InvalidRequestError(f"lacks {', '.join(missing)}")
    values: dict[str, Any] = {name: _CHECKS[name](name, value) for name, value in row.items()}
    mission = _MISSIONS[values["mission"]]
    values.setdefault("product", mission.product)
    values.setdefault("release", 2 if values["archive_template"].endswith(".zip") else 1)
    if mission.name not in PRODUCTS[values["product"]].missions:
        raise InvalidRequestError(f"{mission.name} has no {values['product']}")
    if values["name"] in taken:
        raise InvalidRequestError(f"another row is called {values['name']} already")
    return Layout(**values)


def _matching(pattern: re.Pattern[str]) -> Callable[[str, object], str]:
    def check(key: str, value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidRequestError(f"{key} looks like {pattern.pattern}, unlike {value!r}")
        return value

    return check


def _one_of(choices: Collection[object]) -> Callable[[str, object], Any]:
    def check(key: str, value: object) -> object:
        if not any(type(value) is type(choice) and value == choice for choice in choices):  # True is no 1
            raise InvalidRequestError(f"{key} is one of {', '.join(map(str, choices))}, not {value!r}")
        return value

    return check


def _template(known: Collection[str]) -> Callable[[str, object], str]:
    """Check a template: nothing but known fields in braces, nothing in between that could leave the folder."""

    def check(key: str, value: object) -> str:
        try:
            pieces = list(string.Formatter().parse(value)) if isinstance(value, str) else []
        except ValueError as error:
            raise InvalidRequestError(f"{key} is no template: {error}") from error
        for literal, field, form, conversion in pieces:
            if not _PATH.fullmatch(literal) or form or conversion or (field is not None and field not in known):
                raise InvalidRequestError(f"{key} is made of path characters and {sorted(known)} in braces: {value!r}")
        if not pieces or any(part in {"", ".", ".."} for part in str(value).split("/")):
            raise InvalidRequestError(f"{key} is a relative path without empty parts or dots alone, not {value!r}")
        return str(value)

    return check


def _archive_template(key: str, value: object) -> str:
    template = _template(("square", "year", "yy", "suffix"))(key, value)
    if "/" in template or "{square}" not in template or not template.endswith(ARCHIVE_ENDINGS):
        raise InvalidRequestError(f"{key} is a file name with {{square}} in it that ends with .tar.gz or .zip")
    return template


def _year(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LATEST_YEAR:
        raise InvalidRequestError(f"{key} is a year, not {value!r}")
    return value


def _schemes(key: str, value: object) -> tuple[str, ...]:
    known = (*TREE_SCHEMES, *SITE_SCHEMES)
    if not isinstance(value, list) or not value or not all(scheme in known for scheme in value):
        raise InvalidRequestError(f"{key} is a list of {', '.join(known)}, not {value!r}")
    return tuple(value)


_boolean: Final = _one_of((True, False))

_CHECKS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "name": _matching(_NAME),
    "mission": _one_of(tuple(_MISSIONS)),
    "folder_template": _template(("year", "yy")),
    "archive_template": _archive_template,
    "suffix": _matching(_SUFFIX),
    "product": _one_of(tuple(PRODUCTS)),
    "release": _one_of((1, 2)),
    "first_year": _year,
    "last_year": _year,
    "schemes": _schemes,
    "serves_tiles": _boolean,
    "serves_cells": _boolean,
}
