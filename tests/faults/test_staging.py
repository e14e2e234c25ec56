"""Every case that goes wrong with staged parts: a typed end, what was staged stays, the next goes on there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from alos_mosaic.errors import MosaicError, SourceUnavailableError
from local.jaxa_server import Fault, JaxaServer
from tests.faults.staging import ALTERED, STAGING_CASES, StagingCase
from tests.faults.workers import Job, WorkersWorld
from tests.faults.world import TILE, event

_PART_BYTES: Final = 3000
_ALWAYS: Final = 1_000_000


def run(world: WorkersWorld, *faults: Fault, is_slow: bool = True) -> tuple[dict[str, Any], int]:
    """Run a worker, with a source of its own; return its answer, and how many bytes the source sent of the archive."""
    with JaxaServer(world.mirror, faults=faults) as server:
        settings = world.settings(server.url).to_env()
        worker = world.worker(Job(event("skip"), settings, part_bytes=_PART_BYTES if is_slow else None))
        worker.start()
        return worker.ended(), server.sent_bytes


def staged(world: WorkersWorld) -> list[int]:
    """Return the sizes of the staged parts, in their order."""
    found = world.s3.list_objects_v2(Bucket="runs", Prefix="staging/").get("Contents", ())
    return [entry["Size"] for entry in found]


@pytest.mark.parametrize("case", STAGING_CASES, ids=lambda case: case.name)
def test_a_fault_of_the_staging_loses_no_more_than_it_touches(
    workers_world: WorkersWorld, scratch: Path, case: StagingCase
) -> None:
    world = workers_world
    broken = Fault("RETR", at_byte=int(0.75 * world.size), times=_ALWAYS)
    if case.is_taken_up:
        with pytest.raises(SourceUnavailableError):
            run(world, broken)
        assert sum(staged(world)) == int(0.75 * world.size)
        assert len(staged(world)) > 2
    case.inject(world.bucket)
    # Without a break all of so small an archive would come at once, and nothing of it be staged.
    faults = [] if case.is_taken_up else [broken if case.source_fails else replace(broken, times=1)]
    if case.outcome is None:
        answer, sent = run(world, *faults)
        assert answer["state"] == world.record()["state"] == "published"
        assert sent == (world.size if case.act == ALTERED else world.size - int(0.75 * world.size))
        world.assert_whole()
    else:
        with pytest.raises(MosaicError) as caught:
            run(world, *faults, is_slow=not case.source_fails)
        assert type(caught.value) is case.outcome
        record = world.record()
        assert (record["state"], record["error"]) == ("failed", case.outcome.__name__)
        assert f"{TILE}_20" in record["cause"]
        assert world.item() is None
    assert not list(scratch.iterdir())

    world.bucket.watch = world.bucket.spoil = None
    there = sum(staged(world))
    if case.is_taken_up:
        assert there == (0 if case.act == ALTERED else int(0.75 * world.size))
    else:
        assert there == case.spared * _PART_BYTES
    answer, sent = run(world, is_slow=False)
    assert answer["state"] == ("published" if case.outcome else "skipped")
    assert sent == (world.size - there if case.outcome else 0), "what was staged is not asked for again"
    world.assert_whole()
    assert not staged(world)
    assert not list(scratch.iterdir())
