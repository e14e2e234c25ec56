"""Every case of the fault matrix, through the Lambda's handler: a typed end, nothing half-published, all well after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from alos_mosaic.errors import MosaicError
from alos_mosaic.grid import Grid
from lambdas.process_tile import handler
from tests.faults.matrix import CASES, DOCUMENT, ROWS, Case, with_table
from tests.faults.world import TILE, YEAR, World


@pytest.fixture(scope="module")
def _cloud() -> Iterator[None]:
    """One emulator and one client for all cases: making them takes longer than a tile."""
    with mock_aws():
        yield
    handler._s3.cache_clear()


@pytest.fixture
def world(_cloud: None, tmp_path: Path, grid: Grid) -> Iterator[World]:
    s3 = handler._s3()
    for bucket in ("runs", "out"):
        s3.create_bucket(Bucket=bucket)
    made = World(tmp_path, s3, grid)
    with made.contexts:
        yield made
    for bucket in ("runs", "out"):
        for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])


def check_failure(world: World, case: Case, raised: MosaicError) -> None:
    """The error is of its kind, says what it is about, and stands in the record, too."""
    assert type(raised) is case.outcome
    told = json.loads(str(raised))
    assert (told["year"], told["tile"], told["run"]) == (YEAR, TILE.name, "a-run")
    assert case.told in told["cause"]
    record = world.record()
    assert (record["state"], record["error"], record["cause"]) == ("failed", type(raised).__name__, told["cause"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_ends_typed_and_its_tile_is_whole_after_it(world: World, scratch: Path, case: Case) -> None:
    if case.mode != "skip":
        world.run()
    if case.mode == "overwrite":
        world.reissue()
    before = world.item()
    case.inject(world)
    if case.outcome is None:
        assert world.run(case.mode)["state"] == world.record()["state"] == "published"
        world.assert_whole()
    else:
        with pytest.raises(MosaicError) as caught:
            world.run(case.mode)
        check_failure(world, case, caught.value)
        assert world.item() == before
    assert not list(scratch.iterdir())

    world.mend()
    expected = "published" if case.outcome is not None and before is None else "skipped"
    if before is None:
        assert world.run()["state"] == world.record()["state"] == expected
    else:
        assert world.run()["state"] in ("published", "skipped")  # by whether assets were replaced under the old item
    world.assert_whole()
    assert world.run()["state"] == "skipped"
    assert not list(scratch.iterdir())


def test_names_of_cases_are_unique_and_enough() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


def test_the_table_in_the_document_is_that_of_the_cases() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_table(document), "run: python -m tests.faults.matrix"
