"""What goes wrong with a run, not with a tile: functions killed, executions stopped, letters lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alos_mosaic.naming import manifest_key
from tests.faults.town import SEEN_AGAIN_SOON, YEAR, Town

if TYPE_CHECKING:
    from tests.lambdas.desk import Desk

_MANY: Final = 12
"""More letters than SQS deletes in one call."""


@dataclass(frozen=True)
class RunCase:
    """One thing that goes wrong with a run, and what has to come of it."""

    fault: str
    stage: str
    """The state of the state machine that it happens in, in words."""
    how: str
    """How it is injected."""
    ending: str
    """What comes of it."""
    play: Callable[[Town, str], None]
    """Lets it happen, by runs whose names begin with a word of their own, and looks at what came of it."""

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage}: {self.fault}"


def _kill(function: str, operation: str, **facts: Any) -> dict[str, Any]:
    return {"function": function, "operation": operation, "act": "kill", "times": 1, **facts}


def _seed_is_retried(town: Town, name: str) -> None:
    tiles = town.tiles(3)
    town.plan(_kill("SeedTiles", "PutObject", key="manifest.json$", is_after=True))
    assert town.run_tiles(name, tiles)["published"] == 3
    assert town.manifest(name) == tiles
    town.assert_struck()


def _name_is_taken(town: Town, name: str) -> None:
    tiles, states = town.tiles(2), town.client("stepfunctions")
    assert town.run_tiles(name, tiles)["published"] == 2
    before = town.read(manifest_key(name))
    given = json.dumps({"years": [YEAR], "tiles": ["N00E010"]})
    try:
        states.start_execution(stateMachineArn=town.machine, name=name, input=given)
    except states.exceptions.ExecutionAlreadyExists:
        assert town.read(manifest_key(name)) == before
    else:
        raise AssertionError("a second execution of the same name")


def _summary_is_retried(town: Town, name: str) -> None:
    tiles = town.tiles(2)
    town.plan(_kill("SummariseRun", "PutObject"))
    assert town.run_tiles(name, tiles)["published"] == 2
    town.assert_struck()


def _record_is_refused(act: str, goes_on: str) -> Callable[[Town, str], None]:
    """A tile whose result can't be recorded counts as failed, though it is published."""

    def play(town: Town, name: str) -> None:
        tiles = town.tiles(2)
        town.plan({"function": "ProcessTile", "operation": "PutObject", "act": act, "key": "/results/"})
        assert town.run_tiles(name, tiles, mode="overwrite")["failed"] == 2
        town.assert_struck()
        assert town.states(name) == {}
        assert town.letter_count() >= len(tiles)  # the state machine's, and the summary's for want of a record
        town.plan()
        ended = town.run(f"{name}-again", {goes_on: {"run": name}})
        assert ended["status"] == "SUCCEEDED", ended
        if goes_on == "redrive":
            assert town.counts(f"{name}-again")["published"] == 2
            assert town.letter_count() == 0
        else:
            assert json.loads(ended["output"])["seed"]["count"] == 0
        town.assert_published(f"{name}-after", tiles)

    return play


def _record_is_refused_once(town: Town, name: str) -> None:
    (tile,) = town.tiles(1)
    town.plan({"function": "ProcessTile", "operation": "PutObject", "act": "SlowDown", "key": "/results/", "times": 1})
    assert town.run_tiles(name, [tile])["skipped"] == 1
    town.assert_struck()
    assert town.states(name) == {tile: "skipped"}
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", [tile])


def _is_aborted(town: Town, name: str) -> None:
    tiles = town.tiles(_MANY)
    town.spoil(tiles[:1])
    town.abort(name, tiles, after=3)
    town.mend(tiles[:1])
    ended = town.states(name)
    published = [tile for tile in tiles if ended.get(tile) == "published"]
    assert 1 <= len(published) < _MANY
    resumed = town.run(f"{name}-resumed", {"resume": {"run": name}})
    assert resumed["status"] == "SUCCEEDED", resumed
    # A worker at a tile when the execution was stopped has gone on to its end, and a tile that was published in
    # the second in which the manifest was written is looked at once more.
    counts = town.counts(f"{name}-resumed")
    assert counts["published"] >= 1
    assert counts["published"] + counts["skipped"] == len(town.manifest(f"{name}-resumed"))
    town.assert_published(f"{name}-after", tiles)


def _map_is_broken_off(tolerance: int) -> Callable[[Town, str], None]:
    def play(town: Town, name: str) -> None:
        good = town.tiles(2)
        bad = town.tiles(2)
        town.spoil(bad)
        with town.lost_letters(tolerance=tolerance):
            counts = town.run_tiles(name, [*good, *bad])
        assert (counts["published"], counts["failed"]) == (2, 2)
        assert town.letter_count() == 2
        town.mend(bad)
        assert town.run(f"{name}-redriven", {"redrive": {"run": name}})["status"] == "SUCCEEDED"
        assert town.counts(f"{name}-redriven")["published"] == 2
        town.assert_published(f"{name}-after", [*good, *bad])

    return play


def _letter_is_not_kept(town: Town, name: str) -> None:
    tiles = town.tiles(2)
    town.spoil(tiles[:1])
    with town.lost_copies():
        assert town.run_tiles(name, tiles)["failed"] == 1
    assert town.letter_count() == 2
    town.mend(tiles[:1])
    assert town.run(f"{name}-redriven", {"redrive": {}})["status"] == "SUCCEEDED"
    assert town.manifest(f"{name}-redriven") == tiles[:1]
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", tiles)


def _letters_are_doubled(town: Town, name: str) -> None:
    tiles = town.failed(name, 2)
    town.double_letters()
    assert town.letter_count() == 4
    assert town.run(f"{name}-redriven", {"redrive": {}})["status"] == "SUCCEEDED"
    assert sorted(town.manifest(f"{name}-redriven")) == sorted(tiles)
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", tiles)


def _no_manifest(town: Town, name: str) -> None:
    tiles = town.failed(name, 2)
    town.plan(SEEN_AGAIN_SOON, _kill("RedriveTiles", "PutObject", key="manifest.json$", times=2))
    first = town.run(f"{name}-1", {"redrive": {}})
    town.wait_for_letters(2)
    if first["status"] == "SUCCEEDED":  # the second try came while the letters were out of sight, and found none
        assert json.loads(first["output"])["seed"]["count"] == 0
    town.assert_struck()
    town.plan()
    assert town.run(f"{name}-2", {"redrive": {}})["status"] == "SUCCEEDED"
    assert town.counts(f"{name}-2")["published"] == 2
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", tiles)


def _two_manifests(town: Town, name: str) -> None:
    tiles = town.failed(name, 2, mode="overwrite")
    town.plan(
        SEEN_AGAIN_SOON,
        _kill("RedriveTiles", "PutObject", key="manifest.json$", is_after=True),
        _kill("RedriveTiles", "GetObject", key="manifest.json$"),
    )
    first = town.run(f"{name}-1", {"redrive": {}})
    assert (first["status"], first["error"]) == ("FAILED", "Runtime.ExitError")
    town.wait_for_letters(2)
    town.assert_struck()
    town.plan()
    assert town.run(f"{name}-2", {"redrive": {}})["status"] == "SUCCEEDED"
    assert sorted(town.manifest(f"{name}-1")) == sorted(town.manifest(f"{name}-2")) == sorted(tiles)
    assert town.counts(f"{name}-2")["published"] == 2
    assert [town.invoke(f"{name}-1", tile)["state"] for tile in tiles] == ["skipped", "skipped"]
    resumed = town.run(f"{name}-resumed", {"resume": {"run": f"{name}-1"}})
    assert json.loads(resumed["output"])["seed"]["count"] == 0
    assert town.letter_count() == 0


def _between_deletes(town: Town, name: str) -> None:
    tiles = town.failed(name, _MANY)
    town.plan(SEEN_AGAIN_SOON, _kill("RedriveTiles", "DeleteMessageBatch", is_after=True))
    assert town.run(f"{name}-1", {"redrive": {}})["status"] == "SUCCEEDED"
    assert sorted(town.manifest(f"{name}-1")) == sorted(tiles)
    assert town.counts(f"{name}-1")["published"] == _MANY
    town.assert_struck()
    town.wait_for_letters(_MANY - 10)
    second = json.loads(town.run(f"{name}-2", {"redrive": {}})["output"])["seed"]
    assert (second["count"], second["redrive"]["published_since"]) == (0, _MANY - 10)
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", tiles)


def _given_up_between_deletes(town: Town, name: str) -> None:
    tiles = town.failed(name, _MANY)
    town.plan(
        SEEN_AGAIN_SOON,
        _kill("RedriveTiles", "DeleteMessageBatch", is_after=True),
        _kill("RedriveTiles", "GetObject", key="manifest.json$"),
    )
    assert town.run(f"{name}-1", {"redrive": {}})["error"] == "Runtime.ExitError"
    town.assert_struck()
    town.plan()
    resumed = town.run(f"{name}-resumed", {"resume": {"run": f"{name}-1"}})
    assert resumed["status"] == "SUCCEEDED", resumed
    assert sorted(town.manifest(f"{name}-resumed")) == sorted(tiles)
    assert town.counts(f"{name}-resumed")["published"] == _MANY
    town.wait_for_letters(_MANY - 10)
    town.run(f"{name}-2", {"redrive": {}})
    assert town.letter_count() == 0
    town.assert_published(f"{name}-after", tiles)


_SIGKILL: Final = "SIGKILL of the function's process, at that call"
_NO_QUEUE: Final = "a definition whose letters go to a queue that is not there"


def _run_cases() -> Iterator[RunCase]:
    yield RunCase(
        "killed when the manifest is written", "seed", _SIGKILL, "Lambda's retry: the same manifest, each tile once",
        _seed_is_retried,
    )  # fmt: skip
    yield RunCase(
        "a second execution of the same name", "seed", "StartExecution", "refused, the first manifest stands",
        _name_is_taken,
    )  # fmt: skip
    yield RunCase(
        "an execution stopped half-way", "map", "StopExecution after three tiles, one of them failed",
        "resume publishes the rest", _is_aborted,
    )  # fmt: skip
    yield RunCase(
        "broken off by lost children", "map", f"{_NO_QUEUE}, and no lost child tolerated",
        "the summary sends the letters, redrive publishes", _map_is_broken_off(0),
    )  # fmt: skip
    yield RunCase(
        "the queue takes no letter", "map", _NO_QUEUE, "the summary sends the letters, redrive publishes",
        _map_is_broken_off(100),
    )  # fmt: skip
    yield RunCase(
        "a letter that was sent can't be kept", "map", "a definition whose copies go to a bucket that is not there",
        "the summary sends it again, a redrive makes one tile of both", _letter_is_not_kept,
    )  # fmt: skip
    yield RunCase(
        "killed ahead of its summary", "summary", _SIGKILL, "Lambda's retry: the four counts add up",
        _summary_is_retried,
    )  # fmt: skip
    for act, goes_on, ending in (
        ("SlowDown", "redrive", "a redrive publishes"),
        ("AccessDenied", "resume", "a resume finds them published"),
        ("reset", "redrive", "a redrive publishes"),
    ):
        yield RunCase(
            f"S3 {act}, on each result's record", "record", "the answer to PutObject in the bucket of runs",
            f"failed, with letters, though published; {ending}", _record_is_refused(act, goes_on),
        )  # fmt: skip
    yield RunCase(
        "S3 SlowDown, on the result's record once", "record", "the answer to PutObject in the bucket of runs",
        "tried again: skipped, and recorded as that", _record_is_refused_once,
    )  # fmt: skip
    yield RunCase(
        "each message twice", "queue", "SendMessage of the same bodies", "each tile once in the manifest",
        _letters_are_doubled,
    )  # fmt: skip
    yield RunCase(
        "killed ahead of its manifest, each time", "redrive", _SIGKILL, "the letters stay, the next redrive publishes",
        _no_manifest,
    )  # fmt: skip
    yield RunCase(
        "killed behind its manifest, and as it is tried again", "redrive", _SIGKILL,
        "two manifests with the same tiles, published by one, skipped by the other", _two_manifests,
    )  # fmt: skip
    yield RunCase(
        "killed between two deletes", "redrive", _SIGKILL,
        "Lambda's retry goes on with the manifest; letters that were left are of published tiles", _between_deletes,
    )  # fmt: skip
    yield RunCase(
        "killed between two deletes, and as it is tried again", "redrive", _SIGKILL,
        "resume of the redrive's own run publishes all", _given_up_between_deletes,
    )  # fmt: skip


RUN_CASES: Final = tuple(_run_cases())


@dataclass(frozen=True)
class Break:
    """Where a redrive breaks off, on moto."""

    fault: str
    operation: str
    number: int
    """Which of these calls, from 1 on."""
    is_after: bool
    """Whether the service has done its part."""
    has_manifest: bool

    stage: str = "redrive"
    how: str = "its client raises KeyboardInterrupt there"

    @property
    def ending(self) -> str:
        """What comes of it."""
        goes_on = "the same execution goes on with its manifest" if self.has_manifest else "all letters stay"
        return f"{goes_on}; no tile lost"

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage}: {self.fault}"


BREAKS: Final = (
    Break("broken off ahead of its first letter", "ReceiveMessage", 1, is_after=False, has_manifest=False),
    Break("broken off when it has letters", "ReceiveMessage", 1, is_after=True, has_manifest=False),
    Break("broken off ahead of its manifest", "PutObject", 1, is_after=False, has_manifest=False),
    Break("broken off behind its manifest", "PutObject", 1, is_after=True, has_manifest=True),
    Break("broken off ahead of its first delete", "DeleteMessageBatch", 1, is_after=False, has_manifest=True),
    Break("broken off behind its first delete", "DeleteMessageBatch", 1, is_after=True, has_manifest=True),
    Break("broken off behind its last delete", "DeleteMessageBatch", 2, is_after=True, has_manifest=True),
)


def tiles_of(desk: Desk, run: str) -> set[str]:
    """Return the tiles of a run's manifest, of none if it is not there."""
    if not desk.s3.list_objects_v2(Bucket="runs", Prefix=manifest_key(run))["KeyCount"]:
        return set()
    return {line["tile"] for line in desk.manifest(run)}
