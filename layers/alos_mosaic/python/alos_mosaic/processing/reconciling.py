"""Reconciling: what should be published, what lies there, and what the items say, held against one another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import TileRequest, TileYear
from alos_mosaic.naming import catalogue_keys, eo3_file_name, item_file_name, item_key, tile_prefix
from alos_mosaic.processing.publish import Target
from alos_mosaic.processing.standing import Expected, Standing, asset_names, expected_of, look
from alos_mosaic.products import Product, product_of

_READERS: Final = 32


class Condition(StrEnum):
    """What is published of a tile."""

    WHOLE = "whole"
    """Item and every asset, with the sizes and checksums that the item says."""
    PARTIAL = "partial"
    """Whole, but for cells that are defective at the source, as its item says."""
    MISSING = "missing"
    """Expected, and there is no item."""
    DAMAGED = "damaged"
    """There is an item, and it is not ours, or its assets are not there as it says."""
    UNEXPECTED = "unexpected"
    """Whole, though it was not expected: named in a run, or of a listing that has changed."""


@dataclass(frozen=True)
class Finding:
    """What was found of one tile."""

    tile_year: TileYear
    condition: Condition
    problems: tuple[str, ...] = ()
    """What is wrong, a sentence each."""
    orphans: tuple[str, ...] = ()
    """Keys of files in the tile's folder that no item names."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.tile_year.to_dict(),
            "condition": self.condition.value,
            "problems": list(self.problems),
            "orphans": list(self.orphans),
        }


@dataclass(frozen=True)
class Reconciliation:
    """All that was found."""

    findings: tuple[Finding, ...]
    strays: tuple[str, ...] = ()
    """Keys of files that lie beside the tiles' folders."""

    @property
    def counts(self) -> dict[str, int]:
        """Tiles by condition."""
        found = Counter(finding.condition for finding in self.findings)
        return {condition.value: found[condition] for condition in Condition}

    @property
    def orphans(self) -> tuple[str, ...]:
        """Keys of all files that no item names."""
        return (*self.strays, *(key for finding in self.findings for key in finding.orphans))

    @property
    def to_mend(self) -> tuple[TileYear, ...]:
        """Tiles that a run in mode ``skip`` would make."""
        wrong = (Condition.MISSING, Condition.DAMAGED)
        return tuple(finding.tile_year for finding in self.findings if finding.condition in wrong)

    @property
    def is_whole(self) -> bool:
        """Whether all that is expected is there as it should be, and nothing besides."""
        return not self.to_mend and not self.orphans

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: counts, and every tile that is not simply whole."""
        odd = [each for each in self.findings if each.condition is not Condition.WHOLE or each.orphans]
        tiles = [finding.to_dict() for finding in odd]
        return {**self.counts, "orphans": len(self.orphans), "strays": list(self.strays), "tiles": tiles}


def reconcile(requests: Iterable[TileRequest], target: Target, grid: Grid) -> Reconciliation:
    """Look at every expected tile, and at whatever else lies in the folders of its products and years.

    Raises :class:`~alos_mosaic.errors.PublishError` if the target can't be read.
    """
    asked = tuple(requests)
    years = dict.fromkeys((product_of(each.tile_year.year, each.product), each.tile_year.year) for each in asked)
    names: dict[tuple[Product, TileYear], set[str]] = defaultdict(set)
    strays = []
    for product, year in years:
        folder = f"{product.name}/{year}"
        for key in target.keys(folder):
            tile, slash, name = key.removeprefix(f"{folder}/").partition("/")
            if slash and _is_tile(tile):
                names[product, TileYear(year, Tile.from_name(tile))].add(name)
            elif key not in catalogue_keys(folder):
                strays.append(key)
    expected = {(product_of(each.tile_year.year, each.product), each.tile_year) for each in asked}
    places = sorted(expected | names.keys(), key=lambda place: (place[0].name, place[1]))

    def find(place: tuple[Product, TileYear]) -> Finding:
        product, tile_year = place
        return _finding(product, tile_year, place in expected, names.get(place, set()), target, grid)

    with ThreadPoolExecutor(_READERS) as readers:
        return Reconciliation(tuple(readers.map(find, places)), tuple(strays))


def _is_tile(name: str) -> bool:
    try:
        Tile.from_name(name)
    except InvalidRequestError:
        return False
    return True


def _finding(
    product: Product, tile_year: TileYear, is_expected: bool, names: set[str], target: Target, grid: Grid
) -> Finding:
    year, tile = tile_year.year, tile_year.tile
    prefix = tile_prefix(product, year, tile)
    if item_file_name(tile, year) not in names:
        no_item: tuple[str, ...] = ("there is no item",) if names else ()
        condition = Condition.MISSING if is_expected else Condition.DAMAGED
        return Finding(tile_year, condition, no_item, tuple(f"{prefix}/{name}" for name in sorted(names)))
    standing = look(target, item_key(product, year, tile))
    problems = _problems(standing, expected_of(tile_year, product, grid, accept_partial=True), target)
    kept = asset_names(standing.item) | {item_file_name(tile, year), eo3_file_name(tile, year)}
    orphans = tuple(f"{prefix}/{name}" for name in sorted(names - kept))
    properties = standing.item.get("properties")
    if problems:
        condition = Condition.DAMAGED
    elif isinstance(properties, dict) and properties.get("alos_mosaic:cells_defective"):
        condition = Condition.PARTIAL
    else:
        condition = Condition.WHOLE if is_expected else Condition.UNEXPECTED
    return Finding(tile_year, condition, problems, orphans)


def _problems(standing: Standing, expected: Expected, target: Target) -> tuple[str, ...]:
    """Say what is not as the item says."""
    promised = standing.promised(expected)
    if promised is None:
        return ("the item is not this tile's, or none of ours",)
    problems = []
    for name, stored in promised.values():
        found = target.stat(f"{standing.folder}/{name}") if name in standing.names else None
        if found is None:
            problems.append(f"{name} is missing")
        elif found.size_bytes != stored.size_bytes:
            problems.append(f"{name} has {found.size_bytes} bytes, the item says {stored.size_bytes}")
        elif found != stored:
            problems.append(f"{name} has another checksum than the item says")
    return tuple(problems)
