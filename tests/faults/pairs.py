"""Two workers at one tile: one after the other, or at once, by turns that a seed draws."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.faults.bucket_server import Asked
from tests.faults.stages import Stage

_LONGEST_WAIT_SECONDS: Final = 0.05
"""For a request of the other worker's: it may be computing."""


@dataclass(frozen=True)
class Pair:
    """Two workers at once."""

    modes: tuple[str, str]
    is_published: bool
    """Whether another version of the tile is there before."""
    same_archive: bool
    seed: int

    stage = Stage.PUBLISH

    @property
    def fault(self) -> str:
        """What the case is called in the table."""
        archives = "the same archive" if self.same_archive else "different archives"
        return f"two workers at once, {' and '.join(self.modes)}, {archives}"

    @property
    def how(self) -> str:
        """How it is injected."""
        return f"two processes, whose requests to S3 come by turns that seed {self.seed} draws"

    @property
    def ending(self) -> str:
        """How it ends."""
        return "published, by the one or the other"

    @property
    def name(self) -> str:
        """What the case is called in a test's name."""
        return f"{self.stage.value}: {self.fault}"


def _pairs() -> Iterator[Pair]:
    yield Pair(("skip", "skip"), is_published=False, same_archive=True, seed=1)
    yield Pair(("skip", "skip"), is_published=False, same_archive=False, seed=2)
    yield Pair(("overwrite", "overwrite"), is_published=True, same_archive=True, seed=3)
    yield Pair(("overwrite", "overwrite"), is_published=True, same_archive=False, seed=4)
    yield Pair(("overwrite", "refresh"), is_published=True, same_archive=False, seed=5)
    yield Pair(("overwrite", "skip"), is_published=False, same_archive=False, seed=6)
    yield Pair(("overwrite", "metadata-only"), is_published=True, same_archive=False, seed=7)
    yield Pair(("metadata-only", "overwrite"), is_published=True, same_archive=False, seed=8)
    yield Pair(("refresh", "metadata-only"), is_published=True, same_archive=False, seed=9)
    yield Pair(("metadata-only", "metadata-only"), is_published=True, same_archive=True, seed=10)


PAIRS: Final = tuple(_pairs())


class Turns:
    """Lets one request at a time through to what is published, of a worker drawn from those that ask."""

    def __init__(self, seed: int, workers: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._at_work = set(workers)
        self._waiting: list[Asked] = []
        self._chosen: Asked | None = None
        self._changed = threading.Condition()

    def watch(self, asked: Asked, is_done: bool) -> None:
        """Hold a request until it is its turn."""
        if asked.bucket != "out":
            return
        with self._changed:
            if is_done:
                self._chosen = None
                self._changed.notify_all()
                return
            self._waiting.append(asked)
            self._changed.notify_all()
            while self._chosen is not asked:
                if self._chosen is None:
                    self._changed.wait_for(self._all_ask, _LONGEST_WAIT_SECONDS)
                    self._choose()
                else:
                    self._changed.wait()
            self._waiting.remove(asked)

    def leave(self, worker: str) -> None:
        """Expect no more requests of a worker."""
        with self._changed:
            self._at_work.discard(worker)
            self._changed.notify_all()

    def _all_ask(self) -> bool:
        return self._chosen is not None or self._at_work <= {asked.who for asked in self._waiting}

    def _choose(self) -> None:
        if self._chosen is None:
            worker = self._random.choice(sorted({asked.who for asked in self._waiting}))
            self._chosen = next(asked for asked in self._waiting if asked.who == worker)
            self._changed.notify_all()
