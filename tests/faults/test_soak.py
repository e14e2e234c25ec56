"""How the soak chooses its faults and judges memory; the soak itself is ``make soak``."""

from __future__ import annotations

import json

import pytest

from alos_mosaic.inventory import tiles_of_year
from tests.faults.soak import KINDS, YEAR, fates, growths

TILES = sorted(tiles_of_year(YEAR))[:200]


def test_a_fifth_of_the_tiles_meets_something_of_every_kind_and_the_same_by_the_same_seed() -> None:
    found = fates(TILES, 1)
    assert len(found) == 40
    assert {fate.kind for fate in found.values()} == KINDS.keys()
    assert {fate.runs for fate in found.values()} == {1, 2, 3}
    assert fates(TILES, 1) == found != fates(TILES, 2)


def test_nothing_is_killed_that_would_leave_staged_files() -> None:
    assert not any(fate.kind.startswith("killed") for fate in fates(TILES, 1, TILES).values())


@pytest.mark.parametrize(("growing", "is_flat"), [(0, True), (100, True), (1000, False)])
def test_memory_that_grows_is_told(growing: int, is_flat: bool) -> None:
    lines = [json.dumps({"pid": 1, "state": "published", "bytes": 100_000 + number * growing}) for number in range(80)]
    lines += [json.dumps({"pid": 1, "state": "skipped", "bytes": 1})] * 80
    lines += [json.dumps({"pid": 2, "state": "published", "bytes": 1})] * 5
    (growth,) = growths(lines)
    assert growth.tiles == 80
    assert growth.is_flat is is_flat
