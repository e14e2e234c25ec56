"""Reconciling: what should be published, what lies there, and what the items say, held against one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alos_mosaic.errors import InvalidRequestError, shown
from alos_mosaic.grid import Grid, Tile
from alos_mosaic.messages import RunRequest, TileYear
from alos_mosaic.naming import catalogue_keys, item_file_name, item_key, tile_prefix
from alos_mosaic.processing.checks import Check, Verdict
from alos_mosaic.processing.publish import Target
from alos_mosaic.processing.standing import ITEM, Expected, Standing, asset_names, expected_of, held_against, look
from alos_mosaic.products import Product, product_of
from alos_mosaic.seeding import tiles_to_seed

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
    """Why it is not simply whole, or missing, a sentence each."""
    orphans: tuple[str, ...] = ()
    """Keys of files in the tile's folder that no item names, nor a run that makes the tile would write."""

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
    """Keys of files that belong to no tile that is expected or has an item."""

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
    def missing(self) -> tuple[TileYear, ...]:
        """Tiles that any run makes."""
        return self._tiles(Condition.MISSING)

    @property
    def damaged(self) -> tuple[TileYear, ...]:
        """Tiles that are made anew where a run is told to overwrite them: their item has a plan count them as there."""
        return self._tiles(Condition.DAMAGED)

    @property
    def is_whole(self) -> bool:
        """Whether all that is expected is there as it should be, and no file that no item names."""
        return not (self.missing or self.damaged or self.orphans)

    def _tiles(self, condition: Condition) -> tuple[TileYear, ...]:
        return tuple(finding.tile_year for finding in self.findings if finding.condition is condition)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: counts, and every tile that is not simply whole."""
        odd = [each for each in self.findings if each.condition is not Condition.WHOLE or each.orphans]
        tiles = [finding.to_dict() for finding in odd]
        return {**self.counts, "orphans": len(self.orphans), "strays": list(self.strays), "tiles": tiles}


def reconcile(request: RunRequest, target: Target, grid: Grid, *, beside_tiles: bool = False) -> Reconciliation:
    """Look at every tile that a run over a selection would make, and at what else lies in folders of selected tiles.

    ``beside_tiles`` also tells what lies in the folders of the selected products and years, but in no tile's. Raises
    :class:`~alos_mosaic.errors.PublishError` if the target can't be read.
    """
    expected, selected = frozenset(tiles_to_seed(request)), frozenset(request.tiles)
    places: dict[TileYear, set[str]] = {tile_year: set() for tile_year in expected}
    strays = []
    for year in request.years:
        folder = f"{product_of(year, request.product).name}/{year}"
        for key in target.keys(folder):
            name, slash, rest = key.removeprefix(f"{folder}/").partition("/")
            tile = _tile_called(name) if slash else None
            if tile is not None and tile in selected:
                places.setdefault(TileYear(year, tile), set()).add(rest)
            elif beside_tiles and tile is None and key not in catalogue_keys(folder):
                strays.append(key)

    def find(tile_year: TileYear) -> Finding | None:
        product = product_of(tile_year.year, request.product)
        return _finding(product, tile_year, tile_year in expected, places[tile_year], target, grid)

    with ThreadPoolExecutor(_READERS) as readers:
        looked_at = sorted(places)
        findings = dict(zip(looked_at, readers.map(find, looked_at), strict=True))
    for tile_year in (each for each, finding in findings.items() if finding is None):
        strays += _keys(product_of(tile_year.year, request.product), tile_year, places[tile_year])
    return Reconciliation(tuple(filter(None, findings.values())), tuple(sorted(strays)))


def _tile_called(name: str) -> Tile | None:
    try:
        return Tile.from_name(name)
    except InvalidRequestError:
        return None


def _keys(product: Product, tile_year: TileYear, names: Iterable[str]) -> tuple[str, ...]:
    prefix = tile_prefix(product, tile_year.year, tile_year.tile)
    return tuple(f"{prefix}/{name}" for name in sorted(names))


def _finding(
    product: Product, tile_year: TileYear, is_expected: bool, names: set[str], target: Target, grid: Grid
) -> Finding | None:
    """Return what was found of a tile; None if nobody expects it and it has no item."""
    year, tile = tile_year.year, tile_year.tile
    expected = expected_of(tile_year, product, grid, accept_partial=True)
    foreign = {name for name in names if not expected.has_name(name)}
    item_name = item_file_name(tile, year)
    if item_name not in names:
        orphans = _keys(product, tile_year, foreign)
        return Finding(tile_year, Condition.MISSING, orphans=orphans) if is_expected else None
    standing = look(target, item_key(product, year, tile))
    problems = _problems(standing, expected, target)
    if problems:
        return Finding(tile_year, Condition.DAMAGED, problems, _keys(product, tile_year, foreign - {item_name}))
    kept = asset_names(standing.item) | {item_name, expected.eo3_name}
    orphans = _keys(product, tile_year, names - kept)
    defective = standing.item["properties"].get("alos_mosaic:cells_defective")
    if defective:
        lacking = (
            f"cells are left out, being defective at the source: {shown(defective)}; mode refresh tries them again"
        )
        return Finding(tile_year, Condition.PARTIAL, (lacking,), orphans)
    if not is_expected:
        return Finding(tile_year, Condition.UNEXPECTED, ("JAXA's listings do not have it",), orphans)
    return Finding(tile_year, Condition.WHOLE, orphans=orphans)


def _problems(standing: Standing, expected: Expected, target: Target) -> tuple[str, ...]:
    """Say what is not as the item says, or what of the item is not as this tile's."""
    if not standing.item:
        return ("the item is no item",)
    promised = standing.promised(expected)
    if promised is None:
        checks = held_against(standing.item, expected)
        said = tuple(_said(check) for check in checks if check.verdict is Verdict.FAILED)
        return said or ("the item does not say size and checksum of each of its files",)
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


def _said(check: Check) -> str:
    """Return what is wrong with an item as a sentence."""
    if (check.subject, check.name) == (ITEM, "assets"):
        return f"the item {check.detail}"
    subject = "" if check.subject == ITEM else f"{check.subject} "
    return f"the item's {subject}{check.name} {check.detail}"
