"""Two workers at one tile: one whole, valid result, whosever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from alos_mosaic.errors import PublishError
from local.archives import place_archive
from local.jaxa_server import JaxaServer
from tests.faults.conftest import OldTile
from tests.faults.pairs import PAIRS, Pair, Turns
from tests.faults.workers import Job, WorkersWorld
from tests.faults.world import CELL, TILE, YEAR, event


def at_once(world: WorkersWorld, pair: Pair, folder: Path) -> list[str]:
    """Run both workers by turns; return how each ended: its state, or its error's name."""
    names = ("one", "other")
    turns = Turns(pair.seed, names)
    for number, name in enumerate(names):
        seed = 1 if pair.same_archive else 1 + number
        place_archive(folder / f"mirror-{name}", TILE, YEAR, world.grid, cells=[CELL], seed=seed)
        (folder / f"tmp-{name}").mkdir()
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        workers = []
        for name, mode in zip(names, pair.modes, strict=True):
            url = stack.enter_context(JaxaServer(folder / f"mirror-{name}")).url
            settings = world.settings(url)
            workers.append(world.worker(Job(event(mode), settings.to_env()), name, folder / f"tmp-{name}"))
        world.bucket.watch = turns.watch

        def end(number: int) -> str:
            try:
                return str(workers[number].ended()["state"])
            except PublishError as error:
                assert "another worker" in str(error)
                return "PublishError"
            finally:
                turns.leave(names[number])

        for worker in workers:
            worker.start()
        ended = list(threads.map(end, range(2)))
    world.bucket.watch = None
    assert not [path for name in names for path in (folder / f"tmp-{name}").iterdir()]
    return ended


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_two_workers_at_once_leave_one_whole_tile(
    workers_world: WorkersWorld, old_tile: OldTile, tmp_path: Path, pair: Pair
) -> None:
    if pair.is_published:
        old_tile.publish(workers_world)
    if set(pair.modes) == {"metadata-only"}:
        workers_world.run("overwrite")  # of the old tile's files one is there for overwrite to remove
    ended = at_once(workers_world, pair, tmp_path)
    assert "published" in ended
    for mode, end in zip(pair.modes, ended, strict=True):
        if end == "PublishError":  # they got in each other's way all the time: the state machine tries again
            assert workers_world.run(mode)["state"] in ("published", "skipped")
    workers_world.assert_whole()
    staged = workers_world.s3.list_objects_v2(Bucket="runs", Prefix="staging/")
    assert not staged["KeyCount"]
    assert workers_world.run()["state"] == "skipped"


@pytest.mark.parametrize(
    ("mode", "ends"),
    [("skip", "skipped"), ("refresh", "skipped"), ("overwrite", "published"), ("metadata-only", "published")],
)
def test_the_same_message_twice_leaves_one_whole_tile(
    workers_world: WorkersWorld, old_tile: OldTile, mode: str, ends: str
) -> None:
    if mode != "skip":
        old_tile.publish(workers_world)
    if mode == "metadata-only":
        workers_world.run("overwrite")
    assert workers_world.run(mode)["state"] == "published"
    workers_world.assert_whole()
    assert workers_world.run(mode)["state"] == ends == workers_world.record()["state"]
    workers_world.assert_whole()
    assert workers_world.run()["state"] == "skipped"
