"""Workers killed and hanging in each stage and at random: nothing half-published, the same request again ends whole."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from alos_mosaic.errors import DeadlineExceededError
from local.jaxa_server import Fault
from tests.faults.bucket_server import Asked
from tests.faults.conftest import OldTile
from tests.faults.stages import Stage
from tests.faults.stops import OLD_FILE, STOPS, AtByte, AtCall, AtRequest, Leaves, Place, Stop
from tests.faults.workers import Job, Worker, WorkersWorld
from tests.faults.world import event

_PART_BYTES: Final = 3000
_SEED: Final = 20261124
_RANDOM_KILLS: Final = 20
_REQUESTS: Final = 35
"""Of an overwrite to S3, up to the last file that is deleted from staging; a test counts them."""


def keys(world: WorkersWorld, bucket: str, part: str = "") -> list[str]:
    found = world.s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return [entry["Key"] for entry in found if part in entry["Key"]]


def run_stopped(world: WorkersWorld, stop: Stop) -> dict[str, Any]:
    """Run a worker until it is stopped; return its answer, or raise what it ended with."""
    workers: list[Worker] = []
    over = threading.Event()

    def strike() -> None:
        if stop.is_kill:
            workers[0].kill()
            return
        workers[0].let_time_be_over()
        over.wait()

    if stop.with_parts:  # so that it does not come all at once
        world.faults.append(Fault("RETR", at_byte=int(0.75 * world.size), times=1))
    stop.place.prepare(world, strike)
    with ExitStack() as stack:
        settings = world.settings(stack.enter_context(world.served()))
        stack.callback(over.set)
        held_at = stop.place.call if isinstance(stop.place, AtCall) else None
        parts = _PART_BYTES if stop.with_parts else None
        worker = world.worker(Job(event(stop.mode), settings.to_env(), held_at=held_at, part_bytes=parts))
        workers.append(worker)
        worker.start()
        if held_at is not None:
            worker.wait_until_held()
            (worker.kill if stop.is_kill else worker.let_time_be_over)()
        try:
            return worker.ended()
        finally:
            world.bucket.watch, world.faults = None, []


def what_is_left(world: WorkersWorld, old: bytes | None) -> Leaves:
    """Look as a reader would, at every byte."""
    if world.item() is None:
        return Leaves.NOTHING
    is_whole, is_old = not world.broken_promises(), world.item() == old
    if is_whole:
        return Leaves.OLD if is_old else Leaves.NEW
    assert is_old, "an item over assets of another"
    return Leaves.BETWEEN


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_stopped_worker_leaves_nothing_half_done_and_the_same_request_ends_whole(
    workers_world: WorkersWorld, old_tile: OldTile, scratch: Path, stop: Stop
) -> None:
    world = workers_world
    old = old_tile.publish(world) if stop.mode == "overwrite" else None
    with pytest.raises(EOFError if stop.is_kill else DeadlineExceededError):
        run_stopped(world, stop)
    assert what_is_left(world, old) is stop.leaves
    if not stop.is_kill:
        assert world.record()["error"] == "DeadlineExceededError"
    elif stop.stage is not Stage.RECORD:
        assert list(scratch.iterdir())
    assert bool(keys(world, "runs", "/archives/")) is stop.with_parts

    assert world.run(stop.mode)["state"] == world.record()["state"]
    world.assert_whole()
    assert not list(scratch.iterdir())
    assert not keys(world, "runs", "/archives/")
    if stop.leaves is not Leaves.NEW:  # else nobody knows any more that the old item named it
        assert not keys(world, "out", OLD_FILE)
    assert world.run()["state"] == "skipped"


def test_an_overwrite_makes_as_many_requests_as_kills_are_drawn_from(
    workers_world: WorkersWorld, old_tile: OldTile
) -> None:
    old_tile.publish(workers_world)
    seen: list[str] = []

    def watch(asked: Asked, is_done: bool) -> None:
        if is_done:
            seen.append(f"{asked.operation} {asked.key}")

    workers_world.bucket.watch = watch
    with workers_world.served() as url:
        worker = workers_world.worker(Job(event("overwrite"), workers_world.settings(url).to_env()))
        worker.start()
        assert worker.ended()["state"] == "published"
    (record,) = (number for number, what in enumerate(seen) if "/results/" in what)
    assert record == _REQUESTS


def random_place(number: int) -> Place:
    """Return where the so-many-th worker is killed: five times of six at a request to S3, else at a byte."""
    draw = random.Random(f"{_SEED} {number}")
    if draw.random() < 1 / 6:
        return AtByte(draw.random())
    return AtRequest("", bucket="", number=draw.randint(1, _REQUESTS), is_done=draw.random() < 1 / 2)


@pytest.mark.parametrize("number", range(_RANDOM_KILLS))
def test_an_overwrite_killed_at_a_random_moment_ends_whole(
    workers_world: WorkersWorld, old_tile: OldTile, scratch: Path, number: int
) -> None:
    """By the next ``skip``, or by the same request again, in turn."""
    world, place = workers_world, random_place(number)
    old = old_tile.publish(world)
    with pytest.raises(EOFError):
        run_stopped(world, Stop("at random", Stage.PUBLISH, place, Leaves.NEW, "overwrite"))
    what_is_left(world, old)
    assert world.run("skip" if number % 2 else "overwrite")["state"] in ("published", "skipped")
    assert what_is_left(world, old) in (Leaves.OLD, Leaves.NEW)
    assert world.run()["state"] == "skipped"
    assert not list(scratch.iterdir())


def test_a_source_that_trickles_is_left_at_the_deadline(workers_world: WorkersWorld) -> None:
    """By the clock: the handler keeps 15 s for its last words."""
    workers_world.ftp = {"bytes_per_second": 1000}
    with workers_world.served() as url:
        job = Job(event("skip"), workers_world.settings(url).to_env(), seconds=16.5)
        worker = workers_world.worker(job)
        worker.start()
        with pytest.raises(DeadlineExceededError, match="not done after 2 s"):
            worker.ended()
    assert workers_world.item() is None
    assert workers_world.record()["error"] == "DeadlineExceededError"
    workers_world.ftp = {}
    assert workers_world.run()["state"] == "published"
    workers_world.assert_whole()
